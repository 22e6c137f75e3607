//! Fused attention, forward and backward, gives the bits of what it stands for.

use crate::common::check;
use bsq_ir::{DType, Float, Graph, Mask, Op, Tensor};

pub fn fused(queries: usize, keys: usize, depth: usize, mask: Mask) {
    let g = Graph::new();
    let shape = |rows: usize| [2, 3, rows, depth];
    let q = g.input("q", DType::F32, shape(queries));
    // Keys and values as a model has them: heads inside the channels.
    let heads = |name: &str| {
        let flat = g.input(name, DType::F32, [2, keys, 3 * depth]);
        flat.reshape([2, keys, 3, depth]).transpose(&[0, 2, 1, 3])
    };
    let (k, v) = (heads("k"), heads("v"));
    let gradient = g.input("g", DType::F32, shape(queries));
    let bias = g.input("bias", DType::F32, [queries, keys]);
    let scale = Float::new(0.37);
    let with_bias = |operands: &[Tensor<'_>]| {
        let mut ids: Vec<_> = operands.iter().map(|tensor| tensor.id()).collect();
        if mask == Mask::Bias {
            ids.push(bias.id());
        }
        ids
    };
    let forward = g
        .add(Op::Attention { scale, mask }, &with_bias(&[q, k, v]))
        .unwrap();
    let result = |id, index| Tensor::new(&g, g.add(Op::Projection(index), &[id]).unwrap());
    let (o, m, z) = (result(forward, 0), result(forward, 1), result(forward, 2));
    let operands = with_bias(&[q, k, v, m, z, gradient]);
    let backward = g
        .add(Op::AttentionBackward { scale, mask }, &operands)
        .unwrap();
    let outputs = [
        ("o", o.id()),
        ("m", m.id()),
        ("z", z.id()),
        ("dq", result(backward, 0).id()),
        ("dk", result(backward, 1).id()),
        ("dv", result(backward, 2).id()),
    ];
    check(&g.function(outputs, []));
}

#[test]
fn without_a_mask() {
    fused(20, 20, 8, Mask::None);
    fused(70, 33, 16, Mask::None);
}

#[test]
fn causal() {
    fused(70, 70, 8, Mask::BlockCausal { size: 1 });
}

#[test]
fn block_causal() {
    fused(24, 24, 8, Mask::BlockCausal { size: 6 });
}

#[test]
fn with_a_bias() {
    fused(10, 12, 8, Mask::Bias);
}
