//! Arithmetic of single elements.

/// `f32`, `f64` and the integers.
pub(super) trait Number: Copy + PartialOrd {
    fn from_index(index: usize) -> Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    fn sign(self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// NaN if either is; `-0 < +0`.
    fn larger(self, other: Self) -> Self;
    /// NaN if either is; `-0 < +0`.
    fn smaller(self, other: Self) -> Self;
}

/// Integers as bits.
pub(super) trait Bits: Copy {
    fn shift_left(self, amount: Self) -> Self;
    /// Arithmetic for signed types.
    fn shift_right(self, amount: Self) -> Self;
}

macro_rules! float {
    ($($type:ident)*) => {
        $(impl Number for $type {
            fn from_index(index: usize) -> Self {
                index as $type
            }

            fn neg(self) -> Self {
                -self
            }

            fn abs(self) -> Self {
                $type::abs(self)
            }

            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self
                }
            }

            fn add(self, other: Self) -> Self {
                self + other
            }

            fn sub(self, other: Self) -> Self {
                self - other
            }

            fn mul(self, other: Self) -> Self {
                self * other
            }

            fn larger(self, other: Self) -> Self {
                if self.is_nan() || other.is_nan() {
                    $type::NAN
                } else if self == other {
                    // Equal numbers have equal bits, except that zeros may differ in sign.
                    $type::from_bits(self.to_bits() & other.to_bits())
                } else if self > other {
                    self
                } else {
                    other
                }
            }

            fn smaller(self, other: Self) -> Self {
                -(-self).larger(-other)
            }
        })*
    };
}

float!(f32 f64);

macro_rules! integer {
    ($($type:ident: $abs:expr, $sign:expr;)*) => {
        $(impl Number for $type {
            fn from_index(index: usize) -> Self {
                index as $type
            }

            fn neg(self) -> Self {
                self.wrapping_neg()
            }

            fn abs(self) -> Self {
                let abs: fn($type) -> $type = $abs;
                abs(self)
            }

            fn sign(self) -> Self {
                let sign: fn($type) -> $type = $sign;
                sign(self)
            }

            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn larger(self, other: Self) -> Self {
                self.max(other)
            }

            fn smaller(self, other: Self) -> Self {
                self.min(other)
            }
        }

        impl Bits for $type {
            fn shift_left(self, amount: Self) -> Self {
                if in_width(amount as u64, $type::BITS) { self << amount } else { 0 }
            }

            fn shift_right(self, amount: Self) -> Self {
                let last = $type::BITS - 1;
                if in_width(amount as u64, $type::BITS) {
                    self >> amount
                } else {
                    // All bits out: what the sign leaves of a signed number, else 0.
                    self >> last >> 1
                }
            }
        })*
    };
}

/// Whether a shift amount, sign-extended if it was signed, is below the width.
fn in_width(amount: u64, width: u32) -> bool {
    amount < u64::from(width)
}

integer! {
    i32: i32::wrapping_abs, i32::signum;
    i64: i64::wrapping_abs, i64::signum;
    u8: |x| x, |x| x.min(1);
    u32: |x| x, |x| x.min(1);
    u64: |x| x, |x| x.min(1);
}
