//! The operations of [`bsq_ir::math`], written out: of one scalar or packed register, or of a few
//! alike.
//!
//! A scalar of 8 or 16 bits is as wide as its type; in packed registers halves are zero-extended to
//! 32 bits, and conditions are masks.

use super::super::lanes::{GROUP, scalar_type};
use super::Emitter;
use bsq_ir::DType;
use bsq_ir::math::{self, Comparison, Float, Integer, Lanes, Logic, Shift};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, types};
use std::cmp::Ordering;

/// Writes each operation instead of doing it.
pub(super) struct Written<'e, 'k, 'f> {
    pub emitter: &'e mut Emitter<'k, 'f>,
    /// Packed registers, not scalars.
    pub vector: bool,
    /// Registers of a row in use.
    pub count: usize,
}

/// Registers that are treated alike; those beyond the count repeat the first.
pub(super) type Row = [ir::Value; GROUP];

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

    fn constant(&mut self, ty: ir::Type, scalar: ir::Value) -> Row {
        match self.vector {
            true => [self.emitter.splat(ty, scalar); GROUP],
            false => [scalar; GROUP],
        }
    }

    fn float_type(&self) -> ir::Type {
        match self.vector {
            true => types::F32X4,
            false => types::F32,
        }
    }

    fn integer_type(&self, scalar: ir::Type) -> ir::Type {
        match self.vector {
            true => types::I32X4,
            false => scalar,
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

    fn integer_like(&mut self, like: Row, value: i32) -> Row {
        let ty = self.emitter.b.func.dfg.value_type(like[0]).lane_type();
        // An immediate is given without the bits above its type.
        let bits = i64::from(value) & (u64::MAX >> (64 - ty.bits())) as i64;
        let scalar = self.emitter.b.ins().iconst(ty, bits);
        self.constant(types::I32X4, scalar)
    }

    fn float(&mut self, op: Float, x: Row, y: Row) -> Row {
        match op {
            Float::Add => self.each([x, y], |e, [x, y]| e.b.ins().fadd(x, y)),
            Float::Sub => self.each([x, y], |e, [x, y]| e.b.ins().fsub(x, y)),
            Float::Mul => self.each([x, y], |e, [x, y]| e.b.ins().fmul(x, y)),
            Float::Div => self.each([x, y], |e, [x, y]| e.b.ins().fdiv(x, y)),
            Float::Min => {
                let less = self.compare(Comparison::Less, x, y);
                self.select(less, x, y)
            }
            Float::Max => {
                let less = self.compare(Comparison::Less, y, x);
                self.select(less, x, y)
            }
        }
    }

    fn fma(&mut self, x: Row, y: Row, z: Row) -> Row {
        self.each([x, y, z], |e, operands| e.multiply_add(operands))
    }

    fn sqrt(&mut self, x: Row) -> Row {
        self.each([x], |e, [x]| e.b.ins().sqrt(x))
    }

    fn floor(&mut self, x: Row) -> Row {
        self.each([x], |e, [x]| e.b.ins().floor(x))
    }

    fn neg(&mut self, x: Row) -> Row {
        self.each([x], |e, [x]| e.b.ins().fneg(x))
    }

    fn abs(&mut self, x: Row) -> Row {
        self.each([x], |e, [x]| e.b.ins().fabs(x))
    }

    fn larger(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fmax(x, y))
    }

    fn smaller(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fmin(x, y))
    }

    fn compare(&mut self, is: Comparison, x: Row, y: Row) -> Row {
        let code = match is {
            Comparison::Equal => FloatCC::Equal,
            Comparison::NotEqual => FloatCC::NotEqual,
            Comparison::Less => FloatCC::LessThan,
            Comparison::LessEqual => FloatCC::LessThanOrEqual,
        };
        self.each([x, y], |e, [x, y]| e.b.ins().fcmp(code, x, y))
    }

    fn unordered(&mut self, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| e.b.ins().fcmp(FloatCC::Unordered, x, y))
    }

    fn select(&mut self, condition: Row, x: Row, y: Row) -> Row {
        self.each([condition, x, y], |e, [c, x, y]| e.choose(c, x, y))
    }

    fn bits(&mut self, x: Row) -> Row {
        let ty = self.integer_type(types::I32);
        self.each([x], |e, [x]| e.recast(ty, x))
    }

    fn with_bits(&mut self, bits: Row) -> Row {
        let ty = self.float_type();
        self.each([bits], |e, [bits]| e.recast(ty, bits))
    }

    fn float_of(&mut self, from: DType, x: Row) -> Row {
        let ty = self.float_type();
        self.each([x], |e, [x]| match from {
            DType::U8 => {
                let wide = e.b.ins().uextend(types::I32, x);
                e.b.ins().fcvt_from_sint(ty, wide)
            }
            DType::I32 | DType::I64 => e.b.ins().fcvt_from_sint(ty, x),
            _ => e.b.ins().fcvt_from_uint(ty, x),
        })
    }

    fn integer_of(&mut self, to: DType, x: Row) -> Row {
        let ty = self.integer_type(scalar_type(to));
        self.each([x], |e, [x]| match to {
            DType::I32 | DType::I64 => e.b.ins().fcvt_to_sint_sat(ty, x),
            _ => e.b.ins().fcvt_to_uint_sat(ty, x),
        })
    }

    fn integer(&mut self, op: Integer, x: Row, y: Row) -> Row {
        self.each([x, y], |e, [x, y]| match op {
            Integer::Add => e.b.ins().iadd(x, y),
            Integer::Sub => e.b.ins().isub(x, y),
            Integer::Mul => e.b.ins().imul(x, y),
            Integer::And => e.b.ins().band(x, y),
            Integer::Or => e.b.ins().bor(x, y),
            Integer::Xor => e.b.ins().bxor(x, y),
            Integer::MinSigned => e.b.ins().smin(x, y),
            Integer::MaxSigned => e.b.ins().smax(x, y),
            Integer::MinUnsigned => e.b.ins().umin(x, y),
            Integer::MaxUnsigned => e.b.ins().umax(x, y),
            Integer::Shift(shift) => e.shift_by(shift, x, y),
        })
    }

    fn shift(&mut self, op: Shift, x: Row, amount: u32) -> Row {
        let amount = self.emitter.b.ins().iconst(types::I32, i64::from(amount));
        self.each([x], |e, [x]| e.shifted(op, x, amount))
    }

    fn compare_integers(&mut self, is: Comparison, signed: bool, x: Row, y: Row) -> Row {
        let code = match (is, signed) {
            (Comparison::Equal, _) => IntCC::Equal,
            (Comparison::NotEqual, _) => IntCC::NotEqual,
            (Comparison::Less, true) => IntCC::SignedLessThan,
            (Comparison::Less, false) => IntCC::UnsignedLessThan,
            (Comparison::LessEqual, true) => IntCC::SignedLessThanOrEqual,
            (Comparison::LessEqual, false) => IntCC::UnsignedLessThanOrEqual,
        };
        self.each([x, y], |e, [x, y]| e.b.ins().icmp(code, x, y))
    }

    fn select_integer(&mut self, condition: Row, x: Row, y: Row) -> Row {
        self.select(condition, x, y)
    }

    fn not_integer(&mut self, x: Row) -> Row {
        self.each([x], |e, [x]| e.b.ins().bnot(x))
    }

    fn neg_integer(&mut self, x: Row) -> Row {
        self.each([x], |e, [x]| e.b.ins().ineg(x))
    }

    fn resize(&mut self, from: DType, to: DType, x: Row) -> Row {
        if self.vector {
            // Packed are the 32-bit integers.
            return x;
        }
        let ty = scalar_type(to);
        let signed = matches!(from, DType::I32 | DType::I64);
        self.each([x], |e, [x]| {
            let have = e.b.func.dfg.value_type(x);
            match ty.bits().cmp(&have.bits()) {
                Ordering::Equal => x,
                Ordering::Less => e.b.ins().ireduce(ty, x),
                Ordering::Greater if signed => e.b.ins().sextend(ty, x),
                Ordering::Greater => e.b.ins().uextend(ty, x),
            }
        })
    }

    fn logic(&mut self, op: Logic, x: Row, y: Row) -> Row {
        let op = match op {
            Logic::And => Integer::And,
            Logic::Or => Integer::Or,
            Logic::Xor => Integer::Xor,
        };
        self.integer(op, x, y)
    }

    fn not(&mut self, x: Row) -> Row {
        let vector = self.vector;
        self.each([x], |e, [x]| match vector {
            true => e.b.ins().bnot(x),
            false => e.b.ins().bxor_imm_s(x, 1),
        })
    }

    fn if_true(&mut self, condition: Row, bits: i32) -> Row {
        let mask = match self.vector {
            true => condition,
            false => {
                let number = self.each([condition], |e, [c]| e.b.ins().uextend(types::I32, c));
                if bits == 1 {
                    return number;
                }
                self.neg_integer(number)
            }
        };
        let bits = self.i32(bits);
        self.integer(Integer::And, mask, bits)
    }

    fn select_bool(&mut self, condition: Row, x: Row, y: Row) -> Row {
        self.select(condition, x, y)
    }

    fn widen(&mut self, from: DType, x: Row) -> Row {
        let bits = self.resize(from, DType::U32, x);
        math::widen(self, from, bits)
    }

    fn narrow(&mut self, to: DType, x: Row) -> Row {
        let bits = math::narrow(self, to, x);
        self.resize(DType::U32, to, bits)
    }
}
