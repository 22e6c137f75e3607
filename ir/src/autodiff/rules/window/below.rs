//! Padding and slices put below windows and transpositions, which are views: what is padded is stored once,
//! and as it lies.

use super::super::apply;
use crate::op::{Op, Padding};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Indices `from..to` of an axis, taken below the windows and the padding of other axes, so that what is
/// left out is not padded.
pub(super) fn narrowed(x: Tensor<'_>, axis: usize, from: usize, to: usize) -> Tensor<'_> {
    let graph = x.graph();
    let node = graph.node(x.id());
    let operand = |position: usize| Tensor::new(graph, node.operands[position]);
    match &node.op {
        &Op::Window {
            axis: own,
            size,
            stride,
            dilation,
        } if axis != own + 1 => {
            let below = match axis == own {
                true => {
                    let end = (to - 1) * stride + (size - 1) * dilation + 1;
                    narrowed(operand(0), own, from * stride, end)
                }
                false => narrowed(operand(0), axis - usize::from(axis > own), from, to),
            };
            below.window(own as isize, size, stride, dilation)
        }
        Op::Transpose(order) => narrowed(operand(0), order[axis], from, to).transpose(&order[..]),
        Op::Pad(padding) if padding[axis].between == 0 => {
            let (before, extent) = (padding[axis].before, operand(0).shape()[axis]);
            let taken = [from, to].map(|at| at.saturating_sub(before).min(extent));
            if taken[0] >= taken[1] {
                return x.slice(axis as isize, from..to);
            }
            let inner = narrowed(operand(0), axis, taken[0], taken[1]);
            let mut padding = padding.clone();
            padding[axis].before = before.saturating_sub(from);
            padding[axis].after = to.saturating_sub(before + extent);
            apply(Op::Pad(padding), &[inner, operand(1)])
        }
        _ if (from, to) == (0, x.shape()[axis]) => x,
        _ => x.slice(axis as isize, from..to),
    }
}

/// Zeros before and after, put below windows of other axes and joined with zeros that are there: they
/// are stored once, and not once for each window. Below a transposition, too, which is then not stored.
pub(super) fn padded<'g>(y: Tensor<'g>, axis: usize, [before, after]: [usize; 2]) -> Tensor<'g> {
    let graph = y.graph();
    let node = graph.node(y.id());
    let operand = |position: usize| Tensor::new(graph, node.operands[position]);
    match &node.op {
        &Op::Window {
            axis: own,
            size,
            stride,
            dilation,
        } if axis != own && axis != own + 1 => {
            let below = axis - usize::from(axis > own);
            let x = padded(operand(0), below, [before, after]);
            x.window(own as isize, size, stride, dilation)
        }
        Op::Transpose(order) => {
            padded(operand(0), order[axis], [before, after]).transpose(&order[..])
        }
        Op::Pad(padding) if padding[axis] == Padding::default() => {
            let zero = graph.full(0.0, y.dtype(), Shape::scalar());
            if operand(1).id() != zero.id() {
                return y.pad(axis as isize, before, after, 0.0);
            }
            let mut padding = padding.clone();
            (padding[axis].before, padding[axis].after) = (before, after);
            apply(Op::Pad(padding), &[operand(0), zero])
        }
        _ => y.pad(axis as isize, before, after, 0.0),
    }
}
