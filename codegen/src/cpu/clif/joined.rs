//! A vector loop and the reduction behind it as one loop.
//!
//! A sum in the fixed order has one chain of additions, so a loop of nothing else waits for each of them. The loop
//! before it often makes its terms, as that of softmax's exponentials does, and has enough else to do meanwhile.

use super::emit::Emitter;
use crate::kernel::{Affine, Element, Inst, LoopKind, Place, Reduce, Stmt, Value, Var};
use std::collections::BTreeMap;

impl Emitter<'_, '_> {
    /// The reduction with the statements of a loop that runs before it, where both then run in a SIMD loop.
    pub fn joined(&self, before: &Stmt, reduce: &Reduce) -> Option<Reduce> {
        if self.lanes.is_some() {
            return None;
        }
        let joined = joined(before, reduce)?;
        let range = (joined.var, joined.extent.largest());
        self.simd(range, &joined.body, &joined.results)?;
        Some(joined)
    }
}

/// The reduction with the loop's statements before its own: its body stores, too. `None` if an iteration reads
/// of what the loop stores anything but what the same iteration stores, or may.
fn joined(before: &Stmt, reduce: &Reduce) -> Option<Reduce> {
    let Stmt::Loop {
        var,
        extent,
        kind: LoopKind::Vector,
        body,
    } = before
    else {
        return None;
    };
    if !reduce.vector || *extent != reduce.extent {
        return None;
    }
    let mut joined = Vec::new();
    let mut stored: BTreeMap<Place, (Element, Value)> = BTreeMap::new();
    for stmt in body {
        let stmt = along(stmt, *var, reduce.var)?;
        if let Stmt::Store { to, value } = &stmt {
            // Buffers may be the same memory, and of two elements of an array one may be that of another iteration.
            let is_scratch = matches!(to.place, Place::Scratch(_)) && to.dynamic.is_none();
            let first = stored.insert(to.place, (to.clone(), *value)).is_none();
            if !is_scratch || !first {
                return None;
            }
        }
        joined.push(stmt);
    }
    let mut same: BTreeMap<Value, Value> = BTreeMap::new();
    for stmt in &reduce.body {
        let Stmt::Let { value, dtype, inst } = stmt else {
            return None;
        };
        let inst = match inst {
            Inst::Load(from) => match stored.get(&from.place) {
                Some((to, stored)) if to == from => {
                    same.insert(*value, *stored);
                    continue;
                }
                Some(_) => return None,
                None => inst.clone(),
            },
            Inst::Map(op, operands) => {
                let operands = operands.iter().map(|x| *same.get(x).unwrap_or(x));
                Inst::Map(op.clone(), operands.collect())
            }
            Inst::Constant(_) | Inst::Index(_) => inst.clone(),
        };
        joined.push(Stmt::Let {
            value: *value,
            dtype: *dtype,
            inst,
        });
    }
    let mut results = reduce.results.clone();
    for result in &mut results {
        result.term = *same.get(&result.term).unwrap_or(&result.term);
    }
    Some(Reduce {
        body: joined,
        results,
        ..reduce.clone()
    })
}

/// A definition or a store in terms of another variable.
fn along(stmt: &Stmt, var: Var, to: Var) -> Option<Stmt> {
    let index = |at: &Affine| at.substitute(var, &Affine::var(to));
    let element = |element: &Element| Element {
        at: index(&element.at),
        ..element.clone()
    };
    Some(match stmt {
        Stmt::Let { value, dtype, inst } => Stmt::Let {
            value: *value,
            dtype: *dtype,
            inst: match inst {
                Inst::Load(from) => Inst::Load(element(from)),
                Inst::Index(at) => Inst::Index(index(at)),
                Inst::Constant(_) | Inst::Map(..) => inst.clone(),
            },
        },
        Stmt::Store { to, value } => Stmt::store(element(to), *value),
        _ => return None,
    })
}
