//! Formats of the tensor cores.

use bsq_codegen::lower::Precision;
use bsq_ir::DType::{BF16, F32, I32};
use bsq_ir::{Float, Function, Graph, Mask, Op, Tensor};
use bsq_runtime::{CompileOptions, HostTensor, compile};
use bsq_tests::gpu::{self, Gpu, Target};
use proptest::prelude::*;

/// What a query sees: all keys, those before it, those up to the end of its block of some size.
fn masks(g: &Graph, length: usize) -> [Option<Tensor<'_>>; 3] {
    let causal = |shift: f64| {
        let [query, key] = [0, 1].map(|axis| {
            let position = g.iota(I32, [length, length], axis);
            position.shift_right(position.full_like(shift))
        });
        Some(key.le(query))
    };
    [None, causal(0.0), causal(3.0)]
}

/// Keys taken block by block: the largest score so far is another one than on the CPU, and with it
/// how a probability is rounded. Everything else is exact in tf32, as inputs have 8 bits.
#[test]
fn attention_on_tensor_cores() {
    for (precision, tf32, bound) in [
        (Precision::Bf16, false, 1.0 / 128.0),
        (Precision::F16, false, 1.0 / 1024.0),
        (Precision::F32, true, 1.0 / 1024.0),
    ] {
        for (length, depth) in [(2, 32), (20, 64), (64, 128), (70, 32), (70, 128), (150, 64)] {
            for case in 0..3 {
                let g = Graph::new();
                let part = |name| g.input(name, BF16, [1, 2, length, depth]).cast(F32);
                let mask = masks(&g, length)[case];
                let y = (part("q") * 3.0).attention(part("k"), part("v"), 0.7, mask);
                let target = Target { precision, tf32 };
                let (wanted, got) = in_format(&g.function([("y", y.id())], []), target, "attend");
                for (x, y) in wanted.iter().zip(&got) {
                    assert!(
                        (x - y).abs() <= bound,
                        "{x} on the CPU, {y}: {length} {depth} {case}, {precision:?}"
                    );
                }
            }
        }
    }
}

/// Tiles of scores that are computed again: all gradients of attention, with as many queries as
/// keys or fewer. Inputs have 8 bits: what is rounded are probabilities and gradients of scores.
#[test]
fn gradients_of_attention_on_tensor_cores() {
    let target = Target {
        precision: Precision::F32,
        tf32: true,
    };
    for (queries, keys) in [(2, 2), (20, 20), (64, 64), (70, 70), (150, 150), (37, 150)] {
        for case in 0..if queries == keys { 3 } else { 1 } {
            for (depth, value_depth) in [(32, 32), (64, 64), (32, 16)] {
                let g = Graph::new();
                let part =
                    |name, length, depth| g.input(name, BF16, [1, 2, length, depth]).cast(F32);
                let q = part("q", queries, depth);
                let (k, v) = (part("k", keys, depth), part("v", keys, value_depth));
                let mask = masks(&g, queries)[case];
                let y = q.attention(k, v, 0.35, mask) * part("g", queries, value_depth);
                let gradients = bsq_ir::autodiff::gradients(y.sum(..), &[q, k, v]);
                let flat: Vec<_> = gradients
                    .iter()
                    .map(|d| d.reshape([d.shape().iter().product::<usize>()]))
                    .collect();
                let function = g.function([("y", g.concat(&flat, 0).id())], []);
                let (wanted, got) = in_format(&function, target, "attend backward");
                let largest = wanted.iter().fold(0f32, |most, x| most.max(x.abs()));
                for (at, (x, y)) in wanted.iter().zip(&got).enumerate() {
                    assert!(
                        (x - y).abs() <= largest / 512.0,
                        "{at}: {x} on the CPU, {y}: {queries} {keys} {case} {depth} {value_depth}"
                    );
                }
            }
        }
    }
}

/// Three linear layers, of which the middle one runs in a narrow format.
fn layers(rows: usize, inputs: usize, outputs: usize) -> Function {
    let g = Graph::new();
    let x = g
        .input("x", F32, [rows, 8])
        .matmul(g.parameter("first", F32, [8, inputs]))
        .tanh();
    let y = x
        .matmul(g.parameter("middle", F32, [inputs, outputs]))
        .gelu();
    let y = y.matmul(g.parameter("last", F32, [outputs, 4]));
    g.function([("y", y.id())], [])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Sums of bytes are exact: tensor cores give the bits of the CPU.
    #[test]
    fn bytes_on_tensor_cores(rows in 1usize..150, inputs in 1usize..40, outputs in 1usize..150) {
        let target = Target { precision: Precision::Int8All, tf32: false };
        let (wanted, got) = in_format(&layers(rows, 4 * inputs, outputs), target, "contract");
        prop_assert_eq!(wanted, got);
    }

    /// Of numbers rounded to 8 or 11 bits the sums differ by their order, or by the rounding too.
    #[test]
    fn floats_on_tensor_cores(rows in 1usize..150, inputs in 1usize..40, outputs in 1usize..150) {
        let function = layers(rows, 4 * inputs, outputs);
        for (precision, tf32, parts) in [
            (Precision::Bf16, false, 256.0),
            (Precision::F16, false, 2048.0),
            (Precision::F32, true, 256.0),
        ] {
            let (wanted, got) = in_format(&function, Target { precision, tf32 }, "contract");
            let largest = wanted.iter().fold(0f32, |most, x| most.max(x.abs()));
            for (x, y) in wanted.iter().zip(&got) {
                prop_assert!((x - y).abs() <= largest / parts, "{x} on the CPU, {y}");
            }
        }
    }
}

/// The one output of a function in a format, on the CPU and on the GPU, where a kernel that uses
/// the tensor cores has a statement that starts with `main`.
fn in_format(function: &Function, target: Target, main: &str) -> (Vec<f32>, Vec<f32>) {
    let inputs = gpu::inputs(function);
    let parameters = gpu::parameters(function);
    let options = CompileOptions {
        precision: target.precision,
        narrow_activations: Some(true),
        ..Default::default()
    };
    let mut cpu = compile(function, &options)
        .unwrap()
        .bind(parameters.clone())
        .unwrap();
    let mut gpu = Gpu::new(function, target, &parameters, 2);
    let inputs: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
    let wanted = cpu.run(&inputs).unwrap();
    let got = gpu.run(&inputs).unwrap_or_else(|fault| panic!("{fault}"));
    let main = format!("// {main}");
    let mut of_main = gpu.entries().iter().zip(&gpu.stats);
    let found = of_main.any(|(entry, stats)| {
        let mut executed = stats.opcodes.keys();
        entry.text.contains(&main) && executed.any(|name| name.starts_with("mma"))
    });
    assert!(found, "no {main} on the tensor cores");
    [wanted, got]
        .map(|outputs| outputs["y"].as_slice::<f32>().unwrap().to_vec())
        .into()
}

/// Instructions of attention and its backward pass over 8 blocks of 64 queries and keys each: a
/// block-causal mask leaves 36 pairs of 64.
#[test]
fn blocks_of_keys_that_no_query_sees_are_skipped() {
    const LENGTH: usize = 512;
    let instructions = |mask: Mask| -> Vec<u64> {
        let g = Graph::new();
        let part = |name| g.input(name, F32, [1, LENGTH, 32]).id();
        let [q, k, v, gradient] = ["q", "k", "v", "g"].map(part);
        let scale = Float::new(0.25);
        let result = |node, index| g.add(Op::Projection(index), &[node]).unwrap();
        let forward = g.add(Op::Attention { scale, mask }, &[q, k, v]).unwrap();
        let [y, maxima, sums] = [0, 1, 2].map(|index| result(forward, index));
        let operands = [q, k, v, maxima, sums, gradient];
        let backward = g
            .add(Op::AttentionBackward { scale, mask }, &operands)
            .unwrap();
        let [dq, dk, dv] = [0, 1, 2].map(|index| result(backward, index));
        let function = g.function([("y", y), ("dq", dq), ("dk", dk), ("dv", dv)], []);
        let target = Target {
            tf32: true,
            ..Target::default()
        };
        let mut gpu = Gpu::new(&function, target, &Default::default(), 1);
        let inputs = gpu::inputs(&function);
        let inputs: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x)).collect();
        gpu.run(&inputs).unwrap_or_else(|fault| panic!("{fault}"));
        let kernels = gpu.program().kernels.iter().zip(&gpu.stats);
        let attends = kernels.filter(|(kernel, _)| kernel.to_string().contains("attend "));
        attends.map(|(_, stats)| stats.warp_instructions).collect()
    };
    let (all, masked) = (
        instructions(Mask::None),
        instructions(Mask::BlockCausal { size: 64 }),
    );
    assert_eq!(
        all.len(),
        3,
        "forward, gradients of queries, of keys and values"
    );
    for (all, masked) in all.into_iter().zip(masked) {
        let part = masked as f64 / all as f64;
        assert!(part < 0.7, "{part} of the instructions");
    }
}
