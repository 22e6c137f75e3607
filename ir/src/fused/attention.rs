//! The expansions of attention and its backward pass.

use super::{Results, softmax_backward};
use crate::dtype::DType;
use crate::graph::Graph;
use crate::op::Mask;
use crate::tensor::Tensor;
use smallvec::smallvec;

/// Output, row maximum, row sum.
pub(super) fn forward<'g>(
    graph: &'g Graph,
    scale: f32,
    mask: Mask,
    [q, k, v]: [Tensor<'g>; 3],
    bias: Option<Tensor<'g>>,
) -> Results<'g> {
    let scores = scores(graph, scale, mask, q, k, bias);
    let maximum = scores.max(-1);
    let exp = (scores - maximum.expand_axes(-1, scores.shape())).exp();
    let sum = exp.sum(-1);
    let probabilities = exp * sum.reciprocal().expand_axes(-1, scores.shape());
    let output = batched(probabilities, v, [1, 2]);
    smallvec![output, maximum, sum]
}

/// Gradients of q, k and v. The probabilities are made again from the row statistics.
pub(super) fn backward<'g>(
    graph: &'g Graph,
    scale: f32,
    mask: Mask,
    [q, k, v]: [Tensor<'g>; 3],
    [maximum, sum, g]: [Tensor<'g>; 3],
    bias: Option<Tensor<'g>>,
) -> Results<'g> {
    let scores = scores(graph, scale, mask, q, k, bias);
    let exp = (scores - maximum.expand_axes(-1, scores.shape())).exp();
    let probabilities = exp * sum.reciprocal().expand_axes(-1, scores.shape());
    let value_gradient = batched(probabilities, g, [2, 2]);
    let probability_gradient = batched(g, v, [1, 1]);
    let score_gradient = softmax_backward(probabilities, probability_gradient) * f64::from(scale);
    smallvec![
        batched(score_gradient, k, [1, 2]),
        batched(score_gradient, q, [2, 2]),
        value_gradient,
    ]
}

/// `q k^T * scale`, masked.
fn scores<'g>(
    graph: &'g Graph,
    scale: f32,
    mask: Mask,
    q: Tensor<'g>,
    k: Tensor<'g>,
    bias: Option<Tensor<'g>>,
) -> Tensor<'g> {
    let scores = batched(q, k, [1, 1]) * f64::from(scale);
    match mask {
        Mask::None => scores,
        Mask::Bias => scores + bias.expect("the type rule asks for a bias"),
        Mask::BlockCausal { size } => {
            let shape = scores.shape();
            let [queries, keys] = [shape[shape.rank() - 2], shape[shape.rank() - 1]];
            let query_block = block_index(graph, queries, size).unsqueeze(-1);
            let key_block = block_index(graph, keys, size).unsqueeze(0);
            scores.where_(key_block.le(query_block), f64::NEG_INFINITY)
        }
    }
}

/// `[i / size for i in 0..length]`.
fn block_index(graph: &Graph, length: usize, size: usize) -> Tensor<'_> {
    // A block that is longer than everything is as long as everything.
    let size = size.min(length).max(1);
    let blocks = length.div_ceil(size);
    let index = graph.iota(DType::I32, [blocks, size], 0);
    index.reshape([blocks * size]).slice(0, 0..length)
}

/// Contracts one of the last two axes of each side, counted from the end; the axes before them
/// are batch.
fn batched<'g>(x: Tensor<'g>, y: Tensor<'g>, from_end: [usize; 2]) -> Tensor<'g> {
    let rank = x.rank();
    let batch: Vec<(usize, usize)> = (0..rank - 2).map(|axis| (axis, axis)).collect();
    x.dot_general(y, &batch, &[(rank - from_end[0], rank - from_end[1])])
}
