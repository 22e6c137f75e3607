//! The lhs of a contraction: read where it is, or copied block by block.

use super::access::{Obstacle, Source};
use super::builder::KernelBuilder;
use super::operand_formats::operand_index;
use super::tiling::TilingPolicy;
use crate::kernel::{Affine, Element, Extent, Format, Groups, PANEL, Place, Stmt, Var};
use crate::schedule::Widenings;
use bsq_ir::{DotAxes, Function, NodeId};

/// Elements from one contracted index to the next above which rows side by side are copied: each
/// step touches another cache line, and too many of them share a set.
const FAR: i64 = 64;

/// The lhs: offset of an element in terms of result and contracted variables.
pub(super) struct Lhs {
    place: Place,
    pub at: Affine,
    /// Contracted variables, outermost first.
    contracted: Vec<Var>,
    format: Format,
}

impl Lhs {
    pub fn new(
        b: &mut KernelBuilder,
        function: &Function,
        lhs: NodeId,
        dot: &DotAxes,
        result: &[Affine],
        format: Format,
        widened: &Widenings,
    ) -> Result<Self, Obstacle> {
        let (index, contracted) = operand_index(b, function, lhs, dot, result, true);
        let mut source = b.addressing().locate(lhs, index)?;
        if let Source::Computed(value, index) = &source
            && let Some(widening) = widened.value(*value)
            && format.terms() > 1
        {
            source = b.addressing().locate(widening.narrow, index.clone())?;
        }
        match source {
            Source::Materialized(node, at) => {
                let place = b.node_buffer(node, false);
                Ok(Lhs {
                    place,
                    at,
                    contracted,
                    format,
                })
            }
            // Windows of what is stored narrow: not each of them, but what they are of.
            Source::Computed(value, _) if widened.view_of(value).is_some() => {
                Err(Obstacle::Materialize(value))
            }
            Source::Computed(..) => Err(Obstacle::Materialize(lhs)),
        }
    }

    /// How the lhs can be read in place, if it can: contracted variables in groups, and backwards, only where the
    /// target's policy allows it, and terms that are taken together side by side.
    pub fn strides(
        &self,
        b: &KernelBuilder,
        row: Var,
        row_groups: &[Groups],
        tiling: &TilingPolicy,
    ) -> Option<Strides> {
        let [most, _] = (tiling.lhs_groups)(self.format);
        let mut strides = Strides {
            row: self.at.coefficient(row),
            row_groups: row_groups.to_vec(),
            k: 1,
            groups: Vec::new(),
        };
        let mut inner: usize = 1;
        for &var in self.contracted.iter().rev() {
            let coefficient = self.at.coefficient(var);
            match inner {
                1 => strides.k = coefficient,
                _ if continues(&strides.groups, strides.k, inner, coefficient) => {}
                _ if strides.groups.len() < most => strides.groups.push(Groups {
                    terms: inner,
                    stride: coefficient,
                }),
                _ => return None,
            }
            inner *= b.axes.extent(var);
        }
        let together = self.format.terms();
        let whole = |groups: &Groups| groups.terms.is_multiple_of(together);
        let side_by_side = together == 1 || strides.k == 1 && strides.groups.iter().all(whole);
        let outer = strides.groups.iter().map(|groups| groups.stride);
        let upwards = outer
            .chain([strides.row, strides.k])
            .all(|stride| stride >= 0);
        (side_by_side && (upwards || tiling.lhs_backwards)).then_some(strides)
    }

    /// Where the block contraction reads the lhs, and what runs before it.
    ///
    /// An lhs that steps evenly along its rows is read in place. Others are copied block by
    /// block: rows that lie side by side keep doing so, at a distance that spares the cache.
    pub fn read(
        &self,
        b: &mut KernelBuilder,
        row: Var,
        rows: &Extent,
        strides: Option<Strides>,
        start: Affine,
        (block_rows, copies_far): (usize, bool),
    ) -> LhsBlock {
        let together = self.format.terms() > 1;
        let far = |strides: &Strides| {
            copies_far && strides.row == 1 && strides.k > FAR && strides.is_even()
        };
        let transposed = !together && strides.as_ref().is_some_and(far);
        if let (Some(strides), false) = (strides, transposed) {
            let zero = Affine::default();
            let first = |at: Affine, &var: &Var| at.substitute(var, &zero);
            let at = self.contracted.iter().fold(start, first);
            let from = Element::new(self.place, at);
            return LhsBlock {
                from,
                strides,
                prologue: Vec::new(),
            };
        }
        let k: usize = self
            .contracted
            .iter()
            .map(|&var| b.axes.extent(var))
            .product();
        let linear = self
            .contracted
            .iter()
            .fold(Affine::default(), |linear, &var| {
                linear
                    .scale(b.axes.extent(var) as i64)
                    .add(&Affine::var(var))
            });
        let (row_stride, k_stride, elements) = match transposed {
            true => (1, block_rows as i64, k * block_rows),
            // An odd number of cache lines, so that rows do not fall into the same cache sets.
            false => {
                let stride = k.next_multiple_of(PANEL) + PANEL;
                (stride as i64, 1, block_rows * stride)
            }
        };
        let dtype = self.format.a();
        let copy = b.scratch(dtype, elements);
        let at = Affine::var(row)
            .scale(row_stride)
            .add(&linear.scale(k_stride));
        let value = b.fresh();
        let from = Element::new(self.place, self.at.clone());
        let to = Element::new(copy, at);
        let nest = vec![Stmt::load(value, dtype, from), Stmt::store(to, value)];
        let row_loop = |body, vector| vec![Stmt::loop_over(vector, row, rows.clone(), body)];
        let prologue = match transposed {
            true => self.over_contracted(b, row_loop(nest, true), false),
            false => row_loop(self.over_contracted(b, nest, true), false),
        };
        let from = Element::first(copy);
        LhsBlock {
            from,
            strides: Strides {
                row: row_stride,
                row_groups: Vec::new(),
                k: k_stride,
                groups: Vec::new(),
            },
            prologue,
        }
    }

    /// Loops over the contracted variables, the last one in lanes if asked for.
    fn over_contracted(&self, b: &KernelBuilder, mut body: Vec<Stmt>, vector: bool) -> Vec<Stmt> {
        for (depth, &var) in self.contracted.iter().enumerate().rev() {
            let extent = Extent::Static(b.axes.extent(var));
            let vector = vector && depth + 1 == self.contracted.len();
            body = vec![Stmt::loop_over(vector, var, extent, body)];
        }
        body
    }
}

/// Whether indices that step by `stride` inside of groups, `inner` of them so far, go on as evenly
/// with `next` elements to those that follow.
pub(super) fn continues(groups: &[Groups], stride: i64, inner: usize, next: i64) -> bool {
    let (stride, terms) = match groups.last() {
        None => (stride, 1),
        Some(outermost) => (outermost.stride, outermost.terms),
    };
    next == stride * (inner / terms) as i64
}

/// Elements from one row to the next, and from one contracted index to the next, inside of groups.
#[derive(Clone, Debug)]
pub(super) struct Strides {
    pub row: i64,
    pub row_groups: Vec<Groups>,
    pub k: i64,
    pub groups: Vec<Groups>,
}

impl Strides {
    fn is_even(&self) -> bool {
        self.groups.is_empty() && self.row_groups.is_empty()
    }
}

/// A block of the lhs.
pub(super) struct LhsBlock {
    pub from: Element,
    pub strides: Strides,
    /// Statements that make it.
    pub prologue: Vec<Stmt>,
}
