//! Elementwise nodes and reductions: one kernel of loops over the root's elements.
//!
//! The root's axes are the loops. A reduction adds the axes that it sums over, or uses those of
//! the root that its result does not have: softmax's sum runs over the same axis as its result.
//! Reductions that need earlier ones come in later stages. Where the summed axis is the last one,
//! lanes run along it; where it is an outer one, lanes run along the columns that remain.

use super::access::{Blocked, Source};
use super::axes::Axes;
use super::builder::{Builder, Shared};
use super::{Attempt, Blocks, Lowered, loops};
use crate::kernel::{Affine, Combine, Extent, Kernel, Reduce, Reduction, Stmt, Var};
use crate::schedule::Group;
use bsq_ir::{Function, NodeId, Op, Shape};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Elements of a block where nothing is reduced.
const ELEMENTS: usize = 8192;

pub(super) fn lower(
    mut builder: Builder,
    function: &Function,
    group: &Group,
    blocks: &Blocks,
) -> Attempt {
    let plan = Plan::new(&mut builder, function, group);
    match plan.and_then(|plan| plan.emit(&mut builder, blocks)) {
        Ok(lowered) => Ok(vec![lowered]),
        Err(blocked) => Err((blocked, builder.axes)),
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
    stored: BTreeMap<NodeId, Index>,
}

impl<'f> Plan<'f> {
    fn new(
        builder: &mut Builder,
        function: &'f Function,
        group: &'f Group,
    ) -> Result<Self, Blocked> {
        let root = *group.members.last().expect("a group has members");
        let (index, root_vars) = root_axes(&mut builder.axes, function.node(root).shape());
        let mut plan = Plan {
            function,
            group,
            root_vars,
            reduced: Vec::new(),
            along_rows: true,
            stages: Vec::new(),
            visited: HashMap::new(),
            stored: BTreeMap::new(),
        };
        plan.visit(builder, root, index)?;
        plan.check_coverage(builder)?;
        Ok(plan)
    }

    /// Walks to the inputs; returns the number of stages that must run before the value exists.
    fn visit(&mut self, b: &mut Builder, id: NodeId, index: Index) -> Result<usize, Blocked> {
        // A view that is copied into a buffer of its own is the root itself.
        self.note_stored(id, &index)?;
        let (id, index) = match b.places().locate(id, index)? {
            Source::Stored(..) => return Ok(0),
            Source::Computed(id, index) => (id, index),
        };
        if let Some(&stage) = self.visited.get(&(id, index.clone())) {
            return Ok(stage);
        }
        self.note_stored(id, &index)?;
        let node = self.function.node(id);
        let stage = match &node.op {
            Op::Sum(axes) | Op::ReduceMax(axes) => {
                let inner = self.reduce(b, id, axes, &index)?;
                let stage = self.visit(b, node.operands[0], inner.clone())?;
                if self.stages.len() <= stage {
                    self.stages.resize(stage + 1, Vec::new());
                }
                self.stages[stage].push((id, index.clone(), inner));
                stage + 1
            }
            Op::Gather { axis } => {
                let rank = self.function.node(node.operands[1]).shape().rank();
                self.visit(b, node.operands[1], index[*axis..axis + rank].to_vec())?
            }
            Op::DynamicSlice { .. } => self.visit(b, node.operands[1], Vec::new())?,
            Op::Constant(_) | Op::Iota { .. } => 0,
            op if op.is_elementwise() => {
                let mut stage = 0;
                for &operand in &node.operands {
                    stage = stage.max(self.visit(b, operand, index.clone())?);
                }
                stage
            }
            _ => return Err(Blocked::Store(id)),
        };
        self.visited.insert((id, index), stage);
        Ok(stage)
    }

    /// Remembers where a stored node is computed; there must be one such place.
    fn note_stored(&mut self, id: NodeId, index: &Index) -> Result<(), Blocked> {
        if !self.group.stored.contains(&id) {
            return Ok(());
        }
        let known = self.stored.insert(id, index.clone());
        match known.is_some_and(|known| known != *index) {
            true => Err(Blocked::Store(id)),
            false => Ok(()),
        }
    }

    /// The index of a reduction's operand: reduced axes run over the reduction variables.
    fn reduce(
        &mut self,
        b: &mut Builder,
        id: NodeId,
        axes: &[usize],
        index: &Index,
    ) -> Result<Index, Blocked> {
        let operand = self.function.node(id).operands[0];
        let shape = self.function.node(operand).shape();
        let reduced: Shape = axes.iter().map(|&axis| shape[axis]).collect();
        let used = |var: &Var| index.iter().any(|at| at.coefficient(*var) != 0);
        if self.reduced.is_empty() && reduced.elements() > 1 {
            let free = self.root_vars.iter().copied().filter(|var| !used(var));
            self.reduced = free.collect();
            if self.reduced.is_empty() {
                let (_, vars) = root_axes(&mut b.axes, &reduced);
                self.reduced = vars;
            }
            self.along_rows = axes.last() == Some(&(shape.rank() - 1));
        }
        let elements: usize = self.reduced.iter().map(|&var| b.axes.extent(var)).product();
        if self.reduced.iter().any(used) || elements != reduced.elements() {
            return Err(Blocked::Store(id));
        }
        let mut linear = Affine::default();
        for &var in &self.reduced {
            linear = linear
                .scale(b.axes.extent(var) as i64)
                .add(&Affine::var(var));
        }
        let flat: Shape = [reduced.elements()].into();
        let inner = b.places().reshape(&[linear], &flat, &reduced, id)?;
        let mut inner = inner.into_iter();
        let mut outer = index.iter().cloned();
        let full = (0..shape.rank()).map(|axis| match axes.contains(&axis) {
            true => inner.next().expect("an index for each reduced axis"),
            false => outer.next().expect("an index for each kept axis"),
        });
        Ok(full.collect())
    }

    /// Every stored node must be computed exactly once for each of its elements.
    fn check_coverage(&self, b: &Builder) -> Result<(), Blocked> {
        for &id in &self.group.stored {
            let index = self.stored.get(&id).ok_or(Blocked::Store(id))?;
            let vars: BTreeSet<Var> = index
                .iter()
                .flat_map(|at| at.terms.iter().map(|term| term.0))
                .collect();
            let covered: usize = vars.iter().map(|&var| b.axes.extent(var)).product();
            // Work items that differ in another variable would all store the same.
            let mut outer = self
                .root_vars
                .iter()
                .filter(|var| !self.reduced.contains(var));
            let once = outer.all(|&var| b.axes.extent(var) == 1 || vars.contains(&var));
            if !once || covered != self.function.node(id).shape().elements() {
                return Err(Blocked::Store(id));
            }
        }
        Ok(())
    }

    fn emit(self, b: &mut Builder, blocks: &Blocks) -> Result<Lowered, Blocked> {
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
            self.keep_costly(b, number, by_rows)?;
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
        body.push(Stmt::Loop {
            var: column,
            extent: Extent::Static(b.axes.extent(column)),
            vector: true,
            body: inner_body,
        });
        let size = match self.reduced.is_empty() {
            true => ELEMENTS,
            false => (blocks.columns)(self.reduced_elements(b)),
        };
        Ok(self.block_columns(b, (vars, column, size), body))
    }

    /// Merges what can be, and cuts the inner loop into work items.
    fn block_columns(
        &self,
        b: &mut Builder,
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
        b: &mut Builder,
        stage: &[(NodeId, Index, Index)],
        by_rows: bool,
    ) -> Result<(), Blocked> {
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
        let extent = self.reduced_elements(b);
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
    fn reduced_var(
        &self,
        b: &mut Builder,
        body: &mut [Stmt],
        operand: NodeId,
    ) -> Result<Var, Blocked> {
        let mut axes = b.axes.clone();
        match (
            self.reduced.as_slice(),
            loops::merge_all(body, &self.reduced, &mut axes),
        ) {
            ([], _) => Ok(b.axes.var(1)),
            (_, Some(var)) => Ok(var),
            (_, None) => Err(Blocked::Store(operand)),
        }
    }

    fn reduced_elements(&self, b: &Builder) -> usize {
        self.reduced.iter().map(|&var| b.axes.extent(var)).product()
    }

    /// Values of a stage that are dear and needed again are kept for the row.
    fn keep_costly(&self, b: &mut Builder, stage: usize, by_rows: bool) -> Result<(), Blocked> {
        if !by_rows || self.reduced.is_empty() {
            return Ok(());
        }
        for (id, index) in self.costly(b, stage) {
            let dtype = self.function.node(id).dtype();
            let place = b.scratch(dtype, self.reduced_elements(b));
            let mut at = Affine::default();
            for &var in &self.reduced {
                at = at.scale(b.axes.extent(var) as i64).add(&Affine::var(var));
            }
            b.open(&self.reduced);
            let value = b.value(id, index.clone())?;
            b.store(place, at.clone(), value);
            self.close_row_loop(b, id)?;
            b.give(
                id,
                index,
                crate::kernel::Element {
                    place,
                    at,
                    dynamic: None,
                },
            );
        }
        Ok(())
    }

    /// Costly values over the row that exist from this stage on and are read by it.
    fn costly(&self, b: &Builder, stage: usize) -> Vec<Visit> {
        let over_row = |index: &Index| {
            let uses = |var: &Var| index.iter().any(|at| at.coefficient(*var) != 0);
            self.reduced
                .iter()
                .all(|var| b.axes.extent(*var) == 1 || uses(var))
        };
        let found = self.visited.iter().filter(|((id, index), ready)| {
            **ready == stage && is_costly(&self.function.node(*id).op) && over_row(index)
        });
        let mut visits: Vec<Visit> = found.map(|(visit, _)| visit.clone()).collect();
        visits.sort_by_key(|visit| visit.0);
        visits
    }

    /// Closes a body over the reduced variables as a loop along the row.
    fn close_row_loop(&self, b: &mut Builder, blame: NodeId) -> Result<(), Blocked> {
        let mut body = b.close();
        let var = self.reduced_var(b, &mut body, blame)?;
        let extent = Extent::Static(self.reduced_elements(b));
        b.push(Stmt::Loop {
            var,
            extent,
            vector: true,
            body,
        });
        Ok(())
    }

    fn emit_stores(&self, b: &mut Builder, by_rows: bool) -> Result<(), Blocked> {
        let over_row = |index: &Index| {
            self.reduced
                .iter()
                .any(|&var| index.iter().any(|at| at.coefficient(var) != 0))
        };
        let (full, small): (Vec<_>, Vec<_>) =
            self.stored.iter().partition(|(_, index)| over_row(index));
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
        let mut nest = body;
        for (depth, &var) in rest.iter().enumerate().rev() {
            let vector = by_rows && depth + 1 == rest.len();
            let extent = Extent::Static(axes.extent(var));
            nest = vec![Stmt::Loop {
                var,
                extent,
                vector,
                body: nest,
            }];
        }
        nest.into_iter().for_each(|stmt| b.push(stmt));
        Ok(())
    }

    fn emit_store(&self, b: &mut Builder, id: NodeId, index: &Index) -> Result<(), Blocked> {
        let value = b.value(id, index.clone())?;
        let at = super::access::flatten(index, self.function.node(id).shape());
        let place = b.node_buffer(id, true);
        b.store(place, at, value);
        Ok(())
    }

    fn finish(&self, b: &mut Builder, grid: Vec<crate::kernel::Axis>, body: Vec<Stmt>) -> Lowered {
        let kernel = Kernel {
            buffers: std::mem::take(&mut b.buffers),
            scratch: std::mem::take(&mut b.scratch),
            grid,
            body,
        };
        let shared: Vec<Shared> = std::mem::take(&mut b.shared);
        let label = super::label(self.function, &self.group.members);
        Lowered {
            kernel,
            shared,
            extras: Vec::new(),
            label,
            flops: 0,
        }
    }
}

/// An index over all of a shape's elements, and its variables.
pub(super) fn root_axes(axes: &mut Axes, shape: &Shape) -> (Index, Vec<Var>) {
    let mut vars = Vec::new();
    let index = shape.iter().map(|&extent| {
        let (at, of_axis) = axes.axis(extent);
        vars.extend(of_axis);
        at
    });
    let index = index.collect();
    (index, vars)
}

/// True for ops that cost more than writing and reading their value.
fn is_costly(op: &Op) -> bool {
    matches!(
        op,
        Op::Exp | Op::Log | Op::Tanh | Op::Erf | Op::Div | Op::Sqrt
    )
}
