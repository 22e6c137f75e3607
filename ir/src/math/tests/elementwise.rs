//! The elementwise ops over [`Lanes`] beside the reference evaluator, which spells them in Rust's
//! own arithmetic.

use super::super::{Comparison, Float, Integer, Lanes, Logic, Scalar, Shift, elementwise};
use crate::dtype::DType;
use crate::eval::{Precision, Value, apply};
use crate::op::{Op, infer::infer};
use crate::shape::Type;

/// A machine with nothing but the required operations: values are words, conditions masks, and
/// bytes and half numbers are zero-extended.
struct Words;

fn float(x: u32) -> f32 {
    f32::from_bits(x)
}

fn mask(condition: bool) -> u32 {
    u32::from(condition).wrapping_neg()
}

impl Lanes for Words {
    type F = u32;
    type I = u32;
    type B = u32;

    fn f32(&mut self, value: f32) -> u32 {
        value.to_bits()
    }

    fn i32(&mut self, value: i32) -> u32 {
        value as u32
    }

    fn float(&mut self, op: Float, x: u32, y: u32) -> u32 {
        Scalar.float(op, float(x), float(y)).to_bits()
    }

    fn fma(&mut self, x: u32, y: u32, z: u32) -> u32 {
        Scalar.fma(float(x), float(y), float(z)).to_bits()
    }

    fn sqrt(&mut self, x: u32) -> u32 {
        float(x).sqrt().to_bits()
    }

    fn floor(&mut self, x: u32) -> u32 {
        float(x).floor().to_bits()
    }

    fn compare(&mut self, is: Comparison, x: u32, y: u32) -> u32 {
        mask(Scalar.compare(is, float(x), float(y)))
    }

    fn unordered(&mut self, x: u32, y: u32) -> u32 {
        mask(Scalar.unordered(float(x), float(y)))
    }

    fn select(&mut self, condition: u32, x: u32, y: u32) -> u32 {
        (condition & x) | (!condition & y)
    }

    fn bits(&mut self, x: u32) -> u32 {
        x
    }

    fn with_bits(&mut self, bits: u32) -> u32 {
        bits
    }

    fn float_of(&mut self, from: DType, x: u32) -> u32 {
        Scalar.float_of(from, x as i32).to_bits()
    }

    fn integer_of(&mut self, to: DType, x: u32) -> u32 {
        Scalar.integer_of(to, float(x)) as u32
    }

    fn integer(&mut self, op: Integer, x: u32, y: u32) -> u32 {
        Scalar.integer(op, x as i32, y as i32) as u32
    }

    fn shift(&mut self, op: Shift, x: u32, amount: u32) -> u32 {
        Scalar.shift(op, x as i32, amount) as u32
    }

    fn compare_integers(&mut self, is: Comparison, signed: bool, x: u32, y: u32) -> u32 {
        mask(Scalar.compare_integers(is, signed, x as i32, y as i32))
    }

    fn select_integer(&mut self, condition: u32, x: u32, y: u32) -> u32 {
        self.select(condition, x, y)
    }

    fn resize(&mut self, from: DType, to: DType, x: u32) -> u32 {
        Scalar.resize(from, to, x as i32) as u32
    }

    fn logic(&mut self, op: Logic, x: u32, y: u32) -> u32 {
        match op {
            Logic::And => x & y,
            Logic::Or => x | y,
            Logic::Xor => x ^ y,
        }
    }

    fn not(&mut self, x: u32) -> u32 {
        !x
    }

    fn if_true(&mut self, condition: u32, bits: i32) -> u32 {
        condition & bits as u32
    }
}

const TYPES: [DType; 7] = [
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::I32,
    DType::U32,
    DType::U8,
    DType::Bool,
];

/// Words of which there are elements of every kind: edges of the formats, their neighbours, and
/// others.
fn words() -> Vec<u32> {
    let floats = [
        0.0,
        0.49,
        1.0,
        1.5,
        254.9,
        255.0,
        65504.0,
        65520.0,
        65536.0,
        6e-8,
        3e-8,
        f32::MIN_POSITIVE,
        i32::MAX as f32,
        u32::MAX as f32,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
        -f32::NAN,
    ];
    let floats = floats.into_iter().flat_map(|x| [x, -x]).map(f32::to_bits);
    let integers = [1, 2, 7, 8, 31, 32, 255, 256, 0x387f_ffff, 0x7f80_0001];
    let halves = [
        0x0001, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0x7c01, 0x7f80, 0x7fff,
    ];
    let halves = halves.into_iter().flat_map(|x: u32| [x, x | 0x8000]);
    let edges = floats.chain(integers).chain(halves);
    let near = edges.flat_map(|x| [x.wrapping_sub(1), x, x.wrapping_add(1)]);
    let others = (0..60u32).map(|index| index.wrapping_mul(0x9e37_79b9));
    near.chain(others).collect()
}

/// The bytes of an element in a word's low bits; the word, as a [`Words`] element.
fn element(dtype: DType, word: u32) -> (Vec<u8>, u32) {
    let bits = match dtype {
        DType::Bool => word & 1,
        _ => word & (u32::MAX >> (32 - 8 * dtype.size())),
    };
    let bytes = bits.to_le_bytes()[..dtype.size()].to_vec();
    match dtype {
        DType::Bool => (bytes, mask(bits == 1)),
        _ => (bytes, bits),
    }
}

fn bytes_of(dtype: DType, word: u32) -> Vec<u8> {
    let bits = match dtype {
        DType::Bool => word & 1,
        _ => word,
    };
    // A machine with wider registers keeps the bits above an element zero.
    let size = dtype.size();
    assert!(size == 4 || bits >> (8 * size) == 0, "{bits:#x} of {dtype}");
    bits.to_le_bytes()[..size].to_vec()
}

/// Compares an op on all rows of operands.
fn check(op: &Op, from: &[DType], rows: &[Vec<u32>]) {
    let ty = |dtype: DType| Type::new(dtype, [rows.len()]);
    let operand_types: Vec<[Type; 1]> = from.iter().map(|&dtype| [ty(dtype)]).collect();
    let operand_types: Vec<&[Type]> = operand_types.iter().map(|ty| &ty[..]).collect();
    let Ok(types) = infer(op, &operand_types) else {
        return;
    };
    let to = types[0].dtype;
    let column = |(index, &dtype): (usize, &DType)| {
        let bytes = rows.iter().flat_map(|row| element(dtype, row[index]).0);
        Value::from_bytes(ty(dtype), &bytes.collect::<Vec<u8>>())
    };
    let columns: Vec<Value> = from.iter().enumerate().map(column).collect();
    let columns: Vec<&Value> = columns.iter().collect();
    let wanted = apply(op, &types, &columns, Precision::F32).remove(0);
    let got = rows.iter().flat_map(|row| {
        let row = from.iter().zip(row);
        let row: Vec<u32> = row.map(|(&dtype, &word)| element(dtype, word).1).collect();
        bytes_of(to, elementwise(&mut Words, op, (from[0], to), &row))
    });
    let got = Value::from_bytes(ty(to), &got.collect::<Vec<u8>>());
    if let Some(at) = got.first_difference(&wanted) {
        panic!("{} of {from:?} to {to}: {:#x?}", op.name(), rows[at]);
    }
}

#[test]
fn elementwise_ops_are_those_of_the_evaluator() {
    use Op::*;
    let unary = [
        Neg,
        Abs,
        Exp,
        Log,
        Sqrt,
        Tanh,
        Erf,
        Sin,
        Cos,
        Sign,
        Floor,
        Not,
        StopGradient,
    ];
    let binary = [
        Add, Sub, Mul, Div, Max, Min, Equal, Less, LessEqual, And, Or, Xor, ShiftLeft, ShiftRight,
    ];
    let words = words();
    let singles: Vec<Vec<u32>> = words.iter().map(|&x| vec![x]).collect();
    let pairs: Vec<Vec<u32>> = words
        .iter()
        .flat_map(|&x| words.iter().map(move |&y| vec![x, y]))
        .collect();
    let triples: Vec<Vec<u32>> = words
        .windows(3)
        .flat_map(|window| [0, 1].map(|condition| vec![condition, window[0], window[2]]))
        .collect();
    for dtype in TYPES {
        for op in unary.iter().cloned().chain(TYPES.map(Cast)) {
            check(&op, &[dtype], &singles);
        }
        for op in &binary {
            check(op, &[dtype; 2], &pairs);
        }
        check(&Select, &[DType::Bool, dtype, dtype], &triples);
    }
}

#[test]
fn every_half_number_is_widened_and_rounded_back() {
    let all: Vec<Vec<u32>> = (0..=u32::from(u16::MAX)).map(|x| vec![x]).collect();
    for dtype in [DType::F16, DType::BF16] {
        check(&Op::Cast(DType::F32), &[dtype], &all);
    }
    let sweep: Vec<Vec<u32>> = (0..=u32::MAX).step_by(4099).map(|x| vec![x]).collect();
    for dtype in [DType::F16, DType::BF16] {
        check(&Op::Cast(dtype), &[DType::F32], &sweep);
    }
}
