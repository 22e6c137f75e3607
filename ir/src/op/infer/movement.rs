//! Type rules of movement ops.

use super::{TypeError, check_axes};
use crate::op::Op;
use crate::shape::{Shape, Type};

pub(super) fn rule(op: &Op, operands: &[&Type]) -> Result<Type, TypeError> {
    let Some(&x) = operands.first() else {
        return Err(TypeError::new(op, [], "takes at least one operand"));
    };
    let rank = x.shape.rank();
    let fail = |what: String| Err(TypeError::new(op, [], what));
    let shape: Shape = match op {
        Op::Reshape(shape) => {
            if !shape.is_within_limits() {
                return fail(format!("{shape} is too large"));
            }
            if shape.elements() != x.shape.elements() {
                let (from, to) = (x.shape.elements(), shape.elements());
                return fail(format!("{shape} has {to} elements, the operand {from}"));
            }
            shape.clone()
        }
        Op::Transpose(permutation) => {
            check_axes(op, permutation, rank)?;
            if permutation.len() != rank {
                return fail(format!("{permutation:?} does not list all {rank} axes"));
            }
            permutation.iter().map(|&axis| x.shape[axis]).collect()
        }
        Op::Broadcast { shape, axes } => {
            check_axes(op, axes, shape.rank())?;
            if axes.len() != rank || !axes.is_sorted() {
                return fail(format!(
                    "{axes:?} must list {rank} ascending axes of {shape}"
                ));
            }
            for (axis, &to) in axes.iter().enumerate() {
                if x.shape[axis] != shape[to] {
                    let (from, into) = (x.shape[axis], shape[to]);
                    return fail(format!(
                        "axis {axis} has {from}, axis {to} of {shape} {into}"
                    ));
                }
            }
            shape.clone()
        }
        Op::Slice {
            start,
            stop,
            stride,
        } => {
            if [start.len(), stop.len(), stride.len()] != [rank; 3] {
                return fail(format!("start, stop and stride must each list {rank} axes"));
            }
            for axis in 0..rank {
                let (a, b, s) = (start[axis], stop[axis], stride[axis]);
                if a > b || b > x.shape[axis] || s == 0 {
                    let extent = x.shape[axis];
                    return fail(format!(
                        "axis {axis}: {a}..{b} by {s} is outside 0..{extent}"
                    ));
                }
            }
            (0..rank)
                .map(|axis| (stop[axis] - start[axis]).div_ceil(stride[axis]))
                .collect()
        }
        Op::Pad(padding) => {
            let value = operands[1];
            if value.shape.rank() != 0 || value.dtype != x.dtype {
                return fail(format!(
                    "the padding value must be {}[], got {value}",
                    x.dtype
                ));
            }
            if padding.len() != rank {
                return fail(format!("{} paddings for {rank} axes", padding.len()));
            }
            let extent = |axis: usize| {
                let gaps = x.shape[axis].saturating_sub(1);
                let padding = padding[axis];
                [
                    padding.before,
                    padding.after,
                    padding.between.saturating_mul(gaps),
                ]
                .into_iter()
                .fold(x.shape[axis], usize::saturating_add)
            };
            (0..rank).map(extent).collect()
        }
        Op::Concat { axis } => return concat(op, *axis, operands),
        Op::Flip(axes) => {
            check_axes(op, axes, rank)?;
            x.shape.clone()
        }
        Op::Window {
            axis,
            size,
            stride,
            dilation,
        } => {
            check_axes(op, &[*axis], rank)?;
            let span = window_span(op, *size, *stride, *dilation)?;
            if span > x.shape[*axis] {
                let extent = x.shape[*axis];
                return fail(format!(
                    "a window of {span} is larger than axis {axis} ({extent})"
                ));
            }
            let count = (x.shape[*axis] - span) / stride + 1;
            x.shape.splice(*axis, &[count, *size])
        }
        _ => unreachable!("{} does not move", op.name()),
    };
    Ok(Type::new(x.dtype, shape))
}

/// Elements of the axis that one window covers.
pub(super) fn window_span(
    op: &Op,
    size: usize,
    stride: usize,
    dilation: usize,
) -> Result<usize, TypeError> {
    if size == 0 || stride == 0 || dilation == 0 {
        let what = format!("size {size}, stride {stride}, dilation {dilation}: none may be 0");
        return Err(TypeError::new(op, [], what));
    }
    Ok((size - 1).saturating_mul(dilation).saturating_add(1))
}

fn concat(op: &Op, axis: usize, operands: &[&Type]) -> Result<Type, TypeError> {
    let x = operands[0];
    check_axes(op, &[axis], x.shape.rank())?;
    let mut total = 0usize;
    for (position, ty) in operands.iter().enumerate() {
        if ty.dtype != x.dtype || ty.shape.rank() != x.shape.rank() {
            let what = format!("operand {position} differs in rank or element type from operand 0");
            return Err(TypeError::new(op, [], what));
        }
        let differs = |&other: &usize| other != axis && ty.shape[other] != x.shape[other];
        if let Some(other) = (0..x.shape.rank()).find(differs) {
            let (from, to) = (x.shape[other], ty.shape[other]);
            let what = format!("axis {other} has {from} in operand 0, {to} in operand {position}");
            let help = format!("only axis {axis}, along which they are joined, may differ");
            return Err(TypeError::new(op, [], what).help(help));
        }
        total = usize::saturating_add(total, ty.shape[axis]);
    }
    Ok(Type::new(x.dtype, x.shape.splice(axis, &[total])))
}
