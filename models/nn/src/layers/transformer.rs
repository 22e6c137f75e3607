//! Blocks one after the other.

use super::{Block, Heads};
use bsq_ir::{AsScope, Tensor};

/// What attention does in a layer: is given the layer's number and its heads, and returns what was
/// attended to, `[batch, heads, tokens, d]`.
pub type Attend<'a, 'g> = dyn FnMut(usize, Heads<'g>) -> Tensor<'g> + 'a;

/// `layers` equal blocks with separate parameters, `0` to `layers - 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transformer {
    pub layers: usize,
    pub block: Block,
}

impl Transformer {
    /// `[batch, tokens, width]` to the same.
    ///
    /// # Panics
    /// As [`Block::forward`].
    #[track_caller]
    pub fn forward<'g>(
        &self,
        scope: impl AsScope<'g>,
        x: Tensor<'g>,
        attend: &mut Attend<'_, 'g>,
    ) -> Tensor<'g> {
        let scope = scope.as_scope();
        (0..self.layers).fold(x, |x, layer| {
            // A region for each block: blocks are equal, so they are optimised once.
            let forward = || {
                self.block
                    .forward(scope / layer, x, &mut |heads| attend(layer, heads))
            };
            scope.graph().in_new_region(forward)
        })
    }
}
