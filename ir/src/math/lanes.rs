//! The machine operations that the functions are made of, and their scalar form.

/// Operations that every target has exactly: IEEE `f32` arithmetic rounded to nearest even with
/// subnormals kept, and wrapping 32-bit integers. A value is as many lanes as the target likes:
/// one `f32` in the evaluator, a vector register, or a name in emitted code.
pub trait Lanes {
    /// `f32` lanes.
    type F: Copy;
    /// 32-bit integer lanes.
    type I: Copy;
    /// The result of a comparison.
    type B: Copy;

    /// `value` in every lane.
    fn f32(&mut self, value: f32) -> Self::F;
    /// `value` in every lane.
    fn i32(&mut self, value: i32) -> Self::I;

    fn add(&mut self, x: Self::F, y: Self::F) -> Self::F;
    fn sub(&mut self, x: Self::F, y: Self::F) -> Self::F;
    fn mul(&mut self, x: Self::F, y: Self::F) -> Self::F;
    fn div(&mut self, x: Self::F, y: Self::F) -> Self::F;
    /// `x * y + z`, rounded once.
    fn fma(&mut self, x: Self::F, y: Self::F, z: Self::F) -> Self::F;

    /// `x < y`; false if either is NaN.
    fn less(&mut self, x: Self::F, y: Self::F) -> Self::B;
    /// `x == y`; false if either is NaN.
    fn equal(&mut self, x: Self::F, y: Self::F) -> Self::B;
    fn select(&mut self, condition: Self::B, x: Self::F, y: Self::F) -> Self::F;
    /// `x < y ? x : y`, so `y` if either is NaN: the x86 instruction `minps x, y`.
    fn min(&mut self, x: Self::F, y: Self::F) -> Self::F;
    /// `y < x ? x : y`, so `y` if either is NaN: the x86 instruction `maxps x, y`.
    fn max(&mut self, x: Self::F, y: Self::F) -> Self::F;

    /// The bits of each lane.
    fn bits(&mut self, x: Self::F) -> Self::I;
    /// The lanes with these bits.
    fn with_bits(&mut self, bits: Self::I) -> Self::F;
    /// The nearest `f32` of a signed integer.
    fn convert(&mut self, x: Self::I) -> Self::F;

    fn add_i32(&mut self, x: Self::I, y: Self::I) -> Self::I;
    fn sub_i32(&mut self, x: Self::I, y: Self::I) -> Self::I;
    fn and(&mut self, x: Self::I, y: Self::I) -> Self::I;
    fn or(&mut self, x: Self::I, y: Self::I) -> Self::I;
    fn shift_left(&mut self, x: Self::I, amount: u32) -> Self::I;
    /// Shifts in zeros.
    fn shift_right_logical(&mut self, x: Self::I, amount: u32) -> Self::I;
    /// Shifts in the sign.
    fn shift_right_arithmetic(&mut self, x: Self::I, amount: u32) -> Self::I;

    /// `x * 2^n`, rounded once, for `x` between a half and two and a whole `n` from -150 to 128;
    /// the low 10 bits of `biased` are `n` plus twice the exponent bias. A target with an
    /// instruction for it gives that.
    #[inline(always)]
    fn times_power(&mut self, x: Self::F, _n: Self::F, biased: Self::I) -> Self::F {
        super::functions::times_power(self, x, biased)
    }
}

/// One lane in Rust's own arithmetic.
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
    fn add(&mut self, x: f32, y: f32) -> f32 {
        x + y
    }

    #[inline(always)]
    fn sub(&mut self, x: f32, y: f32) -> f32 {
        x - y
    }

    #[inline(always)]
    fn mul(&mut self, x: f32, y: f32) -> f32 {
        x * y
    }

    #[inline(always)]
    fn div(&mut self, x: f32, y: f32) -> f32 {
        x / y
    }

    #[inline(always)]
    fn fma(&mut self, x: f32, y: f32, z: f32) -> f32 {
        x.mul_add(y, z)
    }

    #[inline(always)]
    fn less(&mut self, x: f32, y: f32) -> bool {
        x < y
    }

    #[inline(always)]
    fn equal(&mut self, x: f32, y: f32) -> bool {
        x == y
    }

    #[inline(always)]
    fn select(&mut self, condition: bool, x: f32, y: f32) -> f32 {
        if condition { x } else { y }
    }

    #[inline(always)]
    fn min(&mut self, x: f32, y: f32) -> f32 {
        if x < y { x } else { y }
    }

    #[inline(always)]
    fn max(&mut self, x: f32, y: f32) -> f32 {
        if y < x { x } else { y }
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
    fn convert(&mut self, x: i32) -> f32 {
        x as f32
    }

    #[inline(always)]
    fn add_i32(&mut self, x: i32, y: i32) -> i32 {
        x.wrapping_add(y)
    }

    #[inline(always)]
    fn sub_i32(&mut self, x: i32, y: i32) -> i32 {
        x.wrapping_sub(y)
    }

    #[inline(always)]
    fn and(&mut self, x: i32, y: i32) -> i32 {
        x & y
    }

    #[inline(always)]
    fn or(&mut self, x: i32, y: i32) -> i32 {
        x | y
    }

    #[inline(always)]
    fn shift_left(&mut self, x: i32, amount: u32) -> i32 {
        x << amount
    }

    #[inline(always)]
    fn shift_right_logical(&mut self, x: i32, amount: u32) -> i32 {
        (x as u32 >> amount) as i32
    }

    #[inline(always)]
    fn shift_right_arithmetic(&mut self, x: i32, amount: u32) -> i32 {
        x >> amount
    }
}
