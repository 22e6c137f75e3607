//! What is known while a kernel's code is written: loop variables, values, addresses.

use super::lanes::VectorLoop;
use super::vector_calls::SimdFunctions;
use crate::cpu::microkernel::Family;
use crate::kernel::{Affine, Extent, Kernel, Place, Stmt, Value, Var, for_each_access};
use bsq_ir::DType;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, MemFlagsData, types};
use cranelift_frontend::FunctionBuilder;
use std::collections::HashMap;

/// The registers that hold a value.
#[derive(Clone, Debug)]
pub(super) enum Repr {
    /// One scalar, the same for all lanes.
    Uniform(ir::Value),
    /// One element per lane of the vector loop: see [`VectorLoop`].
    Varying(Vec<ir::Value>),
}

/// A number of iterations.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Static(usize),
    Dynamic(ir::Value),
}

/// Writes one kernel's function.
pub(super) struct Emitter<'k, 'f> {
    pub kernel: &'k Kernel,
    pub b: FunctionBuilder<'f>,
    /// Address of the first element of each array used.
    pub bases: HashMap<Place, ir::Value>,
    /// The lanes of the vector loop that is being written.
    pub lanes: Option<VectorLoop>,
    /// Whose microkernels contractions call.
    pub family: Family,
    /// Takes the functions of SIMD loops; `None` if there are no wider vectors.
    pub simd: Option<SimdFunctions<'f>>,
    /// Loop variables in scope, outermost first; a vector loop's has the first lane's value.
    vars: Vec<(Var, ir::Value)>,
    values: HashMap<Value, (DType, Repr)>,
    /// Registers of values from outside the vector loop, spread over its lanes.
    pub splats: HashMap<ir::Value, ir::Value>,
    /// Addresses of the variable parts of accesses, for the variables in scope.
    addresses: HashMap<(Place, Vec<(Var, i64)>), ir::Value>,
}

/// Accesses may be unaligned and never trap.
pub(super) const ACCESS: MemFlagsData = MemFlagsData::new().with_notrap();

impl<'k, 'f> Emitter<'k, 'f> {
    pub fn new(
        kernel: &'k Kernel,
        b: FunctionBuilder<'f>,
        family: Family,
        simd: Option<SimdFunctions<'f>>,
    ) -> Self {
        Emitter {
            kernel,
            b,
            bases: HashMap::new(),
            lanes: None,
            family,
            simd,
            vars: Vec::new(),
            values: HashMap::new(),
            splats: HashMap::new(),
            addresses: HashMap::new(),
        }
    }

    /// Brings a loop variable into scope for `body` and computes the parts of addresses that are
    /// known from here on, so that each is computed in the outermost loop that it varies in.
    pub fn enter(&mut self, var: Var, value: ir::Value, body: &[Stmt]) {
        self.vars.push((var, value));
        for_each_access(body, &mut |element, _| {
            if element.at.coefficient(var) != 0 {
                self.address(element.place, &element.at);
            }
        });
    }

    /// Ends the scope of the innermost loop variable.
    pub fn leave(&mut self, var: Var) {
        let innermost = self.vars.pop();
        debug_assert_eq!(innermost.map(|bound| bound.0), Some(var));
        self.addresses
            .retain(|(_, terms), _| terms.iter().all(|term| term.0 != var));
    }

    pub fn var(&self, var: Var) -> Option<ir::Value> {
        let bound = self.vars.iter().rfind(|bound| bound.0 == var);
        bound.map(|bound| bound.1)
    }

    /// The address of `at` without its constant and without the variables not yet in scope.
    pub fn address(&mut self, place: Place, at: &Affine) -> ir::Value {
        let known = |term: &&(Var, i64)| self.var(term.0).is_some();
        let terms: Vec<(Var, i64)> = at.terms.iter().filter(known).copied().collect();
        self.address_of(place, terms)
    }

    fn address_of(&mut self, place: Place, terms: Vec<(Var, i64)>) -> ir::Value {
        let innermost = self
            .vars
            .iter()
            .rev()
            .find_map(|&(var, value)| Some((terms.iter().position(|t| t.0 == var)?, value)));
        let Some((position, value)) = innermost else {
            return self.bases[&place];
        };
        let key = (place, terms);
        if let Some(&address) = self.addresses.get(&key) {
            return address;
        }
        let mut outer = key.1.clone();
        let (_, coefficient) = outer.remove(position);
        let outer = self.address_of(place, outer);
        let size = self.kernel.array(place).dtype.size() as i64;
        let offset = self.scaled(value, coefficient * size);
        let address = self.b.ins().iadd(outer, offset);
        self.addresses.insert(key, address);
        address
    }

    /// `value * factor`.
    pub fn scaled(&mut self, value: ir::Value, factor: i64) -> ir::Value {
        if factor == 1 {
            value
        } else if factor > 0 && factor.count_ones() == 1 {
            let shift = i64::from(factor.trailing_zeros());
            self.b.ins().ishl_imm_s(value, shift)
        } else {
            self.b.ins().imul_imm_s(value, factor)
        }
    }

    /// An index expression as `i64`.
    pub fn affine(&mut self, at: &Affine) -> ir::Value {
        let mut sum = None;
        for &(var, coefficient) in &at.terms {
            let value = self.var(var).expect("a variable in scope");
            let term = self.scaled(value, coefficient);
            sum = Some(match sum {
                Some(sum) => self.b.ins().iadd(sum, term),
                None => term,
            });
        }
        match sum {
            Some(sum) if at.constant == 0 => sum,
            Some(sum) => self.b.ins().iadd_imm_s(sum, at.constant),
            None => self.index(at.constant),
        }
    }

    pub fn index(&mut self, value: i64) -> ir::Value {
        self.b.ins().iconst(types::I64, value)
    }

    /// The iterations of a loop; if dynamic, 0 only where it [may be](Extent::may_be_empty).
    pub fn extent(&mut self, extent: &Extent) -> Count {
        match extent {
            Extent::Static(extent) => Count::Static(*extent),
            Extent::Block { size, limit, .. } if *size == 0 || *limit == 0 => Count::Static(0),
            Extent::Block { size, start, limit } => {
                if start.terms.is_empty() {
                    return Count::Static((*size).min(limit - start.constant as usize));
                }
                if extent.divisor() == *size {
                    return Count::Static(*size);
                }
                let start = self.affine(start);
                let limit = self.index(*limit as i64);
                let rest = self.b.ins().isub(limit, start);
                let size = self.index(*size as i64);
                Count::Dynamic(self.lesser(rest, size))
            }
            Extent::Visible { size, limit, .. } if *size == 0 || *limit == 0 => Count::Static(0),
            Extent::Visible {
                at,
                mask_block,
                size,
                start,
                limit,
            } => Count::Dynamic(self.visible((at, *mask_block), (*size, start, *limit))),
        }
    }

    /// How much a query sees of a block of keys.
    fn visible(
        &mut self,
        (at, mask_block): (&Affine, usize),
        (size, start, limit): (usize, &Affine, usize),
    ) -> ir::Value {
        let at = self.affine(at);
        let before = match mask_block.is_power_of_two() {
            true => {
                let shift = i64::from(mask_block.trailing_zeros());
                self.b.ins().ushr_imm_s(at, shift)
            }
            false => {
                let divisor = self.index(mask_block as i64);
                self.b.ins().udiv(at, divisor)
            }
        };
        let before = self.scaled(before, mask_block as i64);
        let end = self.b.ins().iadd_imm_s(before, mask_block as i64);
        let limit = self.index(limit as i64);
        let end = self.lesser(end, limit);
        if *start == Affine::default() {
            let size = self.index(size as i64);
            return self.lesser(end, size);
        }
        let start = self.affine(start);
        let seen = self.b.ins().isub(end, start);
        let size = self.index(size as i64);
        let seen = self.lesser(seen, size);
        let none = self.index(0);
        let is_none = self.b.ins().icmp(IntCC::SignedLessThan, seen, none);
        self.b.ins().select(is_none, none, seen)
    }

    /// The smaller of two signed integers.
    pub fn lesser(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        let less = self.b.ins().icmp(IntCC::SignedLessThan, x, y);
        self.b.ins().select(less, x, y)
    }

    pub fn count(&mut self, count: Count) -> ir::Value {
        match count {
            Count::Static(count) => self.index(count as i64),
            Count::Dynamic(count) => count,
        }
    }

    pub fn define(&mut self, value: Value, dtype: DType, repr: Repr) {
        self.values.insert(value, (dtype, repr));
    }

    pub fn value(&self, value: Value) -> (DType, Repr) {
        self.values[&value].clone()
    }
}

/// Block arguments.
pub(super) fn args(values: &[ir::Value]) -> Vec<BlockArg> {
    values.iter().map(|&value| BlockArg::Value(value)).collect()
}
