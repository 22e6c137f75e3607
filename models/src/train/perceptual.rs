//! LPIPS in a tokenizer's loss: its network, and its weights out of files.

use super::{Progress, TrainError};
use crate::config::Config;
use crate::lpips::{Backbone, Network};
use bsq_runtime::executor::Tensors;
use std::path::{Path, PathBuf};

/// The perceptual loss: its network and weights, as `lpips.NAME`.
pub(super) struct Perceptual {
    pub network: Network,
    pub weights: Tensors,
    /// What tells these weights from others.
    pub checksum: String,
}

/// The perceptual loss that a configuration asks for, if there are weights; if not, that is said.
pub(super) fn perceptual(
    config: &Config,
    files: &[PathBuf],
    progress: &mut dyn Progress,
) -> Result<Option<Perceptual>, TrainError> {
    let weight = config.loss.perceptual_weight;
    if weight == 0.0 {
        return Ok(None);
    }
    if files.is_empty() {
        progress.note(&format!(
            "loss.perceptual_weight = {weight}, but there are no weights of LPIPS (--lpips FILE): this term is left out"
        ));
        return Ok(None);
    }
    let network = Network::new(Backbone::Vgg16).zero_mean(config.data.zero_mean);
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let own = network.load(&files)?;
    let mut checksum = 0;
    for tensor in own.values() {
        checksum = crc32c::crc32c_append(checksum, tensor.bytes());
    }
    let named = own.into_iter();
    Ok(Some(Perceptual {
        network,
        weights: named
            .map(|(name, tensor)| (format!("lpips.{name}"), tensor))
            .collect(),
        checksum: format!("{checksum:08x}"),
    }))
}
