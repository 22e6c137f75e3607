//! A learned transform codec, and how it is trained.

use super::checks::{Checked, between, not_negative, require};
use super::document::{self, Document, TrainingSections};
use super::{
    ConfigError, ImageSize,
    optimizer::{LrSchedule, OptimizerConfig},
    section::{Section, refuse_unknown, section},
    training::{DataConfig, Initialisation, TrainConfig},
    tree::{self, Table},
};
use crate::losses::MS_SSIM_SMALLEST_CROP;
use std::path::{Path, PathBuf};

section! {
    /// The codec: a lapped transform, networks beside it, and a model of its levels.
    pub struct TransformCodecModelConfig {
        /// Coordinates that are coded of each 8x8 patch, at most 192; fewer limit the quality at
        /// fine steps.
        coordinates: usize = 192,
        /// The first of them, which are coded before the others and by a larger model.
        base_coordinates: usize = 64,
        /// The first three coordinates (a picture of an eighth of the size) go through a second
        /// lapped transform, of 4x4, that is coded first and seen from all sides.
        second_level: bool = true,
        /// Steepness of the lapped transform; 1 is orthogonal.
        steepness: f64 = 1.3,
        /// Fractions of a step from which a size is rounded up are 1 - rounding.
        rounding: f64 = 0.4,
        /// Features of a cell (2x2 patches) in the encoder's network.
        encoder_width: usize = 160,
        /// Residual blocks of the encoder's network.
        encoder_blocks: usize = 1,
        /// Features of a cell in the decoder's network.
        decoder_width: usize = 192,
        /// Residual blocks of the decoder's network.
        decoder_blocks: usize = 4,
        /// Hidden features of a patch in the context model.
        context_width: usize = 256,
        /// Hidden features from which one level is predicted.
        level_width: usize = 8,
        /// Hidden features of a patch in the context model of the second level.
        coarse_context_width: usize = 128,
        /// The same for the coordinates beyond the base.
        detail_context_width: usize = 96,
        /// Hidden features from which one of their levels is predicted.
        detail_level_width: usize = 2,
        /// Features of a patch that a codec of predicted frames has of what motion makes of the frame
        /// before, and of what that one lacked; 0 is a codec that is not told.
        expected_features: usize = 0,
        /// Features of a cell in the network that makes them, and in the one that corrects patches by
        /// them.
        expected_width: usize = 96,
        /// Residual blocks of these networks.
        expected_blocks: usize = 2,
    }
}

impl TransformCodecModelConfig {
    /// What the sides of pictures are multiples of, in pixels.
    pub fn alignment(&self) -> usize {
        match self.second_level {
            true => 32,
            false => 16,
        }
    }

    fn check(&self) -> Checked {
        let model = self;
        between(model.coordinates, 4, 192, "transform_codec.coordinates")?;
        let base = "transform_codec.base_coordinates";
        between(model.base_coordinates, 4, model.coordinates, base)?;
        for (value, key) in [
            (model.steepness, "transform_codec.steepness"),
            (model.rounding, "transform_codec.rounding"),
        ] {
            require(value > 0.0, key, || format!("{value} is not positive"))?;
        }
        require(model.rounding <= 0.5, "transform_codec.rounding", || {
            format!("{} is above 0.5", model.rounding)
        })?;
        for (value, key) in [
            (model.encoder_width, "transform_codec.encoder_width"),
            (model.decoder_width, "transform_codec.decoder_width"),
            (model.context_width, "transform_codec.context_width"),
            (
                model.coarse_context_width,
                "transform_codec.coarse_context_width",
            ),
            (
                model.detail_context_width,
                "transform_codec.detail_context_width",
            ),
        ] {
            between(value, 1, 1 << 14, key)?;
        }
        between(
            model.encoder_blocks,
            0,
            64,
            "transform_codec.encoder_blocks",
        )?;
        between(
            model.decoder_blocks,
            0,
            64,
            "transform_codec.decoder_blocks",
        )?;
        between(model.level_width, 1, 64, "transform_codec.level_width")?;
        let expected = "transform_codec.expected_features";
        between(model.expected_features, 0, 1 << 10, expected)?;
        let expected = "transform_codec.expected_width";
        between(model.expected_width, 1, 1 << 14, expected)?;
        let expected = "transform_codec.expected_blocks";
        between(model.expected_blocks, 0, 64, expected)?;
        let detail = "transform_codec.detail_level_width";
        between(model.detail_level_width, 1, 64, detail)
    }
}

section! {
    /// What the codec's training minimises: of each pixel
    /// (distortion / step^2 + rate_weight * bits) * (step / 80)^balance, where distortion is
    /// squared error + ms_ssim_weight * 2500 (1 - MS-SSIM).
    pub struct RateDistortionConfig {
        /// What a bit costs.
        rate_weight: f64 = 0.14,
        /// Weight of MS-SSIM beside the squared error; at 1 both are about the same, whatever the
        /// step. 0 leaves it out.
        ms_ssim_weight: f64 = 0.0,
        /// At 0 fine steps, which take more bits, count for more; at 1 a per cent of a file
        /// counts about the same at all rates.
        balance: f64 = 1.0,
        /// Step of the training from which analysis transforms and the encoder's network are trained.
        /// Until then decoder and context models learn what these make of pictures: the prices of
        /// an ignorant context model would have the encoder drop most of them.
        encoder_start: u64 = 2000,
        /// The smallest quantizer step, in levels of a pixel (0 to 255).
        step_min: f64 = 14.0,
        /// The largest; each crop's is drawn log-uniformly.
        step_max: f64 = 240.0,
    }
}

impl RateDistortionConfig {
    fn check(&self) -> Checked {
        let (low, high) = (self.step_min, self.step_max);
        require(low >= 1.0, "loss.step_min", || format!("{low} is below 1"))?;
        require(high >= low, "loss.step_max", || {
            format!("{high} is below step_min, {low}")
        })?;
        not_negative(self.balance, "loss.balance")?;
        not_negative(self.ms_ssim_weight, "loss.ms_ssim_weight")?;
        not_negative(self.rate_weight, "loss.rate_weight")
    }
}

section! {
    /// Training on what frames of clips lack when they are predicted from the frame before: the codec
    /// for predicted frames. Clips are windows of real ones, and pans and zooms over pictures.
    pub struct ClipsConfig {
        /// The codec that codes the training's clips, and whose weights it begins with: a name that
        /// ships, or a path.
        codec: String = "default".to_string(),
        /// A codec for predicted frames that codes those of the training's clips, and whose weights it
        /// begins with: the folder of an earlier training, or a file of weights. Without one `codec` codes them.
        predicted: Option<PathBuf> = None,
        /// At how many steps each clip is coded.
        steps: usize = 4,
        /// Side of a window in pixels.
        side: usize = 256,
        /// Frames of a window; the first is not predicted.
        frames: usize = 6,
    }
}

impl ClipsConfig {
    fn check(&self, crop: usize) -> Checked {
        between(self.steps, 1, 64, "clips.steps")?;
        between(self.side, crop, 1 << 12, "clips.side")?;
        between(self.frames, 2, 1 << 10, "clips.frames")
    }
}

/// Everything that the training of a transform codec was told.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformCodecConfig {
    /// The codec.
    pub model: TransformCodecModelConfig,
    /// What training minimises.
    pub loss: RateDistortionConfig,
    /// Training on predicted frames of clips: `[clips]`, where there is such a section.
    pub clips: Option<ClipsConfig>,
    /// Which pictures, and what is cut out of them.
    pub data: DataConfig,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The course of the learning rate; without one it is constant.
    pub schedule: Option<LrSchedule>,
    /// The training loop.
    pub train: TrainConfig,
}

impl TransformCodecConfig {
    /// Whether the text of a configuration file is one of a transform codec: it has a section
    /// `[transform_codec]`.
    pub fn is_transform_codec(text: &str) -> bool {
        document::has_section(text, "transform_codec")
    }

    /// Reads a `.toml` file.
    ///
    /// # Errors
    /// If it cannot be read, or something in it does not make sense.
    pub fn load(path: impl AsRef<Path>) -> Result<TransformCodecConfig, ConfigError> {
        document::load(path.as_ref(), TransformCodecConfig::from_toml)
    }

    /// Reads the text of a TOML file.
    ///
    /// ```
    /// use bsq::config::TransformCodecConfig;
    ///
    /// let config = TransformCodecConfig::from_toml("
    ///     [transform_codec]
    ///     [data]
    ///     image_size = 192
    /// ")?;
    /// assert_eq!(config.model.coordinates, 192);
    /// assert_eq!(TransformCodecConfig::from_toml(&config.to_toml())?, config);
    /// # Ok::<(), bsq::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// If something in it does not make sense.
    pub fn from_toml(text: &str) -> Result<TransformCodecConfig, ConfigError> {
        TransformCodecConfig::read(tree::parse_toml(text)?)
    }

    fn read(mut root: Table) -> Result<TransformCodecConfig, ConfigError> {
        let known = [
            "transform_codec",
            "loss",
            "clips",
            "data",
            "optimizer",
            "train",
        ];
        refuse_unknown(&root, "", &[&known])?;
        let training = TrainingSections::take(&mut root)?;
        let clips = root.take_table("clips", "")?;
        let clips = clips.map(|table| ClipsConfig::read(table, "clips"));
        let mut take = |name: &str| document::take(&mut root, name);
        let config = TransformCodecConfig {
            model: TransformCodecModelConfig::read(take("transform_codec")?, "transform_codec")?,
            loss: RateDistortionConfig::read(take("loss")?, "loss")?,
            clips: clips.transpose()?,
            data: training.data,
            optimizer: training.optimizer,
            schedule: training.schedule,
            train: training.train,
        };
        config.check()?;
        Ok(config)
    }

    /// A complete TOML file that reads as this configuration, every key below its documentation.
    pub fn to_toml(&self) -> String {
        let mut out = Document::default();
        out.section("transform_codec", &self.model);
        out.section("loss", &self.loss);
        if let Some(clips) = &self.clips {
            out.section("clips", clips);
        }
        out.section("data", &self.data);
        out.optimizer(&self.optimizer, self.schedule.as_ref());
        out.section("train", &self.train);
        out.0
    }

    /// The size of a training crop.
    pub fn crop(&self) -> ImageSize {
        ImageSize::square(self.data.image_size.unwrap_or(192))
    }

    /// That its sections make sense, alone and together.
    fn check(&self) -> Checked {
        let config = self;
        config.model.check()?;
        config.loss.check()?;
        config.data.check(config.crop())?;
        let (side, alignment) = (config.crop().width, config.model.alignment());
        require(side.is_multiple_of(alignment), "data.image_size", || {
            format!("{side} pixels is not a multiple of {alignment}")
        })?;
        let fits = config.loss.ms_ssim_weight == 0.0 || side >= MS_SSIM_SMALLEST_CROP;
        require(fits, "data.image_size", || {
            format!(
                "{side} pixels is below {MS_SSIM_SMALLEST_CROP}, which loss.ms_ssim_weight needs"
            )
        })?;
        require(config.data.zero_mean, "data.zero_mean", || {
            "a transform codec takes pictures of zero mean: leave it out".into()
        })?;
        let own = config.train.init == Initialisation::Random;
        require(own, "train.init", || {
            "a transform codec has one start, its transform: leave it out".into()
        })?;
        let told = config.model.expected_features > 0;
        require(
            !told || config.clips.is_some(),
            "transform_codec.expected_features",
            || "is for predicted frames, which a section [clips] asks for".into(),
        )?;
        if let Some(clips) = &config.clips {
            clips.check(side)?;
            require(
                config.loss.ms_ssim_weight == 0.0,
                "loss.ms_ssim_weight",
                || "must be 0 for predicted frames: what they lack is no picture".into(),
            )?;
        }
        config.optimizer.check(config.schedule.as_ref())?;
        config.train.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration that ships, as `to_toml` writes it and as it is read again.
    fn shipped(name: &str) -> TransformCodecConfig {
        let text = crate::config::shipped(name).unwrap();
        assert!(TransformCodecConfig::is_transform_codec(text));
        let config = TransformCodecConfig::from_toml(text).unwrap();
        let again = TransformCodecConfig::from_toml(&config.to_toml()).unwrap();
        assert_eq!(again, config);
        config
    }

    #[test]
    fn the_configurations_that_ship_are_two_stages_of_one_model() {
        let [first, second] = ["default", "default_ms_ssim"].map(shipped);
        assert_eq!(second.model, first.model);
        assert_eq!(first.loss.ms_ssim_weight, 0.0);
        assert!(second.loss.ms_ssim_weight > 0.0);
        assert_eq!(second.loss.encoder_start, 0);
        assert!(second.learning_rate(5499) < 0.02 * second.learning_rate(200));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (text, words) in [
            (
                "[transform_codec]\ncoordinates = 193",
                "transform_codec.coordinates",
            ),
            ("[transform_codec]\nrounding = 0.6", "above 0.5"),
            ("[transform_codec]\nlevels = 3", "transform_codec.levels"),
            ("[loss]\nstep_min = 60\nstep_max = 50", "loss.step_max"),
            ("[data]\nimage_size = 176", "multiple of 32"),
            ("[loss]\nms_ssim_weight = -1.0", "loss.ms_ssim_weight"),
            (
                "[loss]\nms_ssim_weight = 1.0\n[data]\nimage_size = 160",
                "data.image_size: 160 pixels is below 176",
            ),
            ("[data]\nzero_mean = false", "data.zero_mean"),
            ("[train]\ninit = \"transform-coder\"", "train.init"),
        ] {
            let message = TransformCodecConfig::from_toml(text)
                .unwrap_err()
                .to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
