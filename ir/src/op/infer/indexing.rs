//! Type rules of ops whose positions are known only at run time.

use super::{TypeError, check_axes, check_dtype, check_scalar};
use crate::dtype::DType;
use crate::op::Op;
use crate::shape::Type;

pub(super) fn rule(op: &Op, operands: &[&Type]) -> Result<Type, TypeError> {
    let x = operands[0];
    match op {
        Op::Random { shape } => {
            for ty in operands {
                check_scalar(op, ty.dtype == DType::U64, "key and counter u64[]", ty)?;
            }
            Ok(Type::new(DType::U32, shape))
        }
        Op::Gather { axis } => {
            check_axes(op, &[*axis], x.shape.rank())?;
            check_indices(op, operands[1])?;
            nonempty(op, x, *axis)?;
            Ok(Type::new(
                x.dtype,
                x.shape.splice(*axis, &operands[1].shape),
            ))
        }
        Op::ScatterAdd { axis } => {
            check_axes(op, &[*axis], x.shape.rank())?;
            check_dtype(op, x.dtype.is_arithmetic(), "f32 or an integer", x)?;
            check_indices(op, operands[1])?;
            nonempty(op, x, *axis)?;
            expect(
                op,
                "updates",
                Type::new(x.dtype, x.shape.splice(*axis, &operands[1].shape)),
                operands[2],
            )?;
            Ok(x.clone())
        }
        Op::DynamicSlice { axis, size } => {
            check_axes(op, &[*axis], x.shape.rank())?;
            check_start(op, operands[1])?;
            fits(op, x, *axis, *size)?;
            Ok(Type::new(x.dtype, x.shape.splice(*axis, &[*size])))
        }
        Op::DynamicUpdateSlice { axis } => {
            let update = operands[1];
            check_axes(op, &[*axis], x.shape.rank())?;
            check_axes(op, &[*axis], update.shape.rank())?;
            check_start(op, operands[2])?;
            let size = update.shape[*axis];
            fits(op, x, *axis, size)?;
            expect(
                op,
                "update",
                Type::new(x.dtype, x.shape.splice(*axis, &[size])),
                update,
            )?;
            Ok(x.clone())
        }
        _ => unreachable!("{} does not index", op.name()),
    }
}

fn check_indices(op: &Op, indices: &Type) -> Result<(), TypeError> {
    check_dtype(op, indices.dtype.is_integer(), "integer indices", indices)
}

fn check_start(op: &Op, start: &Type) -> Result<(), TypeError> {
    check_scalar(
        op,
        start.dtype.is_integer(),
        "an integer scalar as start",
        start,
    )
}

fn nonempty(op: &Op, x: &Type, axis: usize) -> Result<(), TypeError> {
    if x.shape[axis] > 0 {
        return Ok(());
    }
    Err(TypeError::new(op, [], format!("axis {axis} is empty")))
}

fn fits(op: &Op, x: &Type, axis: usize, size: usize) -> Result<(), TypeError> {
    if size <= x.shape[axis] {
        return Ok(());
    }
    let what = format!("{size} elements do not fit axis {axis} ({})", x.shape[axis]);
    Err(TypeError::new(op, [], what))
}

fn expect(op: &Op, name: &str, wanted: Type, got: &Type) -> Result<(), TypeError> {
    if wanted == *got {
        return Ok(());
    }
    Err(TypeError::new(
        op,
        [],
        format!("{name} must be {wanted}, got {got}"),
    ))
}
