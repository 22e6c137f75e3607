//! The linear path beside the transformers: scalar quantizers whose bits are a token's.
//!
//! ```text
//! c = lapped(pixels) - mean                 [B, N, 3 p p]   principal coordinates of a patch
//! v = c / spread (+ the encoder's output)   [B, N, m]       those that have bits
//! y = compand(v)                            in -1..1        sign(v) gain (1 - exp(-|v|))
//! z_0 = y,  z_{k+1} = 1 - 2 |z_k|                           folds: their signs are y's Gray code
//! ```
//!
//! The folds of all coordinates are the features that are normalised and reduced to their signs, so the
//! quantizer is that of the paper. A coordinate of one bit is its sign; each fold more halves its
//! cells. The decoder unfolds signs to the middle of `y`'s cell, undoes the companding, and adds what
//! its transformer makes of the same values. Gradients go straight through from a cell's middle to
//! `y`: the folds' own slopes change sign from cell to cell.
//!
//! Companding with an exponential makes equal cells of `y` the cells of least squared error for a
//! Laplace distribution (Panter and Dite 1951: density of cells as the cube root of the samples');
//! a gain above 1 bends less and clips, which suits flat ones.

use crate::config::{TransformPathConfig, VitConfig};
use crate::lapped::LappedTransform;
use bsq_ir::tensor::Init;
use bsq_ir::{Scope, Tensor};
use bsq_nn::layers::{Linear, Start};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::{HostTensor, TensorError};

/// The parameter of predicted patches' other coordinates.
pub(crate) const DELTA_SYNTHESIS: &str = "transform.delta_synthesis";

/// The linear path of one tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct TransformPath {
    config: TransformPathConfig,
    /// Keeps all coordinates.
    pub transform: LappedTransform,
    grid: [usize; 2],
}

/// Coordinates of patches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinates<'g> {
    /// Multiples of each coordinate's spread, `[B, N, 3 p p]`.
    pub scaled: Tensor<'g>,
    /// The same in -1..1: what the encoder's transformer sees.
    pub companded: Tensor<'g>,
}

impl<'g> Coordinates<'g> {
    /// Both, reshaped.
    pub(super) fn map(self, f: impl Fn(Tensor<'g>) -> Tensor<'g>) -> Coordinates<'g> {
        Coordinates {
            scaled: f(self.scaled),
            companded: f(self.companded),
        }
    }
}

impl TransformPath {
    pub(crate) fn new(config: &TransformPathConfig, vit: &VitConfig, channels: usize) -> Self {
        let grid = vit.grid();
        let features = channels * vit.patch_size * vit.patch_size;
        TransformPath {
            config: config.clone(),
            transform: LappedTransform {
                channels,
                block: vit.patch_size,
                coordinates: features,
                steepness: config.steepness,
            },
            grid: [grid.rows, grid.columns],
        }
    }

    /// Coordinates of pictures; parameters `analysis`, `mean` and `log_spread` (`[3 p p]` both).
    #[track_caller]
    pub(super) fn analyse<'g>(&self, scope: &Scope<'g>, image: Tensor<'g>) -> Coordinates<'g> {
        let patches = self.transform.filtered_patches(image);
        let [batch, rows, columns, features] = patches.shape()[..] else {
            unreachable!("patches are a grid")
        };
        let patches = patches.reshape([batch, rows * columns, features]);
        let all = self.transform.analysis(scope, patches);
        let scaled = (all - self.mean(scope)) * (-self.log_spread(scope)).exp();
        let companded = towards_one(scaled.abs()) * sign(scaled);
        Coordinates { scaled, companded }
    }

    /// Companded values `y` `[B, N, m]` of coordinates and of what the encoder's transformer adds,
    /// through the linear layer `quant_embed`; parameter `log_excess_gain [m]`.
    #[track_caller]
    pub(super) fn compand<'g>(
        &self,
        scope: &Scope<'g>,
        quant_embed: &Scope<'g>,
        coordinates: Coordinates<'g>,
        features: Tensor<'g>,
    ) -> Tensor<'g> {
        let offset = zero(self.config.coordinates()).forward(quant_embed, features);
        let own = coordinates.scaled.slice(-1, 0..self.config.coordinates());
        self.bounded(scope, own + offset)
    }

    /// Companded values of multiples of spreads.
    fn bounded<'g>(&self, scope: &Scope<'g>, v: Tensor<'g>) -> Tensor<'g> {
        (towards_one(v.abs()) * self.gain(scope)).minimum(1.0) * sign(v)
    }

    /// And back: coordinates without their means.
    fn expand<'g>(&self, scope: &Scope<'g>, y: Tensor<'g>) -> Tensor<'g> {
        let size = -(1.0 - y.abs() * self.gain(scope).reciprocal()).log();
        let spread = self
            .log_spread(scope)
            .slice(-1, 0..self.config.coordinates());
        size * sign(y) * spread.exp()
    }

    /// The folds of companded values: `[B, N, embed_dim]`, first every coordinate's sign, then the
    /// next fold of those that have one.
    #[track_caller]
    pub(super) fn fold<'g>(&self, y: Tensor<'g>) -> Tensor<'g> {
        let mut folds = vec![y];
        for level in 1..self.config.depth() {
            let last = folds[level - 1].slice(-1, 0..self.config.deeper_than(level));
            folds.push(1.0 - last.abs() * 2.0);
        }
        y.graph().concat(&folds, -1)
    }

    /// The middles of cells `[B, N, m]` that signs (-1 or 1, `[B, N, embed_dim]`) stand for.
    #[track_caller]
    pub(super) fn unfold<'g>(&self, signs: Tensor<'g>) -> Tensor<'g> {
        let (mut start, count) = (0, self.config.coordinates());
        // The sign of what is left below the cell's middle, level by level.
        let mut side: Option<Tensor<'g>> = None;
        let mut middle: Option<Tensor<'g>> = None;
        for level in 0..self.config.depth() {
            let deeper = self.config.deeper_than(level);
            let own = signs.slice(-1, start..start + deeper);
            start += deeper;
            let next = match side {
                None => own,
                Some(side) => -(side.slice(-1, 0..deeper) * own),
            };
            let mut part = next * 0.5_f64.powi(level as i32 + 1);
            if deeper < count {
                let mut shape = part.shape().to_vec();
                shape[2] = count - deeper;
                let rest = part.graph().full(0.0, part.dtype(), shape);
                part = part.graph().concat(&[part, rest], -1);
            }
            side = Some(next);
            middle = Some(middle.map_or(part, |sum| sum + part));
        }
        middle.expect("a coordinate has a bit")
    }

    /// Pictures of companded values and of what the decoder's transformer adds to patches
    /// `[B, N, 3 p p]`; parameter `synthesis`.
    #[track_caller]
    pub(super) fn synthesise<'g>(
        &self,
        scope: &Scope<'g>,
        y: Tensor<'g>,
        added: Tensor<'g>,
    ) -> Tensor<'g> {
        self.picture_of(scope, self.expand(scope, y), added)
    }

    /// The same of coordinates without their means: those that have bits, or those of predicted patches;
    /// their others have a parameter `delta_synthesis`.
    #[track_caller]
    pub(super) fn picture_of<'g>(
        &self,
        scope: &Scope<'g>,
        values: Tensor<'g>,
        added: Tensor<'g>,
    ) -> Tensor<'g> {
        let (own, all) = (self.config.coordinates(), values.shape()[2]);
        let values = values + self.mean(scope).slice(-1, 0..all);
        let synthesis = |name: &str, from: usize, to: usize| {
            let kept = LappedTransform {
                coordinates: to - from,
                ..self.transform.clone()
            };
            kept.synthesis_named(scope, name, values.slice(-1, from..to))
        };
        let mut patches = synthesis("synthesis", 0, own);
        if all > own {
            patches = patches + synthesis("delta_synthesis", own, all);
        }
        let patches = patches + added;
        let shape = patches.shape();
        let [rows, columns] = self.grid;
        self.transform
            .picture(patches.reshape([shape[0], rows, columns, shape[2]]))
    }

    /// The synthesis of those coordinates of predicted patches that pictures have no bit of, as if the analysis
    /// `[3 p p, 3 p p]` were orthogonal: before training it is.
    pub(crate) fn start_delta(&self, parameters: &mut Tensors) -> Result<(), TensorError> {
        if !self.config.frame_delta {
            return Ok(());
        }
        let features = self.transform.features();
        let rows = self.config.coordinates()..self.predicted_coordinates();
        let analysis = parameters["transform.analysis"].as_slice::<f32>()?;
        let shape = [rows.len(), features];
        let columns = rows.flat_map(|row| (0..features).map(move |i| analysis[i * features + row]));
        let synthesis = HostTensor::from_slice(shape, &columns.collect::<Vec<f32>>())?;
        parameters.insert(DELTA_SYNTHESIS.to_string(), synthesis);
        Ok(())
    }

    /// Coordinates that predicted patches of clips have a bit of; one is left to say that they are.
    pub(crate) fn predicted_coordinates(&self) -> usize {
        self.config.bits.iter().sum::<usize>() - 1
    }

    fn mean<'g>(&self, scope: &Scope<'g>) -> Tensor<'g> {
        scope.parameter("mean", [self.transform.features()], Init::Constant(0.0))
    }

    fn log_spread<'g>(&self, scope: &Scope<'g>) -> Tensor<'g> {
        scope.parameter(
            "log_spread",
            [self.transform.features()],
            Init::Constant(0.0),
        )
    }

    /// At least 1: a gain of less would leave cells that nothing reaches.
    fn gain<'g>(&self, scope: &Scope<'g>) -> Tensor<'g> {
        let shape = [self.config.coordinates()];
        let excess = scope.parameter("log_excess_gain", shape, Init::Constant(-2.0));
        excess.exp() + 1.0
    }
}

/// A linear layer that starts at zero.
pub(super) fn zero(outputs: usize) -> Linear {
    Linear {
        weight: Start::ZERO,
        bias: Some(Start::ZERO),
        ..Linear::new(outputs)
    }
}

fn towards_one(size: Tensor<'_>) -> Tensor<'_> {
    1.0 - (-size).exp()
}

/// 1 where positive, else -1, as bits are.
fn sign(x: Tensor<'_>) -> Tensor<'_> {
    let one = x.graph().full(1.0, x.dtype(), x.shape());
    one.where_(x.gt(0.0), -1.0)
}

mod frame_delta;

#[cfg(test)]
mod tests;
