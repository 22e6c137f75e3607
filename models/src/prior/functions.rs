//! The three programs of one model: all of a tile at once, one wavefront, one sub-token.
//!
//! They give the same bits. A row of a contraction does not depend on the other rows; in attention
//! a key stands at its absolute position in the tile, in the one program as in the cache of the
//! other, and keys that are masked add exact zeros.

use super::{Order, PriorModel};
use bsq_ir::tensor::ParameterSpec;
use bsq_ir::{DType, Function, Graph, Scope, Shape, Tensor};
use bsq_nn::layers::CacheSpec;

/// What the parameters of [`wavefront_function`] that are its memory are called.
pub const CACHE_PREFIX: &str = "cache.";

/// Teacher-forced: `known` (`i32[batch, positions, seen, sub_tokens]`) and `tokens`
/// (`i32[batch, positions, sub_tokens]`) to `probabilities`
/// (`f32[sub_tokens, batch, positions, classes]`) of every sub-token of every position.
pub fn tile_function(model: &PriorModel, batch: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let logits = tile_logits(model, &scope, batch);
    g.function([("probabilities", logits.softmax().id())], [])
}

/// The logits of [`tile_function`] and the loss in nats per token, over the positions that
/// hold a token.
pub(crate) fn tile_loss<'g>(model: &PriorModel, scope: &Scope<'g>, batch: usize) -> Tensor<'g> {
    let logits = tile_logits(model, scope, batch);
    let tokens = tokens_input(model, scope.graph(), batch);
    let shape = logits.shape();
    let shifted = logits - logits.max(-1).stop_gradient().expand_axes(-1, &shape);
    let hit = model.is_class(tokens.transpose(&[2, 0, 1]));
    let target = shifted.where_(hit, 0.0).sum(-1);
    let nats = (shifted.exp().sum(-1).log() - target).sum(0);
    let first = tokens.slice(-1, 0..1).squeeze(-1);
    let valid = first.ge(first.full_like(0.0)).cast(DType::F32);
    (nats * valid).sum(..) / valid.sum(..)
}

fn tile_logits<'g>(model: &PriorModel, scope: &Scope<'g>, batch: usize) -> Tensor<'g> {
    let g = scope.graph();
    let known = known_input(model, g, batch, model.order().positions());
    let tokens = tokens_input(model, g, batch);
    let positions = model.positions(g);
    let mask = wavefront_mask(model.order(), g, model.order().wavefronts());
    let seen = model.one_hot(known);
    let features = model.features(scope, seen, &positions, &mut |_, heads| {
        heads.attend(Some(mask))
    });
    let projected = model.projected(scope, features);
    model.logits(scope, projected, model.one_hot(tokens))
}

/// Whether a position of the first wavefronts of a tile sees another, `bool[positions, positions]`.
pub(super) fn wavefront_mask(order: Order, g: &Graph, wavefronts: usize) -> Tensor<'_> {
    let front = |axis: usize| {
        let width = order.wavefront_width();
        let blocks = g.iota(DType::I32, [wavefronts, width], 0);
        let blocks = blocks.reshape([wavefronts * width]);
        if axis == 0 {
            blocks.unsqueeze(0)
        } else {
            blocks.unsqueeze(1)
        }
    };
    front(0).le(front(1))
}

/// One wavefront: its number `wavefront` (`i32[]`) and `known` (`i32[batch, width, seen,
/// sub_tokens]`) to `projected` (`f32[batch, width, sub_tokens, hidden]`), from which [`sub_token_function`]
/// predicts. Keys and values of the wavefront are added to the caches, parameters that are
/// updated in place; they hold the first `wavefronts` of a tile.
pub fn wavefront_function(model: &PriorModel, batch: usize, wavefronts: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let order = model.order();
    let wavefront = g.input("wavefront", DType::I32, Shape::scalar());
    let start = wavefront * order.wavefront_width() as f64;
    let known = known_input(model, &g, batch, order.wavefront_width());
    let positions = model.positions(&g).some(start, order.wavefront_width());
    let held = wavefronts * order.wavefront_width();
    let key = g.iota(DType::I32, [held], 0);
    let mask = key.lt((start + order.wavefront_width() as f64).broadcast_to([held]));
    let specs = cache_specs(model, batch, wavefronts);
    let mut updates = Vec::new();
    let seen = model.one_hot(known);
    let features = model.features(&scope, seen, &positions, &mut |layer, heads| {
        let (heads, new) = specs[layer].parameters(&g).extended(heads, start);
        updates.extend(new.map(|(old, new)| (old.id(), new.id())));
        heads.attend(Some(mask))
    });
    let projected = model.projected(&scope, features);
    g.function([("projected", projected.id())], updates)
}

/// The caches of [`wavefront_function`], of each layer.
pub fn cache_specs(model: &PriorModel, batch: usize, wavefronts: usize) -> Vec<CacheSpec> {
    let config = model.config();
    let d = config.width / config.heads;
    let shape = [
        batch,
        config.heads,
        wavefronts * model.order().wavefront_width(),
        d,
    ];
    (0..config.layers)
        .map(|layer| CacheSpec::new(format!("{CACHE_PREFIX}{layer}"), shape))
        .collect()
}

/// One sub-token: `projected` (`f32[rows, hidden]`), `tokens` (`i32[rows, sub_tokens]`, -1 from
/// the wanted sub-token on) and `index` (`i32[]`) to `probabilities` (`f32[rows, classes]`).
pub fn sub_token_function(model: &PriorModel, rows: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let config = model.config();
    let projected = g.input("projected", DType::F32, [rows, config.head_width]);
    let tokens = g.input("tokens", DType::I32, [rows, config.sub_tokens()]);
    let index = g.input("index", DType::I32, Shape::scalar());
    let logits = model.logits_of(&scope, projected, tokens, index);
    g.function([("probabilities", logits.softmax().id())], [])
}

/// Parameters of the model in `f32`, by the names that its functions give them: what training
/// starts from. [`stored_types`](super::stored_types) has them as they are kept.
pub fn parameter_specs(model: &PriorModel) -> Vec<ParameterSpec> {
    let g = Graph::new();
    let scope = Scope::root(&g);
    tile_logits(&PriorModel::new(model.config()), &scope, 1);
    scope.specs()
}

fn known_input<'g>(model: &PriorModel, g: &'g Graph, batch: usize, positions: usize) -> Tensor<'g> {
    let (seen, sub_tokens) = (model.seen(), model.config().sub_tokens());
    g.input("known", DType::I32, [batch, positions, seen, sub_tokens])
}

fn tokens_input<'g>(model: &PriorModel, g: &'g Graph, batch: usize) -> Tensor<'g> {
    let shape = [
        batch,
        model.order().positions(),
        model.config().sub_tokens(),
    ];
    g.input("tokens", DType::I32, shape)
}
