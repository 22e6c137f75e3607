//! Contractions and attention.

use crate::common::{Tensors, check, check_output};
use bsq_ir::DType::{BF16, F32, I32, U8};
use bsq_ir::{Float, Graph, Mask, Op, Tensor};
use bsq_tests::gpu::{Gpu, Target};
use proptest::prelude::*;

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

/// Tiles inside the mask's blocks, tiles that hold several, and blocks of keys that no query of a tile
/// sees.
#[test]
fn block_causal_attention_and_its_gradients() {
    for (length, size) in [(70, 16), (150, 24), (90, 3)] {
        let g = Graph::new();
        let part = |name| g.input(name, F32, [2, length, 8]).id();
        let [q, k, v, gradient] = ["q", "k", "v", "g"].map(part);
        let (scale, mask) = (Float::new(0.35), Mask::BlockCausal { size });
        let result = |node, index| g.add(Op::Projection(index), &[node]).unwrap();
        let forward = g.add(Op::Attention { scale, mask }, &[q, k, v]).unwrap();
        let [y, maxima, sums] = [0, 1, 2].map(|index| result(forward, index));
        let operands = [q, k, v, maxima, sums, gradient];
        let backward = g
            .add(Op::AttentionBackward { scale, mask }, &operands)
            .unwrap();
        let [dq, dk, dv] = [0, 1, 2].map(|index| result(backward, index));
        check(&g.function([("y", y), ("dq", dq), ("dk", dk), ("dv", dv)], []));
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
}
