//! The operations of [`bsq_ir::math`], written out.

use super::code::{Body, Class, Opcode, Operand, Operands, Reg};
use super::memory::class;
use bsq_ir::DType;
use bsq_ir::math::{Comparison, Float, Integer, Lanes, Logic, Shift};

/// Writes each operation instead of doing it. Rounding is spelled, so that the assembler joins
/// no product with a sum. Bytes are zero-extended; conditions are predicates.
pub struct Written<'t>(pub &'t mut Body);

impl Written<'_> {
    fn one(&mut self, class: Class, name: impl Into<Opcode>, x: impl Operands) -> Reg {
        self.0.def(class, name, x)
    }

    fn two(&mut self, class: Class, name: impl Into<Opcode>, x: Reg, y: impl Into<Operand>) -> Reg {
        self.0.def(class, name, (x, y))
    }

    /// `condition ? x : y`
    fn choose(&mut self, name: &'static str, condition: Reg, x: Reg, y: Reg) -> Reg {
        self.0.def(x.class, name, (x, y, condition))
    }
}

/// An integer instruction, with the width that its operand has.
fn sized(name: &str, x: Reg) -> String {
    let bits = if x.class == Class::B64 { 64 } else { 32 };
    format!("{name}{bits}")
}

impl Lanes for Written<'_> {
    type F = Reg;
    type I = Reg;
    type B = Reg;

    fn f32(&mut self, value: f32) -> Reg {
        self.one(Class::F32, "mov.f32", value)
    }

    fn i32(&mut self, value: i32) -> Reg {
        self.one(Class::B32, "mov.b32", value)
    }

    fn integer_like(&mut self, like: Reg, value: i32) -> Reg {
        self.one(like.class, sized("mov.b", like), value)
    }

    fn float(&mut self, op: Float, x: Reg, y: Reg) -> Reg {
        let name = match op {
            Float::Add => "add.rn.f32",
            Float::Sub => "sub.rn.f32",
            Float::Mul => "mul.rn.f32",
            Float::Div => "div.rn.f32",
            Float::Min => {
                let less = self.compare(Comparison::Less, x, y);
                return self.select(less, x, y);
            }
            Float::Max => {
                let less = self.compare(Comparison::Less, y, x);
                return self.select(less, x, y);
            }
        };
        self.two(Class::F32, name, x, y)
    }

    fn fma(&mut self, x: Reg, y: Reg, z: Reg) -> Reg {
        self.0.def(Class::F32, "fma.rn.f32", (x, y, z))
    }

    fn sqrt(&mut self, x: Reg) -> Reg {
        self.one(Class::F32, "sqrt.rn.f32", x)
    }

    fn floor(&mut self, x: Reg) -> Reg {
        self.one(Class::F32, "cvt.rmi.f32.f32", x)
    }

    fn neg(&mut self, x: Reg) -> Reg {
        self.one(Class::F32, "neg.f32", x)
    }

    fn abs(&mut self, x: Reg) -> Reg {
        self.one(Class::F32, "abs.f32", x)
    }

    fn larger(&mut self, x: Reg, y: Reg) -> Reg {
        self.two(Class::F32, "max.NaN.f32", x, y)
    }

    fn smaller(&mut self, x: Reg, y: Reg) -> Reg {
        self.two(Class::F32, "min.NaN.f32", x, y)
    }

    fn compare(&mut self, is: Comparison, x: Reg, y: Reg) -> Reg {
        let name = match is {
            Comparison::Equal => "setp.eq.f32",
            Comparison::NotEqual => "setp.neu.f32",
            Comparison::Less => "setp.lt.f32",
            Comparison::LessEqual => "setp.le.f32",
        };
        self.two(Class::Predicate, name, x, y)
    }

    fn unordered(&mut self, x: Reg, y: Reg) -> Reg {
        self.two(Class::Predicate, "setp.nan.f32", x, y)
    }

    fn select(&mut self, condition: Reg, x: Reg, y: Reg) -> Reg {
        self.choose("selp.f32", condition, x, y)
    }

    fn bits(&mut self, x: Reg) -> Reg {
        self.one(Class::B32, "mov.b32", x)
    }

    fn with_bits(&mut self, bits: Reg) -> Reg {
        self.one(Class::F32, "mov.b32", bits)
    }

    fn float_of(&mut self, from: DType, x: Reg) -> Reg {
        let name = format!("cvt.rn.f32.{}", number_type(from));
        self.one(Class::F32, name, x)
    }

    fn integer_of(&mut self, to: DType, x: Reg) -> Reg {
        let name = format!("cvt.rzi.{}.f32", number_type(to));
        let whole = self.one(class(to), name, x);
        if whole.class == Class::B32 {
            return whole;
        }
        // In 64 bits the machine makes of NaN what is not 0.
        let number = self.two(Class::Predicate, "setp.num.f32", x, x);
        self.0.def(Class::B64, "selp.b64", (whole, 0, number))
    }

    fn byte_of(&mut self, x: Reg) -> Reg {
        let whole = self.integer_of(DType::U32, x);
        self.two(Class::B32, "min.u32", whole, 255)
    }

    fn integer(&mut self, op: Integer, x: Reg, y: Reg) -> Reg {
        let name = match op {
            Integer::Add => "add.s",
            Integer::Sub => "sub.s",
            Integer::Mul => "mul.lo.s",
            Integer::And => "and.b",
            Integer::Or => "or.b",
            Integer::Xor => "xor.b",
            Integer::MinSigned => "min.s",
            Integer::MaxSigned => "max.s",
            Integer::MinUnsigned => "min.u",
            Integer::MaxUnsigned => "max.u",
            // The machine takes amounts of 32 bits, and clamps them.
            Integer::Shift(shift) if x.class == Class::B64 => {
                let clamped = self.two(Class::B64, "min.u64", y, 64);
                let amount = self.one(Class::B32, "cvt.u32.u64", clamped);
                return self.two(x.class, sized(shift_name(shift), x), x, amount);
            }
            Integer::Shift(shift) => shift_name(shift),
        };
        self.two(x.class, sized(name, x), x, y)
    }

    fn shift(&mut self, op: Shift, x: Reg, amount: u32) -> Reg {
        self.two(x.class, sized(shift_name(op), x), x, amount)
    }

    fn compare_integers(&mut self, is: Comparison, signed: bool, x: Reg, y: Reg) -> Reg {
        let is = match is {
            Comparison::Equal => "eq",
            Comparison::NotEqual => "ne",
            Comparison::Less => "lt",
            Comparison::LessEqual => "le",
        };
        let sign = if signed { 's' } else { 'u' };
        let name = sized(&format!("setp.{is}.{sign}"), x);
        self.two(Class::Predicate, name, x, y)
    }

    fn select_integer(&mut self, condition: Reg, x: Reg, y: Reg) -> Reg {
        let name = match x.class {
            Class::B16 => "selp.b16",
            Class::B64 => "selp.b64",
            _ => "selp.b32",
        };
        self.choose(name, condition, x, y)
    }

    fn not_integer(&mut self, x: Reg) -> Reg {
        self.one(x.class, sized("not.b", x), x)
    }

    fn neg_integer(&mut self, x: Reg) -> Reg {
        self.one(x.class, sized("neg.s", x), x)
    }

    fn resize(&mut self, from: DType, to: DType, x: Reg) -> Reg {
        let x = match (x.class, class(to)) {
            (Class::B32, Class::B64) if from == DType::I32 => {
                self.one(Class::B64, "cvt.s64.s32", x)
            }
            (Class::B32, Class::B64) => self.one(Class::B64, "cvt.u64.u32", x),
            (Class::B64, Class::B32) => self.one(Class::B32, "cvt.u32.u64", x),
            _ => x,
        };
        match to {
            DType::U8 => self.two(Class::B32, "and.b32", x, 255),
            _ => x,
        }
    }

    fn logic(&mut self, op: Logic, x: Reg, y: Reg) -> Reg {
        let name = match op {
            Logic::And => "and.pred",
            Logic::Or => "or.pred",
            Logic::Xor => "xor.pred",
        };
        self.two(Class::Predicate, name, x, y)
    }

    fn not(&mut self, x: Reg) -> Reg {
        self.one(Class::Predicate, "not.pred", x)
    }

    fn if_true(&mut self, condition: Reg, bits: i32) -> Reg {
        self.0.def(Class::B32, "selp.b32", (bits, 0, condition))
    }

    fn widen(&mut self, from: DType, x: Reg) -> Reg {
        if from == DType::F16 {
            return self.one(Class::F32, "cvt.f32.f16", x);
        }
        let low = self.one(Class::B32, "cvt.u32.u16", x);
        let bits = self.shift(Shift::Left, low, 16);
        self.with_bits(bits)
    }

    fn narrow(&mut self, to: DType, x: Reg) -> Reg {
        let name = match to {
            DType::F16 => "cvt.rn.f16.f32",
            _ => "cvt.rn.bf16.f32",
        };
        self.one(Class::B16, name, x)
    }
}

fn shift_name(shift: Shift) -> &'static str {
    match shift {
        Shift::Left => "shl.b",
        Shift::RightLogical => "shr.u",
        Shift::RightArithmetic => "shr.s",
    }
}

fn number_type(dtype: DType) -> &'static str {
    match dtype {
        DType::I32 => "s32",
        DType::I64 => "s64",
        DType::U64 => "u64",
        _ => "u32",
    }
}
