//! Type rules of elementwise ops: operands have one shape; broadcasting is explicit here.

use super::{TypeError, check_dtype};
use crate::dtype::DType;
use crate::op::Op;
use crate::shape::Type;

pub(super) fn rule(op: &Op, operands: &[&Type]) -> Result<Type, TypeError> {
    for ty in &operands[1..] {
        same_shape(op, operands[0], ty)?;
    }
    let x = operands[0];
    match op {
        Op::Exp | Op::Log | Op::Sqrt | Op::Tanh | Op::Erf | Op::Sin | Op::Cos | Op::Floor => {
            check_dtype(op, x.dtype == DType::F32, "f32", x)?;
            Ok(x.clone())
        }
        Op::Neg | Op::Abs | Op::Sign => {
            check_dtype(op, x.dtype.is_arithmetic(), "f32 or an integer", x)?;
            Ok(x.clone())
        }
        Op::Not => {
            check_dtype(op, is_bits(x.dtype), "bool or an integer", x)?;
            Ok(x.clone())
        }
        Op::Cast(to) => Ok(Type::new(*to, &x.shape)),
        Op::StopGradient | Op::OptimizationBarrier => Ok(x.clone()),
        Op::Add | Op::Sub | Op::Mul | Op::Max | Op::Min => {
            same_dtype(op, x, operands[1])?;
            check_dtype(op, x.dtype.is_arithmetic(), "f32 or an integer", x)?;
            Ok(x.clone())
        }
        Op::Div => {
            same_dtype(op, x, operands[1])?;
            check_dtype(op, x.dtype == DType::F32, "f32", x)?;
            Ok(x.clone())
        }
        Op::Equal | Op::Less | Op::LessEqual => {
            same_dtype(op, x, operands[1])?;
            let ok = x.dtype.is_arithmetic() || x.dtype == DType::Bool;
            check_dtype(op, ok, "f32, bool or an integer", x)?;
            Ok(Type::new(DType::Bool, &x.shape))
        }
        Op::And | Op::Or | Op::Xor => {
            same_dtype(op, x, operands[1])?;
            check_dtype(op, is_bits(x.dtype), "bool or an integer", x)?;
            Ok(x.clone())
        }
        Op::ShiftLeft | Op::ShiftRight => {
            same_dtype(op, x, operands[1])?;
            check_dtype(op, x.dtype.is_integer(), "an integer", x)?;
            Ok(x.clone())
        }
        Op::Select => {
            check_dtype(op, x.dtype == DType::Bool, "a bool condition", x)?;
            same_dtype(op, operands[1], operands[2])?;
            Ok(operands[1].clone())
        }
        _ => unreachable!("{} is not elementwise", op.name()),
    }
}

fn is_bits(dtype: DType) -> bool {
    dtype.is_integer() || dtype == DType::Bool
}

fn same_dtype(op: &Op, x: &Type, y: &Type) -> Result<(), TypeError> {
    if x.dtype == y.dtype {
        return Ok(());
    }
    let what = format!("element types differ: {} and {}", x.dtype, y.dtype);
    Err(TypeError::new(op, [], what).help("cast one of them"))
}

fn same_shape(op: &Op, x: &Type, y: &Type) -> Result<(), TypeError> {
    if x.shape == y.shape {
        return Ok(());
    }
    if x.shape.rank() != y.shape.rank() {
        let what = format!("ranks differ: {} and {}", x.shape.rank(), y.shape.rank());
        return Err(TypeError::new(op, [], what));
    }
    let axis = (0..x.shape.rank())
        .find(|&axis| x.shape[axis] != y.shape[axis])
        .expect("unequal shapes of one rank differ on an axis");
    let what = format!(
        "axis {axis} differs: {} and {}",
        x.shape[axis], y.shape[axis]
    );
    Err(TypeError::new(op, [], what))
}
