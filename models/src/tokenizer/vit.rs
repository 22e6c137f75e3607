//! The vision transformer of encoder and decoder: pre-norm blocks, exact GELU, no class token.

use crate::config::VitConfig;
use bsq_ir::tensor::Init;
use bsq_ir::{Scope, Tensor};

/// Added to the variance by every layer norm.
const EPSILON: f64 = 1e-5;

/// Weights and position embeddings start normal with this deviation.
const NORMAL: Init = Init::Normal(0.02);
const ZERO: Init = Init::Constant(0.0);
const ONE: Init = Init::Constant(1.0);

/// Patches `[batch, tokens, pixels]` to features `[batch, tokens, width]`.
#[track_caller]
pub(super) fn encoder<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    patches: Tensor<'g>,
) -> Tensor<'g> {
    let position = position_embedding(config, scope);
    let bias = uniform(patches.shape()[2]);
    let bias = (!config.ln_pre).then_some(bias);
    let tokens = linear(&(scope / "conv1"), patches, config.width, NORMAL, bias);
    let features = transformer(config, scope, tokens + position);
    layer_norm(&(scope / "ln_post"), features)
}

/// Embedded codes `[batch, tokens, width]` to `pixels` values per patch.
#[track_caller]
pub(super) fn decoder<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    embedded: Tensor<'g>,
    pixels: usize,
) -> Tensor<'g> {
    let position = position_embedding(config, scope);
    let mut x = transformer(config, scope, embedded + position);
    if config.ln_post {
        x = layer_norm(&(scope / "ln_post"), x);
    }
    if config.use_ffn_output {
        let (hidden, bias) = (config.dim_ffn_output, uniform(config.width));
        x = linear(&(scope / "ffn" / 0), x, hidden, NORMAL, Some(bias)).tanh();
    }
    let bias = uniform(x.shape()[2]);
    linear(&(scope / "conv_out"), x, pixels, NORMAL, Some(bias))
}

fn position_embedding<'g>(config: &VitConfig, scope: &Scope<'g>) -> Tensor<'g> {
    let shape = [config.tokens(), config.width];
    scope.parameter("positional_embedding", shape, NORMAL)
}

fn transformer<'g>(config: &VitConfig, scope: &Scope<'g>, mut x: Tensor<'g>) -> Tensor<'g> {
    if config.ln_pre {
        x = layer_norm(&(scope / "ln_pre"), x);
    }
    let blocks = scope / "transformer" / "resblocks";
    (0..config.layers).fold(x, |x, layer| {
        // A region of its own: blocks are equal, so they are optimised once.
        let graph = scope.graph();
        graph.in_new_region(|| block(config, &(&blocks / layer), x))
    })
}

fn block<'g>(config: &VitConfig, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let normalised = layer_norm(&(scope / "ln_1"), x);
    let x = x + attention(config, &(scope / "attn"), normalised);
    let (mlp, width) = (scope / "mlp", config.mlp_width());
    let normalised = layer_norm(&(scope / "ln_2"), x);
    let hidden = linear(&(&mlp / "c_fc"), normalised, width, NORMAL, Some(ZERO)).gelu();
    x + linear(&(&mlp / "c_proj"), hidden, config.width, NORMAL, Some(ZERO))
}

/// Every token attends to every token. One projection makes queries, keys and values, in this
/// order; head `h` has features `h * d..(h + 1) * d` of each.
fn attention<'g>(config: &VitConfig, scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let shape = x.shape();
    let (width, heads, d) = (config.width, config.heads, config.head_width());
    let weight = scope.parameter("in_proj_weight", [3 * width, width], NORMAL);
    let bias = scope.parameter("in_proj_bias", [3 * width], ZERO);
    let projected = x.matmul_transposed(weight) + bias;
    let by_head = [shape[0], shape[1], heads, d];
    let parts = projected.chunk(3, -1).into_iter();
    let parts = parts.map(|part| part.reshape(by_head).transpose(&[0, 2, 1, 3]));
    let [q, k, v]: [Tensor; 3] = parts.collect::<Vec<_>>().try_into().expect("three chunks");
    let attended = q.attention(k, v, 1.0 / (d as f64).sqrt(), None);
    let joined = attended.transpose(&[0, 2, 1, 3]).reshape(shape);
    linear(&(scope / "out_proj"), joined, width, NORMAL, Some(ZERO))
}

fn layer_norm<'g>(scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let width = x.shape()[x.rank() - 1];
    let weight = scope.parameter("weight", [width], ONE);
    let bias = scope.parameter("bias", [width], ZERO);
    x.layer_norm(weight, bias, EPSILON)
}

fn linear<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    outputs: usize,
    weight: Init,
    bias: Option<Init>,
) -> Tensor<'g> {
    let inputs = x.shape()[x.rank() - 1];
    let product = x.matmul_transposed(scope.parameter("weight", [outputs, inputs], weight));
    match bias {
        Some(bias) => product + scope.parameter("bias", [outputs], bias),
        None => product,
    }
}

/// PyTorch's start of the bias of a linear layer.
fn uniform(inputs: usize) -> Init {
    Init::Uniform((1.0 / (inputs as f64).sqrt()) as f32)
}
