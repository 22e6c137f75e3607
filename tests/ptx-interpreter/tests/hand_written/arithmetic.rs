//! Every arithmetic instruction against Rust's own arithmetic.

use super::case::{Case, module_text};
use bsq_ptx_interpreter::ptxas::Ptxas;
use bsq_ptx_interpreter::{Device, Module};
use half::{bf16, f16};

fn run(cases: &[Case]) {
    let module = Module::parse(&module_text(cases)).unwrap_or_else(|error| panic!("{error}"));
    let mut device = Device::new();
    for (i, case) in cases.iter().enumerate() {
        case.check(&mut device, &module, &format!("case_{i}"))
            .unwrap();
    }
}

fn integers() -> Vec<Case> {
    let zero = |v: &[u64]| v[1] == 0;
    vec![
        Case::two("add.u32", u32::wrapping_add),
        Case::two("add.s32", i32::wrapping_add),
        Case::two("add.u64", u64::wrapping_add),
        Case::two("sub.u32", u32::wrapping_sub),
        Case::two("sub.s64", i64::wrapping_sub),
        Case::two("mul.lo.s32", i32::wrapping_mul),
        Case::two("mul.lo.u64", u64::wrapping_mul),
        Case::two("mul.wide.u32", |a: u32, b: u32| u64::from(a) * u64::from(b)),
        Case::two("mul.wide.s32", |a: i32, b: i32| i64::from(a) * i64::from(b)),
        Case::three("mad.lo.s32", |a: i32, b: i32, c: i32| {
            a.wrapping_mul(b).wrapping_add(c)
        }),
        Case::three("mad.lo.s64", |a: i64, b: i64, c: i64| {
            a.wrapping_mul(b).wrapping_add(c)
        }),
        Case::three("mad.wide.u32", |a: u32, b: u32, c: u64| {
            (u64::from(a) * u64::from(b)).wrapping_add(c)
        }),
        Case::three("mad.wide.s32", |a: i32, b: i32, c: i64| {
            (i64::from(a) * i64::from(b)).wrapping_add(c)
        }),
        Case::two("div.u32", |a: u32, b: u32| a.checked_div(b).unwrap_or(0)).except(zero),
        Case::two("rem.u32", |a: u32, b: u32| a.checked_rem(b).unwrap_or(0)).except(zero),
        Case::two("min.s32", i32::min),
        Case::two("min.u64", u64::min),
        Case::two("max.u32", u32::max),
        Case::two("max.s64", i64::max),
        Case::one("abs.s32", i32::wrapping_abs),
        Case::one("abs.s64", i64::wrapping_abs),
        Case::one("neg.s32", i32::wrapping_neg),
        Case::one("neg.s64", i64::wrapping_neg),
    ]
}

fn bits() -> Vec<Case> {
    vec![
        Case::two("and.b32", |a: u32, b: u32| a & b),
        Case::two("or.b64", |a: u64, b: u64| a | b),
        Case::two("xor.b32", |a: u32, b: u32| a ^ b),
        Case::one("not.b32", |a: u32| !a),
        Case::one("not.b64", |a: u64| !a),
        Case::two("shl.b32", |a: u32, b: u32| a.checked_shl(b).unwrap_or(0)),
        Case::two("shl.b64", |a: u64, b: u32| a.checked_shl(b).unwrap_or(0)),
        Case::two("shr.u32", |a: u32, b: u32| a.checked_shr(b).unwrap_or(0)),
        Case::two("shr.u64", |a: u64, b: u32| a.checked_shr(b).unwrap_or(0)),
        Case::two("shr.s32", |a: i32, b: u32| a >> b.min(31)),
        Case::two("shr.s64", |a: i64, b: u32| a >> b.min(63)),
        Case::three("bfe.u32", |a: u32, start: u32, len: u32| {
            let (start, len) = (start & 255, len & 255);
            let shifted = a.checked_shr(start).unwrap_or(0);
            if len >= 32 {
                shifted
            } else {
                shifted & ((1 << len) - 1)
            }
        }),
    ]
}

/// IEEE 754's minimum of numbers, which a NaN loses.
fn least(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a == 0.0 && b == 0.0 => f32::from_bits(a.to_bits() | b.to_bits()),
        _ => {
            if a < b {
                a
            } else {
                b
            }
        }
    }
}

fn floats() -> Vec<Case> {
    vec![
        Case::two("add.rn.f32", |a: f32, b: f32| a + b),
        Case::two("sub.rn.f32", |a: f32, b: f32| a - b),
        Case::two("mul.rn.f32", |a: f32, b: f32| a * b),
        Case::two("div.rn.f32", |a: f32, b: f32| a / b),
        Case::one("sqrt.rn.f32", f32::sqrt),
        Case::one("rcp.rn.f32", |a: f32| 1.0 / a),
        Case::three("fma.rn.f32", f32::mul_add),
        Case::two("min.f32", least),
        Case::two("max.f32", |a: f32, b: f32| -least(-a, -b)),
        Case::two("min.NaN.f32", |a: f32, b: f32| {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                least(a, b)
            }
        }),
        Case::two("max.NaN.f32", |a: f32, b: f32| {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                -least(-a, -b)
            }
        }),
        Case::one("abs.f32", f32::abs),
        Case::one("neg.f32", |a: f32| -a),
    ]
}

fn conversions() -> Vec<Case> {
    let nan32 = |v: &[u64]| f32::from_bits(v[0] as u32).is_nan();
    vec![
        Case::one("cvt.u32.u16", |a: u16| u32::from(a)),
        Case::one("cvt.u64.u32", |a: u32| u64::from(a)),
        Case::one("cvt.s64.s32", |a: i32| i64::from(a)),
        Case::one("cvt.u32.u64", |a: u64| a as u32),
        Case::one("cvt.rn.f32.s32", |a: i32| a as f32),
        Case::one("cvt.rn.f32.u32", |a: u32| a as f32),
        Case::one("cvt.rn.f32.s64", |a: i64| a as f32),
        Case::one("cvt.rn.f32.u64", |a: u64| a as f32),
        Case::one("cvt.rzi.s32.f32", |a: f32| a as i32),
        Case::one("cvt.rzi.u32.f32", |a: f32| a as u32),
        Case::one("cvt.rzi.s64.f32", |a: f32| a as i64).except(nan32),
        Case::one("cvt.rzi.u64.f32", |a: f32| a as u64).except(nan32),
        Case::one("cvt.rmi.f32.f32", f32::floor),
        Case::one("cvt.rn.f16.f32", f16::from_f32),
        Case::one("cvt.f32.f16", |a: f16| f32::from(a)),
        Case::one("cvt.rn.bf16.f32", bf16::from_f32),
        Case::two("cvt.rn.bf16x2.f32", |a: f32, b: f32| {
            u32::from(bf16::from_f32(a).to_bits()) << 16 | u32::from(bf16::from_f32(b).to_bits())
        })
        .except(|v| v.iter().any(|x| f32::from_bits(*x as u32).is_nan())),
        Case::two("cvt.rn.f16x2.f32", |a: f32, b: f32| {
            u32::from(f16::from_f32(a).to_bits()) << 16 | u32::from(f16::from_f32(b).to_bits())
        })
        .except(|v| v.iter().any(|x| f32::from_bits(*x as u32).is_nan())),
    ]
}

#[test]
fn integers_are_those_of_rust() {
    run(&integers());
}

#[test]
fn bit_fields_are_those_of_rust() {
    run(&bits());
}

#[test]
fn floats_are_those_of_rust() {
    run(&floats());
}

#[test]
fn conversions_are_those_of_rust() {
    run(&conversions());
}

#[test]
fn the_assembler_accepts_every_case() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    for cases in [integers(), bits(), floats(), conversions()] {
        let assembled = ptxas.assemble(&module_text(&cases), "sm_86").unwrap();
        assert_eq!(assembled.len(), cases.len());
    }
}
