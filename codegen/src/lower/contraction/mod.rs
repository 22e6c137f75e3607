//! Contractions with their epilogue: blocks of the result from packed panels of the right side.
//!
//! A work item computes one block of rows and columns: the block contraction leaves it in
//! scratch, and the epilogue reads it from there. The left side is read in place where its rows
//! and its contracted axes step evenly, otherwise a block of it is copied to scratch first.

mod assemble;
mod epilogue;

use super::access::{Blocked, digits};
use super::axes::Axes;
use super::blocks::Blocks;
use super::builder::Builder;
use super::rows::root_axes;
use super::sides::Sides;
use super::{Attempt, pack};
use crate::kernel::{Affine, Var};
use crate::schedule::{Group, Widenings};
use bsq_ir::{DotAxes, Function, NodeId, Op};

pub(super) fn lower(
    mut builder: Builder,
    function: &Function,
    group: &Group,
    widened: &Widenings,
    blocks: &Blocks,
) -> Attempt {
    let anchor = group.anchor.expect("a contraction");
    let attempt =
        Plan::new(&mut builder, function, (group, anchor), widened, blocks).and_then(|plan| {
            let epilogue = plan.epilogue(&mut builder)?;
            plan.assemble(&mut builder, epilogue)
        });
    let stored = builder.stored();
    let lowered = attempt.map_err(|blocked| (blocked, builder.axes))?;
    let rhs = function.node(anchor).operands[1];
    let fresh = Builder::new(function, stored, Axes::default());
    let packed = pack::contraction_rhs(fresh, function, anchor, rhs, widened)?;
    Ok(vec![packed, lowered])
}

/// The loops of a contraction, by their meaning.
struct Plan<'f> {
    function: &'f Function,
    group: &'f Group,
    anchor: NodeId,
    dot: &'f DotAxes,
    widened: &'f Widenings,
    blocks: &'f Blocks,
    sides: Sides,
    /// The index of the root in terms of its variables, and of the contraction's result.
    root_index: Vec<Affine>,
    batch: Vec<Var>,
    rows: Vec<Var>,
    columns: Vec<Var>,
    result_index: Vec<Affine>,
}

impl<'f> Plan<'f> {
    fn new(
        b: &mut Builder,
        function: &'f Function,
        (group, anchor): (&'f Group, NodeId),
        widened: &'f Widenings,
        blocks: &'f Blocks,
    ) -> Result<Self, Blocked> {
        let Op::DotGeneral(dot) = &function.node(anchor).op else {
            unreachable!("a contraction's anchor contracts")
        };
        let root = *group.members.last().expect("a group has members");
        let (root_index, _) = root_axes(&mut b.axes, function.node(root).shape());
        let result_index = epilogue::find(b, function, root, root_index.clone(), anchor)?;
        let shape = function.node(anchor).shape();
        let mut parts = Vec::with_capacity(shape.rank());
        for (axis, index) in result_index.iter().enumerate() {
            let ascends = index.terms.iter().all(|term| term.1 > 0);
            let vars = digits(index, shape[axis], |var| b.axes.extent(var));
            parts.push(vars.filter(|_| ascends).ok_or(Blocked::Store(anchor))?);
        }
        let batches = dot.batch.len();
        let lhs = function.node(function.node(anchor).operands[0]).shape();
        let lhs_free = dot.free(lhs.rank(), true).len();
        let columns = parts.split_off(batches + lhs_free).concat();
        let rows = parts.split_off(batches).concat();
        let batch = parts.concat();
        Ok(Plan {
            function,
            group,
            anchor,
            dot,
            widened,
            blocks,
            sides: Sides::new(function, anchor, widened),
            root_index,
            batch,
            rows,
            columns,
            result_index,
        })
    }
}
