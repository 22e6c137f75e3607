//! Fused ops as rewriting makes them.

use crate::programs::generate::Builder;
use bsq_ir::{DType, Float, Mask, Op, Shape, Tensor, Type};

pub(super) fn step(builder: &mut Builder) {
    let Some(x) = builder
        .pick(|ty| ty.dtype == DType::F32 && ty.shape.last().is_some_and(|&width| width > 0))
    else {
        return;
    };
    let (shape, ty) = (x.shape(), x.ty());
    let (rows, width) = shape.split_at(shape.rank() - 1);
    let [rows, width] = [rows, width].map(|part| Type::new(DType::F32, part));
    let epsilon = Float::new(1e-5);
    match builder.choices.below(9) {
        0 => drop(builder.add(Op::Softmax, &[x])),
        1 => {
            let g = builder.of(&ty);
            builder.add(Op::SoftmaxBackward, &[x, g]);
        }
        2 => {
            let (w, b) = (builder.of(&width), builder.of(&width));
            several(builder, Op::LayerNorm { epsilon }, &[x, w, b]);
        }
        3 => {
            let (w, mean) = (builder.of(&width), builder.of(&rows));
            let (rstd, g) = (builder.of(&rows), builder.of(&ty));
            builder.add(Op::LayerNormBackward, &[x, w, mean, rstd, g]);
        }
        4 => drop(builder.add(Op::Gelu, &[x])),
        5 => {
            let g = builder.of(&ty);
            builder.add(Op::GeluBackward, &[x, g]);
        }
        6 => drop(builder.add(Op::PackSigns, &[x])),
        7 => attention(builder, x, false),
        _ => attention(builder, x, true),
    }
}

fn attention<'g>(builder: &mut Builder<'g, '_, '_>, q: Tensor<'g>, backward: bool) {
    let shape = q.shape();
    if shape.rank() < 2 {
        return;
    }
    let (batch, [queries, depth]) = shape.split_at(shape.rank() - 2) else {
        return;
    };
    let (queries, depth) = (*queries, *depth);
    let keys = 1 + builder.choices.below(9);
    let value_depth = 1 + builder.choices.below(9);
    let ty = |last: &[usize]| Type::new(DType::F32, Shape::from([batch, last].concat()));
    let k = builder.of(&ty(&[keys, depth]));
    let v = builder.of(&ty(&[keys, value_depth]));
    let mask = match builder.choices.below(4) {
        0 => Mask::Bias,
        1 => Mask::BlockCausal {
            size: 1 + builder.choices.below(3),
        },
        _ => Mask::None,
    };
    let mut operands = vec![q, k, v];
    if backward {
        let (maximum, sum) = (builder.of(&ty(&[queries])), builder.of(&ty(&[queries])));
        operands.extend([maximum, sum, builder.of(&ty(&[queries, value_depth]))]);
    }
    if mask == Mask::Bias {
        operands.push(match builder.choices.once_in(2) {
            true => builder.of(&ty(&[queries, keys])),
            false => builder.of(&Type::new(DType::F32, [queries, keys])),
        });
    }
    let scale = Float::new(builder.choices.of(&[1.0, 0.5, 0.25, -1.0]));
    let op = match backward {
        true => Op::AttentionBackward { scale, mask },
        false => Op::Attention { scale, mask },
    };
    several(builder, op, &operands);
}

/// An op with several results, of which some are kept.
fn several<'g>(builder: &mut Builder<'g, '_, '_>, op: Op, operands: &[Tensor<'g>]) {
    let ids: Vec<_> = operands.iter().map(|operand| operand.id()).collect();
    let count = op.results();
    let Ok(id) = builder.graph.add(op, &ids) else {
        return;
    };
    for index in 0..count {
        if !builder.choices.once_in(4)
            && let Ok(result) = builder.graph.add(Op::Projection(index), &[id])
        {
            builder.keep(Tensor::new(builder.graph, result));
        }
    }
}
