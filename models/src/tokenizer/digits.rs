//! Tokens that are several small numbers: their bits side by side in an index, and how evenly they are used.

use super::bits::MAX_BITS;
use super::bsq;
use bsq_ir::op::Constant;
use bsq_ir::{DType, Shape, Tensor, Type};

/// Added to how often each value occurs in a batch before the entropy is taken.
const SMOOTHING: f64 = 1e-4;

/// Indices (`u64[..]`) of numbers (`i32[.., n]`) of so many bits each; the first is most significant. Of more than
/// [`MAX_BITS`] bits words, `u64[.., words]`.
pub(super) fn join<'g>(digits: Tensor<'g>, widths: &[usize]) -> Tensor<'g> {
    let digits = digits.cast(DType::U64);
    if widths.iter().sum::<usize>() > MAX_BITS {
        let own = widths.iter().enumerate().map(|(number, &width)| {
            let digit = digits.slice(-1, number..number + 1).squeeze(-1);
            bsq::unpack(digit, width)
        });
        let bits = digits.graph().concat(&own.collect::<Vec<_>>(), -1);
        return bsq::pack_token(bits.cast(DType::F32));
    }
    let shifts = constant(digits, &shifts(widths));
    digits.shift_left(shifts).sum(-1)
}

/// The inverse of [`join`].
pub(super) fn split<'g>(indices: Tensor<'g>, widths: &[usize]) -> Tensor<'g> {
    let all: usize = widths.iter().sum();
    if all > MAX_BITS {
        let bits = bsq::unpack_token(indices, all).cast(DType::F32);
        let mut first = 0;
        let own = widths.iter().map(|&width| {
            first += width;
            bsq::pack(bits.slice(-1, first - width..first))
        });
        let digits = indices.graph().stack(&own.collect::<Vec<_>>(), -1);
        return digits.cast(DType::I32);
    }
    let mut shape = indices.shape().to_vec();
    shape.push(widths.len());
    let masks: Vec<u64> = widths.iter().map(|&width| (1 << width) - 1).collect();
    let repeated = indices.expand_axes(-1, &shape[..]);
    let own = |values: &[u64]| constant(indices, values);
    let moved = repeated.shift_right(own(&shifts(widths)));
    moved.and(own(&masks)).cast(DType::I32)
}

/// The entropy in nats (`f32[]`) of how often each value of numbers (`i32[.., n]`) below `limits` occurs, summed
/// over the n numbers.
pub(super) fn usage_entropy<'g>(digits: Tensor<'g>, limits: &[usize]) -> Tensor<'g> {
    let graph = digits.graph();
    let entropies = limits.iter().enumerate().map(|(number, &limit)| {
        let own = digits.slice(-1, number..number + 1).squeeze(-1);
        let ones = graph.full(1.0, DType::F32, own.shape());
        let counts = graph.full(SMOOTHING, DType::F32, [limit]);
        let counts = counts.scatter_add(0, own, ones);
        let p = counts / counts.sum(..);
        -(p * p.log()).sum(..)
    });
    entropies.reduce(|a, b| a + b).expect("a number")
}

/// How far each number is moved in an index.
fn shifts(widths: &[usize]) -> Vec<u64> {
    let behind = |number: usize| widths[number + 1..].iter().sum::<usize>() as u64;
    (0..widths.len()).map(behind).collect()
}

fn constant<'g>(like: Tensor<'g>, values: &[u64]) -> Tensor<'g> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let ty = Type::new(DType::U64, Shape::from([values.len()]));
    like.graph().constant(Constant::dense_bytes(ty, bytes))
}
