//! Type rules of reductions.

use super::movement::window_span;
use super::{TypeError, check_axes, check_dtype};
use crate::dtype::DType;
use crate::op::Op;
use crate::shape::Type;

pub(super) fn rule(op: &Op, operands: &[&Type]) -> Result<Type, TypeError> {
    let x = operands[0];
    check_dtype(op, x.dtype.is_arithmetic(), "f32 or an integer", x)?;
    match op {
        Op::Sum(axes) | Op::ReduceMax(axes) => {
            check_axes(op, axes, x.shape.rank())?;
            if !axes.is_sorted() {
                return Err(TypeError::new(op, [], format!("axes {axes:?} must ascend")));
            }
            if let (Op::ReduceMax(_), Some(axis)) = (op, empty_axis(x, axes)) {
                return Err(TypeError::new(op, [], format!("axis {axis} is empty")));
            }
            Ok(Type::new(x.dtype, x.shape.without(axes)))
        }
        Op::ArgMax(axis) => {
            check_axes(op, &[*axis], x.shape.rank())?;
            if x.shape[*axis] == 0 {
                return Err(TypeError::new(op, [], format!("axis {axis} is empty")));
            }
            if x.shape[*axis] as u64 > DType::I32.indices() {
                let what = format!(
                    "axis {axis} has {} elements, more than an index of i32 counts",
                    x.shape[*axis]
                );
                let help = "take the maximum of parts first, and argmax among these";
                return Err(TypeError::new(op, [], what).help(help));
            }
            Ok(Type::new(DType::I32, x.shape.without(&[*axis])))
        }
        Op::WindowSum {
            axis,
            length,
            stride,
            dilation,
        } => {
            check_axes(op, &[*axis, axis.saturating_add(1)], x.shape.rank())?;
            let (count, size) = (x.shape[*axis], x.shape[axis + 1]);
            let span = window_span(op, size, *stride, *dilation)?;
            let last = count.saturating_sub(1).saturating_mul(*stride);
            let needed = last.saturating_add(span);
            if needed > *length {
                let what = format!("{count} windows of {size} reach {needed}, length is {length}");
                return Err(TypeError::new(op, [], what));
            }
            Ok(Type::new(
                x.dtype,
                x.shape.splice(axis + 1, &[]).splice(*axis, &[*length]),
            ))
        }
        _ => unreachable!("{} does not reduce", op.name()),
    }
}

fn empty_axis(x: &Type, axes: &[usize]) -> Option<usize> {
    axes.iter().copied().find(|&axis| x.shape[axis] == 0)
}
