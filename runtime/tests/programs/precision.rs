//! Contractions and attention in bf16, f16 and 8 bits: how far from f32, and the same on every family.

use super::common::{fill, host};
use bsq_codegen::cpu::microkernel::Family;
use bsq_codegen::lower::{Options, Precision};
use bsq_codegen::pipeline;
use bsq_ir::eval::{self, Values, evaluate};
use bsq_ir::{DType, Function, Graph, Scope, Tensor};
use bsq_runtime::{CompileOptions, compile};
use proptest::prelude::*;

/// Output `y` under every family and with 1 and 2 threads, which must agree on every bit.
fn run(function: &Function, precision: Precision) -> Vec<f32> {
    let mut results: Vec<Vec<f32>> = Vec::new();
    for family in Family::all_supported() {
        for threads in [1, 2] {
            let options = CompileOptions {
                family: Some(family),
                threads,
                precision,
                ..Default::default()
            };
            let executable = compile(function, &options).unwrap();
            let bound = function
                .parameters()
                .map(|(_, name, ty)| (name.to_string(), host(&fill(name, ty))));
            let mut session = executable.bind(bound.collect()).unwrap();
            let given: Vec<_> = function
                .inputs()
                .map(|(_, name, ty)| (name, host(&fill(name, ty))))
                .collect();
            let given: Vec<_> = given.iter().map(|(name, value)| (*name, value)).collect();
            let outputs = session.run(&given).unwrap();
            results.push(outputs["y"].as_slice::<f32>().unwrap().to_vec());
        }
    }
    let bits = |values: &[f32]| -> Vec<u32> { values.iter().map(|v| v.to_bits()).collect() };
    for other in &results[1..] {
        assert_eq!(bits(other), bits(&results[0]));
    }
    results.swap_remove(0)
}

/// An output by the evaluator.
fn exact(function: &Function, name: &str) -> Vec<f32> {
    let values = |given: &mut dyn Iterator<Item = (String, bsq_ir::Type)>| -> Values {
        given
            .map(|(name, ty)| (name.clone(), fill(&name, &ty)))
            .collect()
    };
    let inputs = values(
        &mut function
            .inputs()
            .map(|(_, n, ty)| (n.to_string(), ty.clone())),
    );
    let parameters = values(
        &mut function
            .parameters()
            .map(|(_, n, ty)| (n.to_string(), ty.clone())),
    );
    let wanted = evaluate(function, &inputs, &parameters, eval::Precision::F32).unwrap();
    wanted.outputs[name].as_f32().to_vec()
}

/// `y = x w` with both sides in the format, beside `x w` and sums of magnitudes in f32.
fn product(rows: usize, k: usize, columns: usize, precision: Precision) -> [Vec<f32>; 3] {
    let round = |x: Tensor<'static>| -> Tensor<'static> {
        match precision {
            Precision::Int8 => {
                let (bytes, scales) = x.quantize(-1);
                bytes.dequantize(scales, -1)
            }
            _ => x.cast(DType::BF16).cast(DType::F32),
        }
    };
    let g: &'static Graph = Box::leak(Box::new(Graph::new()));
    let x = g.input("x", DType::F32, [rows, k]);
    let w = g.parameter("w", DType::F32, [columns, k]);
    let narrow = round(x).matmul_transposed(round(w));
    // What a rounded element may be off by, at most.
    let bound = match precision {
        // Half a step: each side's largest magnitude over 2 * 127.
        Precision::Int8 => {
            let half =
                |x: Tensor<'static>| (x.abs().max(-1) * (1.001 / 254.0)).expand_axes(-1, x.shape());
            let (x_off, w_off) = (half(x), half(w));
            x.abs().matmul_transposed(w_off) + x_off.matmul_transposed(w.abs() + w_off)
        }
        // 2^-8 of both sides (8 bits, the nearest of them), and the sum's own roundings.
        _ => {
            x.abs().matmul_transposed(w.abs()) * (2f64.powi(-7) * 1.01 + k as f64 * 2f64.powi(-24))
        }
    };
    let function = g.function([("y", narrow.id())], []);
    let reference = g.function(
        [("y", x.matmul_transposed(w).id()), ("bound", bound.id())],
        [],
    );
    [
        run(&function, precision),
        exact(&reference, "y"),
        exact(&reference, "bound"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn products_are_within_their_bounds(
        rows in 1usize..30, steps in 1usize..60, columns in 1usize..200, int8: bool,
    ) {
        let precision = if int8 { Precision::Int8 } else { Precision::Bf16 };
        let [y, wanted, bound] = product(rows, 4 * steps, columns, precision);
        let mut differs = false;
        for ((y, wanted), bound) in y.iter().zip(&wanted).zip(&bound) {
            let off = (y - wanted).abs();
            prop_assert!(off <= *bound, "{y} is {off} off {wanted}, bound {bound}");
            differs |= off > 0.0;
        }
        prop_assert!(differs, "nothing was rounded");
    }
}

fn f16(x: Tensor<'_>) -> Tensor<'_> {
    x.cast(DType::F16).cast(DType::F32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Terms in the order of f32, whatever widens them: numbers that are subnormal in f16 (here
    /// some of 2^-14 and below, down to zero) have the same bits everywhere too.
    #[test]
    fn f16_has_the_bits_of_the_graph_that_spells_its_roundings(
        rows in 1usize..130, k in 1usize..300, columns in 1usize..70, small in 0i32..20,
    ) {
        let g = Graph::new();
        let x = g.input("x", DType::F32, [rows, k]) * 2f64.powi(-small);
        let w = g.parameter("w", DType::F32, [columns, k]);
        let y = f16(x).matmul_transposed(f16(w));
        let function = g.function([("y", y.id())], []);
        let options = Options { precision: Precision::F16, ..Options::default() };
        let kernels = pipeline::lower(&function, &options).unwrap().kernels;
        let takes_f16 = kernels.iter().any(|kernel| kernel.to_string().contains("contract f16"));
        prop_assert_eq!(takes_f16, k % 2 == 0);
        prop_assert_eq!(run(&function, Precision::F16), exact(&function, "y"));
    }
}

/// Sides in f16 that are read beside others in f32.
#[test]
fn f16_beside_f32_is_widened_before() {
    let g = Graph::new();
    let (x, w) = (
        g.input("x", DType::F32, [9, 40]),
        g.parameter("w", DType::F32, [33, 40]),
    );
    let (left, right) = (f16(x), f16(w));
    let y = left.matmul_transposed(right) + x.matmul_transposed(right) + left.matmul_transposed(w);
    let function = g.function([("y", y.id())], []);
    assert_eq!(run(&function, Precision::F16), exact(&function, "y"));
}

#[test]
fn f16_ends_at_65504() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [40, 2]).abs() * 2f64.powi(17);
    let w = g.parameter("w", DType::F32, [2, 1]).abs() + 0.5;
    let function = g.function([("y", f16(x).matmul(f16(w)).id())], []);
    let y = run(&function, Precision::F16);
    assert_eq!(y, exact(&function, "y"));
    let infinite = y.iter().filter(|y| **y == f32::INFINITY).count();
    assert!(infinite > 0 && infinite < 40, "{infinite}");
}

/// A linear layer; parameters are uniform in +-1 in these tests, so it keeps the variance.
fn layer<'g>(x: Tensor<'g>, scope: Scope<'g>, outputs: usize) -> Tensor<'g> {
    let inputs = x.shape()[x.rank() - 1];
    x.linear(scope, outputs) * (3.0 / inputs as f64).sqrt()
}

fn heads<'g>(x: Tensor<'g>) -> Tensor<'g> {
    let [batch, tokens, width] = *x.shape() else {
        panic!("[batch, tokens, width]");
    };
    x.reshape([batch, tokens, 4, width / 4])
        .transpose(&[0, 2, 1, 3])
}

#[test]
fn a_transformer_is_close_to_f32_and_the_same_on_every_family() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let width = 48;
    let x = g.input("x", DType::F32, [2, 20, 12]);
    let mut x = layer(x, &model / "embed", width);
    for number in 0..2 {
        let scope = &model / number;
        let qkv = layer(x, &scope / "qkv", 3 * width).chunk(3, -1);
        let [q, k, v] = [0, 1, 2].map(|part| heads(qkv[part]));
        let o = q.attention(k, v, 0.3, None).transpose(&[0, 2, 1, 3]);
        x = x + layer(o.reshape(x.shape()), &scope / "out", width);
        let hidden = layer(x, &scope / "up", 4 * width).gelu();
        x = x + layer(hidden, &scope / "down", width);
    }
    let y = layer(x, &model / "head", 10);
    let function = g.function([("y", y.id())], []);
    let wanted = exact(&function, "y");
    let size = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>();
    let whole = size(&mut wanted.iter().copied());
    // Each of 8 layers in a row adds about 0.3% (bf16: 2^-8 / sqrt 3 of both sides) or 0.6%
    // (bytes: 1 / (127 sqrt 12) of the largest, which is about 2 to 4 times the usual), in a random
    // walk: 0.9% and 1.7%. The bounds are twice that.
    // f16 has 3 bits more than bf16.
    for (precision, bound) in [
        (Precision::Bf16, 0.018),
        (Precision::F16, 0.018 / 8.0),
        (Precision::Int8, 0.034),
    ] {
        let y = run(&function, precision);
        let off = size(&mut y.iter().zip(&wanted).map(|(y, wanted)| y - wanted));
        let off = (off / whole).sqrt();
        assert!(off > 1e-4 && off < bound, "{precision:?} is {off} off");
    }
    assert_eq!(run(&function, Precision::F32), wanted);
}
