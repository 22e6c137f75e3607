//! Whether what judges reconstructions suits the pictures or clips of a configuration, and its batches.

use super::TrainError;
use crate::config::{Config, ConfigError};
use crate::discriminator::Discriminator;
use crate::losses::MS_SSIM_SMALLEST_CROP;

/// That training has all that a configuration asks for.
///
/// # Errors
/// If numbers of the losses do not suit the pictures or clips, or the batch.
pub fn check_supported(config: &Config) -> Result<(), TrainError> {
    discriminator(config)?;
    let (size, frames) = window(config);
    let named = config.loss.num_frames;
    if named != 1 && named != frames {
        let reason = format!("is {named}, but model.vitconfig.num_frames is {frames}");
        return Err(ConfigError::invalid("loss.num_frames", reason).into());
    }
    let smallest = MS_SSIM_SMALLEST_CROP;
    let suits = |side: usize| side >= smallest && side.is_multiple_of(16);
    if config.loss.ms_ssim_weight != 0.0 && !(suits(size.height) && suits(size.width)) {
        let reason = format!(
            "needs sides of {smallest} pixels or more that are multiples of 16, not {}x{}",
            size.width, size.height
        );
        return Err(ConfigError::invalid("loss.ms_ssim_weight", reason).into());
    }
    Ok(())
}

/// The discriminator of a configuration; none if it trains without.
///
/// # Errors
/// If it does not suit the pictures or clips, or the batch.
pub(super) fn discriminator(config: &Config) -> Result<Option<Discriminator>, ConfigError> {
    let loss = &config.loss;
    if loss.skip_disc || loss.disc_weight == 0.0 {
        return Ok(None);
    }
    let (size, frames) = window(config);
    let judge = Discriminator::from_config(loss, (size, frames))?;
    let batch = config.data.batch_size;
    match &judge {
        Discriminator::StyleGan(network) => {
            let side = network.resolution;
            if size.height != side || size.width != side {
                let reason = format!("is {side}, but pictures are {}x{}", size.width, size.height);
                return Err(ConfigError::invalid("loss.disc_input_size", reason));
            }
            let what = if frames == 1 { "pictures" } else { "frames" };
            check_groups(network.group_size, batch * frames, what)?;
        }
        Discriminator::PatchGan(network) => {
            if network.patches(size.height.min(size.width)).is_none() {
                let layers = network.layers;
                let reason = format!(
                    "pictures of {}x{} are too small for {layers}",
                    size.width, size.height
                );
                return Err(ConfigError::invalid("loss.disc_num_layers", reason));
            }
        }
        Discriminator::StyleGan3d(network) => check_groups(network.group_size, batch, "clips")?,
    }
    if loss.disc_in_channels != 3 {
        let reason = "must be 3, the colours of a picture".to_string();
        return Err(ConfigError::invalid("loss.disc_in_channels", reason));
    }
    Ok(Some(judge))
}

/// That so many examples are whole groups of the minibatch deviation.
fn check_groups(members: usize, examples: usize, what: &str) -> Result<(), ConfigError> {
    if examples.is_multiple_of(examples.clamp(1, members)) {
        return Ok(());
    }
    let reason = format!(
        "must give this discriminator a multiple of {members} {what}, or less, not {examples}"
    );
    Err(ConfigError::invalid("data.batch_size", reason))
}

/// The size of pictures, and their number in a clip.
fn window(config: &Config) -> (crate::image_io::ImageSize, usize) {
    let encoder = &config.model.encoder;
    (encoder.image_size, encoder.num_frames)
}
