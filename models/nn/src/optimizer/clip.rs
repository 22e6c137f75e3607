//! Limits on the length of gradients.

use bsq_ir::Tensor;

/// Added to a length before the limit is divided by it.
const EPSILON: f64 = 1e-6;

/// What is limited, and to which Euclidean norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// All gradients as one vector.
    Global(f64),
    /// Each gradient by itself.
    PerTensor(f64),
}

/// Gradients times `min(1, limit / (norm + 1e-6))`.
pub fn clip<'g>(gradients: &[Tensor<'g>], limit: Clip) -> Vec<Tensor<'g>> {
    let factor =
        |norm: Tensor<'g>, limit: f64| (norm.full_like(limit) / (norm + EPSILON)).minimum(1.0);
    match limit {
        Clip::PerTensor(limit) => {
            let clipped = |&g: &Tensor<'g>| g * factor(g.square().sum(..).sqrt(), limit);
            gradients.iter().map(clipped).collect()
        }
        Clip::Global(limit) => match gradients {
            [] => Vec::new(),
            gradients => {
                let factor = factor(global_norm(gradients), limit);
                gradients.iter().map(|&g| g * factor).collect()
            }
        },
    }
}

/// The Euclidean norm (`f32[]`) of all tensors as one vector: squares are summed per tensor, and
/// the sums added in order.
///
/// # Panics
/// If there are none.
#[track_caller]
pub fn global_norm<'g>(tensors: &[Tensor<'g>]) -> Tensor<'g> {
    let squares = tensors.iter().map(|g| g.square().sum(..));
    let sum = squares.reduce(|sum, square| sum + square);
    sum.expect("the norm of at least one tensor").sqrt()
}
