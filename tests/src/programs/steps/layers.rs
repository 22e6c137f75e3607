//! Layers as the DSL spells them, for the fusions to find.

use crate::programs::generate::Builder;
use bsq_ir::{DType, Shape, Tensor, Type};

pub(super) fn step(builder: &mut Builder) {
    let Some(x) = builder.pick(|ty| ty.dtype == DType::F32 && ty.shape.rank() > 0) else {
        return;
    };
    // A part of a model that may be there twice is a region.
    let kind = builder.choices.below(17);
    match builder.choices.once_in(4) {
        true => {
            let graph = builder.graph;
            let made = graph.in_new_region(|| layer(builder, kind, x));
            // The same once more, behind it or beside it.
            if let Some(next) = made
                && builder.choices.once_in(2)
            {
                let from = match next.ty() == x.ty() {
                    true => next,
                    false => x,
                };
                graph.in_new_region(|| layer(builder, kind, from));
            }
        }
        false => drop(layer(builder, kind, x)),
    }
}

fn layer<'g>(builder: &mut Builder<'g, '_, '_>, kind: usize, x: Tensor<'g>) -> Option<Tensor<'g>> {
    let shape = x.shape();
    let width = shape[shape.rank() - 1];
    let filled = shape.elements() > 0;
    let row = Type::new(DType::F32, [width]);
    let y = match kind {
        0 if width > 0 => x.softmax(),
        1 | 2 => {
            let (w, b) = (builder.of(&row), builder.of(&row));
            x.layer_norm_with(w, b, 1e-5)
        }
        3 => x.gelu(),
        4 | 5 => return signs(builder, x),
        6..10 => return attention(builder, x),
        10 => {
            let outputs = 1 + builder.choices.below(17);
            let w = builder.of(&Type::new(DType::F32, [outputs, width]));
            let b = builder.of(&Type::new(DType::F32, [outputs]));
            x.matmul_transposed(w) + b
        }
        11 if filled => {
            let labels = Shape::from(&shape[..shape.rank() - 1]);
            let labels = builder.of(&Type::new(DType::I32, labels));
            x.cross_entropy(labels)
        }
        12 => x.sigmoid(),
        13 => x.softplus().clamp(0.25, 2.0),
        14 if width > 0 => {
            let (bytes, scales) = x.quantize(-1);
            builder.keep(bytes);
            builder.keep(scales);
            bytes.dequantize(scales, -1)
        }
        15 => return images(builder, x),
        16 => {
            let w = builder.of(&x.ty());
            w - (x * 0.1 + w * 0.01) / (x.square().sqrt() + 1e-3)
        }
        _ => return None,
    };
    builder.keep(y)
}

/// Rows of length one, then their signs, straight through or packed.
fn signs<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) -> Option<Tensor<'g>> {
    let u = x.l2_normalize(1e-12);
    let bits = match builder.choices.below(3) {
        0 => u.sign(),
        1 => u + (u.sign() - u).stop_gradient(),
        _ => u.gt(0.0).cast(DType::I32),
    };
    if builder.choices.once_in(2) {
        builder.keep(u);
    }
    builder.keep(bits)
}

/// Attention over the last two axes, with and without a mask of three kinds.
fn attention<'g>(builder: &mut Builder<'g, '_, '_>, q: Tensor<'g>) -> Option<Tensor<'g>> {
    let shape = q.shape();
    let q = match shape.rank() {
        1 => q.unsqueeze(0),
        _ => q,
    };
    let shape = q.shape();
    let (batch, last) = shape.split_at(shape.rank() - 2);
    let (queries, depth) = (last[0], last[1]);
    let itself = builder.choices.once_in(3) && queries > 0;
    let (k, v) = match itself {
        true => (q, q),
        false => {
            let keys = 1 + builder.choices.below(9);
            let e = 1 + builder.choices.below(9);
            let ty = |last: [usize; 2]| Type::new(DType::F32, [batch, &last].concat());
            (builder.of(&ty([keys, depth])), builder.of(&ty([keys, e])))
        }
    };
    let keys = k.shape()[shape.rank() - 2];
    let mask = match builder.choices.below(5) {
        0 => Some(builder.of(&Type::new(DType::Bool, [queries, keys]))),
        1 => Some(builder.of(&Type::new(DType::Bool, [keys]))),
        2 if keys > 0 && queries > 0 => {
            let row = builder.graph.iota(DType::I32, [queries, keys], 0);
            let column = builder.graph.iota(DType::I32, [queries, keys], 1);
            Some(column.le(row))
        }
        _ => None,
    };
    let scale = builder.choices.of(&[1.0, 0.5, 0.125]);
    let y = q.attention(k, v, scale, mask);
    builder.keep(y)
}

/// A convolution or pooling, where there is an image.
fn images<'g>(builder: &mut Builder<'g, '_, '_>, x: Tensor<'g>) -> Option<Tensor<'g>> {
    let small = |ty: &Type| ty.dtype == DType::F32 && ty.shape.rank() == 4;
    let x = match builder.pick(small) {
        Some(found) => found,
        None => {
            let width = x.shape().elements();
            x.reshape([1, 1, 1, width])
        }
    };
    let shape = x.shape();
    let (height, width) = (shape[2], shape[3]);
    let size = 1 + builder.choices.below(3);
    let stride = 1 + builder.choices.below(2);
    let padding = builder.choices.below(2);
    if builder.choices.once_in(2) {
        let fits = size <= height && size <= width;
        let y = fits.then(|| x.max_pool2d(size, stride))?;
        return builder.keep(y);
    }
    let fits = size <= height + 2 * padding && size <= width + 2 * padding;
    let outputs = 1 + builder.choices.below(4);
    let w = builder.of(&Type::new(DType::F32, [outputs, shape[1], size, size]));
    let y = fits.then(|| x.conv2d(w, stride, padding))?;
    builder.keep(y)
}
