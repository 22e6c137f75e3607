//! Block contractions by a whole block of threads: slabs of both operands are staged in shared
//! memory while the slab before is multiplied, on the FMA units or on the tensor cores.

mod ffma;
mod pipeline;
mod stage;
mod tensor;

use super::code::{Address, Class, Reg, Space};
use super::emit::{Emitter, Index};
use super::plan::{Tiling, Unit};
use crate::kernel::Contract;
use bsq_ir::DType;

/// What all tiles of one contraction share.
pub(super) struct Plan<'c> {
    pub contract: &'c Contract,
    pub tiling: Tiling,
    pub m: Index,
    pub n: Index,
    pub k: Index,
    /// First elements of the operands and of the result.
    pub a: Address,
    pub b: Address,
    pub c: Address,
    pub columns: Option<Address>,
    /// First row and column of the current tile.
    pub row: Index,
    pub column: Index,
    /// What is added to row and column 0 of the tile's stages.
    pub stage: Address,
}

impl Emitter<'_> {
    pub(super) fn contract(&mut self, contract: &Contract) {
        let tiling = Tiling::new(contract, self.options, self.geometry.threads);
        let [m, n, k] = [&contract.m, &contract.n, &contract.k].map(|extent| self.extent(extent));
        let shared = self.shared.expect("contractions stage in shared memory");
        let plan = Plan {
            contract,
            m,
            n,
            k,
            a: self.address(&contract.a),
            b: self.address(&contract.b),
            c: self.address(&contract.c),
            columns: contract
                .columns
                .as_ref()
                .map(|columns| self.address(columns)),
            row: Index::Constant(0),
            column: Index::Constant(0),
            stage: Address {
                space: Space::Shared,
                base: shared,
                offset: self.geometry.stage as i64,
            },
            tiling,
        };
        self.t.comment(format_args!("tiles of {}", plan.tiling));
        let (rows, columns) = (plan.tiling.rows() as u32, plan.tiling.columns() as u32);
        self.count(Index::Constant(0), m, rows, |e, row| {
            e.count(Index::Constant(0), n, columns, |e, column| {
                e.tile(Plan {
                    row,
                    column,
                    tiling: plan.tiling.clone(),
                    ..plan
                });
            });
        });
        // Tiles wait for what was before them, if there are any.
        if contract.m.may_be_empty() || contract.n.may_be_empty() {
            self.t.barrier();
        }
        // The loads of both operands are done, and other threads know it.
        self.pending = Default::default();
    }

    fn tile(&mut self, plan: Plan) {
        match plan.tiling.unit {
            Unit::Ffma { .. } => self.ffma_tile(&plan),
            Unit::Tensor { .. } => self.tensor_tile(&plan),
        }
    }

    /// Predicates of `index < limit` for `index = base + offset`, one for each offset; `None`
    /// where it always holds.
    fn inside(
        &mut self,
        base: Reg,
        offsets: &[i64],
        limit: Index,
        multiple: usize,
    ) -> Vec<Option<Reg>> {
        if let Index::Constant(limit) = limit
            && limit % multiple as i64 == 0
        {
            return vec![None; offsets.len()];
        }
        let predicate = |&offset: &i64| {
            let index = match offset {
                0 => base,
                offset => self.t.def(Class::B32, "add.s32", (base, offset)),
            };
            Some(self.t.def(Class::Predicate, "setp.lt.s32", (index, limit)))
        };
        offsets.iter().map(predicate).collect()
    }

    /// Stores a row's neighbouring elements of the result, those that are inside.
    pub(super) fn store_row(
        &mut self,
        dtype: DType,
        to: &Address,
        values: &[Reg],
        row: Option<Reg>,
        columns: &[Option<Reg>],
        aligned: bool,
    ) {
        let ty = if dtype == DType::F32 { "f32" } else { "b32" };
        if aligned && values.len() == 4 && columns.iter().all(Option::is_none) {
            return self.t.store(*to, ty, values).when(row);
        }
        for (position, (&value, &column)) in values.iter().zip(columns).enumerate() {
            let both = match (row, column) {
                (Some(row), Some(column)) => {
                    Some(self.t.def(Class::Predicate, "and.pred", (row, column)))
                }
                (row, column) => row.or(column),
            };
            let to = to.plus(4 * position as i64);
            self.t.store(to, ty, &[value]).when(both);
        }
    }
}

impl Plan<'_> {
    /// True if the result is no larger than a tile.
    fn is_one_tile(&self) -> bool {
        let (m, n) = (self.contract.m.largest(), self.contract.n.largest());
        m <= self.tiling.rows() && n <= self.tiling.columns()
    }

    /// True if the last slab is in the buffer that the next tile fills only after it has waited.
    fn ends_in_last_buffer(&self) -> bool {
        let Index::Constant(k) = self.k else {
            return false;
        };
        let slabs = (k as usize).div_ceil(self.tiling.slab());
        slabs.is_multiple_of(self.tiling.stages)
    }

    /// True if neighbouring columns of the result lie in one 16-byte word.
    pub fn result_is_aligned(&self) -> bool {
        let at = &self.contract.c.at;
        let whole = |factor: i64| factor % 4 == 0;
        whole(self.contract.c_row_stride)
            && whole(at.constant)
            && at.terms.iter().all(|term| whole(term.1))
    }
}
