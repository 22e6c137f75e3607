//! A function of each op and layer for the comparison with differences.

use super::numeric::Inputs;
use crate::dtype::DType::{F32, I32, U64};
use crate::graph::NodeId;
use crate::op::{Float, Mask, Op, Padding};
use crate::shape::Shape;
use crate::tensor::{Keep, Layout, Slide, Tensor};

pub(super) type Build = for<'g> fn(&Inputs<'g>, [usize; 4]) -> Tensor<'g>;

fn op<'g>(op: Op, operands: &[Tensor<'g>]) -> Tensor<'g> {
    let graph = operands[0].graph();
    let ids: Vec<NodeId> = operands.iter().map(|operand| operand.id()).collect();
    Tensor::new(graph, graph.add(op, &ids).unwrap())
}

/// The sum of all results, with unequal weights.
fn mixed<'g>(i: &Inputs<'g>, several: Op, operands: &[Tensor<'g>]) -> Tensor<'g> {
    let results = several.results();
    let node = op(several, operands);
    let part = |index| i.weighted_sum(op(Op::Projection(index), &[node])) * (index as f64 + 1.0);
    (0..results)
        .map(part)
        .reduce(|sum, part| sum + part)
        .unwrap()
}

const SCALE: f32 = 0.75;

fn attention(mask: Mask) -> Op {
    let scale = Float::new(SCALE);
    Op::Attention { scale, mask }
}

fn attention_backward(mask: Mask) -> Op {
    let scale = Float::new(SCALE);
    Op::AttentionBackward { scale, mask }
}

/// A function of each op, of extents a, b, c, d in 1..4.
#[rustfmt::skip]
pub(super) const CASES: &[(&str, Build)] = &[
    ("neg", |i, [a, b, ..]| -i.float([a, b])),
    ("abs", |i, [a, b, ..]| i.float([a, b]).abs()),
    ("exp", |i, [a, b, ..]| i.float([a, b]).exp()),
    ("log", |i, [a, b, ..]| (i.float([a, b]) + 3.0).log()),
    ("sqrt", |i, [a, b, ..]| (i.float([a, b]) + 3.0).sqrt()),
    ("tanh", |i, [a, b, ..]| i.float([a, b]).tanh()),
    ("erf", |i, [a, b, ..]| i.float([a, b]).erf()),
    ("sin", |i, [a, b, ..]| (i.float([a, b]) * 3.0).sin()),
    ("cos", |i, [a, b, ..]| (i.float([a, b]) * 3.0).cos()),
    ("sign, floor", |i, [a, b, ..]| { let x = i.float([a, b]); x * (x.sign() + x.floor()) }),
    ("cast", |i, [a, b, ..]| { let x = i.float([a, b]); x.cast(crate::DType::BF16).cast(F32) * x }),
    ("add", |i, [a, b, ..]| i.float([a, b]) + i.float([b])),
    ("sub", |i, [a, b, ..]| i.float([a, 1]) - i.float([a, b])),
    ("mul", |i, [a, b, ..]| i.float([a, b]) * i.float([a, b])),
    ("mul by itself", |i, [a, b, ..]| { let x = i.float([a, b]); x * x * x }),
    ("div", |i, [a, b, ..]| i.float([a, b]) / (i.float([a, 1]) + 3.0)),
    ("max", |i, [a, b, ..]| i.float([a, b]).maximum(i.float([b]))),
    ("min", |i, [a, b, ..]| i.float([a, b]).minimum(i.float([b]))),
    ("select", |i, [a, b, ..]| {
        let (x, y) = (i.float([a, b]), i.float([a, b]));
        x.square().where_(x.lt(y), y.exp())
    }),
    ("conditions", |i, [a, b, ..]| {
        let (x, y) = (i.float([a, b]), i.float([a, b]));
        let pick = x.gt(0.0).and(y.le(1.0)).or(x.eq(y)).xor(x.lt(y).logical_not());
        x.square().where_(pick, y)
    }),
    ("reshape", |i, [a, b, c, _]| i.float([a, b, c]).square().reshape([c * a, b])),
    ("transpose", |i, [a, b, c, _]| i.float([a, b, c]).square().transpose(&[2, 0, 1])),
    ("broadcast", |i, [a, b, c, _]| i.float([a, c]).square().broadcast_in_dim([a, b, c], &[0, 2])),
    ("slice", |i, [a, b, c, d]| {
        let x = i.float([a + b, c + 2 * d]).square();
        op(Op::Slice { start: vec![a - 1, 1], stop: vec![a + b, c + 2 * d], stride: vec![b, d] }, &[x])
    }),
    ("pad", |i, [a, b, c, d]| {
        let padding = |before, after, between| Padding { before, after, between };
        let (x, value) = (i.float([a, b]).square(), i.float([]).exp());
        op(Op::Pad(vec![padding(c, 0, d), padding(d - 1, c, 0)]), &[x, value])
    }),
    ("concat", |i, [a, b, c, d]| {
        let (x, y, z) = (i.float([a, b]), i.float([a, c]), i.float([a, d]));
        i.graph.concat(&[x.square(), y.exp(), x.tanh(), z], 1)
    }),
    ("flip", |i, [a, b, c, _]| i.float([a, b, c]).square().flip([0, 2])),
    ("window", |i, [a, size, stride, dilation]| {
        let length = (size - 1) * dilation + 2 * stride + stride / 2 + 1;
        i.float([a, length, 2]).square().window(1, size, stride, dilation)
    }),
    ("window_sum", |i, [count, size, stride, dilation]| {
        let length = (count - 1) * stride + (size - 1) * dilation + 1 + 2 * stride;
        let x = i.float([2, count, size]).square();
        op(Op::WindowSum { axis: 1, length, stride, dilation }, &[x])
    }),
    ("sum", |i, [a, b, c, _]| i.float([a, b, c]).square().sum([0, 2])),
    ("reduce_max", |i, [a, b, c, _]| i.float([a, b, c]).square().max([1, 2])),
    ("argmax", |i, [a, b, ..]| { let x = i.float([a, b]); x.square().sum(1) * x.argmax(1).cast(F32) }),
    ("dot_general", |i, [a, b, c, d]| {
        i.float([b, a, 2, c]).dot_general(i.float([c, d, a, b]), &[(1, 2)], &[(3, 0), (0, 3)])
    }),
    ("dot_general, nothing contracted", |i, [a, b, c, _]| i.float([a, b]).dot_general(i.float([c, a]), &[(0, 1)], &[])),
    ("dot_general, everything contracted", |i, [a, b, ..]| i.float([a, b]).dot_general(i.float([b, a]), &[], &[(1, 0), (0, 1)])),
    ("matmul", |i, [a, b, c, d]| i.float([a, b, c]).matmul(i.float([a, c, d]))),
    ("matmul_transposed", |i, [a, b, c, d]| i.float([a, b, c]).matmul_transposed(i.float([d, c]))),
    ("gather", |i, [a, b, c, d]| i.float([a, b, c]).square().gather(1, i.integers([d, 2], -1..b as i64 + 1))),
    ("scatter_add", |i, [a, b, c, d]| {
        let indices = i.integers([d], -1..b as i64 + 1);
        i.float([a, b, c]).square().scatter_add(1, indices, i.float([a, d, c]).exp())
    }),
    ("dynamic_slice", |i, [a, b, c, d]| i.float([a, b + c]).square().dynamic_slice(1, i.integers([], -1..d as i64 + 4), c)),
    ("dynamic_update_slice", |i, [a, b, c, d]| {
        let (x, update) = (i.float([a, b + c]).square(), i.float([a, c]).exp());
        x.dynamic_update_slice(1, update, i.integers([], -1..d as i64 + 4))
    }),
    ("random", |i, [a, b, ..]| {
        let scalar = |value| i.graph.full(value, U64, Shape::scalar());
        let noise = i.graph.random_bits([a, b], scalar(1.0), scalar(2.0)).cast(F32) * 2f64.powi(-32);
        i.float([a, b]).square() * noise
    }),
    ("stop_gradient", |i, [a, b, ..]| {
        // x^2 with one factor held constant, and that factor's derivative given back.
        let (x, y) = (i.float([a, b]), i.float([a, b]));
        x * y + (x - x.stop_gradient()) * 0.0
    }),
    ("optimization_barrier", |i, [a, b, ..]| i.float([a, b]).square().optimization_barrier().exp()),
    ("iota", |i, [a, b, ..]| i.float([a, b]).square() * i.graph.iota(F32, [a, b], 1)),

    ("softmax", |i, [a, b, ..]| op(Op::Softmax, &[i.float([a, b])])),
    ("softmax_backward", |i, [a, b, ..]| op(Op::SoftmaxBackward, &[i.float([a, b]), i.float([a, b])])),
    ("gelu", |i, [a, b, ..]| op(Op::Gelu, &[i.float([a, b])])),
    ("gelu_backward", |i, [a, b, ..]| op(Op::GeluBackward, &[i.float([a, b]), i.float([a, b])])),
    ("layer_norm", |i, [a, b, ..]| {
        let epsilon = Float::new(0.1);
        mixed(i, Op::LayerNorm { epsilon }, &[i.float([a, b + 1]), i.float([b + 1]), i.float([b + 1])])
    }),
    ("layer_norm_backward", |i, [a, b, ..]| {
        let [x, weight, g] = [i.float([a, b]), i.float([b]), i.float([a, b])];
        op(Op::LayerNormBackward, &[x, weight, i.float([a]), i.float([a]), g])
    }),
    ("attention", |i, [a, b, c, d]| mixed(i, attention(Mask::None), &[i.float([2, a, b]), i.float([2, c, b]), i.float([2, c, d])])),
    ("attention, causal", |i, [a, b, c, d]| {
        mixed(i, attention(Mask::BlockCausal { size: c }), &[i.float([a + 1, b]), i.float([a + 1, b]), i.float([a + 1, d])])
    }),
    ("attention, biased", |i, [a, b, c, d]| {
        mixed(i, attention(Mask::Bias), &[i.float([2, a, b]), i.float([2, c, b]), i.float([2, c, d]), i.float([a, c])])
    }),
    ("attention_backward", |i, [a, b, c, d]| {
        let [q, k, v] = [i.float([a, b]), i.float([c, b]), i.float([c, d])];
        // Scores are far above a maximum that is not theirs: their exp would drown differences.
        let maximum = i.float([a]) + 6.0;
        mixed(i, attention_backward(Mask::None), &[q, k, v, maximum, i.float([a]) + 3.0, i.float([a, d])])
    }),
    ("attention, one tensor", |i, [a, b, ..]| { let x = i.float([a, b]); mixed(i, attention(Mask::None), &[x, x, x.tanh()]) }),
    ("pack_signs", |i, [a, b, ..]| { let x = i.float([a, b]); x.square().sum(1) * op(Op::PackSigns, &[x]).cast(F32) }),

    ("spelled softmax", |i, [a, b, ..]| i.float([a, b]).softmax()),
    ("spelled layer_norm", |i, [a, b, ..]| i.float([a, b + 1]).layer_norm_with(i.float([b + 1]), i.float([b + 1]), 0.1)),
    ("spelled gelu", |i, [a, b, ..]| i.float([a, b]).gelu()),
    ("spelled attention", |i, [a, b, c, d]| i.float([2, a, b]).attention(i.float([2, c, b]), i.float([2, c, d]), 0.5, None)),
    ("spelled causal attention", |i, [a, b, c, _]| {
        let column = i.graph.iota(I32, [a, a], 1);
        let mask = column.le(i.graph.iota(I32, [a, a], 0));
        i.float([a, b]).attention(i.float([a, b]), i.float([a, c]), 0.5, Some(mask))
    }),
    ("relu", |i, [a, b, ..]| i.float([a, b]).square().relu() + i.float([a]).relu().sum(0)),
    ("leaky_relu", |i, [a, b, ..]| i.float([a, b]).leaky_relu(0.2).square()),
    ("silu", |i, [a, b, ..]| (i.float([a, b]) * 3.0).silu()),
    ("gelu_tanh", |i, [a, b, ..]| i.float([a, b]).gelu_tanh()),
    ("rsqrt", |i, [a, b, ..]| (i.float([a, b]) + 3.0).rsqrt()),
    ("powi", |i, [a, b, c, d]| { let x = i.float([a, b]); x.powi(c as i32) + (x + 3.0).powi(-(d as i32)) + x.powi(0) }),
    ("pow of numbers", |i, [a, b, ..]| { let x = i.float([a, b]); x.pow(3.0) + x.abs().pow(1.3) + (x + 3.0).pow(-0.7) + (x + 3.0).pow(0.5) }),
    ("pow of tensors", |i, [a, b, ..]| i.float([a, b]).abs().pow(i.float([b]))),
    ("round, ceil, trunc", |i, [a, b, ..]| { let x = i.float([a, b]); x * (x * 1.7).round() + x * x.ceil() - x * x.trunc() }),
    ("log_softmax", |i, [a, b, ..]| i.float([a, b]).log_softmax()),
    ("log_sum_exp", |i, [a, b, c, _]| i.float([a, b, c]).log_sum_exp([0, 2])),
    ("min of axes", |i, [a, b, c, _]| i.float([a, b, c]).square().min([1, 2])),
    ("prod", |i, [a, b, c, _]| i.float([a, b, c]).prod([0, 2])),
    ("var", |i, [a, b, c, _]| i.float([a + 1, b, c]).var([0, 2], c % 2)),
    ("std", |i, [a, b, ..]| i.float([a, b + 1]).std(-1, 1)),
    ("kept axes", |i, [a, b, c, _]| { let x = i.float([a, b, c]); x * x.mean(Keep([0, 2])) - x.max(Keep(1)) }),
    ("cumsum", |i, [a, b, c, _]| i.float([a, b + c, 2]).square().cumsum(1)),
    ("tril and triu", |i, [a, b, c, _]| { let x = i.float([2, a, b]).square(); x.tril(c as isize - 2) * x.triu(1 - c as isize) }),
    ("stack", |i, [a, b, ..]| { let x = i.float([a, b]); i.graph.stack(&[x.square(), i.float([a, b]), x], 1) }),
    ("einsum", |i, [a, b, c, d]| {
        let operands = [i.float([a, b, c]), i.float([c, d, a]), i.float([2, d])];
        i.graph.einsum("abc,cda,ed->dba", &operands)
    }),
    ("einsum of diagonals", |i, [a, b, c, _]| {
        let operands = [i.float([a, b, a]), i.float([c, c, a])];
        i.graph.einsum("iji,kki->kj", &operands)
    }),
    ("einsum of an ellipsis", |i, [a, b, c, d]| {
        let operands = [i.float([a, 1, b, c]), i.float([c, d]), i.float([d, b, c])];
        i.graph.einsum("...ij,jk,...ij->k...i", &operands)
    }),
    ("dropout", |i, [a, b, ..]| {
        let scalar = |value| i.graph.full(value, U64, Shape::scalar());
        i.float([a, b]).square().dropout(0.4, scalar(3.0), scalar(5.0))
    }),
    ("sort", |i, [a, b, c, _]| i.float([a, b + c, 2]).square().sort(1).0),
    ("top_k", |i, [a, b, c, _]| i.float([a, b + c]).square().top_k(b, -1).0),
    ("take_along", |i, [a, b, c, d]| i.float([a, b, c]).square().take_along(1, i.integers([a, d, c], -1..b as i64 + 1))),
    ("l2_normalize", |i, [a, b, ..]| i.float([a, b]).l2_normalize(1e-6)),
    ("softplus", |i, [a, b, ..]| (i.float([a, b]) * 3.0).softplus()),
    ("sigmoid", |i, [a, b, ..]| (i.float([a, b]) * 3.0).sigmoid()),
    ("clamp", |i, [a, b, ..]| i.float([a, b]).square().clamp(1.0, 4.0)),
    ("cross_entropy", |i, [a, b, ..]| i.float([a, b]).cross_entropy(i.integers([a], 0..b as i64))),
    ("convolution", |i, [a, b, c, _]| {
        let windows = i.float([1, a, 5, 6]).window(2, 3, 2, 1).window(4, 2, b, 1);
        windows.dot_general(i.float([c, a, 3, 2]), &[], &[(1, 1), (3, 2), (5, 3)])
    }),
    ("conv2d", |i, [a, b, c, _]| i.float([1, a, 4, 5]).conv2d(i.float([c, a, 3, 2]), b, 1)),
    ("convolution in groups", |i, [a, b, c, _]| {
        let slide = |stride, dilation| Slide { stride, dilation, padding: [1, 2] };
        let weight = i.float([2 * c, a, 3, 2]);
        i.float([2, 2 * a, 4, 5]).convolution(weight, &[slide(b, 1), slide(1, b)], 2, Layout::ChannelsFirst)
    }),
    ("convolution, channels last", |i, [a, b, c, _]| {
        let slides = [Slide { stride: b, ..Slide::padded(1) }; 2];
        i.float([1, 4, 5, 2 * a]).convolution(i.float([2 * c, 2, 3, a]), &slides, 2, Layout::ChannelsLast)
    }),
    ("transposed convolution", |i, [a, b, c, d]| {
        let slides = [Slide { stride: b, dilation: 1, padding: [1, 0] }, Slide { stride: 1, dilation: d, padding: [0, 1] }];
        i.float([1, 2 * a, 3, 3]).transposed_convolution(i.float([2 * a, c, 3, 2]), &slides, &[b - 1, 0], 2)
    }),
    ("average_pool", |i, [a, b, ..]| {
        let slide = Slide { stride: b, dilation: 1, padding: [1, 0] };
        i.float([1, a, 5, 4]).square().average_pool(&[3, 2], &[slide; 2])
    }),
    ("average_pool_inside", |i, [a, b, ..]| {
        let slide = Slide { stride: b, ..Slide::padded(1) };
        i.float([1, a, 5]).square().average_pool_inside(&[3], &[slide])
    }),
    ("max_pool, padded", |i, [a, b, ..]| {
        i.float([1, a, 5, 4]).max_pool(&[3, 2], &[Slide { stride: b, ..Slide::padded(1) }; 2])
    }),
    ("max_pool2d", |i, [a, ..]| i.float([1, a, 5, 7]).max_pool2d(3, 2)),
    ("a block", |i, [a, b, c, _]| {
        let (x, width) = (i.float([a + 1, b]), b);
        let y = x.layer_norm_with(i.float([width]), i.float([width]), 0.1);
        let y = y.attention(y, y.tanh(), 0.5, None) + x;
        y.matmul(i.float([width, c])).gelu().matmul(i.float([c, width])) + y
    }),
];
