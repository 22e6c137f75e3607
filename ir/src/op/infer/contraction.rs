//! Type rule of the contraction.

use super::{TypeError, check_axes, check_dtype};
use crate::dtype::DType;
use crate::op::{DotAxes, Op};
use crate::shape::{Shape, Type};

pub(super) fn rule(op: &Op, operands: &[&Type]) -> Result<Type, TypeError> {
    let Op::DotGeneral(axes) = op else {
        unreachable!("{} does not contract", op.name())
    };
    let (lhs, rhs) = (operands[0], operands[1]);
    for ty in [lhs, rhs] {
        check_dtype(op, ty.dtype == DType::F32, "f32", ty)?;
    }
    let pairs = || axes.batch.iter().chain(&axes.contract);
    let lhs_axes: Vec<usize> = pairs().map(|pair| pair.0).collect();
    let rhs_axes: Vec<usize> = pairs().map(|pair| pair.1).collect();
    check_axes(op, &lhs_axes, lhs.shape.rank())?;
    check_axes(op, &rhs_axes, rhs.shape.rank())?;
    same_extents(op, "batch", &axes.batch, lhs, rhs)?;
    same_extents(op, "contracted", &axes.contract, lhs, rhs)?;
    Ok(Type::new(
        lhs.dtype,
        result_shape(axes, &lhs.shape, &rhs.shape),
    ))
}

fn same_extents(
    op: &Op,
    kind: &str,
    pairs: &[(usize, usize)],
    lhs: &Type,
    rhs: &Type,
) -> Result<(), TypeError> {
    for &(l, r) in pairs {
        let (from, to) = (lhs.shape[l], rhs.shape[r]);
        if from != to {
            let what = format!(
                "{kind} extents differ: {from} on axis {l} of lhs, {to} on axis {r} of rhs"
            );
            return Err(TypeError::new(op, [], what));
        }
    }
    Ok(())
}

fn result_shape(axes: &DotAxes, lhs: &Shape, rhs: &Shape) -> Shape {
    let batch = axes.batch.iter().map(|&(l, _)| lhs[l]);
    let lhs_free = axes
        .free(lhs.rank(), true)
        .into_iter()
        .map(|axis| lhs[axis]);
    let rhs_free = axes
        .free(rhs.rank(), false)
        .into_iter()
        .map(|axis| rhs[axis]);
    batch.chain(lhs_free).chain(rhs_free).collect()
}
