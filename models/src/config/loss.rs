//! What training minimises.

use super::checks::{Checked, not_negative, require};
use super::section::{choices, section};

choices! {
    /// How far a reconstruction is from its original.
    pub enum ReconstructionLoss {
        /// Mean absolute difference.
        L1 = "l1",
        /// Mean squared difference.
        Mse = "mse",
    }
}

choices! {
    /// Architectures of the discriminator.
    pub enum DiscriminatorType {
        /// Residual, with equalised learning rates.
        Stylegan = "stylegan",
        /// Convolutions that judge overlapping patches.
        Patchgan = "patchgan",
        /// That of "stylegan" with convolutions over time, too: for clips.
        Stylegan3d = "stylegan3d",
    }
}

choices! {
    /// Losses of the discriminator and against it.
    pub enum AdversarialLoss {
        /// Softplus of the logits.
        Vanilla = "vanilla",
        /// Logits clipped at a margin of one.
        Hinge = "hinge",
    }
}

choices! {
    /// Over which samples code probabilities are averaged, of whose mean the codebook's entropy is taken.
    pub enum EntropyOver {
        /// Those of a micro-batch.
        MicroBatch = "micro_batch",
        /// Those of all micro-batches of a step, on all ranks.
        Step = "step",
    }
}

section! {
    /// What training minimises.
    pub struct LossConfig {
        /// Distance of reconstruction and original: "l1" or "mse".
        reconstruction: ReconstructionLoss = ReconstructionLoss::L1,
        /// Weight of that distance.
        reconstruct_weight: f64 = 1.0,
        /// Weight of the quantizer's loss after its ramp.
        codebook_weight: f64 = 1.0,
        /// The quantizer's loss starts with its weight times this.
        codebook_rampup_multiplier: f64 = 1.0,
        /// Steps in which the multiplier goes to 1, linearly; 0 is no ramp.
        codebook_rampup_steps: u64 = 0,
        /// The codebook's entropy is that of the mean code probabilities of each "micro_batch", or of the
        /// whole "step", for which encoders run once more (docs/distributed.md).
        entropy_over: EntropyOver = EntropyOver::MicroBatch,
        /// Weight of the logit-Laplace likelihood, for a model that has it.
        logit_laplace_weight: f64 = 0.0,
        /// Weight of 1 - MS-SSIM, for pictures of 176 pixels and more; 0 leaves it out.
        ms_ssim_weight: f64 = 0.0,
        /// Weight of the mean absolute difference at halved sizes down to 8 pixels; 0 leaves it out.
        multiscale_weight: f64 = 0.0,
        /// Weight of the bits per token that a frozen prior needs for the step's tokens, of which training is told
        /// the file (--rate-prior); for BSQ. Gradients are those of expected code lengths: the sum over a
        /// sub-token's values of p(value) * -log2 q(value), p the product over bits of sigmoid(4 a u c), a
        /// inv_temperature, c the codes' scale. 0 leaves the prior out.
        rate_weight: f64 = 0.0,
        /// Weight of the perceptual distance (LPIPS), of which training is told the weights; 0 leaves
        /// the network out.
        perceptual_weight: f64 = 1.0,
        /// Train without a discriminator.
        skip_disc: bool = false,
        /// Weight of the adversarial loss.
        disc_weight: f64 = 1.0,
        /// First step with an adversarial loss.
        disc_start: u64 = 0,
        /// Architecture: "stylegan" or "patchgan", which judge a clip's frames one by one, or "stylegan3d",
        /// which judges whole clips.
        disc_type: DiscriminatorType = DiscriminatorType::Patchgan,
        /// "vanilla" or "hinge".
        disc_loss: AdversarialLoss = AdversarialLoss::Hinge,
        /// Side of the pictures that a stylegan sees.
        disc_input_size: usize = 256,
        /// Channels of the picture.
        disc_in_channels: usize = 3,
        /// Channels of a stylegan at resolution r: at most 512 and this / r.
        disc_channel_base: usize = 32768,
        /// Strided convolutions of a patchgan.
        disc_num_layers: usize = 3,
        /// Channels of the first convolution of a patchgan or stylegan3d.
        disc_ndf: usize = 64,
        /// A patchgan normalises with data-initialised scales instead of batch statistics.
        use_actnorm: bool = false,
        /// A discriminator that is told the class; not implemented.
        disc_conditional: bool = false,
        /// Every so many steps the gradient penalty R1 is added; 0 is never.
        disc_reg_freq: u64 = 0,
        /// Weight of R1.
        disc_reg_r1: f64 = 10.0,
        /// R1 is added as the reference does: without a gradient, so that it changes nothing but the
        /// logged loss.
        disc_reg_compat: bool = false,
        /// Scale the adversarial loss so that its gradient is as large as the others'.
        use_adaptive_disc_weight: bool = true,
        /// Frames of a clip: as many as the model's, or 1, which says nothing.
        num_frames: usize = 1,
    }
}

impl LossConfig {
    /// That its numbers make sense, for a model with or without a likelihood.
    pub(super) fn check(&self, logit_laplace: bool) -> Checked {
        let loss = self;
        for (value, key) in [
            (loss.reconstruct_weight, "loss.reconstruct_weight"),
            (loss.codebook_weight, "loss.codebook_weight"),
            (
                loss.codebook_rampup_multiplier,
                "loss.codebook_rampup_multiplier",
            ),
            (loss.logit_laplace_weight, "loss.logit_laplace_weight"),
            (loss.perceptual_weight, "loss.perceptual_weight"),
            (loss.disc_weight, "loss.disc_weight"),
            (loss.ms_ssim_weight, "loss.ms_ssim_weight"),
            (loss.multiscale_weight, "loss.multiscale_weight"),
            (loss.rate_weight, "loss.rate_weight"),
            (loss.disc_reg_r1, "loss.disc_reg_r1"),
        ] {
            not_negative(value, key)?;
        }
        let likelihood = match logit_laplace {
            true => loss.logit_laplace_weight,
            false => 0.0,
        };
        let any =
            loss.reconstruct_weight != 0.0 || loss.codebook_weight != 0.0 || likelihood != 0.0;
        require(any, "loss.reconstruct_weight", || {
            "is 0 and so is all else that could be made small: give it or another weight".into()
        })?;
        require(!loss.disc_conditional, "loss.disc_conditional", || {
            "must be false: a discriminator that is told the class is not implemented".into()
        })
    }
}
