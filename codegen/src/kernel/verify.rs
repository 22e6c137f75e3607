//! Checks the invariants of Kernel IR.

use super::bounds::Ranges;
use super::{
    Affine, Attend, Combine, Contract, Element, Extent, Inst, Kernel, PANEL, Stmt, Value, Var,
};
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
                vector,
                body,
            } => (*var, extent.clone(), *vector, None, body),
            Stmt::Reduce(r) => (r.var, Extent::Static(r.extent), r.vector, Some(r), &r.body),
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

    fn contract(&mut self, c: &Contract) -> Outcome {
        if self.within.vector || self.within.reduce {
            return Err("a contraction inside a vector loop or a reduction".into());
        }
        for extent in [&c.m, &c.n, &c.k] {
            self.extent(extent)?;
        }
        let format = c.format;
        let types = [format.a(), format.b(), format.c()];
        let mut typed: Vec<_> = [&c.a, &c.b, &c.c].into_iter().zip(types).collect();
        match (&c.columns, format.columns()) {
            (Some(columns), Some(dtype)) => typed.push((columns, dtype)),
            (None, None) => {}
            _ => {
                return Err(format!(
                    "{} with or without columns' own values",
                    format.name()
                ));
            }
        }
        for (element, dtype) in typed {
            let array = self.kernel.array(element.place);
            if array.dtype != dtype {
                return Err(format!("{} is {}, not {dtype}", element.place, array.dtype));
            }
        }
        let terms = format.terms();
        if terms > 1 && c.a_k_stride != 1 {
            return Err(format!("terms of A are {} apart, not 1", c.a_k_stride));
        }
        if !self.kernel.array(c.c.place).written {
            return Err(format!("{} is not marked as written", c.c.place));
        }
        // The elements touched are those of loops over row, column and term.
        let [row, column, panel, step, within, term, group, member] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|i| Var(u32::MAX - i));
        let extents = [
            (row, c.m.clone()),
            (column, c.n.clone()),
            (panel, panels(&c.n)),
            (step, steps(&c.k, terms)?),
            (within, Extent::Static(PANEL * terms)),
            (term, Extent::Static(terms)),
        ];
        for (var, extent) in extents.clone() {
            self.ranges.bind(var, extent)?;
        }
        let along = |var, stride| Affine::var(var).scale(stride);
        let shifted = |element: &Element, parts: &[Affine]| Element {
            at: parts.iter().fold(element.at.clone(), |at, p| at.add(p)),
            ..element.clone()
        };
        let a = match c.a_groups {
            None => vec![
                along(row, c.a_row_stride),
                along(step, c.a_k_stride * terms as i64),
                along(term, c.a_k_stride),
            ],
            Some(groups) => {
                let (Extent::Static(k), true) = (&c.k, groups.terms > 0) else {
                    return Err("groups of a number of terms that is not known".into());
                };
                if !k.is_multiple_of(groups.terms) {
                    return Err(format!("{k} terms in groups of {}", groups.terms));
                }
                self.ranges.bind(group, Extent::Static(k / groups.terms))?;
                self.ranges.bind(member, Extent::Static(groups.terms))?;
                vec![
                    along(row, c.a_row_stride),
                    along(group, groups.stride),
                    along(member, c.a_k_stride),
                ]
            }
        };
        let b = [
            along(panel, c.b_panel_stride),
            along(step, (PANEL * terms) as i64),
            along(within, 1),
        ];
        let to = [along(row, c.c_row_stride), along(column, 1)];
        self.element(&shifted(&c.a, &a))?;
        self.element(&shifted(&c.b, &b))?;
        self.element(&shifted(&c.c, &to))?;
        if let Some(columns) = &c.columns {
            self.element(&shifted(columns, &[along(column, 1)]))?;
        }
        for (var, _) in extents {
            self.ranges.unbind(var);
        }
        self.ranges.unbind(group);
        self.ranges.unbind(member);
        Ok(())
    }

    fn attend(&mut self, a: &Attend) -> Outcome {
        if self.within.vector || self.within.reduce {
            return Err("attention inside a vector loop or a reduction".into());
        }
        self.extent(&a.rows)?;
        self.affine(&a.first)?;
        let typed = a
            .reads()
            .into_iter()
            .zip([DType::F32, DType::BF16, DType::BF16]);
        for (element, dtype) in typed.chain(a.writes().map(|element| (element, DType::F32))) {
            let array = self.kernel.array(element.place);
            if array.dtype != dtype {
                return Err(format!("{} is {}, not {dtype}", element.place, array.dtype));
            }
        }
        if let Some(to) = a
            .writes()
            .iter()
            .find(|to| !self.kernel.array(to.place).written)
        {
            return Err(format!("{} is not marked as written", to.place));
        }
        let [row, x, y] = [0, 1, 2].map(|i| Var(u32::MAX - i));
        self.ranges.bind(row, a.rows.clone())?;
        let panel = |terms: usize| terms.next_multiple_of(2) * PANEL;
        let value_depth = a.value_depth as i64;
        // Each element with its row stride, and two ranges and their strides beside rows.
        let touched = [
            (&a.q, a.q_row_stride, (1, 0), (a.depth, a.q_column_stride)),
            (
                &a.k,
                0,
                (a.keys.div_ceil(PANEL), a.k_panel_stride),
                (panel(a.depth), 1),
            ),
            (
                &a.v,
                0,
                (a.value_depth.div_ceil(PANEL), a.v_panel_stride),
                (panel(a.keys), 1),
            ),
            (&a.output, value_depth, (1, 0), (a.value_depth, 1)),
            (&a.maxima, 1, (1, 0), (1, 0)),
            (&a.sums, 1, (1, 0), (1, 0)),
        ];
        for (element, row_stride, outer, inner) in touched {
            self.ranges.bind(x, Extent::Static(outer.0))?;
            self.ranges.bind(y, Extent::Static(inner.0))?;
            let moving = [(row, row_stride), (x, outer.1), (y, inner.1)];
            let add = |at: Affine, (var, stride)| at.add(&Affine::var(var).scale(stride));
            self.element(&Element {
                at: moving.into_iter().fold(element.at.clone(), add),
                ..element.clone()
            })?;
            self.ranges.unbind(x);
            self.ranges.unbind(y);
        }
        self.ranges.unbind(row);
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
        let Extent::Block { start, limit, .. } = extent else {
            return Ok(());
        };
        self.affine(start)?;
        if self.ranges.is_empty() {
            return Ok(());
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

/// Panels of B that a contraction over `n` columns reads.
fn panels(n: &Extent) -> Extent {
    let panel = PANEL as i64;
    match n {
        Extent::Static(n) => Extent::Static(n.div_ceil(PANEL)),
        Extent::Block { size, start, limit } => {
            let aligned = start.constant % panel == 0
                && start.terms.iter().all(|(_, factor)| factor % panel == 0);
            if !aligned {
                return Extent::Static(size.div_ceil(PANEL));
            }
            let terms = start.terms.iter().map(|&(v, factor)| (v, factor / panel));
            Extent::Block {
                size: size.div_ceil(PANEL),
                start: Affine {
                    constant: start.constant / panel,
                    terms: terms.collect(),
                },
                limit: limit.div_ceil(PANEL),
            }
        }
    }
}

/// Steps of `terms` terms each.
fn steps(k: &Extent, terms: usize) -> Result<Extent, String> {
    match k {
        k if terms == 1 => Ok(k.clone()),
        Extent::Static(k) => Ok(Extent::Static(k.div_ceil(terms))),
        Extent::Block { size, start, limit } => {
            let whole = |factor: i64| factor % terms as i64 == 0;
            let aligned =
                whole(start.constant) && start.terms.iter().all(|&(_, factor)| whole(factor));
            if !aligned || !whole(*size as i64) {
                return Err(format!("blocks of terms that are no multiples of {terms}"));
            }
            let scaled = start.terms.iter();
            let scaled = scaled.map(|&(var, factor)| (var, factor / terms as i64));
            Ok(Extent::Block {
                size: size / terms,
                start: Affine {
                    constant: start.constant / terms as i64,
                    terms: scaled.collect(),
                },
                limit: limit.div_ceil(terms),
            })
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
