//! Muon.

use super::{AdamW, Common, Memory, Rule};
use bsq_ir::Tensor;

const PREFIX: &str = "optimizer.muon.";

/// Coefficients of the quintic `a x + b x^3 + c x^5`, which takes singular values from 0 to 1 towards 1
/// (Jordan, 2024).
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// Added to the norm that a matrix is divided by.
const EPSILON: f64 = 1e-7;
/// The root mean square of AdamW's steps, about: matrices move as much.
const SIZE: f64 = 0.2;

/// Muon (Jordan, 2024): the momentum of a matrix, its singular values brought close to 1 by
/// Newton-Schulz iterations, which are products of matrices alone; everything else moves by AdamW.
///
/// ```text
/// m <- momentum m + g
/// d <- newton_schulz(g + momentum m) 0.2 sqrt(max(rows, columns))
/// p <- p - lr (d + weight_decay p)
/// ```
///
/// The size of d is that of AdamW's steps (Liu et al., 2025), so that both have one learning rate and
/// one decay. A parameter of more than two axes, a convolution's, is a matrix of its first axis and
/// all others. Tables and the last layer are usually left to AdamW: name them in `adamw_keys`.
#[derive(Clone, Debug)]
pub struct Muon<'g> {
    /// For all that is no matrix; its learning rate, decay and clipping are those of matrices too.
    pub adamw: AdamW<'g>,
    /// What the sum of gradients keeps of itself.
    pub momentum: f64,
    /// Newton-Schulz iterations.
    pub iterations: usize,
    /// Matrices whose names contain one of these move by AdamW.
    pub adamw_keys: Vec<String>,
}

impl<'g> Muon<'g> {
    /// Momentum 0.95, 5 iterations, AdamW's defaults for the rest.
    pub fn new(lr: Tensor<'g>) -> Self {
        Muon {
            adamw: AdamW::new(lr),
            momentum: 0.95,
            iterations: 5,
            adamw_keys: Vec::new(),
        }
    }

    fn takes(&self, name: &str, parameter: Tensor<'g>) -> bool {
        let excluded = self
            .adamw_keys
            .iter()
            .any(|key| name.contains(key.as_str()));
        parameter.rank() >= 2 && !excluded
    }
}

impl<'g> Rule<'g> for Muon<'g> {
    fn common(&self) -> Common<'g> {
        self.adamw.common()
    }

    fn begin(&self, memory: &mut Memory<'_, 'g>) -> Vec<Tensor<'g>> {
        self.adamw.begin(memory)
    }

    fn change(
        &self,
        memory: &mut Memory<'_, 'g>,
        shared: &[Tensor<'g>],
        parameter: Tensor<'g>,
        gradient: Tensor<'g>,
        decays: bool,
    ) -> Tensor<'g> {
        if !self.takes(memory.name(), parameter) {
            return self
                .adamw
                .change(memory, shared, parameter, gradient, decays);
        }
        let old = memory.of_parameter(PREFIX, "momentum", gradient);
        let sum = old * self.momentum + gradient;
        memory.keep(old, sum);
        let shape = gradient.shape();
        let rows = shape[0];
        let columns = shape.elements() / rows.max(1);
        let ahead = (gradient + sum * self.momentum).reshape([rows, columns]);
        let direction = newton_schulz(ahead, self.iterations).reshape(shape);
        let size = SIZE * (rows.max(columns) as f64).sqrt();
        let change = direction * (self.adamw.lr * size);
        match decays {
            true => change + parameter * shared[2],
            false => change,
        }
    }
}

/// A matrix with the singular vectors of x, and singular values from about 0.7 to 1.2.
fn newton_schulz(x: Tensor<'_>, iterations: usize) -> Tensor<'_> {
    let [a, b, c] = QUINTIC;
    let is_tall = x.shape()[0] > x.shape()[1];
    // The product of a matrix with itself is smaller on its shorter side.
    let x = if is_tall { x.swap_axes(0, 1) } else { x };
    let norm = x.square().sum(..).sqrt() + EPSILON;
    let mut x = x * norm.reciprocal();
    for _ in 0..iterations {
        let squared = x.matmul(x.swap_axes(0, 1));
        let polynomial = squared * b + squared.matmul(squared) * c;
        x = x * a + polynomial.matmul(x);
    }
    if is_tall { x.swap_axes(0, 1) } else { x }
}
