//! Elementwise ops of every arity and type.

use crate::programs::generate::Builder;
use bsq_ir::{DType, Op, Tensor, Type};

const UNARY: [Op; 15] = [
    Op::Neg,
    Op::Abs,
    Op::Exp,
    Op::Log,
    Op::Sqrt,
    Op::Tanh,
    Op::Erf,
    Op::Sign,
    Op::Floor,
    Op::Not,
    Op::StopGradient,
    Op::OptimizationBarrier,
    Op::Neg,
    Op::Sin,
    Op::Cos,
];

const BINARY: [Op; 14] = [
    Op::Add,
    Op::Sub,
    Op::Mul,
    Op::Div,
    Op::Max,
    Op::Min,
    Op::Equal,
    Op::Less,
    Op::LessEqual,
    Op::And,
    Op::Or,
    Op::Xor,
    Op::ShiftLeft,
    Op::ShiftRight,
];

pub(super) fn step(builder: &mut Builder) {
    match builder.choices.below(16) {
        0..4 => {
            let op = UNARY[builder.choices.below(UNARY.len())].clone();
            let x = operand(builder, &op);
            builder.add(op, &[x]);
        }
        4..11 => {
            let op = BINARY[builder.choices.below(BINARY.len())].clone();
            let x = operand(builder, &op);
            let y = partner(builder, x);
            let operands = match builder.choices.once_in(2) {
                true => [y, x],
                false => [x, y],
            };
            builder.add(op, &operands);
        }
        11..13 => {
            let x = builder.any();
            let dtype = builder.choices.of(&DType::ALL);
            builder.add(Op::Cast(dtype), &[x]);
        }
        _ => {
            let x = builder.any();
            let y = partner(builder, x);
            let condition = builder.of(&Type::new(DType::Bool, x.shape()));
            builder.add(Op::Select, &[condition, x, y]);
        }
    }
}

/// A value that the op takes.
fn operand<'g>(builder: &mut Builder<'g, '_, '_>, op: &Op) -> Tensor<'g> {
    let op = op.clone();
    builder.any_of(move |dtype| match op {
        Op::Exp | Op::Log | Op::Sqrt | Op::Tanh | Op::Erf | Op::Sin | Op::Cos => {
            dtype == DType::F32
        }
        Op::Floor | Op::Div => dtype == DType::F32,
        Op::StopGradient | Op::OptimizationBarrier => true,
        Op::Not | Op::And | Op::Or | Op::Xor => dtype.is_integer() || dtype == DType::Bool,
        Op::ShiftLeft | Op::ShiftRight => dtype.is_integer(),
        Op::Equal | Op::Less | Op::LessEqual => dtype.is_arithmetic() || dtype == DType::Bool,
        _ => dtype.is_arithmetic(),
    })
}

/// Another of the same type, often a number or the value itself.
fn partner<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) -> Tensor<'g> {
    match builder.choices.below(8) {
        0 => x,
        1 | 2 => {
            let number = builder.number(x.dtype());
            x.full_like(number)
        }
        _ => {
            let ty = x.ty();
            builder.of(&ty)
        }
    }
}
