//! A plan's loops as statements.

use super::super::access::{Obstacle, flatten};
use super::super::builder::{KernelBuilder, Shared};
use super::super::{Lowered, TilingPolicy, label, loops};
use super::{Index, Plan};
use crate::kernel::{Axis, Combine, Extent, Kernel, Reduce, Reduction, Stmt, Var};
use bsq_ir::{NodeId, Op};

/// Elements of a block where nothing is reduced.
const ELEMENTS: usize = 8192;

impl Plan<'_> {
    pub(super) fn emit(
        self,
        b: &mut KernelBuilder,
        tiling: &TilingPolicy,
    ) -> Result<Lowered, Obstacle> {
        let outer: Vec<Var> = self
            .root_vars
            .iter()
            .copied()
            .filter(|var| !self.reduced.contains(var))
            .collect();
        let (vars, inner) = match outer.split_last() {
            Some((&last, rest)) if self.reduced.is_empty() || !self.along_rows => {
                (rest.to_vec(), Some(last))
            }
            _ => (outer, None),
        };
        if let Some(column) = inner {
            b.open(&[column]);
        }
        let by_rows = inner.is_none();
        for (number, stage) in self.stages.iter().enumerate() {
            self.cache_costly(b, number, by_rows)?;
            self.emit_stage(b, stage, by_rows)?;
        }
        self.emit_stores(b, by_rows)?;
        let Some(column) = inner else {
            let body = b.close();
            let grid = loops::grid(&vars, &b.axes);
            return Ok(self.finish(b, grid, body));
        };
        let inner_body = b.close();
        let mut body = b.close();
        body.push(Stmt::vector_loop(
            column,
            Extent::Static(b.axes.extent(column)),
            inner_body,
        ));
        let size = match self.reduced.is_empty() {
            true => ELEMENTS,
            false => (tiling.columns)(self.reduced_elements(b)),
        };
        Ok(self.block_columns(b, (vars, column, size), body))
    }

    /// Merges what can be, and cuts the inner loop into work items.
    fn block_columns(
        &self,
        b: &mut KernelBuilder,
        (vars, column, size): (Vec<Var>, Var, usize),
        mut body: Vec<Stmt>,
    ) -> Lowered {
        let all: Vec<Var> = vars.into_iter().chain([column]).collect();
        let mut vars = loops::merge_neighbours(&mut body, &all, &mut b.axes);
        vars.pop();
        let whole = b.axes.extent(column);
        let extent = if whole > size {
            let (block, extent) = loops::block(&mut body, column, size, &mut b.axes);
            vars.push(block);
            extent
        } else {
            Extent::Static(whole)
        };
        if let Some(Stmt::Loop { extent: inner, .. }) = body.last_mut() {
            *inner = extent;
        }
        let grid = loops::grid(&vars, &b.axes);
        self.finish(b, grid, body)
    }

    fn emit_stage(
        &self,
        b: &mut KernelBuilder,
        stage: &[(NodeId, Index, Index)],
        by_rows: bool,
    ) -> Result<(), Obstacle> {
        b.open(&self.reduced);
        let mut terms = Vec::new();
        for (id, _, inner) in stage {
            terms.push(b.value(self.function.node(*id).operands[0], inner.clone())?);
        }
        let mut body = b.close();
        let operand = self.function.node(stage[0].0).operands[0];
        let var = self.reduced_var(b, &mut body, operand)?;
        let mut results = Vec::new();
        for ((id, index, _), term) in stage.iter().zip(terms) {
            let node = self.function.node(*id);
            let op = match node.op {
                Op::Sum(_) => Combine::Sum,
                _ => Combine::Max,
            };
            let value = b.fresh();
            b.define(*id, index.clone(), value);
            results.push(Reduction {
                value,
                dtype: node.dtype(),
                op,
                term,
            });
        }
        let extent = Extent::Static(self.reduced_elements(b));
        b.push(Stmt::Reduce(Reduce {
            var,
            extent,
            vector: by_rows,
            body,
            results,
        }));
        Ok(())
    }

    /// One variable for all reduced axes: sums need a single index.
    pub(super) fn reduced_var(
        &self,
        b: &mut KernelBuilder,
        body: &mut [Stmt],
        operand: NodeId,
    ) -> Result<Var, Obstacle> {
        let mut axes = b.axes.clone();
        match (
            self.reduced.as_slice(),
            loops::merge_all(body, &self.reduced, &mut axes),
        ) {
            ([], _) => Ok(b.axes.var(1)),
            (_, Some(var)) => Ok(var),
            (_, None) => Err(Obstacle::Materialize(operand)),
        }
    }

    pub(super) fn reduced_elements(&self, b: &KernelBuilder) -> usize {
        self.reduced.iter().map(|&var| b.axes.extent(var)).product()
    }

    fn emit_stores(&self, b: &mut KernelBuilder, by_rows: bool) -> Result<(), Obstacle> {
        let over_row = |index: &Index| {
            self.reduced
                .iter()
                .any(|&var| index.iter().any(|at| at.coefficient(var) != 0))
        };
        let (full, small): (Vec<_>, Vec<_>) = self
            .materialized
            .iter()
            .partition(|(_, index)| over_row(index));
        for (&id, index) in small {
            self.emit_store(b, id, index)?;
        }
        if full.is_empty() {
            return Ok(());
        }
        b.open(&self.reduced);
        for (id, index) in full {
            self.emit_store(b, *id, index)?;
        }
        let mut body = b.close();
        let mut axes = b.axes.clone();
        let rest = loops::merge_neighbours(&mut body, &self.reduced, &mut axes);
        let nest = loops::nest(body, &rest, &axes, by_rows);
        nest.into_iter().for_each(|stmt| b.push(stmt));
        Ok(())
    }

    fn emit_store(&self, b: &mut KernelBuilder, id: NodeId, index: &Index) -> Result<(), Obstacle> {
        let value = b.value(id, index.clone())?;
        let at = flatten(index, self.function.node(id).shape());
        let place = b.node_buffer(id, true);
        b.store(place, at, value);
        Ok(())
    }

    fn finish(&self, b: &mut KernelBuilder, grid: Vec<Axis>, body: Vec<Stmt>) -> Lowered {
        let kernel = Kernel {
            buffers: std::mem::take(&mut b.buffers),
            scratch: std::mem::take(&mut b.scratch),
            grid,
            body,
        };
        let shared: Vec<Shared> = std::mem::take(&mut b.shared);
        let label = label(self.function, &self.group.members);
        Lowered {
            kernel,
            shared,
            extras: Vec::new(),
            label,
            flops: 0,
            rest: None,
        }
    }
}
