//! exp, log, tanh and erf: the operations of [`bsq_ir::math`], written out.

use super::Emitter;
use bsq_ir::Op;
use bsq_ir::math::{self, Lanes};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

impl Emitter<'_, '_> {
    pub(super) fn function(&mut self, op: &Op, x: ir::Value) -> ir::Value {
        let vector = self.is_vector(x);
        let lanes = &mut Written {
            emitter: self,
            vector,
        };
        match op {
            Op::Exp => math::exp(lanes, x),
            Op::Log => math::log(lanes, x),
            Op::Tanh => math::tanh(lanes, x),
            Op::Erf => math::erf(lanes, x),
            _ => unreachable!("{} is no function", op.name()),
        }
    }
}

/// Writes each operation instead of doing it.
struct Written<'e, 'k, 'f> {
    emitter: &'e mut Emitter<'k, 'f>,
    vector: bool,
}

impl Written<'_, '_, '_> {
    fn amount(&mut self, amount: u32) -> ir::Value {
        self.emitter.b.ins().iconst(types::I32, i64::from(amount))
    }
}

impl Lanes for Written<'_, '_, '_> {
    type F = ir::Value;
    type I = ir::Value;
    type B = ir::Value;

    fn f32(&mut self, value: f32) -> ir::Value {
        let scalar = self.emitter.b.ins().f32const(value);
        match self.vector {
            true => self.emitter.b.ins().splat(types::F32X4, scalar),
            false => scalar,
        }
    }

    fn i32(&mut self, value: i32) -> ir::Value {
        let ins = self.emitter.b.ins();
        let scalar = ins.iconst(types::I32, i64::from(value as u32));
        match self.vector {
            true => self.emitter.b.ins().splat(types::I32X4, scalar),
            false => scalar,
        }
    }

    fn add(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().fadd(x, y)
    }

    fn sub(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().fsub(x, y)
    }

    fn mul(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().fmul(x, y)
    }

    fn div(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().fdiv(x, y)
    }

    fn fma(&mut self, x: ir::Value, y: ir::Value, z: ir::Value) -> ir::Value {
        self.emitter.b.ins().fma(x, y, z)
    }

    fn less(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().fcmp(FloatCC::LessThan, x, y)
    }

    fn equal(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().fcmp(FloatCC::Equal, x, y)
    }

    fn select(&mut self, condition: ir::Value, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.choose(condition, x, y)
    }

    fn min(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        let less = self.less(x, y);
        self.select(less, x, y)
    }

    fn max(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        let less = self.less(y, x);
        self.select(less, x, y)
    }

    fn bits(&mut self, x: ir::Value) -> ir::Value {
        self.emitter.float_bits(x)
    }

    fn with_bits(&mut self, bits: ir::Value) -> ir::Value {
        self.emitter.bits_float(bits)
    }

    fn convert(&mut self, x: ir::Value) -> ir::Value {
        let ty = match self.vector {
            true => types::F32X4,
            false => types::F32,
        };
        self.emitter.b.ins().fcvt_from_sint(ty, x)
    }

    fn add_i32(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().iadd(x, y)
    }

    fn sub_i32(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().isub(x, y)
    }

    fn and(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().band(x, y)
    }

    fn or(&mut self, x: ir::Value, y: ir::Value) -> ir::Value {
        self.emitter.b.ins().bor(x, y)
    }

    fn shift_left(&mut self, x: ir::Value, amount: u32) -> ir::Value {
        let amount = self.amount(amount);
        self.emitter.b.ins().ishl(x, amount)
    }

    fn shift_right_logical(&mut self, x: ir::Value, amount: u32) -> ir::Value {
        let amount = self.amount(amount);
        self.emitter.b.ins().ushr(x, amount)
    }

    fn shift_right_arithmetic(&mut self, x: ir::Value, amount: u32) -> ir::Value {
        let amount = self.amount(amount);
        self.emitter.b.ins().sshr(x, amount)
    }
}
