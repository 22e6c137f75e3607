//! Straight code over elements that a thread takes together.

use super::arrays::Arrays;
use super::emit::Emitter;
use super::memory::class;
use super::text::Reg;
use super::wide::{Together, Wide};
use crate::kernel::{Affine, Element, Inst, Stmt, Value};
use bsq_ir::DType;
use std::collections::HashMap;

/// One register where a value is the same for all elements, else one for each.
type Row = (DType, Vec<Reg>);

impl Emitter<'_> {
    /// Runs the body of a loop for some iterations, each statement for all of them. The variable
    /// has the value of the first.
    pub(super) fn together(&mut self, wide: Wide, body: &[Stmt]) {
        let bases = self.bases.clone();
        let mut rows: HashMap<Value, Row> = HashMap::new();
        for stmt in loads_first(self.arrays, body) {
            self.annotate(stmt);
            match stmt {
                Stmt::Let { value, dtype, inst } => {
                    let row = self.row(wide, *dtype, inst, &rows);
                    rows.insert(*value, (*dtype, row));
                }
                Stmt::Store { to, value } => {
                    let (dtype, row) = self.row_of(&rows, value);
                    self.store_together(wide, dtype, to, &row);
                }
                _ => unreachable!("straight code"),
            }
        }
        self.bases = bases;
    }

    /// A value's registers; what is defined outside the loop is the same for all.
    fn row_of(&self, rows: &HashMap<Value, Row>, value: &Value) -> Row {
        let outside = || {
            let (dtype, reg) = self.values[value];
            (dtype, vec![reg])
        };
        rows.get(value).cloned().unwrap_or_else(outside)
    }

    fn row(
        &mut self,
        wide: Wide,
        dtype: DType,
        inst: &Inst,
        rows: &HashMap<Value, Row>,
    ) -> Vec<Reg> {
        match inst {
            Inst::Constant(_) => vec![self.inst(dtype, inst)],
            Inst::Index(at) => {
                let indices = elements(wide, at);
                let index = |at: &Affine| self.affine(at, class(dtype));
                indices.iter().map(index).collect()
            }
            Inst::Load(from) => match wide.together(&from.at) {
                Together::Neighbours => {
                    let address = self.address(from);
                    self.load_neighbours(dtype, &address, wide.elements)
                }
                _ => {
                    let mut load = |at| {
                        let address = self.address(&Element { at, ..from.clone() });
                        self.load(dtype, &address)
                    };
                    let ats = elements(wide, &from.at);
                    ats.into_iter().map(&mut load).collect()
                }
            },
            Inst::Map(op, operands) => {
                let operands: Vec<Row> = operands.iter().map(|v| self.row_of(rows, v)).collect();
                let count = operands.iter().map(|row| row.1.len()).max().unwrap_or(1);
                let map = |element: usize| {
                    let of_element = |(dtype, row): &Row| (*dtype, row[element % row.len()]);
                    let operands: Vec<(DType, Reg)> = operands.iter().map(of_element).collect();
                    self.map(op, dtype, &operands)
                };
                (0..count).map(map).collect()
            }
        }
    }

    fn store_together(&mut self, wide: Wide, dtype: DType, to: &Element, row: &[Reg]) {
        let row: Vec<Reg> = row.iter().copied().cycle().take(wide.elements).collect();
        if wide.together(&to.at) == Together::Neighbours {
            let address = self.address(to);
            return self.store_neighbours(dtype, &address, &row, None);
        }
        for (element, value) in row.into_iter().enumerate() {
            let at = element_of(wide, &to.at, element);
            let address = self.address(&Element { at, ..to.clone() });
            self.store(dtype, &address, value, None);
        }
    }
}

/// An index of one of the iterations that are taken together.
fn element_of(wide: Wide, at: &Affine, element: usize) -> Affine {
    at.offset(at.coefficient(wide.var) * element as i64)
}

/// An index of all of them; one where they agree.
fn elements(wide: Wide, at: &Affine) -> Vec<Affine> {
    let count = match at.coefficient(wide.var) {
        0 => 1,
        _ => wide.elements,
    };
    (0..count)
        .map(|element| element_of(wide, at, element))
        .collect()
}

/// Statements with their stores last, so that all loads are under way before one waits: the
/// assembler moves none over a store. Not where a load needs what was stored.
fn loads_first<'s>(arrays: &Arrays, body: &'s [Stmt]) -> Vec<&'s Stmt> {
    let mut stored = Vec::new();
    for stmt in body {
        match stmt {
            Stmt::Store { to, .. } => stored.push(arrays.memory(to.place)),
            Stmt::Let {
                inst: Inst::Load(from),
                ..
            } if stored.contains(&arrays.memory(from.place)) => return body.iter().collect(),
            _ => {}
        }
    }
    let is_store = |stmt: &&Stmt| matches!(stmt, Stmt::Store { .. });
    let (stores, others): (Vec<_>, Vec<_>) = body.iter().partition(is_store);
    others.into_iter().chain(stores).collect()
}
