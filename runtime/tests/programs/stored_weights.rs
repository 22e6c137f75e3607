//! Weights stored as bf16 and as bytes: widened in registers, with the bits of the graph as
//! written.

use super::common::check;
use bsq_codegen::kernel::{Format, Stmt};
use bsq_codegen::pipeline;
use bsq_ir::{DType, Function, Graph, Tensor};
use proptest::prelude::*;

/// The formats of a function's contractions, as programs are compiled.
fn formats(function: &Function) -> Vec<Format> {
    fn collect(body: &[Stmt], found: &mut Vec<Format>) {
        for stmt in body {
            match stmt {
                Stmt::Loop { body, .. } => collect(body, found),
                Stmt::Contract(contract) => found.push(contract.format),
                _ => {}
            }
        }
    }
    let program = pipeline::program(function, false, &Default::default());
    let mut found = Vec::new();
    for kernel in &program.unwrap().kernels {
        collect(&kernel.body, &mut found);
    }
    found
}

fn bytes<'g>(g: &'g Graph, name: &str, outputs: usize, inputs: usize) -> Tensor<'g> {
    let bytes = g.parameter(name, DType::U8, [outputs, inputs]);
    let scales = g.parameter(&format!("{name}.scales"), DType::F32, [outputs]);
    bytes.dequantize(scales, -1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn linear_layers_have_the_bits_of_the_evaluator(
        rows in 1usize..40, inputs in 1usize..300, outputs in 1usize..220, epilogue: bool,
    ) {
        let g = Graph::new();
        let x = g.input("x", DType::F32, [rows, inputs]);
        let half = g.parameter("half", DType::BF16, [outputs, inputs]).cast(DType::F32);
        let mut y = x.matmul_transposed(half);
        let mut z = x.matmul_transposed(bytes(&g, "bytes", outputs, inputs));
        if epilogue {
            let bias = g.parameter("bias", DType::F32, [outputs]);
            y = (y + bias).gelu();
            z = (z + bias).tanh();
        }
        let function = g.function([("y", y.id()), ("z", z.id())], []);
        let found = formats(&function);
        prop_assert!(found.contains(&Format::Bf16Weights), "{found:?}");
        prop_assert!(found.contains(&Format::U8Weights), "{found:?}");
        check(&function);
    }
}

#[test]
fn weights_that_are_not_transposed() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [3, 5, 40]);
    let half = g.parameter("half", DType::BF16, [40, 50]).cast(DType::F32);
    let quarter = g.parameter("bytes", DType::U8, [40, 50]);
    let scales = g.parameter("scales", DType::F32, [50]);
    let (y, z) = (x.matmul(half), x.matmul(quarter.dequantize(scales, 0)));
    let function = g.function([("y", y.id()), ("z", z.id())], []);
    let mut found = formats(&function);
    found.sort();
    assert_eq!(found, [Format::Bf16Weights, Format::U8Weights]);
    check(&function);
}

#[test]
fn scales_that_differ_along_the_sum_are_multiplied_before() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [7, 40]);
    let quarter = g.parameter("bytes", DType::U8, [33, 40]);
    let scales = g.parameter("scales", DType::F32, [40]);
    let y = x.matmul_transposed(quarter.dequantize(scales, 0));
    let function = g.function([("y", y.id())], []);
    assert_eq!(formats(&function), [Format::F32]);
    check(&function);
}

#[test]
fn widened_weights_that_others_read_too() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [7, 40]);
    let half = g.parameter("half", DType::BF16, [33, 40]).cast(DType::F32);
    let y = x.matmul_transposed(half);
    let function = g.function([("y", y.id()), ("sum", half.sum(0).id())], []);
    check(&function);
    let left = g.input("left", DType::BF16, [9, 40]).cast(DType::F32);
    let (y, z) = (left.matmul_transposed(half), left.matmul_transposed(x));
    check(&g.function([("y", y.id()), ("z", z.id())], []));
}

/// A contraction takes f16 on both sides or not at all, and in f32 not at all.
#[test]
fn f16_is_widened_before_a_contraction_in_f32() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [7, 40]);
    let half = g.parameter("half", DType::F16, [33, 40]).cast(DType::F32);
    let left = g.input("left", DType::F16, [9, 40]).cast(DType::F32);
    let (y, z) = (x.matmul_transposed(half), left.matmul_transposed(half));
    let function = g.function([("y", y.id()), ("z", z.id())], []);
    assert_eq!(formats(&function), [Format::F32, Format::F32]);
    check(&function);
}

#[test]
fn quantization_and_back() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [9, 70]);
    let (bytes, scales) = x.quantize(-1);
    let y = bytes.dequantize(scales, -1);
    check(&g.function([("bytes", bytes.id()), ("y", y.id())], []));
}
