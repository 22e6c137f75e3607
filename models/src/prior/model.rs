//! The prior as a graph: stem, transformer blocks, and the chain of a token's sub-tokens.
//!
//! Shapes: B tiles, N positions, D features, K sub-tokens of C classes, H hidden features of a
//! sub-token, M tokens that a position sees: neighbours, then those of the frame before. Sub-tokens are `i32`; -1 stands for one that is not known.

use super::order::before;
use super::{Order, Storage};
use crate::config::{PositionEncoding, PriorModelConfig};
use bsq_ir::op::Constant;
use bsq_ir::shape::Type;
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{
    Attend, Attention, Block, Embedding, Heads, InProjection, LayerNorm, Linear, Mlp, Transformer,
};

/// Weights and embeddings start normal with this deviation, the chain of sub-tokens with that.
const DEVIATION: f32 = 0.02;
const CHAIN_DEVIATION: f32 = 0.05;
const ZERO: Init = Init::Constant(0.0);
/// Angles of the slowest rotation and of the fastest, 1, are in this proportion.
const ROTARY_BASE: f64 = 100.0;

/// The architecture of a prior.
#[derive(Clone, Debug)]
pub struct PriorModel {
    config: PriorModelConfig,
    order: Order,
    neighbours: Vec<(isize, isize)>,
    /// Of the frame before.
    before: Vec<(isize, isize)>,
    storage: Storage,
}

/// Position-dependent constants of some of a tile's positions.
pub(super) struct Positions<'g> {
    /// `i32[N]`.
    rows: Tensor<'g>,
    columns: Tensor<'g>,
    /// Cosines and signed sines, `[N, 2, d / 2]`.
    rotation: Option<[Tensor<'g>; 2]>,
}

impl PriorModel {
    /// The architecture of a configuration, which has been checked; its weights are `f32`.
    pub fn new(config: &PriorModelConfig) -> PriorModel {
        PriorModel::stored_as(config, Storage::F32)
    }

    /// The same with weights that are kept in another way.
    pub fn stored_as(config: &PriorModelConfig, storage: Storage) -> PriorModel {
        let order = Order {
            side: config.side,
            slope: config.slope,
        };
        PriorModel {
            neighbours: order.neighbours(config.neighbours),
            before: before(config.frame_before),
            config: config.clone(),
            order,
            storage,
        }
    }

    pub fn config(&self) -> &PriorModelConfig {
        &self.config
    }

    /// How its weights are kept.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// The order in which the tokens of a tile are coded.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Where the tokens of the input stand, as (rows down, columns right).
    pub fn neighbours(&self) -> &[(isize, isize)] {
        &self.neighbours
    }

    /// The same of the frame before.
    pub fn before(&self) -> &[(isize, isize)] {
        &self.before
    }

    /// Tokens that a position sees as input.
    pub fn seen(&self) -> usize {
        self.neighbours.len() + self.before.len()
    }

    /// The positions of a whole tile.
    pub(super) fn positions<'g>(&self, graph: &'g Graph) -> Positions<'g> {
        let tokens = self.order.tokens();
        let indices = |pick: fn((usize, usize)) -> usize| {
            let bytes = tokens.iter().flat_map(|token| {
                let index = token.map_or(0, pick);
                (index as i32).to_le_bytes()
            });
            let ty = Type::new(DType::I32, [tokens.len()]);
            graph.constant(Constant::dense_bytes(ty, bytes.collect::<Vec<u8>>()))
        };
        let rotation = match self.config.position {
            PositionEncoding::Learned => None,
            PositionEncoding::Rotary => Some(self.rotation(graph, &tokens)),
        };
        Positions {
            rows: indices(|token| token.0),
            columns: indices(|token| token.1),
            rotation,
        }
    }

    /// Half of a head's pairs of features turn with the row, the others with the column.
    fn rotation<'g>(&self, graph: &'g Graph, tokens: &[Option<(usize, usize)>]) -> [Tensor<'g>; 2] {
        let pairs = self.config.width / self.config.heads / 2;
        let each = pairs / 2;
        let (mut cosines, mut sines) = (Vec::new(), Vec::new());
        for token in tokens {
            let (row, column) = token.unwrap_or_default();
            let angle = |pair: usize| {
                let place = if pair < each { row } else { column };
                let exponent = (pair % each) as f64 / each as f64;
                place as f64 * libm::pow(ROTARY_BASE, -exponent)
            };
            for sign in [-1.0, 1.0] {
                for pair in 0..pairs {
                    cosines.push(libm::cos(angle(pair)) as f32);
                    sines.push((sign * libm::sin(angle(pair))) as f32);
                }
            }
        }
        let shape = [tokens.len(), 2, pairs];
        [cosines, sines].map(|table| graph.constant_f32(&table, shape))
    }

    /// From the sub-tokens that each position sees, [`one_hot`](PriorModel::one_hot) `[B, N, M K C]`, to features
    /// `[B, N, D]` from which each of the position's own sub-tokens is predicted.
    /// `attend(layer, heads)` is attention, which differs between the whole tile and one
    /// wavefront.
    pub(super) fn features<'g>(
        &self,
        scope: &Scope<'g>,
        seen: Tensor<'g>,
        positions: &Positions<'g>,
        attend: &mut Attend<'_, 'g>,
    ) -> Tensor<'g> {
        let width = self.config.width;
        let mut x = self.linear(width).forward(scope / "stem", seen);
        if self.config.position == PositionEncoding::Learned {
            let embedding = Embedding {
                deviation: DEVIATION,
                ..Embedding::new(self.config.side, width)
            };
            let read =
                |name: &str, indices: Tensor<'g>| embedding.table(scope, name).gather(0, indices);
            x = x
                + (read("row_embedding", positions.rows)
                    + read("column_embedding", positions.columns));
        }
        let blocks = scope / "blocks";
        let x = self.transformer().forward(&blocks, x, &mut |layer, heads| {
            attend(layer, positions.turned(heads))
        });
        LayerNorm::default().forward(scope / "ln_post", x)
    }

    fn transformer(&self) -> Transformer {
        let (width, hidden) = (self.config.width, self.config.mlp_width());
        let block = Block {
            attention: Attention {
                projection: self.linear(width),
                in_projection: InProjection::Scoped,
                ..Attention::new(width, self.config.heads)
            },
            mlp: Mlp {
                hidden: self.linear(hidden),
                output: self.linear(width),
                names: ["fc", "proj"],
                ..Mlp::new(hidden, width)
            },
            ..Block::pre_norm(width, self.config.heads)
        };
        Transformer {
            layers: self.config.layers,
            block,
        }
    }

    fn linear(&self, outputs: usize) -> Linear {
        Linear {
            storage: self.storage,
            ..Linear::normal(outputs, DEVIATION)
        }
    }

    /// The share of the features `[B, N, D]` in the hidden layers of all sub-tokens,
    /// `[B, N, K, H]`.
    pub(super) fn projected<'g>(&self, scope: &Scope<'g>, features: Tensor<'g>) -> Tensor<'g> {
        let (sub_tokens, hidden) = (self.config.sub_tokens(), self.config.head_width);
        let shape = features.shape();
        self.linear(sub_tokens * hidden)
            .forward(scope / "head" / "input", features)
            .reshape([shape[0], shape[1], sub_tokens, hidden])
    }

    /// Logits `[K, B, N, C]` of every sub-token, given the token's earlier ones out of
    /// `seen`, [`one_hot`](PriorModel::one_hot) `[B, N, K C]`.
    pub(super) fn logits<'g>(
        &self,
        scope: &Scope<'g>,
        projected: Tensor<'g>,
        seen: Tensor<'g>,
    ) -> Tensor<'g> {
        let (sub_tokens, hidden) = (self.config.sub_tokens(), self.config.head_width);
        let classes = self.config.classes();
        let shape = seen.shape();
        let context = self.context(scope) * self.earlier(scope.graph());
        let context = context.reshape([sub_tokens * hidden, sub_tokens * classes]);
        let context = seen.matmul_transposed(context);
        let context = context.reshape([shape[0], shape[1], sub_tokens, hidden]);
        let x = (projected + context).gelu().transpose(&[2, 0, 1, 3]);
        let Chain {
            mix,
            mix_bias,
            out,
            out_bias,
        } = self.chain(scope);
        let per = |bias: Tensor<'g>| bias.unsqueeze(1).unsqueeze(1);
        let mixed = x.dot_general(mix, &[(0, 0)], &[(3, 2)]) + per(mix_bias);
        let x = x + mixed.gelu();
        x.dot_general(out, &[(0, 0)], &[(3, 2)]) + per(out_bias)
    }

    /// Logits `[R, C]` of sub-token `index` (`i32[]`) of R tokens, of which `tokens`, `i32[R, K]`,
    /// has the earlier sub-tokens and -1 for the others; `projected` is `[R, H]`.
    pub(super) fn logits_of<'g>(
        &self,
        scope: &Scope<'g>,
        projected: Tensor<'g>,
        tokens: Tensor<'g>,
        index: Tensor<'g>,
    ) -> Tensor<'g> {
        let pick = |weights: Tensor<'g>| weights.dynamic_slice(0, index, 1).squeeze(0);
        let seen = self.one_hot(tokens);
        let x = (projected + seen.matmul_transposed(pick(self.context(scope)))).gelu();
        let Chain {
            mix,
            mix_bias,
            out,
            out_bias,
        } = self.chain(scope);
        let x = x + (x.matmul_transposed(pick(mix)) + pick(mix_bias)).gelu();
        x.matmul_transposed(pick(out)) + pick(out_bias)
    }

    /// What each sub-token takes from the others, `[K, H, K * C]`.
    fn context<'g>(&self, scope: &Scope<'g>) -> Tensor<'g> {
        let (sub_tokens, hidden) = (self.config.sub_tokens(), self.config.head_width);
        let shape = [sub_tokens, hidden, sub_tokens * self.config.classes()];
        (scope / "head" / "context").parameter("weight", shape, Init::Normal(CHAIN_DEVIATION))
    }

    /// One where a sub-token may see another, `[K, 1, K * C]`.
    fn earlier<'g>(&self, graph: &'g Graph) -> Tensor<'g> {
        let (sub_tokens, classes) = (self.config.sub_tokens(), self.config.classes());
        let seen = (0..sub_tokens).flat_map(|own| {
            (0..sub_tokens * classes).map(move |place| f32::from(place / classes < own))
        });
        let seen: Vec<f32> = seen.collect();
        graph.constant_f32(&seen, [sub_tokens, 1, sub_tokens * classes])
    }

    fn chain<'g>(&self, scope: &Scope<'g>) -> Chain<'g> {
        let (sub_tokens, hidden) = (self.config.sub_tokens(), self.config.head_width);
        let classes = self.config.classes();
        let (mix, out) = (scope / "head" / "mix", scope / "head" / "output");
        Chain {
            mix: mix.parameter(
                "weight",
                [sub_tokens, hidden, hidden],
                Init::Normal(CHAIN_DEVIATION),
            ),
            mix_bias: mix.parameter("bias", [sub_tokens, hidden], ZERO),
            out: out.parameter(
                "weight",
                [sub_tokens, classes, hidden],
                Init::Normal(CHAIN_DEVIATION),
            ),
            out_bias: out.parameter("bias", [sub_tokens, classes], ZERO),
        }
    }

    /// What the network takes of sub-tokens: of `i32[R, K]` to `i32[B, N, M, K]` the axes of sub-tokens as one, C times as
    /// long, with 1 at each one's value, zeros for -1.
    pub(super) fn one_hot<'g>(&self, sub_tokens: Tensor<'g>) -> Tensor<'g> {
        let shape = sub_tokens.shape().to_vec();
        let rows = shape.len().min(3) - 1;
        let mut flat = shape[..rows].to_vec();
        flat.push(shape[rows..].iter().product::<usize>() * self.config.classes());
        let hot = self.is_class(sub_tokens).cast(DType::F32);
        hot.reshape(flat)
    }

    /// One axis more, of C: whether that is the sub-token's value.
    pub(super) fn is_class<'g>(&self, sub_tokens: Tensor<'g>) -> Tensor<'g> {
        let mut shape = sub_tokens.shape().to_vec();
        shape.push(self.config.classes());
        let class = sub_tokens
            .graph()
            .iota(DType::I32, shape.clone(), shape.len() - 1);
        class.eq(sub_tokens.expand_axes(-1, shape))
    }
}

impl<'g> Positions<'g> {
    /// Queries and keys turned by the angles of their positions, where positions are rotary.
    fn turned(&self, heads: Heads<'g>) -> Heads<'g> {
        let Some([cosines, sines]) = self.rotation else {
            return heads;
        };
        let turned = |x: Tensor<'g>| {
            let shape = x.shape();
            let pairs = x.reshape([shape[0], shape[1], shape[2], 2, shape[3] / 2]);
            let turned = pairs * cosines + pairs.flip(3) * sines;
            turned.reshape(shape)
        };
        Heads {
            queries: turned(heads.queries),
            keys: turned(heads.keys),
            ..heads
        }
    }

    /// `count` positions from `start` (`i32[]`) on.
    pub(super) fn some(&self, start: Tensor<'g>, count: usize) -> Positions<'g> {
        let part = |table: Tensor<'g>| table.dynamic_slice(0, start, count);
        Positions {
            rows: part(self.rows),
            columns: part(self.columns),
            rotation: self.rotation.map(|tables| tables.map(part)),
        }
    }
}

/// Weights of the chain's second hidden layer and of its logits.
struct Chain<'g> {
    /// `[K, H, H]`.
    mix: Tensor<'g>,
    mix_bias: Tensor<'g>,
    /// `[K, C, H]`.
    out: Tensor<'g>,
    out_bias: Tensor<'g>,
}
