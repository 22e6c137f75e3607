//! Each op against cases worked out by hand.

mod elementwise;
mod function;
mod fused;
mod indexing;
mod movement;
mod properties;
mod reduction;

use super::*;
use crate::shape::Shape;

/// The results of `op` on operands, through its type rule.
#[track_caller]
fn results(op: Op, operands: &[Value], precision: Precision) -> Vec<Value> {
    let types: Vec<[Type; 1]> = operands.iter().map(|x| [x.ty().clone()]).collect();
    let types: Vec<&[Type]> = types.iter().map(|ty| &ty[..]).collect();
    let result = match crate::op::infer(&op, &types) {
        Ok(types) => types,
        Err(error) => panic!("{error}"),
    };
    let operands: Vec<Value> = operands.iter().map(|x| x.to_precision(precision)).collect();
    let operands: Vec<&Value> = operands.iter().collect();
    apply(&op, &result, &operands, precision)
}

/// Asserts the only result of `op`, in `f32`.
#[track_caller]
fn check(op: Op, operands: &[Value], wanted: Value) {
    let name = op.name();
    let got = results(op, operands, Precision::F32);
    assert_eq!(got, [wanted], "{name}");
}

/// A tensor of rank 1.
fn row<T: Copy>(elements: &[T]) -> Value
where
    Vec<T>: Into<Data>,
{
    Value::new([elements.len()], elements.to_vec())
}

/// `f32` 0, 1, 2, ... in a shape.
fn counted(shape: impl Into<Shape>) -> Value {
    let shape = shape.into();
    let elements: Vec<f32> = (0..shape.elements()).map(|i| i as f32).collect();
    Value::new(shape, elements)
}

/// Values from -2 to 2 without a pattern, different for each `seed`.
fn noise(seed: u64, shape: impl Into<Shape>) -> Value {
    let shape = shape.into();
    let element = |i: usize| {
        let word = crate::philox::random_word(seed, 0, i as u64);
        (word >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    let elements: Vec<f32> = (0..shape.elements()).map(element).collect();
    Value::new(shape, elements)
}
