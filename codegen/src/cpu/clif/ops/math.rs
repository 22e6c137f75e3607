//! exp, log, tanh, erf, sin and cos: the operations of [`bsq_ir::math`], written out.

use super::super::lanes::GROUP;
use super::Emitter;
use bsq_ir::Op;
use bsq_ir::math::{self, Lanes};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

impl Emitter<'_, '_> {
    /// A function of up to four scalars or packed registers. Each operation is written for all of
    /// them before the next, so that they share a constant while it is in a register.
    pub(super) fn function(&mut self, op: &Op, x: &[ir::Value]) -> Vec<ir::Value> {
        let vector = self.is_vector(x[0]);
        let lanes = &mut Written {
            count: x.len(),
            emitter: self,
            vector,
        };
        let mut row = [x[0]; GROUP];
        row[..x.len()].copy_from_slice(x);
        let row = match op {
            Op::Exp => math::exp(lanes, row),
            Op::Log => math::log(lanes, row),
            Op::Tanh => math::tanh(lanes, row),
            Op::Erf => math::erf(lanes, row),
            Op::Sin => math::sin(lanes, row),
            Op::Cos => math::cos(lanes, row),
            _ => unreachable!("{} is no function", op.name()),
        };
        row[..x.len()].to_vec()
    }
}

/// Writes each operation instead of doing it.
struct Written<'e, 'k, 'f> {
    emitter: &'e mut Emitter<'k, 'f>,
    vector: bool,
    /// Registers of a row in use.
    count: usize,
}

/// Registers that are treated alike; those beyond the count repeat the first.
type Row = [ir::Value; GROUP];

impl Written<'_, '_, '_> {
    fn each<const N: usize>(
        &mut self,
        operands: [Row; N],
        write: impl Fn(&mut Emitter<'_, '_>, [ir::Value; N]) -> ir::Value,
    ) -> Row {
        let first = write(self.emitter, operands.map(|row| row[0]));
        let mut results = [first; GROUP];
        for index in 1..self.count {
            results[index] = write(self.emitter, operands.map(|row| row[index]));
        }
        results
    }

    fn shift(
        &mut self,
        x: Row,
        amount: u32,
        write: impl Fn(&mut Emitter<'_, '_>, ir::Value, ir::Value) -> ir::Value,
    ) -> Row {
        let amount = self.emitter.b.ins().iconst(types::I32, i64::from(amount));
        self.each([x], |e, [x]| write(e, x, amount))
    }

    fn constant(&mut self, ty: ir::Type, scalar: ir::Value) -> Row {
        match self.vector {
            true => [self.emitter.splat(ty, scalar); GROUP],
            false => [scalar; GROUP],
        }
    }
}

impl Lanes for Written<'_, '_, '_> {
    type F = Row;
    type I = Row;
    type B = Row;

    fn f32(&mut self, value: f32) -> Row {
        let scalar = self.emitter.b.ins().f32const(value);
        self.constant(types::F32X4, scalar)
    }

    fn i32(&mut self, value: i32) -> Row {
        let bits = i64::from(value as u32);
        let scalar = self.emitter.b.ins().iconst(types::I32, bits);
        self.constant(types::I32X4, scalar)
    }

    fn add(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fadd(x, y))
    }

    fn sub(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fsub(x, y))
    }

    fn mul(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fmul(x, y))
    }

    fn div(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fdiv(x, y))
    }

    fn fma(&mut self, x: Row, y: Row, z: Row) -> Row {
        self.each([x, y, z], |e, operands| e.multiply_add(operands))
    }

    fn less(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fcmp(FloatCC::LessThan, x, y))
    }

    fn equal(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fcmp(FloatCC::Equal, x, y))
    }

    fn select(&mut self, condition: Row, x: Row, y: Row) -> Row {
        self.each([condition, x, y], |e, [c, x, y]| e.choose(c, x, y))
    }

    fn min(&mut self, x: Row, y: Row) -> Row {
        let less = self.less(x, y);
        self.select(less, x, y)
    }

    fn max(&mut self, x: Row, y: Row) -> Row {
        let less = self.less(y, x);
        self.select(less, x, y)
    }

    fn bits(&mut self, x: Row) -> Row {
        self.each([x], |e, [x]| e.float_bits(x))
    }

    fn with_bits(&mut self, bits: Row) -> Row {
        self.each([bits], |e, [bits]| e.bits_float(bits))
    }

    fn convert(&mut self, x: Row) -> Row {
        let ty = match self.vector {
            true => types::F32X4,
            false => types::F32,
        };
        self.each([x], |e, [x]| e.b.ins().fcvt_from_sint(ty, x))
    }

    fn add_i32(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().iadd(x, y))
    }

    fn sub_i32(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().isub(x, y))
    }

    fn and(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().band(x, y))
    }

    fn or(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().bor(x, y))
    }

    fn shift_left(&mut self, x: Row, amount: u32) -> Row {
        self.shift(x, amount, |e, x, amount| e.b.ins().ishl(x, amount))
    }

    fn shift_right_logical(&mut self, x: Row, amount: u32) -> Row {
        self.shift(x, amount, |e, x, amount| e.b.ins().ushr(x, amount))
    }

    fn shift_right_arithmetic(&mut self, x: Row, amount: u32) -> Row {
        self.shift(x, amount, |e, x, amount| e.b.ins().sshr(x, amount))
    }
}
