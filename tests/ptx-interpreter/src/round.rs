//! Rounding between number formats, in every direction PTX knows.

use super::types::{Kind, Type};

/// Directions of rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even (.rn, .rni).
    Even,
    /// To nearest, ties away from zero (.rna).
    Away,
    /// Towards zero (.rz, .rzi).
    Zero,
    /// Towards minus infinity (.rm, .rmi).
    Minus,
    /// Towards plus infinity (.rp, .rpi).
    Plus,
}

impl Rounding {
    /// Whether to step away from zero, given the last kept bit and how the rest compares with half.
    fn steps(self, negative: bool, odd: bool, rest: Rest) -> bool {
        match self {
            _ if rest == Rest::Zero => false,
            Rounding::Even => rest == Rest::More || (rest == Rest::Half && odd),
            Rounding::Away => rest != Rest::Less,
            Rounding::Zero => false,
            Rounding::Minus => negative,
            Rounding::Plus => !negative,
        }
    }
}

/// What is cut off, in units of the last kept bit, against one half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Zero,
    Less,
    Half,
    More,
}

/// A binary floating-point format.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
}

impl Format {
    pub fn of(ty: Type) -> Format {
        let (exponent_bits, fraction_bits) = match ty {
            Type::F16 => (5, 10),
            Type::Bf16 => (8, 7),
            Type::F32 => (8, 23),
            Type::F64 => (11, 52),
            other => unreachable!("{} is no floating-point type", other.name()),
        };
        Format {
            exponent_bits,
            fraction_bits,
        }
    }

    fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    fn infinity(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    /// The value of bits in this format; exact.
    pub fn decode(self, bits: u64) -> f64 {
        let fraction = bits & ((1 << self.fraction_bits) - 1);
        let exponent = (bits >> self.fraction_bits) & ((1 << self.exponent_bits) - 1);
        let negative = (bits >> (self.fraction_bits + self.exponent_bits)) & 1 == 1;
        let magnitude = if exponent == (1 << self.exponent_bits) - 1 {
            if fraction == 0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        } else {
            let scale = exponent.max(1) as i32 - self.bias() - self.fraction_bits as i32;
            let hidden = if exponent == 0 {
                0
            } else {
                1 << self.fraction_bits
            };
            (fraction | hidden) as f64 * 2f64.powi(scale)
        };
        if negative { -magnitude } else { magnitude }
    }

    /// The bits of a value in this format; NaN is the one of NVIDIA's GPUs.
    pub fn encode(self, value: f64, rounding: Rounding) -> u64 {
        if value.is_nan() {
            return self.infinity() | ((1 << self.fraction_bits) - 1);
        }
        let sign = u64::from(value.is_sign_negative()) << (self.exponent_bits + self.fraction_bits);
        if value.is_infinite() {
            return sign | self.infinity();
        }
        let bits = value.to_bits();
        let exponent = (bits >> 52) as i32 & 0x7ff;
        let hidden = if exponent == 0 { 0 } else { 1 << 52 };
        let mantissa = (bits & ((1 << 52) - 1)) | hidden;
        self.encode_exact(
            value.is_sign_negative(),
            mantissa,
            exponent.max(1) - 1075,
            rounding,
        )
    }

    /// The bits of `mantissa * 2^exponent`.
    pub fn encode_exact(self, negative: bool, mantissa: u64, exponent: i32, mode: Rounding) -> u64 {
        let sign = u64::from(negative) << (self.exponent_bits + self.fraction_bits);
        if mantissa == 0 {
            return sign;
        }
        let top = exponent + 63 - mantissa.leading_zeros() as i32;
        // The exponent of the last bit that the format can hold.
        let last = top.max(1 - self.bias()) - self.fraction_bits as i32;
        let shift = last - exponent;
        let (mut kept, rest) = if shift <= 0 {
            (mantissa << -shift, Rest::Zero)
        } else {
            split(mantissa, shift as u32)
        };
        kept += u64::from(mode.steps(negative, kept & 1 == 1, rest));
        let field = (last + self.fraction_bits as i32 + self.bias()) as u64;
        let bits = (field << self.fraction_bits) + kept - (1 << self.fraction_bits);
        if bits < self.infinity() {
            return sign | bits;
        }
        let grows = match mode {
            Rounding::Even | Rounding::Away => true,
            Rounding::Zero => false,
            Rounding::Minus => negative,
            Rounding::Plus => !negative,
        };
        sign | if grows {
            self.infinity()
        } else {
            self.infinity() - 1
        }
    }
}

fn split(mantissa: u64, shift: u32) -> (u64, Rest) {
    if shift > 64 {
        return (0, Rest::Less);
    }
    let half = 1u64 << (shift - 1);
    let (kept, rest) = if shift == 64 {
        (0, mantissa)
    } else {
        (mantissa >> shift, mantissa & ((1 << shift) - 1))
    };
    let rest = match rest {
        0 => Rest::Zero,
        _ if rest < half => Rest::Less,
        _ if rest == half => Rest::Half,
        _ => Rest::More,
    };
    (kept, rest)
}

/// Rounds to a whole number; the sign of zero is kept.
pub fn to_integral(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Even => value.round_ties_even(),
        Rounding::Away => value.round(),
        Rounding::Zero => value.trunc(),
        Rounding::Minus => value.floor(),
        Rounding::Plus => value.ceil(),
    }
}

/// The lowest and the highest value of an integer type.
pub fn limits(ty: Type) -> (i128, i128) {
    match ty.kind() {
        Kind::Signed => (-(1i128 << (ty.bits() - 1)), (1i128 << (ty.bits() - 1)) - 1),
        _ => (0, (1i128 << ty.bits()) - 1),
    }
}

/// Sign-extends the low `bits` bits.
pub fn sign_extend(value: u64, bits: u32) -> i64 {
    ((value << (64 - bits)) as i64) >> (64 - bits)
}

/// The low `bits` bits.
pub fn truncate(value: u64, bits: u32) -> u64 {
    if bits == 64 {
        value
    } else {
        value & ((1 << bits) - 1)
    }
}
