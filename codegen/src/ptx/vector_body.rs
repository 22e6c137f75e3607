//! Straight code over elements that a thread takes together.

use super::code::Reg;
use super::emit::Emitter;
use super::memory::class;
use super::plan::{Aliases, VectorAccess};
use crate::kernel::{AccessPattern, Affine, Element, Inst, Stmt, Value};
use bsq_ir::DType;
use std::collections::HashMap;

/// One register where a value is the same for all elements, else one for each.
type Row = (DType, Vec<Reg>);

impl Emitter<'_> {
    /// Runs the body of a loop for some iterations, each statement for all of them. The variable
    /// has the value of the first.
    pub(super) fn vector_body(&mut self, access: VectorAccess, body: &[Stmt]) {
        let bases = self.bases.clone();
        let mut rows: HashMap<Value, Row> = HashMap::new();
        for stmt in loads_first(self.aliases, body) {
            self.annotate(stmt);
            match stmt {
                Stmt::Let { value, dtype, inst } => {
                    let row = self.row(access, *dtype, inst, &rows);
                    rows.insert(*value, (*dtype, row));
                }
                Stmt::Store { to, value } => {
                    let (dtype, row) = self.row_of(&rows, value);
                    self.store_vector(access, dtype, to, &row);
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
        access: VectorAccess,
        dtype: DType,
        inst: &Inst,
        rows: &HashMap<Value, Row>,
    ) -> Vec<Reg> {
        match inst {
            Inst::Constant(_) => vec![self.inst(dtype, inst)],
            Inst::Index(at) => {
                let indices = elements(access, at);
                let index = |at: &Affine| self.affine(at, class(dtype));
                indices.iter().map(index).collect()
            }
            Inst::Load(from) => match access.pattern(&from.at) {
                AccessPattern::Contiguous => {
                    let address = self.address(from);
                    self.load_neighbours(dtype, &address, access.elements)
                }
                _ => {
                    let mut load = |at| {
                        let address = self.address(&Element { at, ..from.clone() });
                        self.load(dtype, &address)
                    };
                    let ats = elements(access, &from.at);
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

    fn store_vector(&mut self, access: VectorAccess, dtype: DType, to: &Element, row: &[Reg]) {
        let row: Vec<Reg> = row.iter().copied().cycle().take(access.elements).collect();
        if access.pattern(&to.at) == AccessPattern::Contiguous {
            let address = self.address(to);
            return self.store_neighbours(dtype, &address, &row, None);
        }
        for (element, value) in row.into_iter().enumerate() {
            let at = element_of(access, &to.at, element);
            let address = self.address(&Element { at, ..to.clone() });
            self.store(dtype, &address, value, None);
        }
    }
}

/// An index of one of the iterations that are taken together.
fn element_of(access: VectorAccess, at: &Affine, element: usize) -> Affine {
    at.offset(at.coefficient(access.var) * element as i64)
}

/// An index of all of them; one where they agree.
fn elements(access: VectorAccess, at: &Affine) -> Vec<Affine> {
    let count = match at.coefficient(access.var) {
        0 => 1,
        _ => access.elements,
    };
    (0..count)
        .map(|element| element_of(access, at, element))
        .collect()
}

/// Statements with their stores last, so that all loads are under way before one waits: the
/// assembler moves none over a store. Not where a load needs what was stored.
fn loads_first<'s>(aliases: &Aliases, body: &'s [Stmt]) -> Vec<&'s Stmt> {
    let mut stored = Vec::new();
    for stmt in body {
        match stmt {
            Stmt::Store { to, .. } => stored.push(aliases.memory(to.place)),
            Stmt::Let {
                inst: Inst::Load(from),
                ..
            } if stored.contains(&aliases.memory(from.place)) => return body.iter().collect(),
            _ => {}
        }
    }
    let is_store = |stmt: &&Stmt| matches!(stmt, Stmt::Store { .. });
    let (stores, others): (Vec<_>, Vec<_>) = body.iter().partition(is_store);
    others.into_iter().chain(stores).collect()
}
