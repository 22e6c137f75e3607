//! Type rules of fused ops.

use super::{TypeError, Types, check_dtype};
use crate::dtype::DType;
use crate::op::{Mask, Op};
use crate::shape::{Shape, Type};
use smallvec::smallvec;

pub(super) fn rule(op: &Op, operands: &[&Type]) -> Result<Types, TypeError> {
    if let Op::Attention { mask, .. } | Op::AttentionBackward { mask, .. } = op {
        let backward = matches!(op, Op::AttentionBackward { .. });
        return attention(op, operands, *mask, backward);
    }
    for ty in operands {
        check_dtype(op, ty.dtype == DType::F32, "f32", ty)?;
    }
    let x = operands[0];
    match op {
        Op::Gelu => Ok(smallvec![x.clone()]),
        Op::GeluBackward => {
            expect(op, "the gradient", &x.shape, operands[1])?;
            Ok(smallvec![x.clone()])
        }
        _ => row_rule(op, operands),
    }
}

/// Ops that work on the last axis.
fn row_rule(op: &Op, operands: &[&Type]) -> Result<Types, TypeError> {
    let x = operands[0];
    let Some((&width, rows)) = x.shape.split_last() else {
        return Err(TypeError::new(op, [], "a scalar has no last axis"));
    };
    let (rows, width): (Shape, Shape) = (rows.into(), [width].into());
    let row_type = Type::new(DType::F32, &rows);
    match op {
        Op::Softmax if width[0] == 0 => Err(TypeError::new(op, [], "the last axis is empty")),
        Op::Softmax => Ok(smallvec![x.clone()]),
        Op::SoftmaxBackward => {
            expect(op, "the gradient", &x.shape, operands[1])?;
            Ok(smallvec![x.clone()])
        }
        Op::LayerNorm { .. } => {
            expect(op, "the weight", &width, operands[1])?;
            expect(op, "the bias", &width, operands[2])?;
            Ok(smallvec![x.clone(), row_type.clone(), row_type])
        }
        Op::LayerNormBackward => {
            expect(op, "the weight", &width, operands[1])?;
            expect(op, "the mean", &rows, operands[2])?;
            expect(op, "the reciprocal standard deviation", &rows, operands[3])?;
            expect(op, "the gradient", &x.shape, operands[4])?;
            Ok(smallvec![x.clone()])
        }
        Op::PackSigns => {
            if width[0] == 0 || width[0] > 64 {
                return Err(TypeError::new(
                    op,
                    [],
                    format!("{} signs do not fit u64", width[0]),
                ));
            }
            Ok(smallvec![Type::new(DType::U64, rows)])
        }
        _ => unreachable!("{} is not a fused row op", op.name()),
    }
}

fn attention(op: &Op, operands: &[&Type], mask: Mask, backward: bool) -> Result<Types, TypeError> {
    let fixed = if backward { 6 } else { 3 };
    let wanted = fixed + usize::from(mask == Mask::Bias);
    if operands.len() != wanted {
        let what = format!("takes {wanted} operands, got {}", operands.len());
        return Err(TypeError::new(op, [], what));
    }
    for ty in operands {
        check_dtype(op, ty.dtype == DType::F32, "f32", ty)?;
    }
    let (q, k, v) = (&operands[0].shape, &operands[1].shape, &operands[2].shape);
    let rank = q.rank();
    if rank < 2 || k.rank() != rank || v.rank() != rank {
        let what = "q, k and v must have one rank, at least 2";
        return Err(TypeError::new(op, [], what));
    }
    let batch = &q[..rank - 2];
    let [queries, depth] = [q[rank - 2], q[rank - 1]];
    let [keys, value_depth] = [v[rank - 2], v[rank - 1]];
    expect(
        op,
        "k",
        &[batch, &[keys, depth]].concat().into(),
        operands[1],
    )?;
    expect(
        op,
        "v",
        &[batch, &[keys, value_depth]].concat().into(),
        operands[2],
    )?;
    if keys == 0 || matches!(mask, Mask::BlockCausal { size: 0 }) {
        return Err(TypeError::new(
            op,
            [],
            "keys and mask blocks must not be empty",
        ));
    }
    let counted = queries.max(keys) as u64 <= DType::I32.indices();
    if matches!(mask, Mask::BlockCausal { .. }) && !counted {
        let what = "queries and keys under a mask are counted in i32";
        return Err(TypeError::new(op, [], what));
    }
    if mask == Mask::Bias {
        let bias = operands[fixed];
        let scores: Shape = [batch, &[queries, keys]].concat().into();
        if bias.shape != scores && bias.shape != Shape::from([queries, keys]) {
            expect(op, "the bias", &scores, bias)?;
        }
    }
    let row: Shape = [batch, &[queries]].concat().into();
    let output: Shape = [batch, &[queries, value_depth]].concat().into();
    if backward {
        expect(op, "the row maximum", &row, operands[3])?;
        expect(op, "the row sum", &row, operands[4])?;
        expect(op, "the gradient", &output, operands[5])?;
        return Ok(operands[..3].iter().map(|&ty| ty.clone()).collect());
    }
    let row = Type::new(DType::F32, row);
    Ok(smallvec![Type::new(DType::F32, output), row.clone(), row])
}

fn expect(op: &Op, name: &str, wanted: &Shape, got: &Type) -> Result<(), TypeError> {
    if *wanted == got.shape {
        return Ok(());
    }
    let what = format!("{name} must be {wanted}, got {}", got.shape);
    Err(TypeError::new(op, [], what))
}
