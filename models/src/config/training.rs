//! Losses, data, optimizer, evaluation and the training loop.

use super::section::{choices, section, words};
use crate::image_io::{ImageSize, Range, resize::Filter};
use std::path::PathBuf;

words!(Filter { Box = "box", Bilinear = "bilinear", Bicubic = "bicubic", Lanczos = "lanczos" });

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
        /// Weight of the logit-Laplace likelihood, for a model that has it.
        logit_laplace_weight: f64 = 0.0,
        /// Weight of the perceptual distance (LPIPS); 0 leaves the network out.
        perceptual_weight: f64 = 1.0,
        /// Train without a discriminator.
        skip_disc: bool = false,
        /// Weight of the adversarial loss.
        disc_weight: f64 = 1.0,
        /// First step with an adversarial loss.
        disc_start: u64 = 0,
        /// Architecture: "stylegan" or "patchgan".
        disc_type: DiscriminatorType = DiscriminatorType::Patchgan,
        /// "vanilla" or "hinge".
        disc_loss: AdversarialLoss = AdversarialLoss::Hinge,
        /// Side of the pictures that the discriminator sees.
        disc_input_size: usize = 256,
        /// Channels of the picture.
        disc_in_channels: usize = 3,
        /// Channels of a stylegan at resolution r: at most 512 and this / r.
        disc_channel_base: usize = 32768,
        /// Strided convolutions of a patchgan.
        disc_num_layers: usize = 3,
        /// Channels of a patchgan's first convolution.
        disc_ndf: usize = 64,
        /// A patchgan normalises with data-initialised scales instead of batch statistics.
        use_actnorm: bool = false,
        /// A discriminator that is told the class; not implemented.
        disc_conditional: bool = false,
        /// Every so many steps the gradient penalty R1 is added; 0 is never.
        disc_reg_freq: u64 = 0,
        /// Weight of R1.
        disc_reg_r1: f64 = 10.0,
        /// Scale the adversarial loss so that its gradient is as large as the others'.
        use_adaptive_disc_weight: bool = true,
        /// Frames of a clip that are judged one by one.
        num_frames: usize = 1,
    }
}

section! {
    /// Which pictures, and what is cut out of them.
    pub struct DataConfig {
        /// Side of the square crops; by default the model's.
        image_size: Option<usize> = None,
        /// Crops per step.
        batch_size: usize = 1,
        /// Folder of training pictures; `--data` on the command line goes before it.
        train_root: Option<PathBuf> = None,
        /// Folder of pictures to evaluate on.
        val_root: Option<PathBuf> = None,
        /// Black is -1 and white 1; otherwise 0 and 1.
        zero_mean: bool = true,
        /// Mirror every second crop, drawn at random.
        use_hflip: bool = false,
        /// Crops of random area (8 to 100 %) and proportions (3:4 to 4:3), resized to the square.
        use_rrc: bool = false,
        /// Smallest shorter side that a picture is resized to before cropping; by default
        /// image_size.
        resize_min: Option<usize> = None,
        /// Largest one; sizes are drawn uniformly. A picture is never enlarged beyond resize_min.
        resize_max: Option<usize> = None,
    }
}

impl DataConfig {
    /// Which numbers black and white are, of pictures and of reconstructions. This alone decides
    /// it: `model.clamp_range` may be wider.
    pub fn pixel_range(&self) -> Range {
        match self.zero_mean {
            true => Range::MinusOneToOne,
            false => Range::ZeroToOne,
        }
    }

    /// The range of shorter sides that pictures are resized to, for a model's picture size.
    pub fn shorter_sides(&self, image: ImageSize) -> (usize, usize) {
        let side = image.width.max(image.height);
        let low = self.resize_min.unwrap_or(side);
        (low, self.resize_max.unwrap_or(low))
    }
}

section! {
    /// The course of the learning rate, as multiples of it.
    pub struct LrSchedule {
        /// Steps from lr_start to lr_max, linearly.
        warm_up_steps: u64 = 0,
        /// Step at which the cosine reaches lr_min.
        max_decay_steps: u64,
        /// Multiplier at step 0.
        lr_start: f64 = 0.0,
        /// Multiplier after the warm-up.
        lr_max: f64 = 1.0,
        /// Multiplier from max_decay_steps on.
        lr_min: f64 = 0.0,
    }
}

section! {
    /// AdamW and its learning rate.
    pub struct OptimizerConfig {
        /// Learning rate per picture of the batch; multiplied by data.batch_size.
        base_lr: f64 = 4e-7,
        /// Learning rate whatever the batch size; goes before base_lr.
        lr: Option<f64> = None,
        /// Steps of the whole training.
        max_iter: u64 = 1_000_000,
        /// Shrinks every parameter by lr times this at each step.
        weight_decay: f64 = 0.01,
        /// Decay of the averages of gradients and of their squares.
        betas: [f64; 2] = [0.9, 0.999],
        /// Added to the root of the averaged squares.
        eps: f64 = 1e-8,
        /// Parameters whose names contain one of these are not shrunk.
        zero_wd_keys: Vec<String> = Vec::new(),
        /// Largest norm of the gradient; longer ones are scaled down.
        grad_clip_norm: Option<f64> = None,
        /// Clip each parameter's gradient by itself instead of all together.
        grad_clip_per_layer: bool = false,
    }
}

impl OptimizerConfig {
    /// The learning rate that multipliers are applied to, at a batch size over all devices.
    pub fn learning_rate(&self, batch_size: usize) -> f64 {
        self.lr.unwrap_or(self.base_lr * batch_size as f64)
    }
}

section! {
    /// How pictures are prepared when a model is measured.
    pub struct EvaluationConfig {
        /// Filter that resizes the shorter side: "bilinear", "bicubic", "lanczos" or "box".
        interpolation: Filter = Filter::Bilinear,
    }
}

choices! {
    /// What a model is before the first step.
    pub enum Initialisation {
        /// Random weights.
        Random = "random",
        /// The weights that make it a transform coder for the training pictures.
        TransformCoder = "transform-coder",
    }
}

section! {
    /// The training loop.
    pub struct TrainConfig {
        /// Seed of initialisation, shuffling and crops.
        seed: u64 = 0,
        /// What the model starts as: "random" weights, or a "transform-coder" (principal components
        /// and Lloyd-Max quantizers); the latter needs a model without ln_pre, decoder.ln_post and
        /// decoder.use_ffn_output.
        init: Initialisation = Initialisation::Random,
        /// Parameters whose names begin with one of these keep their values.
        freeze: Vec<String> = Vec::new(),
        /// Steps between evaluations; 0 is never.
        eval_freq: u64 = 20000,
        /// Steps between checkpoints; 0 is at the end only.
        save_freq: u64 = 1000,
        /// Steps between lines of the log.
        print_freq: u64 = 100,
        /// Steps between pictures in the log; 0 is never.
        vis_freq: u64 = 0,
        /// Use only rewrites that keep every bit of the spelled-out gradients. It takes more memory
        /// (attention's scores are stored); either way every machine trains to the same bits.
        exact: bool = false,
        /// Keep a moving average of the parameters.
        use_ema: bool = false,
        /// What the average keeps of itself at each step.
        ema_decay: f64 = 0.999,
        /// Steps between evaluations of the average; 0 is never.
        ema_eval_freq: u64 = 40000,
    }
}
