//! Ops that move elements: strided reads, and writes into a filled tensor.

use super::strided::{pick, positions, strides};
use super::value::each_type;
use super::{Data, Value};
use crate::op::{Op, Padding};
use crate::shape::Shape;

pub(super) fn evaluate(op: &Op, result: &Shape, operands: &[&Value]) -> Data {
    let (x, shape) = (operands[0].data(), operands[0].shape());
    let from = match op {
        Op::Reshape(_) => return x.clone(),
        Op::Pad(padding) => return pad(padding, result, operands[0], operands[1]),
        Op::Concat { axis } => return concat(*axis, result, operands),
        Op::Transpose(permutation) => transpose(permutation, shape),
        Op::Broadcast { axes, .. } => broadcast(axes, shape, result),
        Op::Slice { start, stride, .. } => slice(start, stride, shape, result),
        Op::Flip(axes) => flip(axes, shape),
        &Op::Window {
            axis,
            stride,
            dilation,
            ..
        } => window(axis, [stride, dilation], shape, result),
        _ => unreachable!("{} does not move", op.name()),
    };
    each_type!(x, x => pick(x, &from).into())
}

fn transpose(permutation: &[usize], shape: &Shape) -> Vec<usize> {
    let strides = strides(shape);
    let extents: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
    let strides: Vec<isize> = permutation.iter().map(|&axis| strides[axis]).collect();
    positions(&extents, 0, &strides)
}

fn broadcast(axes: &[usize], shape: &Shape, result: &Shape) -> Vec<usize> {
    let mut repeated = vec![0; result.rank()];
    for (&axis, stride) in axes.iter().zip(strides(shape)) {
        repeated[axis] = stride;
    }
    positions(result, 0, &repeated)
}

fn slice(start: &[usize], stride: &[usize], shape: &Shape, result: &Shape) -> Vec<usize> {
    let steps = strides(shape);
    let offset = start
        .iter()
        .zip(shape.strides())
        .map(|(s, step)| s * step)
        .sum();
    // The step of an axis that takes one element is never taken, however large it is.
    let steps: Vec<isize> = steps
        .iter()
        .zip(stride)
        .map(|(step, &s)| step.wrapping_mul(s as isize))
        .collect();
    positions(result, offset, &steps)
}

fn flip(axes: &[usize], shape: &Shape) -> Vec<usize> {
    let (mut offset, mut strides) = (0, strides(shape));
    for &axis in axes {
        offset += shape[axis].saturating_sub(1) * strides[axis] as usize;
        strides[axis] = -strides[axis];
    }
    positions(shape, offset, &strides)
}

/// `[stride, dilation]` are in elements of the axis.
fn window(axis: usize, steps: [usize; 2], shape: &Shape, result: &Shape) -> Vec<usize> {
    let mut strides = strides(shape);
    let along = strides[axis];
    strides.splice(
        axis..=axis,
        steps.map(|step| (step as isize).wrapping_mul(along)),
    );
    positions(result, 0, &strides)
}

fn pad(padding: &[Padding], result: &Shape, x: &Value, value: &Value) -> Data {
    let steps = strides(result);
    let along = |(axis, p): (usize, &Padding)| {
        (p.between as isize)
            .wrapping_add(1)
            .wrapping_mul(steps[axis])
    };
    let along: Vec<isize> = padding.iter().enumerate().map(along).collect();
    let before = padding
        .iter()
        .zip(&steps)
        .map(|(p, &step)| p.before * step as usize);
    let to = positions(x.shape(), before.sum(), &along);
    let filled = each_type!(value.data(), v => vec![v[0]; result.elements()].into());
    written(filled, &to, x.data())
}

fn concat(axis: usize, result: &Shape, operands: &[&Value]) -> Data {
    let parts: Vec<&Data> = operands.iter().map(|operand| operand.data()).collect();
    let (mut all, mut start) = (joined(&parts), 0);
    let strides = strides(result);
    for operand in operands {
        let to = positions(operand.shape(), start * strides[axis] as usize, &strides);
        all = written(all, &to, operand.data());
        start += operand.shape()[axis];
    }
    all
}

/// `elements` with `values` written at positions `to`.
pub(super) fn written(elements: Data, to: &[usize], values: &Data) -> Data {
    macro_rules! write {
        ($($variant:ident)*) => {
            match (elements, values) {
                $((Data::$variant(mut elements), Data::$variant(values)) => {
                    for (&at, &value) in to.iter().zip(values) {
                        elements[at] = value;
                    }
                    Data::$variant(elements)
                })*
                _ => unreachable!("element types differ"),
            }
        };
    }
    write!(F32 F64 F16 BF16 I32 I64 U8 U32 U64 Bool)
}

/// The elements of each part after those of the part before.
pub(super) fn joined(parts: &[&Data]) -> Data {
    macro_rules! join {
        ($($variant:ident)*) => {
            match parts[0] {
                $(Data::$variant(_) => {
                    let elements = parts.iter().flat_map(|part| match part {
                        Data::$variant(elements) => elements.iter().copied(),
                        _ => unreachable!("element types differ"),
                    });
                    Data::$variant(elements.collect())
                })*
            }
        };
    }
    join!(F32 F64 F16 BF16 I32 I64 U8 U32 U64 Bool)
}
