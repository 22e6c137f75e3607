//! Networks that tell pictures from reconstructions, for adversarial training.
//!
//! | | judges | source |
//! |---|---|---|
//! | [`StyleGan`] | a picture | StyleGAN2 (Karras et al., 2020), its residual discriminator |
//! | [`PatchGan`] | overlapping patches | pix2pix (Isola et al., 2017) |
//! | [`StyleGan3d`] | a clip | the first, along time, too |
//!
//! A discriminator is an architecture and holds no weights; the losses on its logits are in
//! [`losses::adversarial`](crate::losses::adversarial).
//!
//! ```
//! use bsq::discriminator::{Discriminator, StyleGan};
//! use bsq::nn::layers::{BatchMemory, BatchUse};
//! use bsq::prelude::*;
//!
//! let g = Graph::new();
//! let judge = Discriminator::StyleGan(StyleGan::new(32, 512));
//! let pictures = g.input("image", DType::F32, [4, 3, 32, 32]);
//! let mut memory = BatchMemory::new(BatchUse::Training);
//! let logits = judge.logits(&Scope::root(&g), pictures, &mut memory);
//! assert_eq!(*logits.shape(), [4, 1]);
//! ```

mod deviation;
mod equalized;
mod patchgan;
mod resample;
mod stylegan;
mod stylegan3d;

#[cfg(test)]
mod tests;

pub use patchgan::{PatchGan, PatchNorm};
pub use stylegan::StyleGan;
pub use stylegan3d::StyleGan3d;

use crate::config::{ConfigError, DiscriminatorType, LossConfig};
use crate::image_io::ImageSize;
use bsq_ir::tensor::{Init, ParameterSpec};
use bsq_ir::{AsScope, DType, Graph, Scope, Tensor};
use bsq_nn::init::init;
use bsq_nn::layers::{BatchMemory, BatchUse};
use bsq_runtime::checkpoint::{Checkpoint, Mismatch, match_parameters};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};

/// The architecture of a discriminator: builds graphs, holds no weights.
#[derive(Clone, Debug, PartialEq)]
pub enum Discriminator {
    StyleGan(StyleGan),
    PatchGan(PatchGan),
    StyleGan3d(StyleGan3d),
}

/// Why a checkpoint's tensors cannot be a discriminator's parameters.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Names or shapes differ.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// A tensor cannot be held or converted.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl Discriminator {
    /// As a configuration says, for pictures of a size, or clips of so many frames of it.
    ///
    /// # Errors
    /// If its numbers make no such network, or it judges clips and these are pictures.
    pub fn from_config(
        config: &LossConfig,
        (size, frames): (ImageSize, usize),
    ) -> Result<Discriminator, ConfigError> {
        let invalid = |key: &str, reason: String| Err(ConfigError::invalid(key, reason));
        let at_least_one = |number: usize, key: &str| match number {
            0 => Err(ConfigError::invalid(key, "must be at least 1".to_string())),
            _ => Ok(()),
        };
        match config.disc_type {
            DiscriminatorType::Stylegan => {
                let size = config.disc_input_size;
                if !size.is_power_of_two() || size < StyleGan::SMALLEST {
                    let least = StyleGan::SMALLEST;
                    let reason = format!("must be a power of two of {least} at least, not {size}");
                    return invalid("loss.disc_input_size", reason);
                }
                if config.disc_channel_base < size {
                    let reason = format!("must be at least disc_input_size, {size}");
                    return invalid("loss.disc_channel_base", reason);
                }
                Ok(Discriminator::StyleGan(StyleGan::new(
                    size,
                    config.disc_channel_base,
                )))
            }
            DiscriminatorType::Patchgan => {
                at_least_one(config.disc_num_layers, "loss.disc_num_layers")?;
                at_least_one(config.disc_ndf, "loss.disc_ndf")?;
                Ok(Discriminator::PatchGan(PatchGan {
                    channels: config.disc_ndf,
                    layers: config.disc_num_layers,
                    norm: match config.use_actnorm {
                        true => PatchNorm::Act,
                        false => PatchNorm::Batch,
                    },
                }))
            }
            DiscriminatorType::Stylegan3d => {
                let key = "loss.disc_type";
                if frames == 1 {
                    let reason =
                        "\"stylegan3d\" judges clips: of pictures \"stylegan\" or \"patchgan\" do";
                    return invalid(key, reason.into());
                }
                at_least_one(config.disc_ndf, "loss.disc_ndf")?;
                match StyleGan3d::for_clips(config.disc_ndf, frames, size) {
                    Some(network) => Ok(Discriminator::StyleGan3d(network)),
                    None => {
                        let ImageSize { height, width } = size;
                        let reason = format!(
                            "\"stylegan3d\" needs even sides of 6 pixels at least, not {width}x{height}"
                        );
                        invalid(key, reason)
                    }
                }
            }
        }
    }

    /// What the network makes of `[batch, 3, height, width]`, or of clips
    /// `[batch, 3, frames, height, width]`: `[batch, 1]`, or `[batch, 1, rows, columns]` of patches.
    ///
    /// # Panics
    /// If `x` has not the network's size, or the scope has the parameters already; see
    /// [`Scope::sharing`].
    #[track_caller]
    pub fn logits<'g>(
        &self,
        scope: impl AsScope<'g>,
        x: Tensor<'g>,
        memory: &mut BatchMemory<'g>,
    ) -> Tensor<'g> {
        let scope = scope.as_scope();
        match self {
            Discriminator::StyleGan(network) => network.logits(scope, x),
            Discriminator::PatchGan(network) => network.logits(scope, x, memory),
            Discriminator::StyleGan3d(network) => network.logits(scope, x),
        }
    }

    /// Every parameter for inputs of this shape, sorted by name, with what batch norms remember.
    pub fn parameters(&self, shape: &[usize]) -> Vec<ParameterSpec> {
        let graph = Graph::new();
        let scope = Scope::root(&graph);
        let x = graph.input("x", DType::F32, shape);
        self.logits(&scope, x, &mut BatchMemory::new(BatchUse::Training));
        let mut specs = scope.specs();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }

    /// Whether an optimizer changes a parameter: all but what batch norms remember.
    pub fn is_trained(&self, name: &str) -> bool {
        !(name.ends_with(".running_mean") || name.ends_with(".running_var"))
    }

    /// The parameters as training starts: a pure function of the seed.
    ///
    /// Equalised weights are normal with deviation 1, a PatchGAN's convolutions normal with 0.02 and
    /// its batch norms' weights normal around 1 with 0.02; biases are 0.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn init(&self, shape: &[usize], seed: u64) -> Result<Tensors, TensorError> {
        let mut specs = self.parameters(shape);
        let is_norm = |spec: &ParameterSpec| {
            spec.name.ends_with(".weight") && spec.init == Init::Constant(1.0)
        };
        let norms: Vec<String> = specs
            .iter()
            .filter(|spec| is_norm(spec))
            .map(|spec| spec.name.clone())
            .collect();
        for spec in specs.iter_mut().filter(|spec| norms.contains(&spec.name)) {
            spec.init = Init::Normal(patchgan::DEVIATION);
        }
        let mut parameters = init(&specs, seed)?;
        for name in norms {
            let around: Vec<f32> = parameters[&name]
                .as_slice::<f32>()?
                .iter()
                .map(|x| 1.0 + x)
                .collect();
            let shape = parameters[&name].shape().to_vec();
            parameters.insert(name, HostTensor::from_slice(shape, &around)?);
        }
        Ok(parameters)
    }

    /// The parameters of a checkpoint, as `f32`. Filters of the reference, which are constants here,
    /// and its counters are left out.
    ///
    /// # Errors
    /// If a parameter is missing, unexpected, misshapen or not finite.
    pub fn load(&self, shape: &[usize], checkpoint: &Checkpoint) -> Result<Tensors, LoadError> {
        let specs = self.parameters(shape);
        let mut own = checkpoint.clone();
        own.tensors
            .retain(|name, _| !name.ends_with("resample_filter"));
        let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
        let tensors = match_parameters(&own, expected, &[])?;
        let one = |(spec, tensor): (&ParameterSpec, &HostTensor)| {
            Ok((spec.name.clone(), tensor.to_dtype(DType::F32)?))
        };
        specs.iter().zip(tensors).map(one).collect()
    }
}
