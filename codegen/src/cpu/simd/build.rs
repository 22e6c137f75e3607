//! From a vector loop's statements to SIMD code.

use super::assembler::Width;
use super::code::{Access, Binary, Carried, Code, Inst, Invariant, Line, Name, Predicate, Unary};
use super::{SimdBody, Uniform};
use crate::kernel::{Combine, Element, Inst as KernelInst, Kernel, Place, Stmt, Value};
use bsq_ir::DType;
use bsq_ir::order::LANES;
use std::collections::{BTreeSet, HashMap};

/// What cannot be said in SIMD code: the loop is left to other code.
pub(super) struct Unsupported;

/// A value of the kernel while SIMD code is written.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// The same in every lane: computed before the loop.
    Uniform,
    Constant(u64),
    Lanes(Name),
}

pub(super) struct CodeBuilder<'k> {
    kernel: &'k Kernel,
    body: SimdBody<'k>,
    pub code: Code,
    pub streams: Vec<Element>,
    pub uniforms: Vec<Uniform>,
    /// Statements of the body that are the same in every iteration.
    pub hoisted: Vec<Stmt>,
    values: HashMap<Value, (DType, Known)>,
    invariants: HashMap<Invariant, Name>,
    /// Iterations of the part that is being written, times a step.
    steps: HashMap<i64, Name>,
    stored: BTreeSet<Place>,
    pub width: Width,
    /// The first lane of the part that is being written.
    first: usize,
}

impl<'k> CodeBuilder<'k> {
    pub fn new(kernel: &'k Kernel, body: SimdBody<'k>, width: Width) -> Self {
        let mut stored = BTreeSet::new();
        for stmt in body.statements {
            if let Stmt::Store { to, .. } = stmt {
                stored.insert(to.place);
            }
        }
        CodeBuilder {
            kernel,
            body,
            code: Code::default(),
            streams: Vec::new(),
            uniforms: Vec::new(),
            hoisted: Vec::new(),
            values: HashMap::new(),
            invariants: HashMap::new(),
            steps: HashMap::new(),
            stored,
            width,
            first: 0,
        }
    }

    /// Writes all lanes of an iteration, part by part.
    pub fn write(&mut self) -> Result<(), Unsupported> {
        for first in (0..LANES).step_by(self.width.lanes()) {
            self.first = first;
            self.steps.clear();
            // What is uniform needs to be found and hoisted once only.
            self.values
                .retain(|_, (_, known)| !matches!(known, Known::Lanes(_)));
            for stmt in self.body.statements {
                self.statement(stmt)?;
            }
            for result in self.body.results {
                let (dtype, term) = self.register(result.term)?;
                self.combine(result.op, dtype, term)?;
            }
        }
        self.code.streams = self.streams.len();
        self.code.uniforms = self.uniforms.len();
        Ok(())
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<(), Unsupported> {
        match stmt {
            Stmt::Let { value, dtype, inst } => {
                if self.values.contains_key(value) {
                    return Ok(());
                }
                let known = self.definition(*dtype, inst)?;
                if matches!(known, Known::Uniform | Known::Constant(_)) {
                    self.hoisted.push(stmt.clone());
                }
                self.values.insert(*value, (*dtype, known));
                Ok(())
            }
            Stmt::Store { to, value } => {
                let (dtype, value) = self.register(*value)?;
                let at = self.access(to).ok_or(Unsupported)?;
                if dtype != at.dtype {
                    return Err(Unsupported);
                }
                let value = match dtype {
                    DType::F32 | DType::I32 | DType::U32 | DType::F16 | DType::BF16 | DType::U8 => {
                        value
                    }
                    DType::Bool if self.width == Width::Zmm => {
                        let one = self.constant(1);
                        self.binary(Binary::And, value, one)
                    }
                    _ => return Err(Unsupported),
                };
                let inst = Inst::Store(at, value);
                self.code.lines.push(Line { to: None, inst });
                Ok(())
            }
            Stmt::Loop { .. }
            | Stmt::Reduce(_)
            | Stmt::Contract(_)
            | Stmt::Attend(_)
            | Stmt::AttendBackward(_) => Err(Unsupported),
        }
    }

    fn definition(&mut self, dtype: DType, inst: &KernelInst) -> Result<Known, Unsupported> {
        let var = self.body.var;
        match inst {
            KernelInst::Constant(bits) => Ok(Known::Constant(*bits)),
            KernelInst::Index(at) => match at.coefficient(var) {
                0 => Ok(Known::Uniform),
                step if dtype == DType::I32 => {
                    let start = self.uniform(Uniform::Index(at.clone()));
                    let first = self.first as u32;
                    let mut lanes = self.line(Inst::Iteration { first });
                    if step != 1 {
                        let step = self.constant(step as u32);
                        lanes = self.binary(Binary::MulInt, lanes, step);
                    }
                    Ok(Known::Lanes(self.binary(Binary::AddInt, lanes, start)))
                }
                _ => Err(Unsupported),
            },
            KernelInst::Load(from) => {
                if self.is_uniform(from) {
                    return Ok(Known::Uniform);
                }
                let load = match self.access(from) {
                    Some(at) => self.line(Inst::Load(at)),
                    None => self.gather(from)?,
                };
                Ok(Known::Lanes(match dtype {
                    DType::F32 | DType::I32 | DType::U32 | DType::F16 | DType::BF16 | DType::U8 => {
                        load
                    }
                    DType::Bool => {
                        let zero = self.constant(0);
                        let is_zero = self.mask(Predicate::EqualInt, load, zero);
                        let all = self.constant(u32::MAX);
                        self.binary(Binary::Xor, is_zero, all)
                    }
                    _ => return Err(Unsupported),
                }))
            }
            KernelInst::Map(op, operands) => {
                let uniform = operands
                    .iter()
                    .all(|&x| !matches!(self.known(x), (_, Known::Lanes(_))));
                if uniform {
                    return Ok(Known::Uniform);
                }
                let mut registers = Vec::with_capacity(operands.len());
                for &operand in operands {
                    registers.push(self.register(operand)?);
                }
                Ok(Known::Lanes(self.map(op, dtype, &registers)?))
            }
        }
    }

    /// Loads that may be done once before the loop.
    fn is_uniform(&self, from: &Element) -> bool {
        let moves = from.at.coefficient(self.body.var) != 0;
        let position = from.dynamic.map(|value| self.known(value).1);
        !moves && !self.stored.contains(&from.place) && !matches!(position, Some(Known::Lanes(_)))
    }

    /// Values from outside the loop are uniform.
    fn known(&self, value: Value) -> (DType, Known) {
        match self.values.get(&value) {
            Some(&known) => known,
            None => ((self.body.outer)(value), Known::Uniform),
        }
    }

    fn register(&mut self, value: Value) -> Result<(DType, Name), Unsupported> {
        let (dtype, known) = self.known(value);
        if matches!(dtype, DType::I64 | DType::U64) {
            return Err(Unsupported);
        }
        let name = match known {
            Known::Lanes(name) => name,
            Known::Constant(bits) if dtype == DType::Bool => {
                self.constant((bits as u32).wrapping_neg())
            }
            Known::Constant(bits) => self.constant(bits as u32),
            Known::Uniform => self.uniform(Uniform::Value(value)),
        };
        Ok((dtype, name))
    }

    /// Where a contiguous access is; `None` for every other one.
    fn access(&mut self, element: &Element) -> Option<Access> {
        let var = self.body.var;
        let position = element.dynamic.map(|value| self.known(value).1);
        if element.at.coefficient(var) != 1 || matches!(position, Some(Known::Lanes(_))) {
            return None;
        }
        let dtype = self.kernel.array(element.place).dtype;
        let size = dtype.size();
        let constant = element.at.constant * size as i64 + (self.first * size) as i64;
        let offset = i32::try_from(constant).ok()?;
        Some(Access {
            stream: self.stream(element),
            dtype,
            offset,
        })
    }

    /// Elements of 32 bits that lie apart, at a position that is the same in all lanes.
    fn gather(&mut self, from: &Element) -> Result<Name, Unsupported> {
        let step = from.at.coefficient(self.body.var);
        let reach = step.unsigned_abs() as usize * self.body.extent;
        let dtype = self.kernel.array(from.place).dtype;
        let is_near = step != 0 && i32::try_from(reach).is_ok();
        let position = from.dynamic.map(|value| self.known(value).1);
        if dtype.size() != 4 || !is_near || matches!(position, Some(Known::Lanes(_))) {
            return Err(Unsupported);
        }
        let offset = i32::try_from(from.at.constant * dtype.size() as i64);
        let offset = offset.map_err(|_| Unsupported)?;
        let stream = self.stream(from);
        let index = match self.steps.get(&step) {
            Some(&index) => index,
            None => {
                let first = self.first as u32;
                let lanes = self.line(Inst::Iteration { first });
                let factor = self.constant(step as u32);
                let index = self.binary(Binary::MulInt, lanes, factor);
                self.steps.insert(step, index);
                index
            }
        };
        let at = Access {
            stream,
            dtype,
            offset,
        };
        Ok(self.line(Inst::Gather { at, index }))
    }

    /// The number of the stream that an element belongs to: of all that differ by a constant.
    fn stream(&mut self, element: &Element) -> usize {
        let mut base = element.clone();
        base.at.constant = 0;
        let found = self.streams.iter().position(|stream| *stream == base);
        found.unwrap_or_else(|| {
            self.streams.push(base);
            self.streams.len() - 1
        })
    }

    fn uniform(&mut self, uniform: Uniform) -> Name {
        let found = self.uniforms.iter().position(|known| *known == uniform);
        let slot = found.unwrap_or_else(|| {
            self.uniforms.push(uniform);
            self.uniforms.len() - 1
        });
        self.invariant(Invariant::Uniform(slot))
    }

    /// A constant in every lane.
    pub fn constant(&mut self, bits: u32) -> Name {
        self.invariant(Invariant::Constant(bits))
    }

    fn invariant(&mut self, invariant: Invariant) -> Name {
        if let Some(&name) = self.invariants.get(&invariant) {
            return name;
        }
        let name = self.fresh();
        self.invariants.insert(invariant, name);
        self.code.invariants.push((name, invariant));
        name
    }

    fn fresh(&mut self) -> Name {
        self.code.names += 1;
        Name(self.code.names - 1)
    }

    pub fn line(&mut self, inst: Inst) -> Name {
        let to = self.fresh();
        self.code.lines.push(Line { to: Some(to), inst });
        to
    }

    pub fn binary(&mut self, op: Binary, x: Name, y: Name) -> Name {
        self.line(Inst::Binary { op, x, y })
    }

    pub fn unary(&mut self, op: Unary, x: Name) -> Name {
        self.line(Inst::Unary { op, x })
    }

    /// A comparison.
    pub fn mask(&mut self, is: Predicate, x: Name, y: Name) -> Name {
        self.line(Inst::Compare { is, x, y })
    }

    /// Combines a term with the partial results of its lanes.
    fn combine(&mut self, op: Combine, dtype: DType, term: Name) -> Result<(), Unsupported> {
        match (op, dtype) {
            (Combine::Sum, DType::F32 | DType::I32 | DType::U32) => {
                let add = match dtype {
                    DType::F32 => Binary::Add,
                    _ => Binary::AddInt,
                };
                let sum = self.carried(op.neutral(dtype) as u32);
                self.again(sum, add, sum, term);
            }
            (Combine::Max | Combine::Min, DType::F32) => {
                let (pick, join, neutral_signs) = match op {
                    Combine::Max => (Binary::Max, Binary::And, u32::MAX),
                    _ => (Binary::Min, Binary::Or, 0),
                };
                let best = self.carried(op.neutral(dtype) as u32);
                let signs = self.carried(neutral_signs);
                let nan = self.carried(0);
                // Anything if there is a NaN, and a zero of any sign: see `clif::min_max`.
                self.again(best, pick, best, term);
                self.again(signs, join, signs, term);
                // The greatest magnitude, as bits without the sign: above infinity are NaNs alone.
                // A comparison would do, but its masks are slow to make lanes of.
                let magnitude = self.binary(Binary::AddInt, term, term);
                self.again(nan, Binary::MaxUnsigned, nan, magnitude);
            }
            _ => return Err(Unsupported),
        }
        Ok(())
    }

    fn carried(&mut self, initial: u32) -> Name {
        let name = self.fresh();
        self.code.carried.push(Carried { name, initial });
        name
    }

    fn again(&mut self, to: Name, op: Binary, x: Name, y: Name) {
        let inst = Inst::Binary { op, x, y };
        self.code.lines.push(Line { to: Some(to), inst });
    }
}
