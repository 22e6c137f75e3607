//! Half of attention's backward pass for a block of rows of scores, or of their transpose.

use super::{Affine, Element, Extent, FloatBits};
use std::fmt;

/// Gradients of queries, or of keys and values, without scores in memory.
///
/// With `S = scale * Q K^T`, `P = exp(S - maximum) / sum`, `dP = G V^T` and
/// `dS = scale * P * (dP - inner)`, where the inner product of a query is its row's sum of `P * dP`:
///
/// | rows | columns | left operands | right operands | reads | writes |
/// |---|---|---|---|---|---|
/// | queries | keys | Q, G | K, V | | `inner`, `dQ = dS K` |
/// | keys | queries | K, V | Q, G | `inner` | `dK = dS^T Q`, `dV = P^T G` |
///
/// All of it is f32. Columns are taken block by block in ascending order; blocks are the target's
/// choice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttendBackward {
    /// Rows are keys.
    pub by_keys: bool,
    pub lhs: [StridedRows; 2],
    /// Packed as [`Contract`](super::Contract) packs the rhs of a sum over columns.
    pub rhs: [Panels; 2],
    /// Of every query, from the first row or column on: the largest scaled score, the sum of
    /// exponentials, the inner product.
    pub maxima: Element,
    pub sums: Element,
    pub inner: Element,
    /// Rows of a result lie side by side. The second only if rows are keys.
    pub results: Vec<Element>,
    pub rows: Extent,
    /// The first row's position among all of them.
    pub first: Affine,
    pub columns: usize,
    /// Widths of Q and K, and of G and V.
    pub depths: [usize; 2],
    /// Bits of the f32 that scores are multiplied with.
    pub scale: u32,
    /// Queries see the keys up to the end of their own block of this size; `None` sees all. There
    /// are as many queries as keys then.
    pub causal: Option<usize>,
}

/// Rows with plain strides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StridedRows {
    pub first: Element,
    pub row_stride: i64,
    pub column_stride: i64,
}

/// Panels, and elements from one to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Panels {
    pub first: Element,
    pub stride: i64,
}

impl AttendBackward {
    pub fn reads(&self) -> Vec<&Element> {
        let lhs = self.lhs.iter().map(|side| &side.first);
        let rhs = self.rhs.iter().map(|panels| &panels.first);
        let mut all: Vec<&Element> = lhs.chain(rhs).collect();
        all.extend([&self.maxima, &self.sums]);
        all.extend(self.by_keys.then_some(&self.inner));
        all
    }

    pub fn writes(&self) -> Vec<&Element> {
        let inner = (!self.by_keys).then_some(&self.inner);
        self.results.iter().chain(inner).collect()
    }

    /// Every index expression.
    pub fn indices(&mut self) -> Vec<&mut Affine> {
        let lhs = self.lhs.iter_mut().map(|side| &mut side.first);
        let rhs = self.rhs.iter_mut().map(|panels| &mut panels.first);
        let rows = [&mut self.maxima, &mut self.sums, &mut self.inner];
        let elements = lhs.chain(rhs).chain(rows).chain(&mut self.results);
        let mut all: Vec<&mut Affine> = elements.map(|element| &mut element.at).collect();
        all.push(&mut self.first);
        all
    }
}

impl fmt::Display for AttendBackward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.by_keys { "keys" } else { "queries" };
        write!(f, "attend backward by {rows}")?;
        for element in self.writes() {
            write!(f, " {element}")?;
        }
        write!(f, " =")?;
        for side in &self.lhs {
            let (row, column) = (side.row_stride, side.column_stride);
            write!(f, " {} by ({row}, {column})", side.first)?;
        }
        for panels in &self.rhs {
            write!(f, " {} by {}", panels.first, panels.stride)?;
        }
        write!(f, ", {}, {}", self.maxima, self.sums)?;
        if self.by_keys {
            write!(f, ", {}", self.inner)?;
        }
        let (scale, [depth, value_depth]) = (FloatBits(self.scale), self.depths);
        let (rows, columns) = (&self.rows, self.columns);
        write!(
            f,
            " scale {scale} rows {rows} columns {columns} depths {depth}, {value_depth}"
        )?;
        if let Some(size) = self.causal {
            write!(f, " causal {size}")?;
        }
        write!(f, " from {}", self.first)
    }
}
