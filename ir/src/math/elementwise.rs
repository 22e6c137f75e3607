//! What the elementwise ops do, over [`Lanes`].
//!
//! This is for emitted code, whose values have one type whatever they hold. The reference evaluator
//! spells the ops in Rust's own arithmetic, and tests compare the two.

use super::lanes::{Comparison, Float, Integer, Lanes, Logic, Named, Shift};
use super::{cos, erf, exp, log, sin, tanh};
use crate::dtype::DType;
use crate::op::Op;

/// The result, of type `to`, of an elementwise op whose first operand is of type `from`.
///
/// # Panics
/// If there is no such op.
pub fn elementwise<V, L>(l: &mut L, op: &Op, (from, to): (DType, DType), x: &[V]) -> V
where
    V: Copy,
    L: Lanes<F = V, I = V, B = V>,
{
    match op {
        Op::StopGradient | Op::OptimizationBarrier => x[0],
        Op::Cast(_) => cast(l, from, to, x[0]),
        Op::Select => match to {
            DType::F32 => l.select(x[0], x[1], x[2]),
            DType::Bool => l.select_bool(x[0], x[1], x[2]),
            _ => l.select_integer(x[0], x[1], x[2]),
        },
        _ => match from {
            DType::F32 => float(l, op, x),
            DType::Bool => boolean(l, op, x),
            _ => integer(l, op, from, x),
        },
    }
}

fn float<V: Copy, L: Lanes<F = V, I = V, B = V>>(l: &mut L, op: &Op, x: &[V]) -> V {
    match op {
        Op::Neg => l.neg(x[0]),
        Op::Abs => l.abs(x[0]),
        Op::Sqrt => l.sqrt(x[0]),
        Op::Floor => l.floor(x[0]),
        Op::Sign => sign(l, x[0]),
        Op::Exp => exp(l, x[0]),
        Op::Log => log(l, x[0]),
        Op::Tanh => tanh(l, x[0]),
        Op::Erf => erf(l, x[0]),
        Op::Sin => sin(l, x[0]),
        Op::Cos => cos(l, x[0]),
        Op::Add => l.add(x[0], x[1]),
        Op::Sub => l.sub(x[0], x[1]),
        Op::Mul => l.mul(x[0], x[1]),
        Op::Div => l.div(x[0], x[1]),
        Op::Max => l.larger(x[0], x[1]),
        Op::Min => l.smaller(x[0], x[1]),
        _ => l.compare(comparison(op, DType::F32), x[0], x[1]),
    }
}

/// ±0 and NaN stay as they are.
#[inline(always)]
pub(super) fn sign<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let [zero, one, minus_one] = [0.0, 1.0, -1.0].map(|value| l.f32(value));
    let positive = l.less(zero, x);
    let negative = l.less(x, zero);
    let rest = l.select(negative, minus_one, x);
    l.select(positive, one, rest)
}

/// In both orders the minimum or maximum differs for zeros and NaN only: joining the bits gives
/// zeros the right sign, and the mask of NaN is one.
#[inline(always)]
pub(super) fn better<L>(l: &mut L, pick: Float, join: Integer, x: L::F, y: L::F) -> L::F
where
    L: Lanes + ?Sized,
{
    let [forth, back] = [(x, y), (y, x)].map(|(x, y)| {
        let picked = l.float(pick, x, y);
        l.bits(picked)
    });
    let number = l.integer(join, forth, back);
    let is_nan = l.unordered(x, y);
    let nan = l.if_true(is_nan, -1);
    let bits = l.or(number, nan);
    l.with_bits(bits)
}

fn integer<V, L>(l: &mut L, op: &Op, dtype: DType, x: &[V]) -> V
where
    V: Copy,
    L: Lanes<F = V, I = V, B = V>,
{
    let signed = matches!(dtype, DType::I32 | DType::I64);
    let result = match op {
        Op::And => return l.integer(Integer::And, x[0], x[1]),
        Op::Or => return l.integer(Integer::Or, x[0], x[1]),
        Op::Xor => return l.integer(Integer::Xor, x[0], x[1]),
        Op::Max => return l.integer(larger(signed), x[0], x[1]),
        Op::Min => return l.integer(smaller(signed), x[0], x[1]),
        Op::ShiftRight => {
            let shift = match signed {
                true => Shift::RightArithmetic,
                false => Shift::RightLogical,
            };
            return l.integer(Integer::Shift(shift), x[0], x[1]);
        }
        Op::Abs if !signed => return x[0],
        Op::Abs => {
            let opposite = l.neg_integer(x[0]);
            return l.integer(Integer::MaxSigned, x[0], opposite);
        }
        Op::Sign => {
            let one = l.integer_like(x[0], 1);
            let at_most_one = l.integer(smaller(signed), x[0], one);
            if !signed {
                return at_most_one;
            }
            let minus_one = l.integer_like(x[0], -1);
            return l.integer(Integer::MaxSigned, at_most_one, minus_one);
        }
        Op::Neg => l.neg_integer(x[0]),
        Op::Not => l.not_integer(x[0]),
        Op::Add => l.integer(Integer::Add, x[0], x[1]),
        Op::Sub => l.integer(Integer::Sub, x[0], x[1]),
        Op::Mul => l.integer(Integer::Mul, x[0], x[1]),
        Op::ShiftLeft => l.integer(Integer::Shift(Shift::Left), x[0], x[1]),
        _ => return l.compare_integers(comparison(op, dtype), signed, x[0], x[1]),
    };
    // What is kept in more bits than it has may have set the others.
    match dtype {
        DType::U8 => l.resize(DType::U32, DType::U8, result),
        _ => result,
    }
}

fn larger(signed: bool) -> Integer {
    match signed {
        true => Integer::MaxSigned,
        false => Integer::MaxUnsigned,
    }
}

fn smaller(signed: bool) -> Integer {
    match signed {
        true => Integer::MinSigned,
        false => Integer::MinUnsigned,
    }
}

fn comparison(op: &Op, dtype: DType) -> Comparison {
    match op {
        Op::Equal => Comparison::Equal,
        Op::Less => Comparison::Less,
        Op::LessEqual => Comparison::LessEqual,
        _ => unreachable!("{} of {dtype}", op.name()),
    }
}

fn boolean<V: Copy, L: Lanes<F = V, I = V, B = V>>(l: &mut L, op: &Op, x: &[V]) -> V {
    match op {
        Op::Not => l.not(x[0]),
        Op::And => l.logic(Logic::And, x[0], x[1]),
        Op::Or => l.logic(Logic::Or, x[0], x[1]),
        Op::Xor => l.logic(Logic::Xor, x[0], x[1]),
        Op::Equal => {
            let differ = l.logic(Logic::Xor, x[0], x[1]);
            l.not(differ)
        }
        // False is below true.
        Op::Less => {
            let not = l.not(x[0]);
            l.logic(Logic::And, not, x[1])
        }
        Op::LessEqual => {
            let not = l.not(x[0]);
            l.logic(Logic::Or, not, x[1])
        }
        _ => unreachable!("{} of bool", op.name()),
    }
}

/// Integers wrap; `f32` to an integer truncates and saturates, NaN to 0; anything but zero is
/// true; the half formats go through `f32`.
fn cast<V: Copy, L: Lanes<F = V, I = V, B = V>>(l: &mut L, from: DType, to: DType, x: V) -> V {
    match (from, to) {
        _ if from == to => x,
        (DType::F16 | DType::BF16, _) => {
            let wide = l.widen(from, x);
            cast(l, DType::F32, to, wide)
        }
        (_, DType::F16 | DType::BF16) => {
            let wide = cast(l, from, DType::F32, x);
            l.narrow(to, wide)
        }
        (DType::Bool, DType::F32) => {
            let bits = l.if_true(x, 1f32.to_bits() as i32);
            l.with_bits(bits)
        }
        (DType::Bool, _) => {
            let number = l.if_true(x, 1);
            l.resize(DType::U32, to, number)
        }
        (DType::F32, DType::Bool) => {
            let zero = l.f32(0.0);
            l.compare(Comparison::NotEqual, x, zero)
        }
        (_, DType::Bool) => {
            let zero = l.integer_like(x, 0);
            l.compare_integers(Comparison::NotEqual, false, x, zero)
        }
        (DType::F32, DType::U8) => l.byte_of(x),
        (DType::F32, _) => l.integer_of(to, x),
        (_, DType::F32) => l.float_of(from, x),
        _ => l.resize(from, to, x),
    }
}
