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

fn flush(x: f32) -> f32 {
    if x.is_subnormal() {
        0f32.copysign(x)
    } else {
        x
    }
}

fn integers() -> Vec<Case> {
    let zero = |v: &[u64]| v[1] == 0;
    vec![
        Case::two("add.u16", u16::wrapping_add),
        Case::two("add.s32", i32::wrapping_add),
        Case::two("add.u64", u64::wrapping_add),
        Case::two("add.sat.s32", i32::saturating_add),
        Case::two("sub.s16", i16::wrapping_sub),
        Case::two("sub.u32", u32::wrapping_sub),
        Case::two("sub.s64", i64::wrapping_sub),
        Case::two("sub.sat.s32", i32::saturating_sub),
        Case::two("mul.lo.u16", u16::wrapping_mul),
        Case::two("mul.lo.s32", i32::wrapping_mul),
        Case::two("mul.lo.u64", u64::wrapping_mul),
        Case::two("mul.hi.u16", |a: u16, b: u16| {
            ((u32::from(a) * u32::from(b)) >> 16) as u16
        }),
        Case::two("mul.hi.s16", |a: i16, b: i16| {
            ((i32::from(a) * i32::from(b)) >> 16) as i16
        }),
        Case::two("mul.hi.u32", |a: u32, b: u32| {
            ((u64::from(a) * u64::from(b)) >> 32) as u32
        }),
        Case::two("mul.hi.s32", |a: i32, b: i32| {
            ((i64::from(a) * i64::from(b)) >> 32) as i32
        }),
        Case::two("mul.hi.u64", |a: u64, b: u64| {
            ((u128::from(a) * u128::from(b)) >> 64) as u64
        }),
        Case::two("mul.hi.s64", |a: i64, b: i64| {
            ((i128::from(a) * i128::from(b)) >> 64) as i64
        }),
        Case::two("mul.wide.u16", |a: u16, b: u16| u32::from(a) * u32::from(b)),
        Case::two("mul.wide.s16", |a: i16, b: i16| i32::from(a) * i32::from(b)),
        Case::two("mul.wide.u32", |a: u32, b: u32| u64::from(a) * u64::from(b)),
        Case::two("mul.wide.s32", |a: i32, b: i32| i64::from(a) * i64::from(b)),
        Case::three("mad.lo.s32", |a: i32, b: i32, c: i32| {
            a.wrapping_mul(b).wrapping_add(c)
        }),
        Case::three("mad.hi.u32", |a: u32, b: u32, c: u32| {
            (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c)
        }),
        Case::three("mad.wide.u32", |a: u32, b: u32, c: u64| {
            (u64::from(a) * u64::from(b)).wrapping_add(c)
        }),
        Case::three("mad.wide.s32", |a: i32, b: i32, c: i64| {
            (i64::from(a) * i64::from(b)).wrapping_add(c)
        }),
        Case::two("div.u32", |a: u32, b: u32| a.checked_div(b).unwrap_or(0)).except(zero),
        Case::two(
            "div.s32",
            |a: i32, b: i32| if b == 0 { 0 } else { a.wrapping_div(b) },
        )
        .except(zero),
        Case::two("div.u64", |a: u64, b: u64| a.checked_div(b).unwrap_or(0)).except(zero),
        Case::two("rem.u32", |a: u32, b: u32| a.checked_rem(b).unwrap_or(0)).except(zero),
        Case::two(
            "rem.s64",
            |a: i64, b: i64| if b == 0 { 0 } else { a.wrapping_rem(b) },
        )
        .except(zero),
        Case::two("min.u16", u16::min),
        Case::two("min.s32", i32::min),
        Case::two("min.u64", u64::min),
        Case::two("max.s16", i16::max),
        Case::two("max.u32", u32::max),
        Case::two("max.s64", i64::max),
        Case::one("abs.s32", i32::wrapping_abs),
        Case::one("abs.s64", i64::wrapping_abs),
        Case::one("neg.s16", i16::wrapping_neg),
        Case::one("neg.s32", i32::wrapping_neg),
    ]
}

fn bits() -> Vec<Case> {
    let field32 = |a: u32, start: u32, len: u32| {
        let (start, len) = (start & 255, len & 255);
        let shifted = a.checked_shr(start).unwrap_or(0);
        if len >= 32 {
            shifted
        } else {
            shifted & ((1 << len) - 1)
        }
    };
    vec![
        Case::two("and.b32", |a: u32, b: u32| a & b),
        Case::two("or.b64", |a: u64, b: u64| a | b),
        Case::two("xor.b16", |a: u16, b: u16| a ^ b),
        Case::one("not.b16", |a: u16| !a),
        Case::one("not.b32", |a: u32| !a),
        Case::one("not.b64", |a: u64| !a),
        Case::two("shl.b16", |a: u16, b: u32| a.checked_shl(b).unwrap_or(0)),
        Case::two("shl.b32", |a: u32, b: u32| a.checked_shl(b).unwrap_or(0)),
        Case::two("shl.b64", |a: u64, b: u32| a.checked_shl(b).unwrap_or(0)),
        Case::two("shr.u16", |a: u16, b: u32| a.checked_shr(b).unwrap_or(0)),
        Case::two("shr.b32", |a: u32, b: u32| a.checked_shr(b).unwrap_or(0)),
        Case::two("shr.u64", |a: u64, b: u32| a.checked_shr(b).unwrap_or(0)),
        Case::two("shr.s16", |a: i16, b: u32| a >> b.min(15)),
        Case::two("shr.s32", |a: i32, b: u32| a >> b.min(31)),
        Case::two("shr.s64", |a: i64, b: u32| a >> b.min(63)),
        Case::three("shf.l.wrap.b32", |a: u32, b: u32, c: u32| {
            ((u64::from(b) << 32 | u64::from(a)) << (c % 32) >> 32) as u32
        }),
        Case::three("shf.r.wrap.b32", |a: u32, b: u32, c: u32| {
            ((u64::from(b) << 32 | u64::from(a)) >> (c % 32)) as u32
        }),
        Case::three("shf.l.clamp.b32", |a: u32, b: u32, c: u32| {
            ((u64::from(b) << 32 | u64::from(a)) << c.min(32) >> 32) as u32
        }),
        Case::three("shf.r.clamp.b32", |a: u32, b: u32, c: u32| {
            ((u64::from(b) << 32 | u64::from(a)) >> c.min(32)) as u32
        }),
        Case::three("lop3.b32 | , 0x96", |a: u32, b: u32, c: u32| a ^ b ^ c),
        Case::three("lop3.b32 | , 0xE8", |a: u32, b: u32, c: u32| {
            a & b | a & c | b & c
        }),
        Case::three("lop3.b32 | , 0xCA", |a: u32, b: u32, c: u32| a & b | !a & c),
        Case::three("lop3.b32 | , 0x40", |a: u32, b: u32, c: u32| a & b & !c),
        Case::three("bfe.u32", field32),
        Case::three("bfe.s32", move |a: u32, start: u32, len: u32| {
            let (first, count) = (start & 255, len & 255);
            let last = (first + count).saturating_sub(1).min(31);
            let sign = if count > 0 && a >> last & 1 == 1 {
                u32::MAX
            } else {
                0
            };
            // Bits that the field has and the value too; the rest is the sign.
            let have = count.min(32u32.saturating_sub(first));
            let mask = if have >= 32 {
                u32::MAX
            } else {
                (1 << have) - 1
            };
            field32(a, first, have) & mask | sign & !mask
        }),
        Case::three("bfe.u64", |a: u64, start: u32, len: u32| {
            let (start, len) = (start & 255, len & 255);
            let shifted = a.checked_shr(start).unwrap_or(0);
            if len >= 64 {
                shifted
            } else {
                shifted & ((1 << len) - 1)
            }
        }),
        Case::three("bfi.b32 | , 9", |a: u32, b: u32, start: u32| {
            let mask = 0x1ffu32.checked_shl(start & 255).unwrap_or(0);
            b & !mask | a.checked_shl(start & 255).unwrap_or(0) & mask
        }),
        Case::three("bfi.b64 | , 40", |a: u64, b: u64, start: u32| {
            let mask = 0xff_ffff_ffffu64.checked_shl(start & 255).unwrap_or(0);
            b & !mask | a.checked_shl(start & 255).unwrap_or(0) & mask
        }),
        Case::three("prmt.b32", |a: u32, b: u32, c: u32| {
            let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
            let pick = |i: u32| {
                let selector = c >> (4 * i);
                let byte = bytes[selector as usize & 7];
                if selector & 8 == 0 {
                    byte
                } else {
                    ((byte as i8) >> 7) as u8
                }
            };
            u32::from_le_bytes([0, 1, 2, 3].map(pick))
        }),
        Case::one("popc.b32", |a: u32| a.count_ones()),
        Case::one("popc.b64", |a: u64| a.count_ones()),
        Case::one("clz.b32", |a: u32| a.leading_zeros()),
        Case::one("clz.b64", |a: u64| a.leading_zeros()),
        Case::one("brev.b32", |a: u32| a.reverse_bits()),
        Case::one("brev.b64", |a: u64| a.reverse_bits()),
        Case::three("dp4a.s32.s32", |a: u32, b: u32, c: i32| {
            let parts = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
            parts.fold(c, |sum, (a, b)| {
                sum.wrapping_add(i32::from(a as i8) * i32::from(b as i8))
            })
        }),
        Case::three("dp4a.u32.s32", |a: u32, b: u32, c: i32| {
            let parts = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
            parts.fold(c, |sum, (a, b)| {
                sum.wrapping_add(i32::from(a) * i32::from(b as i8))
            })
        }),
        Case::three("dp4a.u32.u32", |a: u32, b: u32, c: u32| {
            let parts = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
            parts.fold(c, |sum, (a, b)| {
                sum.wrapping_add(u32::from(a) * u32::from(b))
            })
        }),
        Case::three(
            "slct.b32.s32",
            |a: u32, b: u32, c: i32| if c >= 0 { a } else { b },
        ),
        Case::three(
            "slct.u64.f32",
            |a: u64, b: u64, c: f32| if c >= 0.0 { a } else { b },
        ),
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
    let unit = |x: f32| if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) };
    // Only zeros differ: a saturated zero has no specified sign.
    let zero = |v: &[u64]| v.iter().any(|bits| bits << 33 == 0);
    vec![
        Case::two("add.rn.f32", |a: f32, b: f32| a + b),
        Case::two("add.rn.ftz.f32", |a: f32, b: f32| {
            flush(flush(a) + flush(b))
        }),
        Case::two("add.rn.sat.f32", move |a: f32, b: f32| unit(a + b)).except(zero),
        Case::two("sub.rn.f32", |a: f32, b: f32| a - b),
        Case::two("mul.rn.f32", |a: f32, b: f32| a * b),
        Case::two("mul.rn.ftz.f32", |a: f32, b: f32| {
            flush(flush(a) * flush(b))
        }),
        Case::two("div.rn.f32", |a: f32, b: f32| a / b),
        Case::one("sqrt.rn.f32", f32::sqrt),
        Case::one("rcp.rn.f32", |a: f32| 1.0 / a),
        Case::one("rcp.rn.ftz.f32", |a: f32| flush(1.0 / flush(a))),
        Case::three("fma.rn.f32", f32::mul_add),
        Case::three("fma.rn.ftz.f32", |a: f32, b: f32, c: f32| {
            flush(flush(a).mul_add(flush(b), flush(c)))
        }),
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
        Case::one("abs.ftz.f32", |a: f32| flush(a).abs()),
        Case::two("add.rn.f64", |a: f64, b: f64| a + b),
        Case::two("sub.rn.f64", |a: f64, b: f64| a - b),
        Case::two("mul.rn.f64", |a: f64, b: f64| a * b),
        Case::two("div.rn.f64", |a: f64, b: f64| a / b),
        Case::three("fma.rn.f64", f64::mul_add),
        Case::one("sqrt.rn.f64", f64::sqrt),
        Case::one("neg.f64", |a: f64| -a),
    ]
}

/// The value between two bf16 neighbours' that truncation gives, for directed rounding.
fn toward_zero(x: f32) -> bf16 {
    if x.is_nan() {
        bf16::NAN
    } else {
        bf16::from_bits((x.to_bits() >> 16) as u16)
    }
}

fn conversions() -> Vec<Case> {
    let nan32 = |v: &[u64]| f32::from_bits(v[0] as u32).is_nan();
    vec![
        Case::one("cvt.u32.u16", |a: u16| u32::from(a)),
        Case::one("cvt.s32.s16", |a: i16| i32::from(a)),
        Case::one("cvt.u64.u32", |a: u32| u64::from(a)),
        Case::one("cvt.s64.s32", |a: i32| i64::from(a)),
        Case::one("cvt.s32.s8", |a: i8| i32::from(a)),
        Case::one("cvt.u32.u8", |a: u8| u32::from(a)),
        Case::one("cvt.u16.u64", |a: u64| a as u16),
        Case::one("cvt.u32.u64", |a: u64| a as u32),
        Case::one("cvt.s8.s32", |a: i32| a as i8),
        Case::one("cvt.sat.s8.s32", |a: i32| a.clamp(-128, 127) as i8),
        Case::one("cvt.sat.u8.s32", |a: i32| a.clamp(0, 255) as u8),
        Case::one("cvt.sat.u16.s64", |a: i64| a.clamp(0, 65535) as u16),
        Case::one("cvt.sat.s32.u32", |a: u32| a.min(i32::MAX as u32) as i32),
        Case::one("cvt.rn.f32.s32", |a: i32| a as f32),
        Case::one("cvt.rn.f32.u32", |a: u32| a as f32),
        Case::one("cvt.rn.f32.s64", |a: i64| a as f32),
        Case::one("cvt.rn.f32.u64", |a: u64| a as f32),
        Case::one("cvt.rz.f32.u32", |a: u32| {
            let x = a as f32;
            if f64::from(x) > f64::from(a) {
                f32::from_bits(x.to_bits() - 1)
            } else {
                x
            }
        }),
        Case::one("cvt.rp.f32.u32", |a: u32| {
            let x = a as f32;
            if f64::from(x) < f64::from(a) {
                f32::from_bits(x.to_bits() + 1)
            } else {
                x
            }
        }),
        Case::one("cvt.rn.f64.s32", |a: i32| f64::from(a)),
        Case::one("cvt.rn.f64.u64", |a: u64| a as f64),
        Case::one("cvt.rzi.s32.f32", |a: f32| a as i32),
        Case::one("cvt.rzi.u32.f32", |a: f32| a as u32),
        Case::one("cvt.rzi.s64.f32", |a: f32| a as i64).except(nan32),
        Case::one("cvt.rzi.u8.f32", |a: f32| a as u8),
        Case::one("cvt.rni.s32.f32", |a: f32| a.round_ties_even() as i32),
        Case::one("cvt.rmi.s32.f32", |a: f32| a.floor() as i32),
        Case::one("cvt.rpi.s32.f32", |a: f32| a.ceil() as i32),
        Case::one("cvt.rni.s8.f32", |a: f32| a.round_ties_even() as i8),
        Case::one("cvt.rzi.s32.f64", |a: f64| a as i32).except(|v| f64::from_bits(v[0]).is_nan()),
        Case::one("cvt.rni.f32.f32", f32::round_ties_even),
        Case::one("cvt.rmi.f32.f32", f32::floor),
        Case::one("cvt.rpi.f32.f32", f32::ceil),
        Case::one("cvt.rzi.f32.f32", f32::trunc),
        Case::one("cvt.sat.f32.f32", |a: f32| {
            if a.is_nan() { 0.0 } else { a.clamp(0.0, 1.0) }
        })
        .except(|v| v[0] << 33 == 0),
        Case::one("cvt.ftz.f32.f32", flush),
        Case::one("cvt.f64.f32", |a: f32| f64::from(a)),
        Case::one("cvt.rn.f32.f64", |a: f64| a as f32),
        Case::one("cvt.rz.f32.f64", |a: f64| {
            let x = a as f32;
            let grew = f64::from(x).abs() > a.abs();
            if grew {
                f32::from_bits(x.to_bits() - 1)
            } else {
                x
            }
        }),
        Case::one("cvt.rn.f16.f32", f16::from_f32),
        Case::one("cvt.f32.f16", |a: f16| f32::from(a)),
        Case::one("cvt.rn.f16.s32", |a: i32| f16::from_f64(f64::from(a))),
        Case::one("cvt.rzi.s32.f16", |a: f16| f32::from(a) as i32),
        Case::one("cvt.rn.bf16.f32", bf16::from_f32),
        Case::one("cvt.rz.bf16.f32", toward_zero),
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
