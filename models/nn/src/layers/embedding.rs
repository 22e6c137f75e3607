//! A table of vectors, read by index.

use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, Tensor};

/// A table of `entries` vectors: integers `[..]` to `[.., width]`.
///
/// Parameters: `weight [entries, width]`. Indices outside are clamped, unless a program is compiled
/// with `check_values`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Embedding {
    pub entries: usize,
    pub width: usize,
    /// Entries start normal with this deviation.
    pub deviation: f32,
}

impl Embedding {
    /// As in PyTorch: entries start normal with deviation 1.
    pub fn new(entries: usize, width: usize) -> Embedding {
        Embedding {
            entries,
            width,
            deviation: 1.0,
        }
    }

    /// # Panics
    /// If `indices` are not integers, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: impl AsScope<'g>, indices: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        self.table(scope, "weight").gather(0, indices)
    }

    /// The table by itself, `[entries, width]`, by the name `name`: for position embeddings, and
    /// for logits that share it.
    ///
    /// # Panics
    /// If the scope has a parameter of that name already.
    #[track_caller]
    pub fn table<'g>(&self, scope: impl AsScope<'g>, name: &str) -> Tensor<'g> {
        let scope = scope.as_scope();
        scope.parameter(
            name,
            [self.entries, self.width],
            Init::Normal(self.deviation),
        )
    }
}
