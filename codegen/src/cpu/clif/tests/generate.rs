//! Random kernels that keep every invariant.

use crate::kernel::bounds::Ranges;
use crate::kernel::{
    Affine, Array, Axis, Combine, Element, Extent, Inst, Kernel, Place, Reduce, Reduction, Stmt,
    Value, Var,
};
use bsq_ir::{DType, Op};

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What kernels to make.
#[derive(Clone, Copy, Default)]
pub struct Limits {
    pub only_f32: bool,
    /// One reduction around the lengths at which chunks change, and little else.
    pub long_reductions: bool,
}

pub fn random_kernel(seed: u64, limits: Limits) -> Kernel {
    let mut maker = Maker {
        random: Random::new(seed),
        limits,
        kernel: Kernel {
            buffers: Vec::new(),
            scratch: Vec::new(),
            grid: Vec::new(),
            body: Vec::new(),
        },
        ranges: Ranges::default(),
        vars: Vec::new(),
        values: Vec::new(),
        next: 0,
        next_var: 0,
    };
    for _ in 0..maker.random.below(3) {
        let extent = 1 + maker.random.below(4);
        let var = maker.fresh_var();
        maker.kernel.grid.push(Axis { var, extent });
        maker.ranges.bind(var, Extent::Static(extent)).unwrap();
        maker.vars.push((var, extent));
    }
    let mut body = Vec::new();
    match limits.long_reductions {
        true => maker.reduction(&mut body, false, 1),
        false => maker.statements(&mut body, false, 2),
    }
    maker.store(&mut body);
    maker.kernel.body = body;
    maker.kernel
}

struct Maker {
    random: Random,
    limits: Limits,
    kernel: Kernel,
    ranges: Ranges,
    /// Variables in scope with the most iterations of their loops.
    vars: Vec<(Var, usize)>,
    /// Values in scope.
    values: Vec<(Value, DType)>,
    next: u32,
    next_var: u32,
}

impl Maker {
    fn fresh_var(&mut self) -> Var {
        self.next_var += 1;
        Var(self.next_var - 1)
    }

    fn define(&mut self, body: &mut Vec<Stmt>, dtype: DType, inst: Inst) -> Value {
        let value = Value(self.next);
        self.next += 1;
        body.push(Stmt::Let { value, dtype, inst });
        self.values.push((value, dtype));
        value
    }

    fn statements(&mut self, body: &mut Vec<Stmt>, vector: bool, depth: usize) {
        for _ in 0..1 + self.random.below(4) {
            match self.random.below(10) {
                0..=2 if depth > 0 => self.looped(body, vector, depth),
                3..=4 if depth > 0 => self.reduction(body, vector, depth),
                5 if depth > 0 && !vector => self.through_scratch(body),
                6 => self.store(body),
                _ => {
                    for _ in 0..4 {
                        self.instruction(body);
                    }
                }
            }
        }
    }

    fn looped(&mut self, body: &mut Vec<Stmt>, within: bool, depth: usize) {
        let vector = !within && self.random.chance(70);
        let extent = self.extent();
        let var = self.fresh_var();
        let scope = self.open(var, extent.clone());
        let mut inner = Vec::new();
        self.statements(&mut inner, within || vector, depth - 1);
        self.store(&mut inner);
        self.close(scope);
        body.push(Stmt::loop_over(vector, var, extent, inner));
    }

    fn reduction(&mut self, body: &mut Vec<Stmt>, within: bool, depth: usize) {
        let vector = !within && self.random.chance(70);
        let extent = match self.limits.long_reductions {
            true => self.random.of(&[2047, 2048, 2049, 2064, 4096, 4099]),
            false => self.random.of(&[0, 1, 2, 15, 16, 17, 32, 50, 99]),
        };
        let extent = match self.vars.last() {
            Some(&(var, _)) if extent > 0 && self.random.chance(25) => self.visible(var, extent),
            _ => Extent::Static(extent),
        };
        let var = self.fresh_var();
        let scope = self.open(var, extent.clone());
        let mut inner = Vec::new();
        for _ in 0..3 {
            self.instruction(&mut inner);
        }
        if depth > 1 && self.random.chance(20) && !self.limits.long_reductions {
            self.reduction(&mut inner, within || vector, depth - 1);
        }
        let mut results = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let (term, dtype) = self.operand(&mut inner, &|d| d.is_arithmetic());
            let value = Value(self.next);
            self.next += 1;
            results.push(Reduction {
                value,
                dtype,
                op: self
                    .random
                    .of(&[Combine::Sum, Combine::Sum, Combine::Max, Combine::Min]),
                term,
            });
        }
        self.close(scope);
        self.values
            .extend(results.iter().map(|r| (r.value, r.dtype)));
        body.push(Stmt::Reduce(Reduce {
            var,
            extent,
            vector,
            body: inner,
            results,
        }));
    }

    /// A vector loop that fills scratch, and a reduction over it.
    fn through_scratch(&mut self, body: &mut Vec<Stmt>) {
        let extent = self.random.of(&[3, 16, 20, 33]);
        let dtype = match self.limits.only_f32 {
            true => DType::F32,
            false => self.random.of(&DType::ALL),
        };
        self.kernel.scratch.push(Array::written(dtype, extent));
        let place = Place::Scratch(self.kernel.scratch.len() as u32 - 1);
        let element = |var| Element::new(place, Affine::var(var));
        let var = self.fresh_var();
        let scope = self.open(var, Extent::Static(extent));
        let mut inner = Vec::new();
        self.instruction(&mut inner);
        let (value, _) = self.operand(&mut inner, &|d| d == dtype);
        let to = element(var);
        inner.push(Stmt::store(to, value));
        self.close(scope);
        body.push(Stmt::vector_loop(var, Extent::Static(extent), inner));
        let var = self.fresh_var();
        let scope = self.open(var, Extent::Static(extent));
        let mut inner = Vec::new();
        let loaded = self.define(&mut inner, dtype, Inst::Load(element(var)));
        let cast = Inst::Map(Op::Cast(DType::F32), vec![loaded]);
        let term = self.define(&mut inner, DType::F32, cast);
        self.close(scope);
        let value = Value(self.next);
        self.next += 1;
        self.values.push((value, DType::F32));
        body.push(Stmt::Reduce(Reduce {
            var,
            extent: Extent::Static(extent),
            vector: true,
            body: inner,
            results: vec![Reduction {
                value,
                dtype: DType::F32,
                op: Combine::Sum,
                term,
            }],
        }));
    }

    fn extent(&mut self) -> Extent {
        let static_extent = self.random.of(&[1, 2, 4, 5, 8, 16, 17, 32, 37, 64]);
        let blocked = self
            .vars
            .iter()
            .rev()
            .find(|(_, extent)| *extent > 1)
            .copied();
        match blocked {
            Some((var, _)) if self.random.chance(20) => self.visible(var, static_extent),
            Some((var, blocks)) if self.random.chance(40) => {
                // The last block has at least one element.
                let size = self.random.of(&[4, 8, 16, 20]);
                Extent::Block {
                    size,
                    start: Affine::var(var).scale(size as i64),
                    limit: (blocks - 1) * size + 1 + self.random.below(size),
                }
            }
            _ => Extent::Static(static_extent),
        }
    }

    /// What a query sees of `size` keys, or of those behind some.
    fn visible(&mut self, var: Var, size: usize) -> Extent {
        let at = Affine::var(var).scale(self.random.of(&[1, 3, 16]));
        let mask_block = self.random.of(&[1, 3, 16, 40, 1000]);
        let start = Affine::constant(self.random.of(&[0, 0, 7, 48]));
        let limit = size + start.constant as usize;
        Extent::visible((at, mask_block), size, start, limit)
    }

    fn open(&mut self, var: Var, extent: Extent) -> (Var, usize) {
        let scope = self.values.len();
        self.vars.push((var, extent.largest()));
        self.ranges.bind(var, extent).unwrap();
        (var, scope)
    }

    fn close(&mut self, (var, scope): (Var, usize)) {
        self.values.truncate(scope);
        self.vars.pop();
        self.ranges.unbind(var);
    }

    fn instruction(&mut self, body: &mut Vec<Stmt>) {
        match self.random.below(12) {
            0 => {
                let dtype = self.dtype();
                self.constant(body, dtype);
            }
            1 if !self.limits.only_f32 => {
                let at = self.affine();
                let dtype = self.random.of(&[DType::I64, DType::I32]);
                self.define(body, dtype, Inst::Index(at));
            }
            2..=4 => {
                let dtype = self.dtype();
                self.load(body, dtype);
            }
            _ => self.operation(body),
        }
    }

    fn dtype(&mut self) -> DType {
        match self.limits.only_f32 {
            true => self
                .random
                .of(&[DType::F32, DType::F32, DType::F32, DType::Bool]),
            false => self.random.of(&DType::ALL),
        }
    }

    fn constant(&mut self, body: &mut Vec<Stmt>, dtype: DType) -> Value {
        let bits = match dtype {
            DType::F32 => self.random.of(&[0.5f32, -1.0, 3.0, 0.0]).to_bits().into(),
            DType::F16 | DType::BF16 => 0x3f80,
            DType::Bool => self.random.next() % 2,
            _ => self.random.next() % 128,
        };
        self.define(body, dtype, Inst::Constant(bits))
    }

    fn affine(&mut self) -> Affine {
        let mut at = Affine::constant(self.random.below(3) as i64);
        for index in 0..self.vars.len() {
            let factor = self.random.of(&[0, 1, 1, 1, 2, 3, -1]);
            at = at.add(&Affine::var(self.vars[index].0).scale(factor));
        }
        at
    }

    fn load(&mut self, body: &mut Vec<Stmt>, dtype: DType) -> Value {
        let mut at = self.affine();
        let mut dynamic = None;
        let mut elements = 1;
        if !self.ranges.is_empty() {
            let (low, high) = self.ranges.at(&at);
            at = at.offset(-low);
            elements += (high - low) as usize;
        }
        if self.random.chance(15) {
            let (index, _) = self.operand(body, &|d| d == DType::I64);
            let limit = self.define(body, DType::I64, Inst::Constant(7));
            let least = self.define(body, DType::I64, Inst::Constant(0));
            let above = Inst::Map(Op::Max, vec![index, least]);
            let above = self.define(body, DType::I64, above);
            let clamped = Inst::Map(Op::Min, vec![above, limit]);
            dynamic = Some(self.define(body, DType::I64, clamped));
            elements += 7;
        }
        self.kernel.buffers.push(Array {
            dtype,
            elements,
            written: false,
        });
        let place = Place::Buffer(self.kernel.buffers.len() as u32 - 1);
        self.define(body, dtype, Inst::Load(Element { place, at, dynamic }))
    }

    /// A value of a type that is asked for: one in scope, or a new one.
    fn operand(&mut self, body: &mut Vec<Stmt>, wanted: &dyn Fn(DType) -> bool) -> (Value, DType) {
        let found: Vec<_> = self
            .values
            .iter()
            .filter(|v| wanted(v.1))
            .copied()
            .collect();
        if !found.is_empty() && self.random.chance(90) {
            // The latest are the likeliest, so that computations grow deep.
            let back = self.random.below(found.len()).min(self.random.below(4));
            return found[found.len() - 1 - back];
        }
        let types: Vec<DType> = DType::ALL.into_iter().filter(|&d| wanted(d)).collect();
        let dtype = match self.limits.only_f32 && wanted(DType::F32) {
            true => DType::F32,
            false => self.random.of(&types),
        };
        match self.random.chance(70) && dtype != DType::I64 {
            true => (self.load(body, dtype), dtype),
            false => (self.constant(body, dtype), dtype),
        }
    }

    fn operation(&mut self, body: &mut Vec<Stmt>) {
        use Op::*;
        let f32 = |d: DType| d == DType::F32;
        let arithmetic: fn(DType) -> bool = |d| d.is_arithmetic();
        let bits = |d: DType| d.is_integer() || d == DType::Bool;
        let any: fn(DType) -> bool = |_| true;
        match self.random.below(8) {
            0 => {
                let op = self.random.of(&[0, 1, 2, 3, 4, 5, 6, 7]);
                let op = [Exp, Log, Sqrt, Tanh, Erf, Floor, Sin, Cos][op].clone();
                let (x, dtype) = self.operand(body, &f32);
                self.define(body, dtype, Inst::Map(op, vec![x]));
            }
            1 => {
                let op = [Neg, Abs, Sign][self.random.below(3)].clone();
                let (x, dtype) = self.operand(body, &arithmetic);
                self.define(body, dtype, Inst::Map(op, vec![x]));
            }
            2 | 3 => {
                let op = [Add, Sub, Mul, Max, Min][self.random.below(5)].clone();
                let (x, dtype) = self.operand(body, &arithmetic);
                let (y, _) = self.operand(body, &|d| d == dtype);
                self.define(body, dtype, Inst::Map(op, vec![x, y]));
            }
            4 => {
                let op = [Equal, Less, LessEqual][self.random.below(3)].clone();
                let (x, dtype) = self.operand(body, &|d| arithmetic(d) || d == DType::Bool);
                let (y, _) = self.operand(body, &|d| d == dtype);
                self.define(body, DType::Bool, Inst::Map(op, vec![x, y]));
            }
            5 => {
                let (c, _) = self.operand(body, &|d| d == DType::Bool);
                let (x, dtype) = self.operand(body, &any);
                let (y, _) = self.operand(body, &|d| d == dtype);
                self.define(body, dtype, Inst::Map(Select, vec![c, x, y]));
            }
            6 if !self.limits.only_f32 => {
                let (x, _) = self.operand(body, &any);
                let to = self.random.of(&DType::ALL);
                self.define(body, to, Inst::Map(Cast(to), vec![x]));
            }
            7 if !self.limits.only_f32 => {
                let op = [And, Or, Xor, Not, ShiftLeft, ShiftRight][self.random.below(6)].clone();
                let shift = matches!(op, ShiftLeft | ShiftRight);
                let wanted = |d: DType| if shift { d.is_integer() } else { bits(d) };
                let (x, dtype) = self.operand(body, &wanted);
                let mut operands = vec![x];
                if !matches!(op, Not) {
                    operands.push(self.operand(body, &|d| d == dtype).0);
                }
                self.define(body, dtype, Inst::Map(op, operands));
            }
            _ => {
                let (x, dtype) = self.operand(body, &f32);
                let (y, _) = self.operand(body, &f32);
                self.define(body, dtype, Inst::Map(Div, vec![x, y]));
            }
        }
    }

    /// Stores a value where no other iteration stores.
    fn store(&mut self, body: &mut Vec<Stmt>) {
        let (value, dtype) = self.operand(body, &|_| true);
        let mut order: Vec<usize> = (0..self.vars.len()).collect();
        if self.random.chance(30) {
            order.reverse();
        }
        let mut at = Affine::constant(0);
        let mut elements = 1;
        for index in order.into_iter().rev() {
            let (var, extent) = self.vars[index];
            at = at.add(&Affine::var(var).scale(elements as i64));
            elements *= extent.max(1);
        }
        self.kernel.buffers.push(Array::written(dtype, elements));
        let place = Place::Buffer(self.kernel.buffers.len() as u32 - 1);
        let to = Element::new(place, at);
        body.push(Stmt::store(to, value));
    }
}
