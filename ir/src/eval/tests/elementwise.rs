//! Elementwise ops, with the edges of each element type.

use super::*;
use crate::dtype::DType;
use half::{bf16, f16};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

#[test]
fn signs() {
    let x = row(&[-2.5f32, -0.0, 0.0, 3.0, NAN, -INF]);
    let of = |op, wanted: [f32; 6]| check(op, std::slice::from_ref(&x), row(&wanted));
    of(Op::Neg, [2.5, 0.0, -0.0, -3.0, NAN, INF]);
    of(Op::Abs, [2.5, 0.0, 0.0, 3.0, NAN, INF]);
    of(Op::Sign, [-1.0, -0.0, 0.0, 1.0, NAN, -1.0]);
    let x = [row(&[i32::MIN, -7, 0, 7])];
    check(Op::Neg, &x, row(&[i32::MIN, 7, 0, -7]));
    check(Op::Abs, &x, row(&[i32::MIN, 7, 0, 7]));
    check(Op::Sign, &x, row(&[-1i32, -1, 0, 1]));
    let x = [row(&[0u8, 1, 200])];
    check(Op::Neg, &x, row(&[0u8, 255, 56]));
    check(Op::Abs, &x, x[0].clone());
    check(Op::Sign, &x, row(&[0u8, 1, 1]));
}

#[test]
fn real_functions() {
    let x = [row(&[0.0f32, 1.0, -0.0, NAN, INF, 1e-45])];
    check(Op::Exp, &x, row(&[1.0f32, 2.718_281_7, 1.0, NAN, INF, 1.0]));
    check(Op::Log, &x, row(&[-INF, 0.0, -INF, NAN, INF, -103.278_93]));
    check(
        Op::Sqrt,
        &x,
        row(&[0.0f32, 1.0, -0.0, NAN, INF, 3.743_392e-23]),
    );
    check(
        Op::Tanh,
        &x,
        row(&[0.0f32, 0.761_594_2, -0.0, NAN, 1.0, 1e-45]),
    );
    check(
        Op::Erf,
        &x,
        row(&[0.0f32, 0.842_700_8, -0.0, NAN, 1.0, 1e-45]),
    );
    check(
        Op::Sin,
        &x,
        row(&[0.0f32, 0.841_471, -0.0, NAN, NAN, 1e-45]),
    );
    check(Op::Cos, &x, row(&[1.0f32, 0.540_302_3, 1.0, NAN, NAN, 1.0]));
    check(
        Op::Floor,
        &[row(&[-1.5f32, -0.0, 0.9, 2.0, NAN, -INF])],
        row(&[-2.0f32, -0.0, 0.0, 2.0, NAN, -INF]),
    );
    check(Op::Sqrt, &[row(&[-1.0f32])], row(&[NAN]));
}

#[test]
fn not() {
    check(Op::Not, &[row(&[true, false])], row(&[false, true]));
    check(Op::Not, &[row(&[0u8, 5])], row(&[255u8, 250]));
    check(Op::Not, &[row(&[0i64, -1])], row(&[-1i64, 0]));
}

#[test]
fn float_arithmetic() {
    let (x, y) = (
        row(&[1.5f32, 1e38, INF, 1e-45]),
        row(&[-0.5f32, 1e38, INF, 1e-45]),
    );
    let of = |op, wanted: [f32; 4]| check(op, &[x.clone(), y.clone()], row(&wanted));
    of(Op::Add, [1.0, 2e38, INF, 3e-45]);
    of(Op::Sub, [2.0, 0.0, NAN, 0.0]);
    of(Op::Mul, [-0.75, INF, INF, 0.0]);
    of(Op::Div, [-3.0, 1.0, NAN, 1.0]);
}

#[test]
fn extrema_order_zeros_and_keep_nan() {
    let x = row(&[1.0f32, -0.0, 0.0, -0.0, NAN, 1.0, -INF]);
    let y = row(&[2.0f32, 0.0, -0.0, -0.0, 1.0, NAN, -1.0]);
    let max = row(&[2.0f32, 0.0, 0.0, -0.0, NAN, NAN, -1.0]);
    let min = row(&[1.0f32, -0.0, -0.0, -0.0, NAN, NAN, -INF]);
    check(Op::Max, &[x.clone(), y.clone()], max);
    check(Op::Min, &[x, y], min);
    check(Op::Max, &[row(&[-1i32]), row(&[1i32])], row(&[1i32]));
    check(Op::Min, &[row(&[u64::MAX]), row(&[1u64])], row(&[1u64]));
}

#[test]
fn integer_arithmetic_wraps() {
    let operands = [
        row(&[i32::MAX, i32::MIN, 1 << 20]),
        row(&[1i32, 1, 1 << 20]),
    ];
    check(Op::Add, &operands, row(&[i32::MIN, i32::MIN + 1, 1 << 21]));
    check(Op::Sub, &operands, row(&[i32::MAX - 1, i32::MAX, 0]));
    check(Op::Mul, &operands, row(&[i32::MAX, i32::MIN, 0]));
    check(Op::Add, &[row(&[250u8]), row(&[10u8])], row(&[4u8]));
    check(
        Op::Mul,
        &[row(&[u64::MAX]), row(&[2u64])],
        row(&[u64::MAX - 1]),
    );
}

#[test]
fn comparisons() {
    let operands = [
        row(&[1.0f32, 2.0, -0.0, NAN, NAN]),
        row(&[2.0f32, 2.0, 0.0, NAN, 1.0]),
    ];
    check(
        Op::Equal,
        &operands,
        row(&[false, true, true, false, false]),
    );
    check(
        Op::Less,
        &operands,
        row(&[true, false, false, false, false]),
    );
    check(
        Op::LessEqual,
        &operands,
        row(&[true, true, true, false, false]),
    );
    let operands = [row(&[-1i64, 3]), row(&[0i64, 3])];
    check(Op::Less, &operands, row(&[true, false]));
    check(Op::Less, &[row(&[u32::MAX]), row(&[0u32])], row(&[false]));
    let operands = [row(&[false, true]), row(&[true, true])];
    check(Op::Equal, &operands, row(&[false, true]));
    check(Op::Less, &operands, row(&[true, false]));
}

#[test]
fn logic() {
    let operands = [
        row(&[false, false, true, true]),
        row(&[false, true, false, true]),
    ];
    check(Op::And, &operands, row(&[false, false, false, true]));
    check(Op::Or, &operands, row(&[false, true, true, true]));
    check(Op::Xor, &operands, row(&[false, true, true, false]));
    let operands = [row(&[0b1100u32]), row(&[0b1010u32])];
    check(Op::And, &operands, row(&[0b1000u32]));
    check(Op::Or, &operands, row(&[0b1110u32]));
    check(Op::Xor, &operands, row(&[0b0110u32]));
}

#[test]
fn shifts_beyond_the_width() {
    let amounts = row(&[0i32, 4, 31, 32, -1]);
    let x = row(&[-17i32; 5]);
    let operands = [x, amounts];
    check(Op::ShiftLeft, &operands, row(&[-17, -272, i32::MIN, 0, 0]));
    check(Op::ShiftRight, &operands, row(&[-17, -2, -1, -1, -1]));
    let operands = [row(&[0x81u8; 4]), row(&[1u8, 7, 8, 255])];
    check(Op::ShiftLeft, &operands, row(&[2u8, 0x80, 0, 0]));
    check(Op::ShiftRight, &operands, row(&[0x40u8, 1, 0, 0]));
    check(
        Op::ShiftRight,
        &[row(&[u64::MAX]), row(&[63u64])],
        row(&[1u64]),
    );
}

#[test]
fn select() {
    let condition = row(&[true, false, true]);
    let operands = [
        condition,
        row(&[1.0f32, 2.0, NAN]),
        row(&[4.0f32, 5.0, 6.0]),
    ];
    check(Op::Select, &operands, row(&[1.0f32, 5.0, NAN]));
    let operands = [row(&[true, false]), row(&[false; 2]), row(&[true; 2])];
    check(Op::Select, &operands, row(&[false, true]));
}

#[test]
fn float_to_integer_truncates_and_saturates() {
    let x = [row(&[-1.9f32, 1.9, 300.0, NAN, -INF, 1e20])];
    let to = |dtype, wanted| check(Op::Cast(dtype), &x, wanted);
    to(DType::I32, row(&[-1i32, 1, 300, 0, i32::MIN, i32::MAX]));
    to(DType::U8, row(&[0u8, 1, 255, 0, 0, 255]));
    to(DType::U64, row(&[0u64, 1, 300, 0, 0, u64::MAX]));
    to(DType::I64, row(&[-1i64, 1, 300, 0, i64::MIN, i64::MAX]));
    to(DType::U32, row(&[0u32, 1, 300, 0, 0, u32::MAX]));
    to(DType::Bool, row(&[true; 6]));
    check(
        Op::Cast(DType::Bool),
        &[row(&[0.0f32, -0.0])],
        row(&[false; 2]),
    );
}

#[test]
fn integer_casts_wrap_and_round_to_nearest() {
    let x = [row(&[-1i64, 256 + 7, (1 << 32) + 5])];
    check(Op::Cast(DType::U8), &x, row(&[255u8, 7, 5]));
    check(Op::Cast(DType::I32), &x, row(&[-1i32, 263, 5]));
    check(
        Op::Cast(DType::U64),
        &x,
        row(&[u64::MAX, 263, (1 << 32) + 5]),
    );
    // 2^24 + 1 and 2^24 + 3 lie between two f32: to the even one.
    let x = [row(&[(1i32 << 24) + 1, (1 << 24) + 3])];
    check(
        Op::Cast(DType::F32),
        &x,
        row(&[16_777_216f32, 16_777_220.0]),
    );
    check(
        Op::Cast(DType::F32),
        &[row(&[true, false])],
        row(&[1.0f32, 0.0]),
    );
    check(
        Op::Cast(DType::I64),
        &[row(&[true, false])],
        row(&[1i64, 0]),
    );
    check(
        Op::Cast(DType::Bool),
        &[row(&[0u8, 2])],
        row(&[false, true]),
    );
}

#[test]
fn storage_formats_round_to_nearest_even() {
    let half = |x: &[u16]| row(&x.iter().map(|&x| f16::from_bits(x)).collect::<Vec<_>>());
    let brain = |x: &[u16]| row(&x.iter().map(|&x| bf16::from_bits(x)).collect::<Vec<_>>());
    // Ties at 1 + 2^-11 (down to even) and 1 + 3 * 2^-11 (up to even); overflow; a subnormal.
    let x = [row(&[
        1.0f32 + 2f32.powi(-11),
        1.0 + 3.0 * 2f32.powi(-11),
        65_520.0,
        6e-8,
    ])];
    check(
        Op::Cast(DType::F16),
        &x,
        half(&[0x3C00, 0x3C02, 0x7C00, 0x0001]),
    );
    let x = [row(&[
        1.0f32 + 2f32.powi(-8),
        1.0 + 3.0 * 2f32.powi(-8),
        f32::MAX,
    ])];
    check(Op::Cast(DType::BF16), &x, brain(&[0x3F80, 0x3F82, 0x7F80]));
    check(
        Op::Cast(DType::F32),
        &[brain(&[0x4049])],
        row(&[3.140_625f32]),
    );
    check(
        Op::Cast(DType::F32),
        &[half(&[0x3555])],
        row(&[0.333_251_95f32]),
    );
    check(Op::Cast(DType::I32), &[half(&[0xC500])], row(&[-5i32]));
}

#[test]
fn double_precision_does_not_round() {
    let third = [row(&[1.0f64 / 3.0])];
    let of = |op| results(op, &third, Precision::F64)[0].to_f64()[0];
    assert_eq!(of(Op::Exp), (1.0f64 / 3.0).exp());
    assert_eq!(of(Op::Erf), libm::erf(1.0 / 3.0));
    let stored = &results(Op::Cast(DType::BF16), &third, Precision::F64)[0];
    assert_eq!(
        (stored.dtype(), stored.to_f64()),
        (DType::BF16, vec![1.0 / 3.0])
    );
}
