//! Keys and values of earlier tokens, kept between runs.

use super::Heads;
use bsq_ir::shape::Type;
use bsq_ir::{DType, Graph, Tensor};

/// Keys and values of a layer for `positions` tokens: two parameters of a program that it updates
/// in place, `NAME.keys` and `NAME.values`, each `f32[batch, heads, positions, d]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheSpec {
    pub name: String,
    pub ty: Type,
}

/// A cache in a graph.
#[derive(Clone, Copy)]
pub struct Cache<'g> {
    keys: Tensor<'g>,
    values: Tensor<'g>,
}

impl CacheSpec {
    /// `shape` is `[batch, heads, positions, d]`.
    pub fn new(name: impl Into<String>, shape: [usize; 4]) -> CacheSpec {
        CacheSpec {
            name: name.into(),
            ty: Type::new(DType::F32, shape),
        }
    }

    /// Names of the parameters: keys, values.
    pub fn names(&self) -> [String; 2] {
        ["keys", "values"].map(|kind| format!("{}.{kind}", self.name))
    }

    /// The cache as parameters of a graph. What they hold at first does not matter, as long as it
    /// is finite: a masked key counts zero times its value.
    ///
    /// # Panics
    /// If the graph has parameters of these names already.
    #[track_caller]
    pub fn parameters<'g>(&self, graph: &'g Graph) -> Cache<'g> {
        let [keys, values] = self
            .names()
            .map(|name| graph.parameter(&name, self.ty.dtype, &self.ty.shape));
        Cache { keys, values }
    }
}

impl<'g> Cache<'g> {
    /// Puts new tokens' keys and values at position `start` (`i32[]`). Returns heads whose keys and
    /// values are those of all positions, and the updates that the function must have: old, new.
    ///
    /// # Panics
    /// If the heads do not fit into the cache, or `start` is no integer scalar.
    #[track_caller]
    pub fn extended(
        &self,
        heads: Heads<'g>,
        start: Tensor<'g>,
    ) -> (Heads<'g>, [(Tensor<'g>, Tensor<'g>); 2]) {
        let keys = self.keys.dynamic_update_slice(2, heads.keys, start);
        let values = self.values.dynamic_update_slice(2, heads.values, start);
        let extended = Heads {
            keys,
            values,
            ..heads
        };
        (extended, [(self.keys, keys), (self.values, values)])
    }
}
