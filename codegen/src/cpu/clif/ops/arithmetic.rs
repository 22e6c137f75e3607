//! Arithmetic, comparisons, bits and shifts.

use super::Emitter;
use bsq_ir::{DType, Op};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder};

impl Emitter<'_, '_> {
    /// An op whose operands all have type `dtype`.
    pub fn arithmetic(&mut self, op: &Op, dtype: DType, x: &[ir::Value]) -> ir::Value {
        if dtype == DType::F32 {
            return self.float(op, x);
        }
        let signed = matches!(dtype, DType::I32 | DType::I64);
        match op {
            Op::Neg => self.b.ins().ineg(x[0]),
            Op::Abs if !signed => x[0],
            Op::Abs => {
                let zero = self.int_like(x[0], 0);
                let negative = self.b.ins().icmp(IntCC::SignedLessThan, x[0], zero);
                let opposite = self.b.ins().ineg(x[0]);
                self.choose(negative, opposite, x[0])
            }
            Op::Sign => self.sign(signed, x[0]),
            Op::Not if dtype == DType::Bool && !self.is_vector(x[0]) => {
                self.b.ins().bxor_imm_s(x[0], 1)
            }
            Op::Not => self.b.ins().bnot(x[0]),
            Op::Add => self.b.ins().iadd(x[0], x[1]),
            Op::Sub => self.b.ins().isub(x[0], x[1]),
            Op::Mul => self.b.ins().imul(x[0], x[1]),
            Op::And => self.b.ins().band(x[0], x[1]),
            Op::Or => self.b.ins().bor(x[0], x[1]),
            Op::Xor => self.b.ins().bxor(x[0], x[1]),
            Op::Max => {
                let less = self.b.ins().icmp(less(signed), x[0], x[1]);
                self.choose(less, x[1], x[0])
            }
            Op::Min => {
                let less = self.b.ins().icmp(less(signed), x[0], x[1]);
                self.choose(less, x[0], x[1])
            }
            Op::Equal | Op::Less | Op::LessEqual => self.compare(op, dtype, signed, x),
            Op::ShiftLeft | Op::ShiftRight => self.shift(op, signed, x),
            _ => unreachable!("{} of {dtype}", op.name()),
        }
    }

    fn compare(&mut self, op: &Op, dtype: DType, signed: bool, x: &[ir::Value]) -> ir::Value {
        // True is -1 in a mask and 1 in a byte: the order of masks is reversed.
        let mask = dtype == DType::Bool && self.is_vector(x[0]);
        let (x, y) = match mask && !matches!(op, Op::Equal) {
            true => (x[1], x[0]),
            false => (x[0], x[1]),
        };
        let code = match op {
            Op::Equal => IntCC::Equal,
            Op::Less => less(signed || mask),
            _ if signed || mask => IntCC::SignedLessThanOrEqual,
            _ => IntCC::UnsignedLessThanOrEqual,
        };
        self.b.ins().icmp(code, x, y)
    }

    /// Scalars only: no machine shifts each lane of a packed register by its own amount. Amounts
    /// are unsigned; from the width on, all bits are shifted out.
    fn shift(&mut self, op: &Op, signed: bool, x: &[ir::Value]) -> ir::Value {
        let width = i64::from(self.b.func.dfg.value_type(x[0]).bits());
        let width = self.int_like(x[1], width);
        let inside = self.b.ins().icmp(IntCC::UnsignedLessThan, x[1], width);
        if signed && matches!(op, Op::ShiftRight) {
            let last = self.b.ins().iadd_imm_s(width, -1);
            let amount = self.b.ins().select(inside, x[1], last);
            return self.b.ins().sshr(x[0], amount);
        }
        let shifted = match op {
            Op::ShiftLeft => self.b.ins().ishl(x[0], x[1]),
            _ => self.b.ins().ushr(x[0], x[1]),
        };
        let zero = self.int_like(x[0], 0);
        self.b.ins().select(inside, shifted, zero)
    }

    fn sign(&mut self, signed: bool, x: ir::Value) -> ir::Value {
        let zero = self.int_like(x, 0);
        let one = self.int_like(x, 1);
        let positive = self.b.ins().icmp(less(signed), zero, x);
        let result = self.choose(positive, one, zero);
        if !signed {
            return result;
        }
        let minus_one = self.int_like(x, -1);
        let negative = self.b.ins().icmp(IntCC::SignedLessThan, x, zero);
        self.choose(negative, minus_one, result)
    }

    fn float(&mut self, op: &Op, x: &[ir::Value]) -> ir::Value {
        match op {
            Op::Neg => self.b.ins().fneg(x[0]),
            Op::Abs => self.b.ins().fabs(x[0]),
            Op::Sqrt => self.b.ins().sqrt(x[0]),
            Op::Floor => self.b.ins().floor(x[0]),
            Op::Sign => {
                // ±0 and NaN stay as they are.
                let zero = self.f32_like(x[0], 0.0);
                let (one, minus_one) = (self.f32_like(x[0], 1.0), self.f32_like(x[0], -1.0));
                let positive = self.b.ins().fcmp(FloatCC::LessThan, zero, x[0]);
                let negative = self.b.ins().fcmp(FloatCC::LessThan, x[0], zero);
                let rest = self.choose(negative, minus_one, x[0]);
                self.choose(positive, one, rest)
            }
            Op::Add => self.b.ins().fadd(x[0], x[1]),
            Op::Sub => self.b.ins().fsub(x[0], x[1]),
            Op::Mul => self.b.ins().fmul(x[0], x[1]),
            Op::Div => self.b.ins().fdiv(x[0], x[1]),
            Op::Max => self.b.ins().fmax(x[0], x[1]),
            Op::Min => self.b.ins().fmin(x[0], x[1]),
            Op::Equal => self.b.ins().fcmp(FloatCC::Equal, x[0], x[1]),
            Op::Less => self.b.ins().fcmp(FloatCC::LessThan, x[0], x[1]),
            Op::LessEqual => self.b.ins().fcmp(FloatCC::LessThanOrEqual, x[0], x[1]),
            _ => unreachable!("{} of f32", op.name()),
        }
    }
}

fn less(signed: bool) -> IntCC {
    match signed {
        true => IntCC::SignedLessThan,
        false => IntCC::UnsignedLessThan,
    }
}
