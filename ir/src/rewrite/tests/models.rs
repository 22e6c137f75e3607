//! Transformer blocks as people spell them.

use crate::autodiff::gradients;
use crate::dtype::DType::*;
use crate::graph::{Function, Graph};
use crate::op::Constant;
use crate::shape::Type;
use crate::tensor::{Init, Scope, Tensor};

/// Where the scale of attention is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    Scores,
    Division,
    Query,
    Key,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Masking {
    None,
    Causal,
    /// Causal, by a condition that hides.
    Hiding,
    /// Causal, by a strict comparison.
    Strict,
    BlockCausal(usize),
    /// Causal, as a constant table.
    Constant,
    /// Causal, as a constant that is added.
    ConstantBias,
    /// Causal, as a selected constant that is added.
    SelectedBias,
    /// Causal, by a large negative number instead of infinity.
    LargeNegative,
    /// Keys at most two before the query.
    Window,
    /// Keys up to one after the query.
    Ahead,
    /// A trained bias per pair of positions.
    Bias,
}

/// How a block is spelled.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub scale: Scale,
    pub masking: Masking,
    /// `e / sum(e)` instead of the DSL's reciprocal, with reductions that keep the axis.
    pub own_softmax: bool,
    /// `centred / sqrt(variance + epsilon)`.
    pub own_layer_norm: bool,
    /// `0.5 * (x * (1 + erf(..)))`.
    pub own_gelu: bool,
    /// One projection for queries, keys and values.
    pub joint_projection: bool,
    /// Batch and heads as one axis.
    pub merged_heads: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            scale: Scale::Scores,
            masking: Masking::None,
            own_softmax: false,
            own_layer_norm: false,
            own_gelu: false,
            joint_projection: false,
            merged_heads: false,
        }
    }
}

/// Extents of a model.
#[derive(Clone, Copy, Debug)]
pub struct Extents {
    pub batch: usize,
    pub tokens: usize,
    pub heads: usize,
    pub depth: usize,
    pub blocks: usize,
    /// Each block is a region of its own.
    pub regions: bool,
}

fn layer_norm<'g>(x: Tensor<'g>, scope: &Scope<'g>, own: bool) -> Tensor<'g> {
    let width = *x.shape().last().unwrap();
    let weight = scope.parameter("weight", [width], Init::Constant(1.0));
    let bias = scope.parameter("bias", [width], Init::Constant(0.0));
    if !own {
        return x.layer_norm_with(weight, bias, 1e-5);
    }
    let mean = x.sum(-1).unsqueeze(-1) / width as f64;
    let centred = x - mean;
    let variance = (centred * centred).mean(-1).unsqueeze(-1);
    bias + weight * (centred / (1e-5 + variance).sqrt())
}

fn gelu(x: Tensor<'_>, own: bool) -> Tensor<'_> {
    match own {
        true => 0.5 * (x * (1.0 + (x / std::f64::consts::SQRT_2).erf())),
        false => x.gelu(),
    }
}

fn softmax(s: Tensor<'_>, own: bool) -> Tensor<'_> {
    if !own {
        return s.softmax();
    }
    let e = (s - s.max(-1).unsqueeze(-1)).exp();
    e / e.sum(-1).unsqueeze(-1)
}

fn block_index<'g>(g: &'g Graph, tokens: usize, size: usize) -> Tensor<'g> {
    let shift = size.trailing_zeros() as f64;
    let index = g.iota(I32, [tokens], 0);
    match size {
        1 => index,
        _ => index.shift_right(index.full_like(shift)),
    }
}

fn masked<'g>(scores: Tensor<'g>, scope: &Scope<'g>, masking: Masking) -> Tensor<'g> {
    let g = scores.graph();
    let tokens = *scores.shape().last().unwrap();
    let size = if let Masking::BlockCausal(size) = masking {
        size
    } else {
        1
    };
    let block = block_index(g, tokens, size);
    let (keys, queries) = (block.unsqueeze(0), block.unsqueeze(1));
    let table = |seen: f32, hidden: f32| {
        let value = |i: usize| {
            if i % tokens <= i / tokens {
                seen
            } else {
                hidden
            }
        };
        let values: Vec<f32> = (0..tokens * tokens).map(value).collect();
        g.constant_f32(&values, [tokens, tokens])
    };
    let zeros = g.full(0.0, F32, [tokens, tokens]);
    match masking {
        Masking::None => scores,
        Masking::Bias => {
            scores + scope.parameter("bias_table", [tokens, tokens], Init::Normal(0.02))
        }
        Masking::Causal | Masking::BlockCausal(_) => {
            scores.where_(keys.le(queries), f64::NEG_INFINITY)
        }
        Masking::Hiding => {
            let hidden = scores.full_like(f64::NEG_INFINITY);
            hidden.where_((queries + 1.0).le(keys), scores)
        }
        Masking::Constant => {
            let bytes: Vec<u8> = (0..tokens * tokens)
                .map(|i| u8::from(i % tokens <= i / tokens))
                .collect();
            let ty = Type::new(Bool, [tokens, tokens]);
            let mask = g.constant(Constant::dense_bytes(ty, bytes));
            scores.where_(mask, f64::NEG_INFINITY)
        }
        Masking::ConstantBias => scores + table(0.0, f32::NEG_INFINITY),
        Masking::SelectedBias => {
            scores
                + zeros.where_(
                    keys.le(queries).broadcast_to([tokens, tokens]),
                    f64::NEG_INFINITY,
                )
        }
        Masking::Strict => scores.where_(keys.lt(queries + 1.0), f64::NEG_INFINITY),
        Masking::Ahead => scores.where_(keys.le(queries + 1.0), f64::NEG_INFINITY),
        Masking::LargeNegative => scores.where_(keys.le(queries), -1e10),
        Masking::Window => {
            let near = queries.lt(keys + 3.0);
            scores.where_(keys.le(queries).and(near), f64::NEG_INFINITY)
        }
    }
}

fn attention<'g>(x: Tensor<'g>, scope: &Scope<'g>, e: Extents, style: Style) -> Tensor<'g> {
    let width = e.heads * e.depth;
    let parts = match style.joint_projection {
        true => x.linear(scope / "in_proj", 3 * width).chunk(3, -1),
        false => ["q", "k", "v"]
            .iter()
            .map(|name| x.linear(scope / name, width))
            .collect(),
    };
    let heads = |x: Tensor<'g>| {
        let x = x
            .reshape([e.batch, e.tokens, e.heads, e.depth])
            .swap_axes(1, 2);
        match style.merged_heads {
            true => x.reshape([e.batch * e.heads, e.tokens, e.depth]),
            false => x,
        }
    };
    let (mut q, mut k, v) = (heads(parts[0]), heads(parts[1]), heads(parts[2]));
    let scale = 1.0 / (e.depth as f64).sqrt();
    match style.scale {
        Scale::Query => q = q * scale,
        Scale::Key => k = scale * k,
        _ => {}
    }
    let scores = q.matmul(k.swap_axes(-1, -2));
    let scores = match style.scale {
        Scale::Scores => scores * scale,
        Scale::Division => scores / (e.depth as f64).sqrt(),
        _ => scores,
    };
    let scores = masked(scores, scope, style.masking);
    let y = softmax(scores, style.own_softmax).matmul(v);
    let y = y
        .reshape([e.batch, e.heads, e.tokens, e.depth])
        .swap_axes(1, 2);
    y.reshape([e.batch, e.tokens, width])
        .linear(scope / "out_proj", width)
}

/// A pre-norm block.
pub fn block<'g>(x: Tensor<'g>, scope: &Scope<'g>, e: Extents, style: Style) -> Tensor<'g> {
    let width = e.heads * e.depth;
    let normed = layer_norm(x, &(scope / "ln_1"), style.own_layer_norm);
    let x = x + attention(normed, &(scope / "attn"), e, style);
    let normed = layer_norm(x, &(scope / "ln_2"), style.own_layer_norm);
    let hidden = gelu(normed.linear(scope / "c_fc", 4 * width), style.own_gelu);
    x + hidden.linear(scope / "c_proj", width)
}

fn forward<'g>(g: &'g Graph, scope: &Scope<'g>, e: Extents, style: Style) -> Tensor<'g> {
    let mut x = g.input("x", F32, [e.batch, e.tokens, e.heads * e.depth]);
    for index in 0..e.blocks {
        let scope = scope / index;
        x = match e.regions {
            true => g.in_new_region(|| block(x, &scope, e, style)),
            false => block(x, &scope, e, style),
        };
    }
    x
}

/// The blocks, forward.
pub fn inference(e: Extents, style: Style) -> Function {
    let g = Graph::new();
    let y = forward(&g, &Scope::root(&g), e, style);
    g.function([("y", y.id())], [])
}

/// A loss over the blocks and its gradients by all parameters and the input.
pub fn training(e: Extents, style: Style) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let y = forward(&g, &scope, e, style);
    let target = g.input("target", F32, y.shape());
    let loss = (y - target).square().mean(..);
    let x = g.input("x", F32, y.shape());
    let mut wanted = scope.parameters();
    wanted.push(x);
    let gradients = gradients(loss, &wanted);
    let names: Vec<String> = (0..gradients.len())
        .map(|index| format!("g{index}"))
        .collect();
    let mut outputs = vec![("loss", loss.id())];
    outputs.extend(
        names
            .iter()
            .map(String::as_str)
            .zip(gradients.iter().map(|g| g.id())),
    );
    g.function(outputs, [])
}
