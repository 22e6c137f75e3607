//! Elementwise ops.

use super::cast::cast;
use super::numbers::{Bits, Number};
use super::value::{each_number_pair, each_type};
use super::{Data, Precision, Value};
use crate::math::with_fma;
use crate::op::Op;
use std::ops::{BitAnd, BitOr, BitXor};

pub(super) fn evaluate(op: &Op, operands: &[&Value], precision: Precision) -> Data {
    let x = operands[0].data();
    match op {
        Op::StopGradient | Op::OptimizationBarrier => x.clone(),
        Op::Cast(to) => cast(x, *to, precision),
        Op::Exp | Op::Log | Op::Sqrt | Op::Tanh | Op::Erf | Op::Sin | Op::Cos | Op::Floor => {
            real_function(op, x)
        }
        Op::Neg | Op::Abs | Op::Sign => match x {
            Data::F32(x) => sign_op(op, x).into(),
            Data::F64(x) => sign_op(op, x).into(),
            Data::I32(x) => sign_op(op, x).into(),
            Data::I64(x) => sign_op(op, x).into(),
            Data::U8(x) => sign_op(op, x).into(),
            Data::U32(x) => sign_op(op, x).into(),
            Data::U64(x) => sign_op(op, x).into(),
            _ => unreachable!("{} of {}", op.name(), operands[0].ty()),
        },
        Op::Not => match x {
            Data::I32(x) => map(x, |x| !x).into(),
            Data::I64(x) => map(x, |x| !x).into(),
            Data::U8(x) => map(x, |x| !x).into(),
            Data::U32(x) => map(x, |x| !x).into(),
            Data::U64(x) => map(x, |x| !x).into(),
            Data::Bool(x) => map(x, |x| !x).into(),
            _ => unreachable!("{} of {}", op.name(), operands[0].ty()),
        },
        Op::Select => select(x, operands[1].data(), operands[2].data()),
        _ => binary(op, x, operands[1].data()),
    }
}

fn map<T: Copy, R>(x: &[T], f: impl Fn(T) -> R) -> Vec<R> {
    x.iter().map(|&x| f(x)).collect()
}

/// [`map`] with fused multiply-adds in hardware, where there are any.
fn map_fma(x: &[f32], f: impl Fn(f32) -> f32) -> Vec<f32> {
    let mut result = x.to_vec();
    with_fma(|| {
        for x in &mut result {
            *x = f(*x);
        }
    });
    result
}

fn zip<T: Copy, R>(x: &[T], y: &[T], f: impl Fn(T, T) -> R) -> Vec<R> {
    x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect()
}

/// The functions of [`math`] on one number; inlined, so that they are compiled with the caller's
/// processor features.
mod scalar {
    use crate::math::{self, Scalar};

    macro_rules! scalar {
        ($($name:ident)*) => {
            $(#[inline(always)]
            pub fn $name(x: f32) -> f32 {
                math::$name(&mut Scalar, x)
            })*
        };
    }

    scalar!(exp log tanh erf sin cos);
}

fn real_function(op: &Op, x: &Data) -> Data {
    match x {
        Data::F32(x) => match op {
            Op::Exp => map_fma(x, scalar::exp),
            Op::Log => map_fma(x, scalar::log),
            Op::Sqrt => map(x, f32::sqrt),
            Op::Tanh => map_fma(x, scalar::tanh),
            Op::Erf => map_fma(x, scalar::erf),
            Op::Sin => map_fma(x, scalar::sin),
            Op::Cos => map_fma(x, scalar::cos),
            Op::Floor => map(x, f32::floor),
            _ => unreachable!("{} is no real function", op.name()),
        }
        .into(),
        Data::F64(x) => match op {
            Op::Exp => map(x, f64::exp),
            Op::Log => map(x, f64::ln),
            Op::Sqrt => map(x, f64::sqrt),
            Op::Tanh => map(x, f64::tanh),
            Op::Erf => map(x, libm::erf),
            Op::Sin => map(x, libm::sin),
            Op::Cos => map(x, libm::cos),
            Op::Floor => map(x, f64::floor),
            _ => unreachable!("{} is no real function", op.name()),
        }
        .into(),
        _ => unreachable!("{} takes f32", op.name()),
    }
}

fn sign_op<T: Number>(op: &Op, x: &[T]) -> Vec<T> {
    match op {
        Op::Neg => map(x, T::neg),
        Op::Abs => map(x, T::abs),
        Op::Sign => map(x, T::sign),
        _ => unreachable!("{} is not about signs", op.name()),
    }
}

fn binary(op: &Op, x: &Data, y: &Data) -> Data {
    match (op, x, y) {
        (Op::Div, Data::F32(x), Data::F32(y)) => zip(x, y, |x, y| x / y).into(),
        (Op::Div, Data::F64(x), Data::F64(y)) => zip(x, y, |x, y| x / y).into(),
        (_, Data::Bool(x), Data::Bool(y)) => boolean(op, x, y).into(),
        (Op::Equal | Op::Less | Op::LessEqual, _, _) => {
            each_number_pair!(op, (x, y), (x, y) => compare(op, x, y)).into()
        }
        (Op::Add | Op::Sub | Op::Mul | Op::Max | Op::Min, _, _) => {
            each_number_pair!(op, (x, y), (x, y) => arithmetic(op, x, y).into())
        }
        _ => match (x, y) {
            (Data::I32(x), Data::I32(y)) => bitwise(op, x, y).into(),
            (Data::I64(x), Data::I64(y)) => bitwise(op, x, y).into(),
            (Data::U8(x), Data::U8(y)) => bitwise(op, x, y).into(),
            (Data::U32(x), Data::U32(y)) => bitwise(op, x, y).into(),
            (Data::U64(x), Data::U64(y)) => bitwise(op, x, y).into(),
            _ => unreachable!("{} does not take these element types", op.name()),
        },
    }
}

fn arithmetic<T: Number>(op: &Op, x: &[T], y: &[T]) -> Vec<T> {
    match op {
        Op::Add => zip(x, y, T::add),
        Op::Sub => zip(x, y, T::sub),
        Op::Mul => zip(x, y, T::mul),
        Op::Max => zip(x, y, T::larger),
        Op::Min => zip(x, y, T::smaller),
        _ => unreachable!("{} is not arithmetic", op.name()),
    }
}

fn compare<T: Copy + PartialOrd>(op: &Op, x: &[T], y: &[T]) -> Vec<bool> {
    match op {
        Op::Equal => zip(x, y, |x, y| x == y),
        Op::Less => zip(x, y, |x, y| x < y),
        Op::LessEqual => zip(x, y, |x, y| x <= y),
        _ => unreachable!("{} does not compare", op.name()),
    }
}

fn boolean(op: &Op, x: &[bool], y: &[bool]) -> Vec<bool> {
    match op {
        Op::And => zip(x, y, |x, y| x & y),
        Op::Or => zip(x, y, |x, y| x | y),
        Op::Xor => zip(x, y, |x, y| x ^ y),
        _ => compare(op, x, y),
    }
}

fn bitwise<T>(op: &Op, x: &[T], y: &[T]) -> Vec<T>
where
    T: Bits + BitAnd<Output = T> + BitOr<Output = T> + BitXor<Output = T>,
{
    match op {
        Op::And => zip(x, y, |x, y| x & y),
        Op::Or => zip(x, y, |x, y| x | y),
        Op::Xor => zip(x, y, |x, y| x ^ y),
        Op::ShiftLeft => zip(x, y, T::shift_left),
        Op::ShiftRight => zip(x, y, T::shift_right),
        _ => unreachable!("{} is not bitwise", op.name()),
    }
}

fn select(condition: &Data, x: &Data, y: &Data) -> Data {
    let Data::Bool(condition) = condition else {
        unreachable!("the condition of a select is bool")
    };
    // Both operands in one vector: element i of x at i, of y at n + i.
    let n = condition.len();
    let at = |(i, &holds): (usize, &bool)| if holds { i } else { n + i };
    let positions: Vec<usize> = condition.iter().enumerate().map(at).collect();
    let both = super::movement::joined(&[x, y]);
    each_type!(&both, both => super::strided::pick(both, &positions).into())
}
