//! Elementwise nodes and reductions: one kernel of loops over the root's elements.
//!
//! The root's axes are the loops. A reduction adds the axes that it sums over, or uses those of
//! the root that its result does not have: softmax's sum runs over the same axis as its result.
//! Reductions that need earlier ones come in later stages. Where the summed axis is the last one,
//! lanes run along it; where it is an outer one, lanes run along the columns that remain.

mod emit;
mod plan;
mod row_cache;

use super::axes::Axes;
use super::builder::KernelBuilder;
use super::{Attempt, TilingPolicy};
use crate::kernel::{Affine, Var};
use crate::schedule::Group;
use bsq_ir::{Function, NodeId, Shape};
use std::collections::{BTreeMap, HashMap};

pub(in crate::lower) fn lower(
    mut builder: KernelBuilder,
    function: &Function,
    group: &Group,
    tiling: &TilingPolicy,
) -> Attempt {
    let plan = Plan::new(&mut builder, function, group);
    match plan.and_then(|plan| plan.emit(&mut builder, tiling)) {
        Ok(lowered) => Ok(vec![lowered]),
        Err(obstacle) => Err((obstacle, builder.axes)),
    }
}

type Index = Vec<Affine>;
type Visit = (NodeId, Index);

/// The loops of a group, and the index at which each node is computed.
struct Plan<'f> {
    function: &'f Function,
    group: &'f Group,
    /// Variables of the root's axes.
    root_vars: Vec<Var>,
    /// Variables that reductions run over; empty without reductions.
    reduced: Vec<Var>,
    /// The last reduced axis is the last axis of what is reduced.
    along_rows: bool,
    /// Reductions by stage: the node, its index, and the index of its operand.
    stages: Vec<Vec<(NodeId, Index, Index)>>,
    visited: HashMap<Visit, usize>,
    materialized: BTreeMap<NodeId, Index>,
}

/// An index over all of a shape's elements, and its variables.
pub(in crate::lower) fn root_axes(axes: &mut Axes, shape: &Shape) -> (Index, Vec<Var>) {
    let mut vars = Vec::new();
    let index = shape.iter().map(|&extent| {
        let (at, of_axis) = axes.axis(extent);
        vars.extend(of_axis);
        at
    });
    let index = index.collect();
    (index, vars)
}
