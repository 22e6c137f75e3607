//! Data, evaluation and the training loop.

use super::OptimizerConfig;
use super::checks::{Checked, below_one, between, not_negative, require};
use super::section::{choices, section, words};
use crate::image_io::{ImageSize, PixelRange, resize::Filter};
use bsq_runtime::Precision;
use std::path::PathBuf;

words!(Filter { Box = "box", Bilinear = "bilinear", Bicubic = "bicubic", Lanczos = "lanczos" });

/// The largest shorter side that a picture is resized to: the longer one, up to 65,535 times it,
/// must still be countable.
const LARGEST_SIDE: usize = 1 << 15;

/// What the reference has for a key that has no effect here.
pub(crate) const EMA_EVAL_FREQ: u64 = 40_000;

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
        /// Share of the training pictures that is kept apart to evaluate on, without val_root.
        val_fraction: f64 = 0.0,
        /// Black is -1 and white 1; otherwise 0 and 1.
        zero_mean: bool = true,
        /// Black pixels that are put on every side of a picture first.
        pad: usize = 0,
        /// Mirror every second crop, drawn at random.
        use_hflip: bool = false,
        /// Crops of random area (8 to 100 %) and proportions (3:4 to 4:3), resized to the square.
        use_rrc: bool = false,
        /// Smallest shorter side that a picture is resized to before cropping; by default
        /// image_size.
        resize_min: Option<usize> = None,
        /// Largest one; sizes are drawn uniformly. A picture is never enlarged beyond resize_min.
        resize_max: Option<usize> = None,
        /// The filter that pictures are resized with: bilinear as the paper's, bicubic and lanczos keep
        /// more of what is sharp.
        resize_filter: Filter = Filter::Bilinear,
        /// Gains of crops are drawn between the exponentials of minus this and of this, and those of
        /// its channels differ by up to a quarter of it: a few pictures look like more. 0 is off.
        gain_jitter: f64 = 0.0,
        /// Trainings on clips: how many windows are cut out of each real clip.
        clip_windows: usize = 16,
        /// The fastest pan over a picture that is made a clip, in pixels a frame.
        clip_motion: f64 = 8.0,
    }
}

impl DataConfig {
    /// Takes out where the pictures lay: of a model that is given away, nobody's affair.
    pub(crate) fn forget_folders(&mut self) {
        (self.train_root, self.val_root) = (None, None);
    }

    /// Which numbers black and white are, of pictures and of reconstructions. This alone decides
    /// it: `model.clamp_range` may be wider.
    pub fn pixel_range(&self) -> PixelRange {
        match self.zero_mean {
            true => PixelRange::MinusOneToOne,
            false => PixelRange::ZeroToOne,
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

choices! {
    /// In which format a training step computes.
    pub enum TrainPrecision {
        /// The same bits on every machine.
        F32 = "f32",
        /// Operands of contractions and of attention in bf16, forward and in both gradients, and in bf16 what is
        /// kept for the backward pass; parameters, sums, norms, losses and the optimizer in f32.
        Bf16 = "bf16",
    }
}

impl TrainPrecision {
    /// As programs are compiled.
    pub fn compiled(self) -> Precision {
        match self {
            TrainPrecision::F32 => Precision::F32,
            TrainPrecision::Bf16 => Precision::Bf16Training,
        }
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
        /// Evaluations without a better one after which the training ends; 0 is never. The best
        /// checkpoint is best.safetensors.
        patience: u64 = 0,
        /// Steps between checkpoints; 0 is at the end only.
        save_freq: u64 = 1000,
        /// Steps between lines of the log.
        print_freq: u64 = 100,
        /// The log has the length of all gradients as one vector, before it is limited; by default where it
        /// costs nothing: where gradients are clipped, or a step has several micro-batches.
        gradient_norm: Option<bool> = None,
        /// A key of the reference without effect: every evaluation logs pictures.
        vis_freq: u64 = 0,
        /// "f32" has the same bits on every machine; in "bf16" contractions and what is kept for the backward pass are
        /// in bf16, which takes less memory and time.
        precision: TrainPrecision = TrainPrecision::F32,
        /// Use only rewrites that keep every bit of the spelled-out gradients. It takes more memory
        /// (attention's scores are stored); either way every machine trains to the same bits.
        exact: bool = false,
        /// Batches of data.batch_size whose mean gradient a step takes, on one rank after another or
        /// shared by several; by default one for each rank.
        micro_batches: Option<usize> = None,
        /// Keep a moving average of the parameters.
        use_ema: bool = false,
        /// What the average keeps of itself at each step.
        ema_decay: f64 = 0.999,
        /// A key of the reference without effect: with use_ema every evaluation is of the average.
        ema_eval_freq: u64 = EMA_EVAL_FREQ,
    }
}

impl DataConfig {
    /// That its numbers make sense for a model of pictures of this size.
    pub(super) fn check(&self, image: ImageSize) -> Checked {
        let data = self;
        between(data.batch_size, 1, 1 << 16, "data.batch_size")?;
        let (low, high) = data.shorter_sides(image);
        let side = image.width.max(image.height);
        require(low >= side, "data.resize_min", || {
            format!("{low} pixels is smaller than a crop of {side}")
        })?;
        require(low <= high, "data.resize_max", || {
            format!("{high} is below resize_min, {low}")
        })?;
        between(data.clip_windows, 1, 1 << 16, "data.clip_windows")?;
        not_negative(data.clip_motion, "data.clip_motion")?;
        let share = data.val_fraction;
        require((0.0..1.0).contains(&share), "data.val_fraction", || {
            format!("{share} is not a share from 0 to below 1")
        })?;
        data.check_sides()?;
        let jitter = data.gain_jitter;
        require((0.0..=1.0).contains(&jitter), "data.gain_jitter", || {
            format!("{jitter} is not between 0 and 1")
        })?;
        let resizes = data.resize_min.is_some() || data.resize_max.is_some();
        require(!(data.use_rrc && resizes), "data.use_rrc", || {
            "draws its own sizes: leave out resize_min and resize_max".into()
        })
    }

    /// That pictures are not resized to more than can be counted.
    pub(super) fn check_sides(&self) -> Checked {
        let data = self;
        for (value, key) in [
            (data.resize_min, "data.resize_min"),
            (data.resize_max, "data.resize_max"),
        ] {
            between(value.unwrap_or(1), 1, LARGEST_SIDE, key)?;
        }
        Ok(())
    }
}

impl TrainConfig {
    /// Batches of a step.
    pub fn micro_batches(&self) -> usize {
        self.micro_batches.unwrap_or(1)
    }

    /// Whether the length of the gradients is logged.
    pub(crate) fn logs_gradient_norm(&self, optimizer: &OptimizerConfig) -> bool {
        let is_free = optimizer.grad_clip_norm.is_some() || self.micro_batches() > 1;
        self.gradient_norm.unwrap_or(is_free)
    }

    /// Whether a parameter keeps its value.
    pub(crate) fn freezes(&self, name: &str) -> bool {
        self.freeze.iter().any(|key| name.starts_with(key.as_str()))
    }

    /// That its numbers make sense.
    pub(super) fn check(&self) -> Checked {
        between(self.micro_batches(), 1, 1 << 16, "train.micro_batches")?;
        below_one(self.ema_decay, "train.ema_decay")
    }
}
