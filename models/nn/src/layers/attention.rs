//! Multi-head self-attention, in two halves between which positions, masks and caches come.

use super::{Linear, Start};
use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, Tensor};

/// What the parameters of the projection to queries, keys and values are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InProjection {
    /// `in_proj_weight` and `in_proj_bias`, as PyTorch's `MultiheadAttention`.
    #[default]
    Flat,
    /// `in_proj.weight` and `in_proj.bias`, a linear layer like others.
    Scoped,
}

/// Multi-head self-attention over `[batch, tokens, width]`.
///
/// One projection makes queries, keys and values, in this order; head `h` has features
/// `h * d..(h + 1) * d` of each, with `d = width / heads`. Parameters: those of [`InProjection`],
/// `[3 * width, width]` and `[3 * width]`, and `out_proj.weight`, `out_proj.bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    pub heads: usize,
    /// Of `width` outputs; the projection to queries, keys and values is like it.
    pub projection: Linear,
    pub in_projection: InProjection,
}

/// Queries, keys and values by head, `[batch, heads, tokens, width / heads]` each.
#[derive(Clone, Copy)]
pub struct Heads<'g> {
    pub queries: Tensor<'g>,
    pub keys: Tensor<'g>,
    pub values: Tensor<'g>,
}

impl Attention {
    /// Weights that start normal with deviation 0.02, biases of zeros.
    pub fn new(width: usize, heads: usize) -> Attention {
        Attention {
            heads,
            projection: Linear {
                weight: Start::Fixed(Init::Normal(0.02)),
                bias: Some(Start::ZERO),
                ..Linear::new(width)
            },
            in_projection: InProjection::Flat,
        }
    }

    /// Queries, keys and values of `x`.
    ///
    /// # Panics
    /// If `x` is not `[batch, tokens, width]`, or the width no multiple of the heads.
    #[track_caller]
    pub fn project<'g>(&self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Heads<'g> {
        let scope = scope.as_scope();
        let &[batch, tokens, width] = &x.shape()[..] else {
            panic!("attention is over [batch, tokens, width], not {}", x.ty());
        };
        assert!(
            self.heads > 0 && width.is_multiple_of(self.heads),
            "a width of {width} is not that of {} heads",
            self.heads
        );
        let linear = Linear {
            outputs: 3 * width,
            ..self.projection
        };
        let projected = match self.in_projection {
            InProjection::Flat => {
                linear.forward_named(scope, ["in_proj_weight", "in_proj_bias"], x)
            }
            InProjection::Scoped => linear.forward(scope / "in_proj", x),
        };
        let by_head = [batch, tokens, self.heads, width / self.heads];
        let parts = projected.chunk(3, -1);
        let [queries, keys, values] =
            [0, 1, 2].map(|part| parts[part].reshape(by_head).transpose(&[0, 2, 1, 3]));
        Heads {
            queries,
            keys,
            values,
        }
    }

    /// What was attended to, `[batch, heads, tokens, width / heads]`, to `[batch, tokens, width]`.
    ///
    /// # Panics
    /// If there are not four axes, or the scope has these parameters already.
    #[track_caller]
    pub fn join<'g>(&self, scope: impl AsScope<'g>, attended: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        let &[batch, heads, tokens, d] = &attended.shape()[..] else {
            panic!("heads are [batch, heads, tokens, d], not {}", attended.ty());
        };
        let joined = attended.transpose(&[0, 2, 1, 3]);
        let joined = joined.reshape([batch, tokens, heads * d]);
        self.projection.forward(scope / "out_proj", joined)
    }
}

impl<'g> Heads<'g> {
    /// `softmax(q k^T / sqrt(d)) v`; `mask` (`bool`, true: may attend) broadcasts to
    /// `[batch, heads, queries, keys]`.
    ///
    /// # Panics
    /// As [`Tensor::attention`].
    #[track_caller]
    pub fn attend(&self, mask: Option<Tensor<'g>>) -> Tensor<'g> {
        let d = self.queries.shape().last().copied().unwrap_or(1);
        let scale = 1.0 / (d as f64).sqrt();
        self.queries.attention(self.keys, self.values, scale, mask)
    }
}
