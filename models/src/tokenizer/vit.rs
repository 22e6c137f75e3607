//! The vision transformer of encoder and decoder: pre-norm blocks, exact GELU, no class token.
//!
//! Tokens of a clip are frame by frame; how many frames there are is told by their number.

use crate::config::{MaskType, VitConfig};
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{
    Attention, Block, CacheSpec, Heads, LayerNorm, Linear, Mlp, Start, Transformer, block_causal,
};

/// The parameter of what is added to the tokens of each frame of a clip.
pub(super) const TEMPORAL_EMBEDDING: &str = "temporal_positional_embedding";
/// Weights and position embeddings start normal with this deviation.
const DEVIATION: f32 = 0.02;

/// Patches `[batch, tokens, pixels]` to features `[batch, tokens, width]`.
#[track_caller]
pub(super) fn encoder<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    patches: Tensor<'g>,
    step: Option<&mut FrameStep<'g>>,
) -> Tensor<'g> {
    let position = position_embedding(config, scope, patches.shape()[1], step.as_deref());
    let embedding = Linear {
        bias: (!config.ln_pre).then_some(Start::FanIn),
        ..normal(config.width)
    };
    let tokens = embedding.forward(scope / "conv1", patches);
    let features = transformer(config, scope, tokens + position, step);
    LayerNorm::default().forward(scope / "ln_post", features)
}

/// Embedded codes `[batch, tokens, width]` to the features of which a last layer `conv_out` makes patches.
#[track_caller]
pub(super) fn decoder<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    embedded: Tensor<'g>,
    step: Option<&mut FrameStep<'g>>,
) -> Tensor<'g> {
    let position = position_embedding(config, scope, embedded.shape()[1], step.as_deref());
    let mut x = transformer(config, scope, embedded + position, step);
    if config.ln_post {
        x = LayerNorm::default().forward(scope / "ln_post", x);
    }
    if config.use_ffn_output {
        x = output(config.dim_ffn_output)
            .forward(scope / "ffn" / 0, x)
            .tanh();
    }
    x
}

/// A layer after the transformer.
pub(super) fn output(outputs: usize) -> Linear {
    Linear {
        bias: Some(Start::FanIn),
        ..normal(outputs)
    }
}

/// `[tokens, width]`: of a model of clips, the sum of a token's place in its frame and of its frame's
/// in the clip, which starts at zero: a clip of one frame is a picture.
fn position_embedding<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    tokens: usize,
    step: Option<&FrameStep<'g>>,
) -> Tensor<'g> {
    let (each, width) = (config.tokens(), config.width);
    let place = scope.parameter(
        "positional_embedding",
        [each, width],
        Init::Normal(DEVIATION),
    );
    if config.num_frames == 1 {
        return place;
    }
    let shape = [config.num_frames, width];
    let time = scope.parameter(TEMPORAL_EMBEDDING, shape, Init::Constant(0.0));
    let time = match step {
        None => time.slice(0, 0..tokens / each),
        Some(step) => time.dynamic_slice(0, step.time, 1),
    };
    let time = time.unsqueeze(1);
    (place.unsqueeze(0) + time).reshape([tokens, width])
}

/// One frame of a clip, when those before it have left their keys and values.
pub struct FrameStep<'g> {
    /// Which frame, `i32[]`.
    time: Tensor<'g>,
    /// Caches, and what becomes of them: updates that the function must have.
    pub(crate) updates: Vec<(Tensor<'g>, Tensor<'g>)>,
}

impl<'g> FrameStep<'g> {
    pub fn new(time: Tensor<'g>) -> FrameStep<'g> {
        FrameStep {
            time,
            updates: Vec::new(),
        }
    }

    /// Whether it is a clip's first: `bool[]`.
    pub(super) fn is_first(&self) -> Tensor<'g> {
        self.time.eq(0.0)
    }

    /// What the frame before has left under a name, `f32`; an update has to follow.
    pub(super) fn memory(&self, name: &str, shape: [usize; 3]) -> Tensor<'g> {
        let name = format!("{CACHE_PREFIX}{name}");
        self.time.graph().parameter(&name, DType::F32, shape)
    }

    /// Keys and values of the frame join those of the frames before, and all are seen. A cache has
    /// room for all frames, and what is not filled yet is masked: it adds exact zeros, so that the
    /// bits are those of a whole clip.
    fn attend(&mut self, config: &VitConfig, layer: usize, heads: Heads<'g>) -> Tensor<'g> {
        let shape = heads.queries.shape();
        let (graph, each) = (heads.queries.graph(), config.tokens() as f64);
        let positions = config.num_frames * config.tokens();
        let cache = [shape[0], shape[1], positions, shape[3]];
        let start = self.time * each;
        let spec = CacheSpec::new(format!("{CACHE_PREFIX}{layer}"), cache);
        let (heads, new) = spec.parameters(graph).extended(heads, start);
        self.updates.extend(new);
        let key = graph.iota(DType::I32, [positions], 0);
        heads.attend(Some(key.lt((start + each).broadcast_to([positions]))))
    }
}

/// What the parameters are called that are a step's memory.
const CACHE_PREFIX: &str = "cache.";

/// What a layer's heads attend to.
fn attend<'g>(config: &VitConfig, heads: Heads<'g>) -> Tensor<'g> {
    let (graph, tokens) = (heads.queries.graph(), heads.queries.shape()[2]);
    match config.mask_type {
        MaskType::None => heads.attend(None),
        MaskType::Causal => heads.attend(Some(mask(graph, tokens, 1))),
        MaskType::BlockCausal => {
            let size = match usize::try_from(config.mask_block_size) {
                Err(_) | Ok(0) => config.tokens(),
                Ok(size) => size,
            };
            let mask = mask(graph, tokens, size);
            match config.mask_compat {
                true => attend_as_reference(heads, mask),
                false => heads.attend(Some(mask)),
            }
        }
    }
}

/// `bool[tokens, tokens]`; the last block may be shorter.
fn mask(graph: &Graph, tokens: usize, size: usize) -> Tensor<'_> {
    let whole = tokens.next_multiple_of(size);
    let mask = block_causal(graph, whole, size);
    match whole == tokens {
        true => mask,
        false => mask.slice(0, 0..tokens).slice(1, 0..tokens),
    }
}

/// The reference adds 1 to the scores that its mask is to hide, and hides none.
fn attend_as_reference<'g>(heads: Heads<'g>, mask: Tensor<'g>) -> Tensor<'g> {
    let shape = heads.queries.shape();
    let scale = 1.0 / (shape[3] as f64).sqrt();
    let scores = heads.queries.matmul(heads.keys.swap_axes(-1, -2)) * scale;
    let bias = 1.0 - mask.cast(DType::F32);
    (scores + bias).softmax().matmul(heads.values)
}

fn transformer<'g>(
    config: &VitConfig,
    scope: &Scope<'g>,
    mut x: Tensor<'g>,
    mut step: Option<&mut FrameStep<'g>>,
) -> Tensor<'g> {
    if config.ln_pre {
        x = LayerNorm::default().forward(scope / "ln_pre", x);
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
    transformer.forward(&blocks, x, &mut |layer, heads| match &mut step {
        None => attend(config, heads),
        Some(step) => step.attend(config, layer, heads),
    })
}

fn normal(outputs: usize) -> Linear {
    Linear::normal(outputs, DEVIATION)
}
