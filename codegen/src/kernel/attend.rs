//! Attention of a block of queries that takes keys block by block.

use super::{Affine, Element, Extent, FloatBits, Format};
use std::fmt;

/// `softmax(scale * Q K^T) V` for some rows of Q, with sums in f32.
///
/// The maximum and the sum of a row are corrected as further blocks of keys are seen, so that no
/// row of scores is ever stored. Blocks, and with them roundings, are the target's choice.
///
/// K is packed as [`Contract`](super::Contract) packs the rhs of `Q K^T`, V as that of
/// `P V`, both in the [`Format`] of the products: `F32`, `Bf16` or `F16`. Q and the probabilities
/// are rounded to what it says of an lhs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attend {
    pub format: Format,
    /// f32, rounded when it is read.
    pub q: Element,
    pub q_row_stride: i64,
    pub q_column_stride: i64,
    pub k: Element,
    pub k_panel_stride: i64,
    pub v: Element,
    pub v_panel_stride: i64,
    /// f32, its rows `value_depth` apart.
    pub output: Element,
    /// f32, of every row: its largest scaled score, and the sum of exponentials.
    pub maxima: Element,
    pub sums: Element,
    pub rows: Extent,
    pub keys: usize,
    pub depth: usize,
    pub value_depth: usize,
    /// Bits of the f32 that scores are multiplied with.
    pub scale: u32,
    /// Queries see the keys up to the end of their own block of this size; `None` sees all.
    pub causal: Option<usize>,
    /// The first row's position among all queries.
    pub first: Affine,
}

impl Attend {
    pub fn reads(&self) -> [&Element; 3] {
        [&self.q, &self.k, &self.v]
    }

    pub fn writes(&self) -> [&Element; 3] {
        [&self.output, &self.maxima, &self.sums]
    }
}

impl fmt::Display for Attend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "attend {} {}, {}, {} = {} by ({}, {}), keys {} by {}, values {} by {}",
            self.format.name(),
            self.output,
            self.maxima,
            self.sums,
            self.q,
            self.q_row_stride,
            self.q_column_stride,
            self.k,
            self.k_panel_stride,
            self.v,
            self.v_panel_stride,
        )?;
        write!(
            f,
            " scale {} rows {} keys {} depths {}, {}",
            FloatBits(self.scale),
            self.rows,
            self.keys,
            self.depth,
            self.value_depth
        )?;
        if let Some(size) = self.causal {
            write!(f, " causal {size}")?;
        }
        write!(f, " from {}", self.first)
    }
}
