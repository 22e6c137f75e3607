//! Type rules: the result types of an op from its operands' types, or why there are none.

mod contraction;
mod elementwise;
mod error;
mod fused;
mod indexing;
mod movement;
mod reduction;

pub use error::TypeError;

use super::{Family, Op};
use crate::dtype::DType;
use crate::shape::{Shape, Type};
use smallvec::{SmallVec, smallvec};

/// The types of a node's results; nearly always one.
pub type Types = SmallVec<[Type; 1]>;

/// The result types of `op` applied to operands of the given types.
///
/// `operands` holds each operand's result types; only [`Op::Projection`] accepts one with several.
pub fn infer(op: &Op, operands: &[&[Type]]) -> Result<Types, TypeError> {
    if let Op::Projection(index) = op {
        return projection(op, *index, operands);
    }
    let mut types = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            [ty] => types.push(ty),
            several => {
                let what = format!("an operand has {} results", several.len());
                return Err(
                    TypeError::new(op, several.iter(), what).help("take a projection of it")
                );
            }
        }
    }
    let results = rule(op, &types).and_then(|results| within_limits(op, results));
    results.map_err(|error| error.with_operands(&types))
}

fn within_limits(op: &Op, results: Types) -> Result<Types, TypeError> {
    match results.iter().find(|ty| !ty.shape.is_within_limits()) {
        None => Ok(results),
        Some(ty) => {
            let (axes, elements) = (Shape::MAX_RANK, Shape::MAX_ELEMENTS);
            let what = format!("{ty} is larger than {axes} axes or {elements} elements");
            Err(TypeError::new(op, [], what))
        }
    }
}

fn rule(op: &Op, operands: &[&Type]) -> Result<Types, TypeError> {
    if let Some(arity) = op.arity()
        && arity != operands.len()
    {
        let what = format!("takes {arity} operands, got {}", operands.len());
        return Err(TypeError::new(op, [], what));
    }
    let one = |ty: Type| -> Types { smallvec![ty] };
    match op.family() {
        Family::Leaf => leaf(op).map(one),
        Family::Elementwise => elementwise::rule(op, operands).map(one),
        Family::Movement => movement::rule(op, operands).map(one),
        Family::Reduction => reduction::rule(op, operands).map(one),
        Family::Contraction => contraction::rule(op, operands).map(one),
        Family::Indexing => indexing::rule(op, operands).map(one),
        Family::Fused => fused::rule(op, operands),
        Family::Projection => unreachable!("projections are handled by `infer`"),
    }
}

fn leaf(op: &Op) -> Result<Type, TypeError> {
    match op {
        Op::Input { ty, .. } | Op::Parameter { ty, .. } => Ok(ty.clone()),
        Op::Constant(constant) => Ok(constant.ty().clone()),
        Op::Iota { ty, axis } => {
            if *axis >= ty.shape.rank() {
                let what = format!("axis {axis} is outside {ty}");
                return Err(TypeError::new(op, [], what));
            }
            if !ty.dtype.is_arithmetic() {
                let what = format!("counts in f32 or integers, not {}", ty.dtype);
                return Err(TypeError::new(op, [], what));
            }
            Ok(ty.clone())
        }
        _ => unreachable!("{} is not a leaf", op.name()),
    }
}

fn projection(op: &Op, index: usize, operands: &[&[Type]]) -> Result<Types, TypeError> {
    let [results] = operands else {
        let what = format!("takes 1 operand, got {}", operands.len());
        return Err(TypeError::new(op, [], what));
    };
    match results.get(index) {
        Some(ty) => Ok(smallvec![ty.clone()]),
        None => {
            let what = format!("result {index} of an op with {}", results.len());
            Err(TypeError::new(op, results.iter(), what))
        }
    }
}

/// Checks that `axes` are below `rank` and distinct.
fn check_axes(op: &Op, axes: &[usize], rank: usize) -> Result<(), TypeError> {
    for (position, &axis) in axes.iter().enumerate() {
        if axis >= rank {
            let what = format!("axis {axis} is outside rank {rank}");
            return Err(TypeError::new(op, [], what));
        }
        if axes[..position].contains(&axis) {
            return Err(TypeError::new(op, [], format!("axis {axis} appears twice")));
        }
    }
    Ok(())
}

fn check_dtype(op: &Op, ok: bool, wanted: &str, got: &Type) -> Result<(), TypeError> {
    if ok {
        return Ok(());
    }
    let error = TypeError::new(op, [], format!("needs {wanted}, got {}", got.dtype));
    Err(match got.dtype {
        DType::F16 | DType::BF16 => {
            error.help("f16 and bf16 are storage formats: cast to f32 first")
        }
        _ => error.help("cast it first"),
    })
}

/// Checks an operand that must be a scalar, named in the message.
fn check_scalar(op: &Op, ok: bool, wanted: &str, got: &Type) -> Result<(), TypeError> {
    match ok && got.shape.rank() == 0 {
        true => Ok(()),
        false => Err(TypeError::new(op, [], format!("needs {wanted}, got {got}"))),
    }
}
