//! The epilogue: what is computed of a block's sums, and stored.

use super::super::access::{Obstacle, Source, digits, flatten};
use super::super::builder::KernelBuilder;
use super::Plan;
use crate::kernel::{Affine, Element, Format, Place, Stmt, Var};
use bsq_ir::{Function, NodeId};
use std::collections::HashSet;

/// Statements in terms of whole rows and columns, which are not blocks yet.
pub(super) struct Epilogue {
    /// Of each row.
    pub rows: Vec<Stmt>,
    /// Of each column of a row.
    pub columns: Vec<Stmt>,
    /// The element's place inside the block.
    pub local: Var,
    /// A block's sums; without one they are the result, and there are no statements.
    pub sums: Option<Place>,
}

impl Plan<'_> {
    pub(super) fn epilogue(&self, b: &mut KernelBuilder) -> Result<Epilogue, Obstacle> {
        let format = self.operands.format;
        // Sums of bytes are not the result yet.
        let alone = self.group.members.len() == 1 && format != Format::Int8;
        let elements = self.tiling.most_results;
        let sums = (!alone).then(|| b.scratch(format.c(), elements));
        let row_scope: Vec<Var> = self.rows.last().copied().into_iter().collect();
        b.open(&row_scope);
        b.open(&self.columns);
        let local = b.axes.var(elements);
        if let Some(place) = sums {
            let mut value = b.load_here(Element::new(place, Affine::var(local)), format.c());
            if format == Format::Int8 {
                let (function, anchor, at) = (self.function, self.anchor, &self.result_index);
                value = self.operands.sum_of_bytes(b, function, anchor, at, value)?;
            }
            b.define(self.anchor, self.result_index.clone(), value);
            self.emit_stores(b)?;
        }
        let columns = b.close();
        let rows = b.close();
        Ok(Epilogue {
            rows,
            columns,
            local,
            sums,
        })
    }

    fn emit_stores(&self, b: &mut KernelBuilder) -> Result<(), Obstacle> {
        let root = *self.group.members.last().expect("a group has members");
        for &id in self.group.materialized.iter().rev() {
            let index = match id {
                id if id == root => self.root_index.clone(),
                id => find(b, self.function, root, self.root_index.clone(), id)?,
            };
            let shape = self.function.node(id).shape();
            let at = flatten(&index, shape);
            digits(&at, shape.elements(), |var| b.axes.extent(var))
                .ok_or(Obstacle::Materialize(id))?;
            let value = b.value(id, index)?;
            let place = b.node_buffer(id, true);
            b.store(place, at, value);
        }
        Ok(())
    }
}

/// The index at which `target` is reached from element `index` of `from`; it must be unique.
pub(super) fn find(
    b: &KernelBuilder,
    function: &Function,
    from: NodeId,
    index: Vec<Affine>,
    target: NodeId,
) -> Result<Vec<Affine>, Obstacle> {
    let mut found: Option<Vec<Affine>> = None;
    let mut pending = vec![(from, index)];
    let mut visited = HashSet::new();
    while let Some((id, index)) = pending.pop() {
        let Source::Computed(id, index) = b.addressing().locate(id, index)? else {
            continue;
        };
        if !visited.insert((id, index.clone())) {
            continue;
        }
        if id == target {
            if found.as_ref().is_some_and(|known| *known != index) {
                return Err(Obstacle::Materialize(target));
            }
            found = Some(index);
            continue;
        }
        let node = function.node(id);
        if node.op.is_elementwise() {
            pending.extend(
                node.operands
                    .iter()
                    .map(|&operand| (operand, index.clone())),
            );
        }
    }
    found.ok_or(Obstacle::Materialize(target))
}
