//! Checks the invariants of Kernel IR.

mod blocks;
mod groups;

use super::bounds::Ranges;
use super::dependence::is_independent;
use super::{Affine, Combine, Element, Extent, Inst, Kernel, LoopKind, Stmt, Value};
use bsq_ir::{DType, Op, Type, op::infer};
use std::collections::HashMap;

/// A broken invariant and the statement that breaks it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kernel: {what}\n  in: {statement}")]
pub struct VerifyError {
    pub what: String,
    pub statement: String,
}

/// Checks every invariant listed at [`kernel`](super).
///
/// # Errors
/// The first broken invariant, in program order.
pub fn verify(kernel: &Kernel) -> Result<(), VerifyError> {
    let mut verifier = Verifier {
        kernel,
        ranges: Ranges::default(),
        types: HashMap::new(),
        visible: Vec::new(),
        within: Within::default(),
    };
    for axis in &kernel.grid {
        let fault = |what| VerifyError {
            what,
            statement: format!("grid axis i{} < {}", axis.var.0, axis.extent),
        };
        verifier
            .ranges
            .bind(axis.var, Extent::Static(axis.extent))
            .map_err(fault)?;
    }
    verifier.block(&kernel.body)
}

/// Verifies a kernel in debug builds; `pass` made it.
///
/// # Panics
/// If an invariant is broken: a pass of this crate is wrong.
pub fn check(pass: &str, kernel: &Kernel) {
    if cfg!(debug_assertions)
        && let Err(error) = verify(kernel)
    {
        panic!("after {pass}: {error}\n{kernel}");
    }
}

/// What encloses a statement.
#[derive(Clone, Copy, Default)]
struct Within {
    vector: bool,
    reduce: bool,
}

struct Verifier<'k> {
    kernel: &'k Kernel,
    ranges: Ranges,
    /// Every value defined so far, in scope or not: a value is defined once.
    types: HashMap<Value, DType>,
    visible: Vec<Value>,
    within: Within,
}

type Outcome = Result<(), String>;

impl Verifier<'_> {
    fn block(&mut self, body: &[Stmt]) -> Result<(), VerifyError> {
        let scope = self.visible.len();
        for stmt in body {
            self.nested(stmt)?;
            self.statement(stmt).map_err(|what| VerifyError {
                what,
                statement: first_line(stmt),
            })?;
        }
        self.visible.truncate(scope);
        Ok(())
    }

    /// Enters a statement's own block, if it has one.
    fn nested(&mut self, stmt: &Stmt) -> Result<(), VerifyError> {
        let (var, extent, vector, reduce, body) = match stmt {
            Stmt::Loop {
                var,
                extent,
                kind,
                body,
            } => (*var, extent.clone(), kind.is_vector(), None, body),
            Stmt::Reduce(r) => (r.var, r.extent.clone(), r.vector, Some(r), &r.body),
            _ => return Ok(()),
        };
        let fault = |what| VerifyError {
            what,
            statement: first_line(stmt),
        };
        let outside = self.within;
        if vector && outside.vector {
            return Err(fault("a vector loop inside a vector loop".into()));
        }
        self.extent(&extent).map_err(fault)?;
        self.ranges.bind(var, extent).map_err(fault)?;
        self.within.vector |= vector;
        self.within.reduce |= reduce.is_some();
        let scope = self.visible.len();
        self.block(body)?;
        if let Some(reduce) = reduce {
            // The terms are the only values of a body that are read from outside it.
            self.visible.extend(defined(body));
            for result in &reduce.results {
                self.term(result.term, result.dtype, result.op)
                    .map_err(fault)?;
            }
            self.visible.truncate(scope);
        }
        self.within = outside;
        self.ranges.unbind(var);
        if let Stmt::Loop {
            kind: LoopKind::Parallel,
            extent,
            ..
        } = stmt
            && !is_independent(&self.ranges, (var, extent.largest()), body)
        {
            let what = "iterations of a parallel loop may touch the same element";
            return Err(fault(what.into()));
        }
        Ok(())
    }

    fn term(&self, term: Value, dtype: DType, op: Combine) -> Outcome {
        let found = self.dtype(term)?;
        if found != dtype {
            return Err(format!("{term} is {found}, its reduction {dtype}"));
        }
        if !dtype.is_arithmetic() {
            return Err(format!("{op:?} of {dtype}"));
        }
        Ok(())
    }

    fn statement(&mut self, stmt: &Stmt) -> Outcome {
        match stmt {
            Stmt::Let { value, dtype, inst } => {
                self.inst(*dtype, inst)?;
                self.define(*value, *dtype)
            }
            Stmt::Store { to, value } => {
                if self.within.reduce {
                    return Err("a store inside a reduction".into());
                }
                self.element(to)?;
                let array = self.kernel.array(to.place);
                if !array.written {
                    return Err(format!("{} is not marked as written", to.place));
                }
                let dtype = self.dtype(*value)?;
                if dtype != array.dtype {
                    return Err(format!("{value} is {dtype}, {} {}", to.place, array.dtype));
                }
                Ok(())
            }
            Stmt::Loop { .. } => Ok(()),
            Stmt::Reduce(reduce) => {
                let mut results = reduce.results.iter();
                results.try_for_each(|result| self.define(result.value, result.dtype))
            }
            Stmt::Contract(contract) => self.contract(contract),
            Stmt::Attend(attend) => self.attend(attend),
            Stmt::AttendBackward(backward) => self.attend_backward(backward),
        }
    }

    fn inst(&self, dtype: DType, inst: &Inst) -> Outcome {
        match inst {
            Inst::Constant(bits) => {
                let width = 8 * dtype.size() as u32;
                let fits = width == 64 || bits >> width == 0;
                if !fits || (dtype == DType::Bool && *bits > 1) {
                    return Err(format!("{bits:#x} is no {dtype}"));
                }
                Ok(())
            }
            Inst::Index(at) => {
                if !matches!(dtype, DType::I32 | DType::I64) {
                    return Err(format!("an index is i32 or i64, not {dtype}"));
                }
                self.affine(at)
            }
            Inst::Load(from) => {
                self.element(from)?;
                let array = self.kernel.array(from.place);
                if array.dtype != dtype {
                    return Err(format!("{} holds {}, not {dtype}", from.place, array.dtype));
                }
                Ok(())
            }
            Inst::Map(op, operands) => self.map(dtype, op, operands),
        }
    }

    fn map(&self, dtype: DType, op: &Op, operands: &[Value]) -> Outcome {
        if !op.is_elementwise() {
            return Err(format!("{} is not elementwise", op.name()));
        }
        let types = operands
            .iter()
            .map(|&operand| Ok([Type::new(self.dtype(operand)?, [])]))
            .collect::<Result<Vec<_>, String>>()?;
        let types: Vec<&[Type]> = types.iter().map(|ty| ty.as_slice()).collect();
        let inferred = infer(op, &types).map_err(|error| error.to_string())?;
        if inferred[0].dtype != dtype {
            return Err(format!(
                "{} gives {}, not {dtype}",
                op.name(),
                inferred[0].dtype
            ));
        }
        Ok(())
    }

    fn element(&self, element: &Element) -> Outcome {
        self.affine(&element.at)?;
        let arrays = match element.place {
            super::Place::Buffer(index) => (index, self.kernel.buffers.len()),
            super::Place::Scratch(index) => (index, self.kernel.scratch.len()),
        };
        if arrays.0 as usize >= arrays.1 {
            return Err(format!("there is no {}", element.place));
        }
        if let Some(offset) = element.dynamic {
            let dtype = self.dtype(offset)?;
            if dtype != DType::I64 {
                return Err(format!("the offset {offset} is {dtype}, not i64"));
            }
            return Ok(());
        }
        if self.ranges.is_empty() {
            return Ok(());
        }
        let elements = self.kernel.array(element.place).elements;
        let (low, high) = self.ranges.at(&element.at);
        if low < 0 || high >= elements as i64 {
            return Err(format!(
                "{element} reaches {low}..={high} of {elements} elements"
            ));
        }
        Ok(())
    }

    fn extent(&self, extent: &Extent) -> Outcome {
        extent.indices().try_for_each(|at| self.affine(at))?;
        let (start, limit) = match extent {
            Extent::Static(_) => return Ok(()),
            Extent::Block { start, limit, .. } | Extent::Visible { start, limit, .. } => {
                (start, limit)
            }
        };
        if self.ranges.is_empty() {
            return Ok(());
        }
        if let Extent::Visible { at, mask_block, .. } = extent {
            let (low, _) = self.ranges.at(at);
            if low < 0 || *mask_block == 0 {
                return Err(format!(
                    "the query {low} in a mask of blocks of {mask_block}"
                ));
            }
        }
        let (low, high) = self.ranges.at(start);
        if low < 0 || high >= *limit as i64 {
            return Err(format!("a block starts at {low}..={high} of {limit}"));
        }
        Ok(())
    }

    fn affine(&self, at: &Affine) -> Outcome {
        for (position, &(var, coefficient)) in at.terms.iter().enumerate() {
            if !self.ranges.is_bound(var) {
                return Err(format!("i{} is used outside its loop", var.0));
            }
            let ascends = position == 0 || at.terms[position - 1].0 < var;
            if coefficient == 0 || !ascends {
                return Err(format!("terms of {at} must ascend, without zeros"));
            }
        }
        Ok(())
    }

    fn define(&mut self, value: Value, dtype: DType) -> Outcome {
        if self.types.insert(value, dtype).is_some() {
            return Err(format!("{value} is defined twice"));
        }
        self.visible.push(value);
        Ok(())
    }

    fn dtype(&self, value: Value) -> Result<DType, String> {
        match self.types.get(&value) {
            Some(&dtype) if self.visible.contains(&value) => Ok(dtype),
            Some(_) => Err(format!("{value} is not visible here")),
            None => Err(format!("{value} is used before its definition")),
        }
    }
}

/// The values that a block defines for its own statements.
fn defined(body: &[Stmt]) -> Vec<Value> {
    let mut values = Vec::new();
    for stmt in body {
        match stmt {
            Stmt::Let { value, .. } => values.push(*value),
            Stmt::Reduce(reduce) => values.extend(reduce.results.iter().map(|r| r.value)),
            _ => {}
        }
    }
    values
}

/// A statement without its block.
fn first_line(stmt: &Stmt) -> String {
    let text = stmt.to_string();
    text.lines().next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
