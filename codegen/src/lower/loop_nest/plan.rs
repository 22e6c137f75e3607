//! Which loops a group needs, and at which index each of its nodes is computed.

use super::super::access::{Obstacle, Source, digits, flatten};
use super::super::builder::KernelBuilder;
use super::{Index, Plan, root_axes};
use crate::kernel::{Affine, Var};
use crate::schedule::Group;
use bsq_ir::{Function, NodeId, Op, Shape};
use std::collections::{BTreeMap, HashMap};

impl<'f> Plan<'f> {
    pub(super) fn new(
        builder: &mut KernelBuilder,
        function: &'f Function,
        group: &'f Group,
    ) -> Result<Self, Obstacle> {
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
            materialized: BTreeMap::new(),
        };
        plan.visit(builder, root, index)?;
        plan.check_coverage(builder)?;
        Ok(plan)
    }

    /// Walks to the inputs; returns the number of stages that must run before the value exists.
    fn visit(
        &mut self,
        b: &mut KernelBuilder,
        id: NodeId,
        index: Index,
    ) -> Result<usize, Obstacle> {
        // A view that is copied into a buffer is the root itself.
        self.note_materialized(id, &index)?;
        let (id, index) = match b.addressing().locate(id, index)? {
            Source::Materialized(..) => return Ok(0),
            Source::Computed(id, index) => (id, index),
        };
        if let Some(&stage) = self.visited.get(&(id, index.clone())) {
            return Ok(stage);
        }
        self.note_materialized(id, &index)?;
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
            _ => return Err(Obstacle::Materialize(id)),
        };
        self.visited.insert((id, index), stage);
        Ok(stage)
    }

    /// Remembers where a materialized node is computed; there must be one such place.
    fn note_materialized(&mut self, id: NodeId, index: &Index) -> Result<(), Obstacle> {
        if !self.group.materialized.contains(&id) {
            return Ok(());
        }
        let known = self.materialized.insert(id, index.clone());
        match known.is_some_and(|known| known != *index) {
            true => Err(Obstacle::Materialize(id)),
            false => Ok(()),
        }
    }

    /// The index of a reduction's operand: reduced axes run over the reduction variables.
    fn reduce(
        &mut self,
        b: &mut KernelBuilder,
        id: NodeId,
        axes: &[usize],
        index: &Index,
    ) -> Result<Index, Obstacle> {
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
            return Err(Obstacle::Materialize(id));
        }
        let mut linear = Affine::default();
        for &var in &self.reduced {
            linear = linear
                .scale(b.axes.extent(var) as i64)
                .add(&Affine::var(var));
        }
        let flat: Shape = [reduced.elements()].into();
        let inner = b.addressing().reshape(&[linear], &flat, &reduced, id)?;
        let mut inner = inner.into_iter();
        let mut outer = index.iter().cloned();
        let full = (0..shape.rank()).map(|axis| match axes.contains(&axis) {
            true => inner.next().expect("an index for each reduced axis"),
            false => outer.next().expect("an index for each kept axis"),
        });
        Ok(full.collect())
    }

    /// Every materialized node must be computed exactly once for each of its elements.
    fn check_coverage(&self, b: &KernelBuilder) -> Result<(), Obstacle> {
        for &id in &self.group.materialized {
            let index = self
                .materialized
                .get(&id)
                .ok_or(Obstacle::Materialize(id))?;
            let shape = self.function.node(id).shape();
            let at = flatten(index, shape);
            let vars = digits(&at, shape.elements(), |var| b.axes.extent(var));
            let vars = vars.ok_or(Obstacle::Materialize(id))?;
            // Work items that differ in another variable would all store the same.
            let mut outer = self
                .root_vars
                .iter()
                .filter(|var| !self.reduced.contains(var));
            let once = outer.all(|&var| b.axes.extent(var) == 1 || vars.contains(&var));
            if !once {
                return Err(Obstacle::Materialize(id));
            }
        }
        Ok(())
    }
}
