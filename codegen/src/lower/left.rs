//! The left side of a contraction: read where it is, or copied block by block.

use super::access::{Blocked, Source};
use super::blocks::Blocks;
use super::builder::Builder;
use super::sides::operand_index;
use crate::kernel::{Affine, Element, Extent, Format, Inst, PANEL, Place, Stmt, Var};
use crate::schedule::Widenings;
use bsq_ir::{DotAxes, Function, NodeId};

/// Elements from one contracted index to the next above which rows side by side are copied: each
/// step touches another cache line, and too many of them share a set.
const FAR: i64 = 64;

/// The left side: offset of an element in terms of result and contracted variables.
pub(super) struct Left {
    place: Place,
    pub at: Affine,
    /// Contracted variables, outermost first.
    contracted: Vec<Var>,
    format: Format,
}

impl Left {
    pub fn new(
        b: &mut Builder,
        function: &Function,
        lhs: NodeId,
        dot: &DotAxes,
        result: &[Affine],
        format: Format,
        widened: &Widenings,
    ) -> Result<Self, Blocked> {
        let (index, contracted) = operand_index(b, function, lhs, dot, result, true);
        let mut source = b.places().locate(lhs, index)?;
        if let Source::Computed(value, index) = &source
            && let Some(widening) = widened.value(*value)
            && format.terms() > 1
        {
            source = b.places().locate(widening.narrow, index.clone())?;
        }
        match source {
            Source::Stored(node, at) => {
                let place = b.node_buffer(node, false);
                Ok(Left {
                    place,
                    at,
                    contracted,
                    format,
                })
            }
            Source::Computed(..) => Err(Blocked::Store(lhs)),
        }
    }

    /// Row and k strides if the left side can be read in place.
    pub fn strides(&self, b: &Builder, row: Var) -> Option<(i64, i64)> {
        let mut step = None;
        let mut inner = 1;
        for &var in self.contracted.iter().rev() {
            let coefficient = self.at.coefficient(var);
            match step {
                None => step = Some(coefficient),
                Some(step) if coefficient == step * inner => {}
                Some(_) => return None,
            }
            inner *= b.axes.extent(var) as i64;
        }
        Some((self.at.coefficient(row), step.unwrap_or(1)))
    }

    /// Where the block contraction reads the left side, and what runs before it.
    ///
    /// A left side that steps evenly along its rows is read in place. Others are copied block by
    /// block: rows that lie side by side keep doing so, at a distance that spares the cache.
    pub fn read(
        &self,
        b: &mut Builder,
        row: Var,
        rows: &Extent,
        strides: Option<(i64, i64)>,
        start: Affine,
        blocks: &Blocks,
    ) -> LeftBlock {
        let together = self.format.terms() > 1;
        let far = |(row, k)| blocks.copies_far_sides && row == 1 && k > FAR;
        let transposed = !together && strides.is_some_and(far);
        let apart = together && strides.is_some_and(|(_, k)| k != 1);
        let in_place = !transposed && !apart;
        if let (Some((row_stride, k_stride)), true) = (strides, in_place) {
            let zero = Affine::default();
            let first = |at: Affine, &var: &Var| at.substitute(var, &zero);
            let at = self.contracted.iter().fold(start, first);
            let from = Element {
                place: self.place,
                at,
                dynamic: None,
            };
            return LeftBlock {
                from,
                row_stride,
                k_stride,
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
            true => (1, blocks.rows as i64, k * blocks.rows),
            // An odd number of cache lines, so that rows do not fall into the same cache sets.
            false => {
                let stride = k.next_multiple_of(PANEL) + PANEL;
                (stride as i64, 1, blocks.rows * stride)
            }
        };
        let dtype = self.format.a();
        let copy = b.scratch(dtype, elements);
        let at = Affine::var(row)
            .scale(row_stride)
            .add(&linear.scale(k_stride));
        let value = b.fresh();
        let from = Element {
            place: self.place,
            at: self.at.clone(),
            dynamic: None,
        };
        let to = Element {
            place: copy,
            at,
            dynamic: None,
        };
        let nest = vec![
            Stmt::Let {
                value,
                dtype,
                inst: Inst::Load(from),
            },
            Stmt::Store { to, value },
        ];
        let row_loop = |body, vector| {
            vec![Stmt::Loop {
                var: row,
                extent: rows.clone(),
                vector,
                body,
            }]
        };
        let prologue = match transposed {
            true => self.over_contracted(b, row_loop(nest, true), false),
            false => row_loop(self.over_contracted(b, nest, true), false),
        };
        let from = Element {
            place: copy,
            at: Affine::default(),
            dynamic: None,
        };
        LeftBlock {
            from,
            row_stride,
            k_stride,
            prologue,
        }
    }

    /// Loops over the contracted variables, the last one in lanes if asked for.
    fn over_contracted(&self, b: &Builder, mut body: Vec<Stmt>, vector: bool) -> Vec<Stmt> {
        for (depth, &var) in self.contracted.iter().enumerate().rev() {
            let extent = Extent::Static(b.axes.extent(var));
            let vector = vector && depth + 1 == self.contracted.len();
            body = vec![Stmt::Loop {
                var,
                extent,
                vector,
                body,
            }];
        }
        body
    }
}

/// A block of the left side.
pub(super) struct LeftBlock {
    pub from: Element,
    pub row_stride: i64,
    pub k_stride: i64,
    /// Statements that make it.
    pub prologue: Vec<Stmt>,
}
