//! Costly values that several stages need, cached for a row.

use super::super::access::Obstacle;
use super::super::builder::KernelBuilder;
use super::{Index, Plan, Visit};
use crate::kernel::{Affine, Element, Extent, Stmt, Var};
use bsq_ir::{NodeId, Op};

impl Plan<'_> {
    /// Caches a stage's costly values that are needed again.
    pub(super) fn cache_costly(
        &self,
        b: &mut KernelBuilder,
        stage: usize,
        by_rows: bool,
    ) -> Result<(), Obstacle> {
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
            b.give(id, index, Element::new(place, at));
        }
        Ok(())
    }

    /// Costly values over the row that exist from this stage on and are read by it.
    fn costly(&self, b: &KernelBuilder, stage: usize) -> Vec<Visit> {
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
    fn close_row_loop(&self, b: &mut KernelBuilder, blame: NodeId) -> Result<(), Obstacle> {
        let mut body = b.close();
        let var = self.reduced_var(b, &mut body, blame)?;
        let extent = Extent::Static(self.reduced_elements(b));
        b.push(Stmt::vector_loop(var, extent, body));
        Ok(())
    }
}

/// True for ops that cost more than writing and reading their value.
fn is_costly(op: &Op) -> bool {
    matches!(
        op,
        Op::Exp | Op::Log | Op::Tanh | Op::Erf | Op::Sin | Op::Cos | Op::Div | Op::Sqrt
    )
}
