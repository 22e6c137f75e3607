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
            Source::Computed(..) => Err(Obstacle::Materialize(lhs)),
        }
    }

    /// How the lhs can be read in place, if it can: upwards; contracted variables in groups only
    /// where the target's policy allows it.
    pub fn strides(&self, b: &KernelBuilder, row: Var, tiling: &TilingPolicy) -> Option<Strides> {
        let mut strides = Strides {
            row: self.at.coefficient(row),
            k: 1,
            groups: None,
        };
        let mut inner: usize = 1;
        for &var in self.contracted.iter().rev() {
            let coefficient = self.at.coefficient(var);
            let even = match &strides.groups {
                None => coefficient == strides.k * inner as i64,
                Some(groups) => coefficient == groups.stride * (inner / groups.terms) as i64,
            };
            match strides.groups {
                _ if inner == 1 => strides.k = coefficient,
                _ if even => {}
                None if tiling.groups_uneven_lhs => {
                    strides.groups = Some(Groups {
                        terms: inner,
                        stride: coefficient,
                    });
                }
                _ => return None,
            }
            inner *= b.axes.extent(var);
        }
        // Targets that copy ahead go upwards.
        let group = strides.groups.map_or(0, |groups| groups.stride);
        let upwards = strides.row >= 0 && strides.k >= 0 && group >= 0;
        upwards.then_some(strides)
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
        let far = |strides: Strides| copies_far && strides.row == 1 && strides.k > FAR;
        let transposed = !together && strides.is_some_and(far);
        let apart = together && strides.is_some_and(|strides| strides.k != 1);
        let in_place = !transposed && !apart;
        if let (Some(strides), true) = (strides, in_place) {
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
                k: k_stride,
                groups: None,
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

/// Elements from one row to the next, and from one contracted index to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strides {
    pub row: i64,
    pub k: i64,
    pub groups: Option<Groups>,
}

/// A block of the lhs.
pub(super) struct LhsBlock {
    pub from: Element,
    pub strides: Strides,
    /// Statements that make it.
    pub prologue: Vec<Stmt>,
}
