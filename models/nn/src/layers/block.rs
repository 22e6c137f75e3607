//! A transformer block: attention and an MLP, each added to what it read.

use super::{Attention, Heads, LayerNorm, Linear, Mlp, Start};
use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, Scope, Tensor};

/// Where a block normalises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormOrder {
    /// What attention and MLP read: `x + f(norm(x))`.
    #[default]
    Pre,
    /// What they leave: `norm(x + f(x))`, as in the first transformers and in BERT.
    Post,
}

/// Attention (`attn`), an MLP (`mlp`), and their norms (`ln_1`, `ln_2`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    pub attention: Attention,
    pub mlp: Mlp,
    pub norm: LayerNorm,
    pub order: NormOrder,
}

impl Block {
    /// A pre-norm block with an MLP four times as wide; weights start normal with deviation 0.02,
    /// biases at zero.
    pub fn pre_norm(width: usize, heads: usize) -> Block {
        let linear = |outputs| Linear {
            weight: Start::Fixed(Init::Normal(0.02)),
            bias: Some(Start::ZERO),
            ..Linear::new(outputs)
        };
        Block {
            attention: Attention::new(width, heads),
            mlp: Mlp {
                hidden: linear(4 * width),
                output: linear(width),
                ..Mlp::new(4 * width, width)
            },
            norm: LayerNorm::default(),
            order: NormOrder::Pre,
        }
    }

    /// The same, normalised after each addition.
    pub fn post_norm(width: usize, heads: usize) -> Block {
        Block {
            order: NormOrder::Post,
            ..Block::pre_norm(width, heads)
        }
    }

    /// `[batch, tokens, width]` to the same; `attend` is what happens between heads: positions, a
    /// mask, a cache. Without any: `|heads| heads.attend(None)`.
    ///
    /// # Panics
    /// As [`Attention::project`].
    #[track_caller]
    pub fn forward<'g>(
        &self,
        scope: impl AsScope<'g>,
        x: Tensor<'g>,
        attend: &mut dyn FnMut(Heads<'g>) -> Tensor<'g>,
    ) -> Tensor<'g> {
        self.forward_changed(scope, x, attend, &mut |added| added)
    }

    /// The same, with something done to what attention and the MLP are about to add:
    /// [`Dropout::apply`](super::Dropout::apply) in training.
    ///
    /// # Panics
    /// As [`Attention::project`].
    #[track_caller]
    pub fn forward_changed<'g>(
        &self,
        scope: impl AsScope<'g>,
        x: Tensor<'g>,
        attend: &mut dyn FnMut(Heads<'g>) -> Tensor<'g>,
        change: &mut dyn FnMut(Tensor<'g>) -> Tensor<'g>,
    ) -> Tensor<'g> {
        let scope = scope.as_scope();
        let x = self.residual(&(scope / "ln_1"), x, |x| {
            let scope = scope / "attn";
            let heads = self.attention.project(&scope, x);
            change(self.attention.join(&scope, attend(heads)))
        });
        self.residual(&(scope / "ln_2"), x, |x| {
            change(self.mlp.forward(scope / "mlp", x))
        })
    }

    fn residual<'g>(
        &self,
        norm: &Scope<'g>,
        x: Tensor<'g>,
        inner: impl FnOnce(Tensor<'g>) -> Tensor<'g>,
    ) -> Tensor<'g> {
        match self.order {
            NormOrder::Pre => x + inner(self.norm.forward(norm, x)),
            NormOrder::Post => self.norm.forward(norm, x + inner(x)),
        }
    }
}
