//! [`Lanes`] of one element, in Rust's own arithmetic.

use super::lanes::{Comparison, Float, Integer, Lanes, Logic, Shift};
use crate::dtype::DType;

/// One lane in Rust's own arithmetic; integers have 32 bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Lanes for Scalar {
    type F = f32;
    type I = i32;
    type B = bool;

    #[inline(always)]
    fn f32(&mut self, value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn i32(&mut self, value: i32) -> i32 {
        value
    }

    #[inline(always)]
    fn float(&mut self, op: Float, x: f32, y: f32) -> f32 {
        match op {
            Float::Add => x + y,
            Float::Sub => x - y,
            Float::Mul => x * y,
            Float::Div => x / y,
            Float::Min if x < y => x,
            Float::Max if y < x => x,
            Float::Min | Float::Max => y,
        }
    }

    #[inline(always)]
    fn fma(&mut self, x: f32, y: f32, z: f32) -> f32 {
        x.mul_add(y, z)
    }

    #[inline(always)]
    fn sqrt(&mut self, x: f32) -> f32 {
        x.sqrt()
    }

    #[inline(always)]
    fn floor(&mut self, x: f32) -> f32 {
        x.floor()
    }

    #[inline(always)]
    fn compare(&mut self, is: Comparison, x: f32, y: f32) -> bool {
        compared(is, &x, &y)
    }

    #[inline(always)]
    fn unordered(&mut self, x: f32, y: f32) -> bool {
        x.is_nan() || y.is_nan()
    }

    #[inline(always)]
    fn select(&mut self, condition: bool, x: f32, y: f32) -> f32 {
        if condition { x } else { y }
    }

    #[inline(always)]
    fn bits(&mut self, x: f32) -> i32 {
        x.to_bits() as i32
    }

    #[inline(always)]
    fn with_bits(&mut self, bits: i32) -> f32 {
        f32::from_bits(bits as u32)
    }

    #[inline(always)]
    fn float_of(&mut self, from: DType, x: i32) -> f32 {
        match from {
            DType::U32 => x as u32 as f32,
            _ => x as f32,
        }
    }

    #[inline(always)]
    fn integer_of(&mut self, to: DType, x: f32) -> i32 {
        match to {
            DType::U32 => x as u32 as i32,
            _ => x as i32,
        }
    }

    #[inline(always)]
    fn integer(&mut self, op: Integer, x: i32, y: i32) -> i32 {
        match op {
            Integer::Add => x.wrapping_add(y),
            Integer::Sub => x.wrapping_sub(y),
            Integer::Mul => x.wrapping_mul(y),
            Integer::And => x & y,
            Integer::Or => x | y,
            Integer::Xor => x ^ y,
            Integer::MinSigned => x.min(y),
            Integer::MaxSigned => x.max(y),
            Integer::MinUnsigned => (x as u32).min(y as u32) as i32,
            Integer::MaxUnsigned => (x as u32).max(y as u32) as i32,
            Integer::Shift(op) if (y as u32) < i32::BITS => self.shift(op, x, y as u32),
            Integer::Shift(Shift::RightArithmetic) => x >> (i32::BITS - 1),
            Integer::Shift(_) => 0,
        }
    }

    #[inline(always)]
    fn shift(&mut self, op: Shift, x: i32, amount: u32) -> i32 {
        match op {
            Shift::Left => x << amount,
            Shift::RightLogical => (x as u32 >> amount) as i32,
            Shift::RightArithmetic => x >> amount,
        }
    }

    #[inline(always)]
    fn compare_integers(&mut self, is: Comparison, signed: bool, x: i32, y: i32) -> bool {
        match signed {
            true => compared(is, &x, &y),
            false => compared(is, &(x as u32), &(y as u32)),
        }
    }

    #[inline(always)]
    fn select_integer(&mut self, condition: bool, x: i32, y: i32) -> i32 {
        if condition { x } else { y }
    }

    #[inline(always)]
    fn resize(&mut self, _: DType, to: DType, x: i32) -> i32 {
        match to {
            DType::U8 => x & 0xff,
            _ => x,
        }
    }

    #[inline(always)]
    fn logic(&mut self, op: Logic, x: bool, y: bool) -> bool {
        match op {
            Logic::And => x & y,
            Logic::Or => x | y,
            Logic::Xor => x ^ y,
        }
    }

    #[inline(always)]
    fn not(&mut self, x: bool) -> bool {
        !x
    }

    #[inline(always)]
    fn if_true(&mut self, condition: bool, bits: i32) -> i32 {
        if condition { bits } else { 0 }
    }
}

#[inline(always)]
fn compared<T: PartialOrd>(is: Comparison, x: &T, y: &T) -> bool {
    match is {
        Comparison::Equal => x == y,
        Comparison::NotEqual => x != y,
        Comparison::Less => x < y,
        Comparison::LessEqual => x <= y,
    }
}
