//! Conversions between types of numbers.

use crate::inst::Cvt;
use crate::lanes::flush;
use crate::round::{Format, Rounding, limits, sign_extend, to_integral, truncate};
use crate::types::{Kind, Type};

pub fn convert(bits: u64, cvt: &Cvt) -> u64 {
    let bits = truncate(bits, cvt.from.bits());
    let result = match (cvt.from.kind() == Kind::Float, cvt.to.kind() == Kind::Float) {
        (true, true) => float_to_float(bits, cvt),
        (true, false) => float_to_integer(bits, cvt),
        (false, true) => integer_to_float(bits, cvt),
        (false, false) => integer_to_integer(bits, cvt),
    };
    if cvt.to.kind() == Kind::Signed {
        return truncate(sign_extend(result, cvt.to.bits()) as u64, cvt.register_bits);
    }
    truncate(result, cvt.to.bits())
}

fn integer_value(bits: u64, ty: Type) -> i128 {
    if ty.kind() == Kind::Signed {
        i128::from(sign_extend(bits, ty.bits()))
    } else {
        i128::from(bits)
    }
}

fn integer_to_integer(bits: u64, cvt: &Cvt) -> u64 {
    let value = integer_value(bits, cvt.from);
    let (low, high) = limits(cvt.to);
    (if cvt.saturate {
        value.clamp(low, high)
    } else {
        value
    }) as u64
}

fn integer_to_float(bits: u64, cvt: &Cvt) -> u64 {
    let value = integer_value(bits, cvt.from);
    let magnitude = value.unsigned_abs() as u64;
    let format = Format::of(cvt.to);
    let result = format.encode_exact(value < 0, magnitude, 0, cvt.rounding);
    saturated(result, cvt)
}

fn float_value(bits: u64, cvt: &Cvt) -> f64 {
    if cvt.from == Type::F32 && cvt.flush {
        return f64::from(flush(f32::from_bits(bits as u32)));
    }
    Format::of(cvt.from).decode(bits)
}

fn float_to_float(bits: u64, cvt: &Cvt) -> u64 {
    let value = float_value(bits, cvt);
    if cvt.integral {
        let whole = to_integral(value, cvt.rounding);
        return saturated(Format::of(cvt.to).encode(whole, Rounding::Even), cvt);
    }
    saturated(Format::of(cvt.to).encode(value, cvt.rounding), cvt)
}

fn saturated(bits: u64, cvt: &Cvt) -> u64 {
    let format = Format::of(cvt.to);
    let bits = match cvt.to {
        Type::F32 if cvt.flush => u64::from(flush(f32::from_bits(bits as u32)).to_bits()),
        _ => bits,
    };
    if !cvt.saturate {
        return bits;
    }
    let value = format.decode(bits);
    format.encode(
        if value > 0.0 { value.min(1.0) } else { 0.0 },
        Rounding::Even,
    )
}

/// Values out of range become the nearest limit; not a number becomes zero, or the top bit alone
/// where 64 bits are involved.
fn float_to_integer(bits: u64, cvt: &Cvt) -> u64 {
    let value = float_value(bits, cvt);
    if value.is_nan() {
        let wide = cvt.from == Type::F64 || cvt.to.bits() == 64;
        return if wide { 1 << (cvt.to.bits() - 1) } else { 0 };
    }
    let (low, high) = limits(cvt.to);
    (to_integral(value, cvt.rounding) as i128).clamp(low, high) as u64
}

/// Two f32 to the halves of 32 bits; a is the high half.
pub fn pair(a: u64, b: u64, to: Type, rounding: Rounding, relu: bool) -> u64 {
    let half = |bits: u64| {
        let value = f32::from_bits(bits as u32);
        let value = if relu && value < 0.0 { 0.0 } else { value };
        Format::of(to).encode(f64::from(value), rounding)
    };
    half(a) << 16 | half(b)
}
