//! The masked language model as a graph.
//!
//! Shapes: B pictures, N tokens, G sub-tokens of V values, D features. Sub-tokens are `i32`; V
//! stands for one that is masked. Classes are `i32`; -1 stands for one that is dropped.

use crate::config::MaskedLmModelConfig;
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Scope, Tensor};
use bsq_nn::layers::{
    Activation, Attention, Block, Dropout, Embedding, Heads, LayerNorm, Linear, Mlp, gelu_tanh,
};

/// Weights and embeddings start normal with this deviation.
const DEVIATION: f32 = 0.02;
/// Added to variances: BERT's.
const NORM: LayerNorm = LayerNorm { epsilon: 1e-12 };

/// The architecture: BERT's, with a class in front and tokens that are sums of sub-tokens
/// (MaskGIT, Chang et al. 2022; MaskBit, Weber et al. 2024).
#[derive(Clone, Debug)]
pub struct MaskedLm {
    config: MaskedLmModelConfig,
}

/// What the network makes of its input.
pub struct MaskedLmOutputs<'g> {
    /// `[B, 1 + N, D]`, before the first block.
    pub embedded: Tensor<'g>,
    /// The same behind each block.
    pub blocks: Vec<Tensor<'g>>,
    /// `[B, N, D]`: what logits are made of.
    pub head: Tensor<'g>,
    /// Of each sub-token, `[B, N, V]`.
    pub logits: Vec<Tensor<'g>>,
}

impl MaskedLm {
    /// The architecture of a configuration, which has been checked.
    pub fn new(config: &MaskedLmModelConfig) -> MaskedLm {
        MaskedLm {
            config: config.clone(),
        }
    }

    pub fn config(&self) -> &MaskedLmModelConfig {
        &self.config
    }

    /// From sub-tokens `i32[B, N, G]` and classes `i32[B]` to logits.
    ///
    /// # Panics
    /// If the shapes are others.
    #[track_caller]
    pub fn forward<'g>(
        &self,
        scope: &Scope<'g>,
        sub_tokens: Tensor<'g>,
        classes: Tensor<'g>,
    ) -> MaskedLmOutputs<'g> {
        self.forward_dropping(scope, sub_tokens, classes, None)
    }

    /// The same as training computes it, with dropout or without.
    ///
    /// # Panics
    /// If the shapes are others.
    #[track_caller]
    pub fn forward_dropping<'g>(
        &self,
        scope: &Scope<'g>,
        sub_tokens: Tensor<'g>,
        classes: Tensor<'g>,
        mut dropout: Option<Dropout<'g>>,
    ) -> MaskedLmOutputs<'g> {
        let mut drop = |x: Tensor<'g>| match &mut dropout {
            Some(dropout) => dropout.apply(x),
            None => x,
        };
        let config = &self.config;
        let (batch, width) = (classes.shape()[0], config.width);
        let tables = self.tables(scope);
        let groups = tables.iter().enumerate();
        let tokens = groups.map(|(group, table)| {
            let at = group..group + 1;
            table.gather(0, sub_tokens.slice(-1, at).squeeze(-1))
        });
        let tokens = tokens.reduce(|a, b| a + b).expect("a group");
        let first = self.class_vectors(scope, &tables, classes);
        let first = first.reshape([batch, 1, width]);
        let positions = embedding(1 + config.tokens, width).table(scope, "positional_embedding");
        let x = scope.graph().concat(&[first, tokens], 1) + positions;
        let embedded = drop(NORM.forward(scope / "ln_embed", x));
        let mut blocks = vec![embedded];
        let block_scope = scope / "transformer" / "resblocks";
        let block = self.block();
        for layer in 0..config.layers {
            let (scope, x) = (&block_scope / layer, blocks[layer]);
            // A region for each: blocks are equal, so they are optimised once.
            let attend = &mut |heads: Heads<'g>| heads.attend(None);
            let next = scope
                .graph()
                .in_new_region(|| block.forward_changed(&scope, x, attend, &mut drop));
            blocks.push(next);
        }
        let last = blocks[config.layers].slice(1, 1..1 + config.tokens);
        let head_scope = scope / "head";
        let head = Linear::normal(width, DEVIATION).forward(&head_scope / "dense", last);
        let head = NORM.forward(&head_scope / "norm", gelu_tanh(head));
        let bias = &head_scope / "bias";
        let values = config.vocabulary();
        let logits = tables.iter().enumerate().map(|(group, table)| {
            let bias = bias.parameter(&group.to_string(), [values], Init::Constant(0.0));
            head.matmul_transposed(table.slice(0, 0..values)) + bias
        });
        MaskedLmOutputs {
            logits: logits.collect(),
            embedded,
            head,
            blocks: blocks.split_off(1),
        }
    }

    /// The table of each group, `[V + 1, D]`: the last row is that of masked sub-tokens.
    fn tables<'g>(&self, scope: &Scope<'g>) -> Vec<Tensor<'g>> {
        let rows = self.config.vocabulary() + 1;
        let scope = scope / "token_embedding";
        let groups = 0..self.config.groups;
        let table = |group| embedding(rows, self.config.width).table(&scope / group, "weight");
        groups.map(table).collect()
    }

    /// Vectors `[B, D]` of classes; that of a masked token where the class is dropped.
    fn class_vectors<'g>(
        &self,
        scope: &Scope<'g>,
        tables: &[Tensor<'g>],
        classes: Tensor<'g>,
    ) -> Tensor<'g> {
        let (mask, width) = (self.config.vocabulary(), self.config.width);
        let rows = tables.iter().map(|table| table.slice(0, mask..mask + 1));
        let dropped = rows.reduce(|a, b| a + b).expect("a group");
        let shape = [classes.shape()[0], width];
        let dropped = dropped.broadcast_to(shape);
        if self.config.classes.is_empty() {
            return dropped;
        }
        let zero = classes.full_like(0.0);
        let table = embedding(self.config.classes.len(), width);
        let known = table.forward(scope / "class_embedding", classes.maximum(zero));
        let has_class = classes.ge(zero).expand_axes(-1, shape);
        known.where_(has_class, dropped)
    }

    fn block(&self) -> Block {
        let (width, hidden) = (self.config.width, self.config.mlp_width());
        let linear = |outputs| Linear::normal(outputs, DEVIATION);
        Block {
            attention: Attention {
                projection: linear(width),
                ..Attention::new(width, self.config.heads)
            },
            mlp: Mlp {
                hidden: linear(hidden),
                output: linear(width),
                activation: Activation::GeluTanh,
                ..Mlp::new(hidden, width)
            },
            norm: NORM,
            ..Block::post_norm(width, self.config.heads)
        }
    }

    /// Nats of each sequence, `[B]`: the mean over its masked sub-tokens, or over all with
    /// `loss_on_known`, of the cross-entropy against smoothed targets `i32[B, N, G]`.
    ///
    /// # Panics
    /// If shapes are not those, or there are no logits.
    #[track_caller]
    pub fn loss_per_sequence<'g>(
        &self,
        logits: &[Tensor<'g>],
        sub_tokens: Tensor<'g>,
        targets: Tensor<'g>,
    ) -> Tensor<'g> {
        let (mut nats, mut count) = (None, None);
        for (group, &logits) in logits.iter().enumerate() {
            let of_group = |x: Tensor<'g>| x.slice(-1, group..group + 1).squeeze(-1);
            let cost = self.smoothed_cross_entropy(logits, of_group(targets));
            let weight = match self.config.loss_on_known {
                true => cost.full_like(1.0),
                false => {
                    let sub_tokens = of_group(sub_tokens);
                    let mask = sub_tokens.full_like(self.config.vocabulary() as f64);
                    sub_tokens.eq(mask).cast(DType::F32)
                }
            };
            let add = |sum: Option<Tensor<'g>>, x: Tensor<'g>| Some(sum.map_or(x, |sum| sum + x));
            nats = add(nats, (cost * weight).sum(-1));
            count = add(count, weight.sum(-1));
        }
        nats.expect("a group") / count.expect("a group")
    }

    /// `-sum_v y_v ln softmax(logits)_v` with `y = (1 - s) onehot + s / V`, `[B, N]`.
    fn smoothed_cross_entropy<'g>(&self, logits: Tensor<'g>, targets: Tensor<'g>) -> Tensor<'g> {
        let (shape, smoothing) = (logits.shape(), self.config.label_smoothing);
        let shifted = logits - logits.max(-1).stop_gradient().expand_axes(-1, &shape);
        let log_sum = shifted.exp().sum(-1).log();
        let value = logits.graph().iota(DType::I32, &shape, shape.len() - 1);
        let hit = value.eq(targets.expand_axes(-1, &shape));
        let target = shifted.where_(hit, 0.0).sum(-1);
        log_sum - (target * (1.0 - smoothing) + shifted.mean(-1) * smoothing)
    }
}

fn embedding(entries: usize, width: usize) -> Embedding {
    Embedding {
        deviation: DEVIATION,
        ..Embedding::new(entries, width)
    }
}
