//! The vision transformer of encoder and decoder: pre-norm blocks, exact GELU, no class token.

use crate::config::VitConfig;
use bsq_ir::tensor::Init;
use bsq_ir::{Scope, Tensor};
use bsq_nn::layers::{Attention, Block, LayerNorm, Linear, Mlp, Start, Transformer};

/// Weights and position embeddings start normal with this deviation.
const DEVIATION: f32 = 0.02;

/// Patches `[batch, tokens, pixels]` to features `[batch, tokens, width]`.
#[track_caller]
pub(super) fn encoder<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    patches: Tensor<'g>,
) -> Tensor<'g> {
    let position = position_embedding(config, scope);
    let embedding = Linear {
        bias: (!config.ln_pre).then_some(Start::FanIn),
        ..normal(config.width)
    };
    let tokens = embedding.forward(&(scope / "conv1"), patches);
    let features = transformer(config, scope, tokens + position);
    LayerNorm::default().forward(&(scope / "ln_post"), features)
}

/// Embedded codes `[batch, tokens, width]` to what `last` makes of each patch.
#[track_caller]
pub(super) fn decoder<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    embedded: Tensor<'g>,
    last: Linear,
) -> Tensor<'g> {
    let position = position_embedding(config, scope);
    let mut x = transformer(config, scope, embedded + position);
    if config.ln_post {
        x = LayerNorm::default().forward(&(scope / "ln_post"), x);
    }
    if config.use_ffn_output {
        x = output(config.dim_ffn_output)
            .forward(&(scope / "ffn" / 0), x)
            .tanh();
    }
    last.forward(&(scope / "conv_out"), x)
}

/// A layer after the transformer.
pub(super) fn output(outputs: usize) -> Linear {
    Linear {
        bias: Some(Start::FanIn),
        ..normal(outputs)
    }
}

fn position_embedding<'g>(config: &VitConfig, scope: &Scope<'g>) -> Tensor<'g> {
    let shape = [config.tokens(), config.width];
    scope.parameter("positional_embedding", shape, Init::Normal(DEVIATION))
}

/// Every token attends to every token.
fn transformer<'g>(config: &VitConfig, scope: &Scope<'g>, mut x: Tensor<'g>) -> Tensor<'g> {
    if config.ln_pre {
        x = LayerNorm::default().forward(&(scope / "ln_pre"), x);
    }
    let (width, hidden) = (config.width, config.mlp_width());
    let transformer = Transformer {
        layers: config.layers,
        block: Block {
            attention: Attention {
                projection: normal(width),
                ..Attention::new(width, config.heads)
            },
            mlp: Mlp {
                hidden: normal(hidden),
                output: normal(width),
                ..Mlp::new(hidden, width)
            },
            ..Block::pre_norm(width, config.heads)
        },
    };
    let blocks = scope / "transformer" / "resblocks";
    transformer.forward(&blocks, x, &mut |_, heads| heads.attend(None))
}

fn normal(outputs: usize) -> Linear {
    Linear::normal(outputs, DEVIATION)
}
