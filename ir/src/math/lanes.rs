//! The machine operations that the functions and the elementwise ops are made of.

use super::{functions, half};
use crate::dtype::DType;

/// Two `f32` to one, rounded to nearest even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    Add,
    Sub,
    Mul,
    Div,
    /// `x < y ? x : y`, so `y` if either is NaN: the x86 instruction `minps x, y`.
    Min,
    /// `y < x ? x : y`, so `y` if either is NaN: the x86 instruction `maxps x, y`.
    Max,
}

/// Two integers of one width to one; they wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integer {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    MinSigned,
    MaxSigned,
    MinUnsigned,
    MaxUnsigned,
    /// Amounts of the width or more leave nothing, or the sign.
    Shift(Shift),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    Left,
    /// Shifts in zeros.
    RightLogical,
    /// Shifts in the sign.
    RightArithmetic,
}

/// Of floats, all but `NotEqual` are false if either is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
}

/// Two conditions to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
    Xor,
}

/// Operations that every target has exactly: IEEE `f32` arithmetic with subnormals kept, and
/// wrapping integers. A value is as many lanes as the target likes: one `f32` in the evaluator, a
/// vector register, or a name in emitted code.
///
/// What follows the required operations are definitions by them; a target with an instruction for
/// one gives that, with the same bits.
pub trait Lanes {
    /// `f32` lanes.
    type F: Copy;
    /// Integer lanes, of 32 bits where nothing else is said. Elements of 8 and 16 bits are
    /// zero-extended to 32, except where the target keeps them apart in [`resize`](Self::resize),
    /// [`widen`](Self::widen) and [`narrow`](Self::narrow).
    type I: Copy;
    /// The result of a comparison.
    type B: Copy;

    /// `value` in every lane.
    fn f32(&mut self, value: f32) -> Self::F;
    /// `value` in every lane.
    fn i32(&mut self, value: i32) -> Self::I;

    fn float(&mut self, op: Float, x: Self::F, y: Self::F) -> Self::F;
    /// `x * y + z`, rounded once.
    fn fma(&mut self, x: Self::F, y: Self::F, z: Self::F) -> Self::F;
    fn sqrt(&mut self, x: Self::F) -> Self::F;
    fn floor(&mut self, x: Self::F) -> Self::F;
    fn compare(&mut self, is: Comparison, x: Self::F, y: Self::F) -> Self::B;
    /// True if either is NaN.
    fn unordered(&mut self, x: Self::F, y: Self::F) -> Self::B;
    fn select(&mut self, condition: Self::B, x: Self::F, y: Self::F) -> Self::F;

    /// The bits of each lane.
    fn bits(&mut self, x: Self::F) -> Self::I;
    /// The lanes with these bits.
    fn with_bits(&mut self, bits: Self::I) -> Self::F;
    /// The nearest `f32` of an integer of a type.
    fn float_of(&mut self, from: DType, x: Self::I) -> Self::F;
    /// The whole part as an integer of 32 or 64 bits, or the nearest there is; 0 of NaN.
    fn integer_of(&mut self, to: DType, x: Self::F) -> Self::I;

    fn integer(&mut self, op: Integer, x: Self::I, y: Self::I) -> Self::I;
    /// By an amount below the width.
    fn shift(&mut self, op: Shift, x: Self::I, amount: u32) -> Self::I;
    fn compare_integers(&mut self, is: Comparison, signed: bool, x: Self::I, y: Self::I)
    -> Self::B;
    fn select_integer(&mut self, condition: Self::B, x: Self::I, y: Self::I) -> Self::I;
    /// An integer as another type: its low bits, or extended as the type that it has says.
    fn resize(&mut self, from: DType, to: DType, x: Self::I) -> Self::I;

    fn logic(&mut self, op: Logic, x: Self::B, y: Self::B) -> Self::B;
    fn not(&mut self, x: Self::B) -> Self::B;
    /// `bits` where the condition holds, elsewhere 0.
    fn if_true(&mut self, condition: Self::B, bits: i32) -> Self::I;

    /// An integer constant of the width of `like`.
    #[inline(always)]
    fn integer_like(&mut self, _like: Self::I, value: i32) -> Self::I {
        self.i32(value)
    }

    #[inline(always)]
    fn select_bool(&mut self, condition: Self::B, x: Self::B, y: Self::B) -> Self::B {
        let first = self.logic(Logic::And, condition, x);
        let otherwise = self.not(condition);
        let second = self.logic(Logic::And, otherwise, y);
        self.logic(Logic::Or, first, second)
    }

    #[inline(always)]
    fn neg(&mut self, x: Self::F) -> Self::F {
        let (bits, sign) = (self.bits(x), self.i32(i32::MIN));
        let bits = self.integer(Integer::Xor, bits, sign);
        self.with_bits(bits)
    }

    #[inline(always)]
    fn abs(&mut self, x: Self::F) -> Self::F {
        let (bits, magnitude) = (self.bits(x), self.i32(i32::MAX));
        let bits = self.integer(Integer::And, bits, magnitude);
        self.with_bits(bits)
    }

    /// The larger; NaN if either is, and `-0 < +0`.
    #[inline(always)]
    fn larger(&mut self, x: Self::F, y: Self::F) -> Self::F {
        super::elementwise::better(self, Float::Max, Integer::And, x, y)
    }

    /// The smaller; NaN if either is, and `-0 < +0`.
    #[inline(always)]
    fn smaller(&mut self, x: Self::F, y: Self::F) -> Self::F {
        super::elementwise::better(self, Float::Min, Integer::Or, x, y)
    }

    #[inline(always)]
    fn neg_integer(&mut self, x: Self::I) -> Self::I {
        let zero = self.integer_like(x, 0);
        self.integer(Integer::Sub, zero, x)
    }

    #[inline(always)]
    fn not_integer(&mut self, x: Self::I) -> Self::I {
        let all = self.integer_like(x, -1);
        self.integer(Integer::Xor, x, all)
    }

    /// `f32` to `u8`.
    #[inline(always)]
    fn byte_of(&mut self, x: Self::F) -> Self::I {
        let whole = self.integer_of(DType::U32, x);
        let most = self.i32(255);
        let byte = self.integer(Integer::MinUnsigned, whole, most);
        self.resize(DType::U32, DType::U8, byte)
    }

    /// `f16` or `bf16` as `f32`; a NaN stays one.
    #[inline(always)]
    fn widen(&mut self, from: DType, x: Self::I) -> Self::F {
        half::widen(self, from, x)
    }

    /// `f32` rounded to the nearest `f16` or `bf16`, ties to even; a NaN stays one.
    #[inline(always)]
    fn narrow(&mut self, to: DType, x: Self::F) -> Self::I {
        half::narrow(self, to, x)
    }

    /// `x * 2^n`, rounded once, for `x` between a half and two and a whole `n` from -150 to 128;
    /// the low 10 bits of `biased` are `n` plus twice the exponent bias.
    #[inline(always)]
    fn times_power(&mut self, x: Self::F, _n: Self::F, biased: Self::I) -> Self::F {
        functions::times_power(self, x, biased)
    }
}

/// The operations by their names.
macro_rules! named {
    ($($name:ident($($x:ident: $type:ident),*) -> $result:ident = $call:ident($($op:expr),*);)*) => {
        /// [`Lanes`]' operations by their names.
        pub(super) trait Named: Lanes {
            $(#[inline(always)]
            fn $name(&mut self, $($x: Self::$type),*) -> Self::$result {
                self.$call($($op,)* $($x),*)
            })*
        }

        impl<L: Lanes + ?Sized> Named for L {}
    };
}

named! {
    add(x: F, y: F) -> F = float(Float::Add);
    sub(x: F, y: F) -> F = float(Float::Sub);
    mul(x: F, y: F) -> F = float(Float::Mul);
    div(x: F, y: F) -> F = float(Float::Div);
    min(x: F, y: F) -> F = float(Float::Min);
    max(x: F, y: F) -> F = float(Float::Max);
    less(x: F, y: F) -> B = compare(Comparison::Less);
    equal(x: F, y: F) -> B = compare(Comparison::Equal);
    convert(x: I) -> F = float_of(DType::I32);
    add_i32(x: I, y: I) -> I = integer(Integer::Add);
    sub_i32(x: I, y: I) -> I = integer(Integer::Sub);
    and(x: I, y: I) -> I = integer(Integer::And);
    or(x: I, y: I) -> I = integer(Integer::Or);
}
