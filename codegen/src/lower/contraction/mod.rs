//! Contractions with their epilogue: blocks of the result from packed panels of the rhs.
//!
//! A work item computes one block of rows and columns: the block contraction leaves it in
//! scratch, and the epilogue reads it from there. The lhs is read in place where its rows
//! and its contracted axes step evenly, otherwise a block of it is copied to scratch first.

mod assemble;
mod epilogue;
mod epilogue_nest;

use super::access::{Obstacle, digits};
use super::axes::Axes;
use super::builder::KernelBuilder;
use super::loop_nest::root_axes;
use super::operand_formats::OperandFormats;
use super::tiling::TilingPolicy;
use super::{Attempt, pack};
use crate::kernel::{Affine, Var};
use crate::schedule::{Group, Widenings};
use bsq_ir::{DotAxes, Function, NodeId, Op};

pub(super) fn lower(
    mut builder: KernelBuilder,
    function: &Function,
    group: &Group,
    widened: &Widenings,
    tiling: &TilingPolicy,
) -> Attempt {
    let anchor = group.anchor.expect("a contraction");
    let attempt =
        Plan::new(&mut builder, function, (group, anchor), widened, tiling).and_then(|plan| {
            let epilogue = plan.epilogue(&mut builder)?;
            plan.assemble(&mut builder, epilogue)
        });
    let materialized = builder.materialized();
    let lowered = attempt.map_err(|obstacle| (obstacle, builder.axes))?;
    let rhs = function.node(anchor).operands[1];
    let fresh = KernelBuilder::new(function, materialized, Axes::default());
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
    tiling: &'f TilingPolicy,
    operands: OperandFormats,
    /// The index of the root in terms of its variables, and of the contraction's result.
    root_index: Vec<Affine>,
    batch: Vec<Var>,
    rows: Vec<Var>,
    columns: Vec<Var>,
    result_index: Vec<Affine>,
}

impl<'f> Plan<'f> {
    fn new(
        b: &mut KernelBuilder,
        function: &'f Function,
        (group, anchor): (&'f Group, NodeId),
        widened: &'f Widenings,
        tiling: &'f TilingPolicy,
    ) -> Result<Self, Obstacle> {
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
            parts.push(
                vars.filter(|_| ascends)
                    .ok_or(Obstacle::Materialize(anchor))?,
            );
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
            tiling,
            operands: OperandFormats::new(function, anchor, widened),
            root_index,
            batch,
            rows,
            columns,
            result_index,
        })
    }
}
