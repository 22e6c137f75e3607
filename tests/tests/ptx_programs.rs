//! Programs for GPUs, executed by the interpreter of PTX: in f32 the bits of the CPU.

use bsq_codegen::lower::Precision;
use bsq_ir::DType::{BF16, F16, F32, I32, I64, U8, U64};
use bsq_ir::{DType, Function, Graph, Tensor};
use bsq_runtime::{CompileOptions, HostTensor, compile};
use bsq_tests::gpu::{self, Gpu, Target};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, HostTensor>;

/// Outputs and new parameters on the CPU.
fn on_cpu(function: &Function, inputs: &Tensors, parameters: &Tensors) -> (Tensors, Tensors) {
    let executable = compile(function, &CompileOptions::default()).unwrap();
    let mut session = executable.bind(parameters.clone()).unwrap();
    let given: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
    let outputs = session.run(&given).unwrap();
    let updated = session.parameters().unwrap().into_iter();
    let updated = updated.map(|(name, x)| (name.to_string(), x.clone()));
    (outputs, updated.collect())
}

/// Runs a function on both; everything must be equal, bit for bit.
fn check(function: &Function) {
    let inputs = gpu::inputs(function);
    let parameters = gpu::parameters(function);
    let (outputs, updated) = on_cpu(function, &inputs, &parameters);
    let mut gpu = Gpu::new(function, Target::default(), &parameters, 1);
    let given: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
    let got = gpu.run(&given).unwrap_or_else(|fault| panic!("{fault}"));
    same(&outputs, &got);
    same(&updated, &gpu.parameters().unwrap());
}

fn same(wanted: &Tensors, got: &Tensors) {
    for (name, wanted) in wanted {
        let got = &got[name];
        assert_eq!(wanted.shape(), got.shape(), "{name}");
        let size = wanted.dtype().size();
        let elements = wanted.bytes().chunks(size).zip(got.bytes().chunks(size));
        let differs = elements
            .enumerate()
            .find(|(_, (wanted, got))| wanted != got);
        if let Some((at, (wanted, got))) = differs {
            panic!("{name} differs at element {at}: {wanted:02x?}, on the GPU {got:02x?}");
        }
    }
}

fn check_output(build: impl for<'g> Fn(&'g Graph) -> Tensor<'g>) {
    let g = Graph::new();
    let y = build(&g);
    check(&g.function([("y", y.id())], []));
}

#[test]
fn elementwise_chains() {
    for shape in [[3, 37], [1, 1], [17, 1000]] {
        check_output(|g| {
            let x = g.input("x", F32, shape);
            let b = g.input("b", F32, [shape[1]]);
            let y = (x + b).exp() * 0.5 - x.tanh() / (b.square() + 1.0) + x.erf();
            y.maximum(x.abs().log()) + x.sign() - x.floor()
        });
    }
}

#[test]
fn rows() {
    for width in [1, 5, 16, 37, 2100, 9000] {
        check_output(|g| g.input("x", F32, [5, width]).softmax());
        check_output(|g| {
            let x = g.input("x", F32, [4, width]);
            x.layer_norm(g.input("w", F32, [width]), g.input("b", F32, [width]), 1e-5)
        });
        check_output(|g| g.input("x", F32, [1, width]).l2_normalize(1e-12));
    }
}

#[test]
fn sums_over_any_axes() {
    check_output(|g| g.input("x", F32, [40, 33]).sum([0]));
    check_output(|g| g.input("x", F32, [3, 40, 33]).sum([0, 1]));
    check_output(|g| g.input("x", F32, [3, 40, 33]).sum([0, 2]));
    check_output(|g| g.input("x", F32, [5000, 3]).sum([0]));
    check_output(|g| g.input("x", F32, [3, 64, 64]).abs().mean(..));
    check_output(|g| g.input("x", F32, [3, 64, 64]).square().max(..));
    check_output(|g| g.input("x", F32, [4, 9]).argmax(-1));
}

/// 16 threads a column where there are terms enough, in one chunk and in several, and of columns
/// whole blocks and less; also where what is summed is updated in place.
#[test]
fn sums_down_columns() {
    for rows in [63, 64, 100, 2048, 2049, 5000] {
        for columns in [1, 16, 20, 33] {
            check_output(|g| g.input("x", F32, [rows, columns]).sum([0]));
        }
    }
    check_output(|g| g.input("x", F32, [3, 300, 20]).abs().max([1]));
    check_output(|g| g.input("x", I32, [2, 150, 18]).sum([1]));
    check_output(|g| g.input("x", I64, [2, 150, 18]).sum([1]));
    // Two sums at once, and one that needs another.
    check_output(|g| {
        let x = g.input("x", F32, [300, 20]);
        x.sum([0]) + (x * g.input("y", F32, [300, 20])).sum([0])
    });
    check_output(|g| {
        let x = g.input("x", F32, [300, 20]);
        (x - x.mean([0])).square().sum([0])
    });
    let g = Graph::new();
    let p = g.parameter("p", F32, [40]);
    let d = (g.input("x", F32, [300, 40]) + p).sum([0]);
    check(&g.function([], [(p.id(), (p - d * 0.1).id())]));
}

/// Of widths that are multiples of 4, of 2, and odd; rows are added to, and columns.
#[test]
fn elements_taken_together() {
    for shape in [[6, 36], [6, 38], [6, 37], [3, 8192 + 4]] {
        check_output(|g| {
            let x = g.input("x", F32, shape) + g.input("row", F32, [shape[1]]);
            x * g.input("column", F32, [shape[0], 1])
        });
        check_output(|g| g.input("x", F32, shape).transpose(&[1, 0]) * 2.0);
        check_output(|g| {
            let transposed = g.input("y", F32, [shape[1], shape[0]]).transpose(&[1, 0]);
            g.input("x", F32, shape) + transposed
        });
        check_output(|g| g.input("x", F32, shape).slice(1, 4..shape[1]).exp());
        check_output(|g| {
            let (x, y) = (g.input("x", BF16, shape), g.input("y", U8, shape));
            let z = g.input("z", I64, shape).cast(F32) + g.input("w", U64, shape).cast(F32);
            x.cast(F32) + y.cast(F32) * z
        });
        check_output(|g| {
            let (x, y) = (g.input("x", F32, shape), g.input("y", F32, shape));
            x.cast(BF16).cast(F32).where_(x.lt(y), y.cast(U8).cast(F32))
        });
        for to in [BF16, U8, I64, DType::Bool] {
            check_output(|g| g.input("x", F32, shape).cast(to));
        }
        // Where something is stored, nothing is loaded too late.
        let g = Graph::new();
        let [p, q] = ["p", "q"].map(|name| g.parameter(name, F32, shape));
        let x = g.input("x", F32, shape);
        let updates = [
            (p.id(), (p * 0.9 + x).id()),
            (q.id(), (q * 0.5 + p * x).id()),
        ];
        check(&g.function([], updates));
    }
}

#[test]
fn contractions() {
    let shapes = [
        (1, 1, 1),
        (7, 5, 3),
        (100, 64, 48),
        (97, 33, 200),
        (5, 300, 17),
        (16, 64, 256),
    ];
    for (m, k, n) in shapes {
        check_output(|g| g.input("x", F32, [m, k]).matmul(g.input("w", F32, [k, n])));
        check_output(|g| {
            let y = g
                .input("x", F32, [m, k])
                .matmul_transposed(g.input("w", F32, [n, k]));
            (y + g.input("b", F32, [n])).gelu()
        });
        check_output(|g| {
            let x = g.input("x", F32, [k, m]);
            x.dot_general(g.input("y", F32, [k, n]), &[], &[(0, 0)])
        });
    }
}

/// Large tiles of so few terms that no loop over slabs is left: the terms of a slab are one.
#[test]
fn contractions_of_few_terms() {
    for k in [22, 30] {
        let g = Graph::new();
        let y = (g.input("x", F32, [600, k])).matmul(g.input("w", F32, [k, 500]));
        let function = g.function([("y", y.id())], []);
        check(&function);
        let gpu = Gpu::new(&function, Target::default(), &Tensors::new(), 1);
        let large = |text: &str| text.contains("slabs of 16, 8 x 8 results a thread");
        assert!(gpu.entries().iter().any(|entry| large(&entry.text)));
    }
}

#[test]
fn contractions_of_many_axes() {
    check_output(|g| {
        let x = g.input("x", F32, [2, 3, 4, 5]);
        x.matmul(g.input("y", F32, [2, 3, 5, 6]))
    });
    check_output(|g| {
        let x = g.input("x", F32, [2, 8, 6, 24]).transpose(&[0, 2, 1, 3]);
        x.dot_general(g.input("y", F32, [7, 8, 24]), &[], &[(2, 1), (3, 2)])
    });
}

/// Attention of 2 heads of 8 channels, the keys that come before or all of them.
fn attention(g: &Graph, length: usize, causal: bool) -> Tensor<'_> {
    let qkv = g.input("qkv", F32, [2, length, 48]);
    let parts = qkv.chunk(3, -1);
    let [q, k, v] = [0, 1, 2].map(|i| parts[i].reshape([2, length, 2, 8]).transpose(&[0, 2, 1, 3]));
    let mask = causal.then(|| {
        let query = g.iota(I32, [length, length], 0);
        g.iota(I32, [length, length], 1).le(query)
    });
    q.attention(k, v, 0.35, mask)
        .transpose(&[0, 2, 1, 3])
        .reshape([2, length, 16])
}

#[test]
fn attention_and_its_gradient() {
    for length in [1, 20, 70] {
        for causal in [false, true] {
            check_output(|g| attention(g, length, causal));
            let g = Graph::new();
            let y = attention(&g, length, causal);
            let qkv = g.input("qkv", F32, [2, length, 48]);
            let gradient = bsq_ir::autodiff::gradients((y * y).sum(..), &[qkv]);
            check(&g.function([("d", gradient[0].id())], []));
        }
    }
}

#[test]
fn indexing_and_padding() {
    check_output(|g| {
        let x = g.input("x", F32, [7, 5]);
        x.gather(0, g.input("i", I32, [3, 2])) * 2.0
    });
    check_output(|g| {
        let x = g.input("x", F32, [7, 5]);
        x.scatter_add(0, g.input("i", I32, [9]), g.input("u", F32, [9, 5]))
    });
    check_output(|g| g.input("x", F32, [4, 5]).pad(1, 2, 3, 0.5));
    check_output(|g| {
        let (x, y) = (g.input("x", F32, [2, 3]), g.input("y", F32, [2, 4]));
        g.concat(&[x, y, x], 1)
    });
    check_output(|g| {
        g.input("x", F32, [9, 4])
            .dynamic_slice(0, g.input("s", I32, []), 3)
    });
    check_output(|g| {
        let x = g.input("x", F32, [9, 4]);
        x.dynamic_update_slice(0, g.input("u", F32, [2, 4]), g.input("s", I32, []))
    });
    check_output(|g| g.input("x", F32, [2, 11]).window(1, 3, 2, 1).sum(-1));
    check_output(|g| {
        let (key, counter) = (g.input("k", U64, []), g.input("c", U64, []));
        g.random_bits([3, 7], key, counter)
    });
}

#[test]
fn casts() {
    for from in [F32, I32, U8, U64, BF16, F16] {
        for to in DType::ALL {
            check_output(|g| g.input("x", from, [41]).cast(to));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Linear layers on weights as f32, bf16 and bytes, with an epilogue or without.
    #[test]
    fn linear_layers(
        rows in 1usize..150, inputs in 1usize..100, outputs in 1usize..200, epilogue: bool,
    ) {
        let g = Graph::new();
        let x = g.input("x", F32, [rows, inputs]);
        let whole = x.matmul_transposed(g.parameter("whole", F32, [outputs, inputs]));
        let half = g.parameter("half", BF16, [outputs, inputs]).cast(F32);
        let half = x.matmul_transposed(half);
        let bytes = g.parameter("bytes", U8, [outputs, inputs]);
        let bytes = bytes.dequantize(g.parameter("scales", F32, [outputs]), -1);
        let bytes = x.matmul_transposed(bytes);
        let bias = g.parameter("bias", F32, [outputs]);
        let named = [("whole", whole), ("half", half), ("bytes", bytes)];
        let named = named.map(|(name, y)| match epilogue {
            true => (name, (y + bias).gelu().id()),
            false => (name, y.id()),
        });
        check(&g.function(named, []));
    }

    /// Gradients of a layer norm and a linear layer: sums along columns, and updates.
    #[test]
    fn training_steps(rows in 1usize..80, width in 1usize..90, outputs in 1usize..40) {
        let g = Graph::new();
        let (gain, shift) = (g.parameter("gain", F32, [width]), g.parameter("shift", F32, [width]));
        let weight = g.parameter("weight", F32, [outputs, width]);
        let x = g.input("x", F32, [rows, width]).layer_norm(gain, shift, 1e-5);
        let loss = x.matmul_transposed(weight).tanh().square().mean(..);
        let parameters = [gain, shift, weight];
        let gradients = bsq_ir::autodiff::gradients(loss, &parameters);
        let updates = parameters.iter().zip(gradients);
        let updates: Vec<_> = updates.map(|(p, d)| (p.id(), (*p - d * 0.1).id())).collect();
        check(&g.function([("loss", loss.id())], updates));
    }
}

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

/// A penalty on a gradient, as discriminators have: derivatives of derivatives.
#[test]
fn second_derivatives() {
    let g = Graph::new();
    let x = g.input("x", F32, [9, 20]);
    let w = g.parameter("w", F32, [20, 12]);
    let y = x.matmul(w).gelu().softmax().square().sum(..);
    let slope = bsq_ir::autodiff::gradients(y, &[x])[0];
    let penalty = slope.square().sum(..);
    let d = bsq_ir::autodiff::gradients(penalty, &[w])[0];
    check(&g.function([("penalty", penalty.id())], [(w.id(), (w - d * 0.1).id())]));
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

#[test]
fn parameters_are_updated() {
    let g = Graph::new();
    let p = g.parameter("p", F32, [50, 8]);
    let q = g.parameter("q", F32, [8]);
    let y = g.input("x", F32, [4, 50]).matmul(p) + q;
    let p2 = p * 0.9 + y.mean(..) * 0.1;
    let q2 = q + p.sum([0]);
    check(&g.function([("y", y.id())], [(p.id(), p2.id()), (q.id(), q2.id())]));
}

/// Old and new value are one buffer: all threads must have loaded before one stores.
#[test]
fn one_value_is_updated_in_place() {
    let g = Graph::new();
    let p = g.parameter("p", F32, [1]);
    let x = g.input("x", F32, [67]);
    let new = p - (x * x).sum([0]) * 0.1;
    check(&g.function([], [(p.id(), new.id())]));
}
