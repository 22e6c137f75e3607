//! The operations of [`bsq_ir::math`], as SIMD code: masks are lanes of all or no bits, and elements
//! of 8 and 16 bits are zero-extended.

use super::assembler::Width;
use super::build::{CodeBuilder, Unsupported};
use super::code::{Binary, Inst, Name, Predicate, Unary};
use bsq_ir::math::{self, Comparison, Float, Integer, Lanes, Logic, Shift};
use bsq_ir::{DType, Op};

impl CodeBuilder<'_> {
    /// An op of type `to` on operands in registers.
    pub(super) fn map(
        &mut self,
        op: &Op,
        to: DType,
        operands: &[(DType, Name)],
    ) -> Result<Name, Unsupported> {
        let from = operands[0].0;
        let unsupported = match (from, to) {
            (_, DType::I64 | DType::U64) => true,
            // There are no instructions between `f32` and `u32`.
            (DType::U32, DType::F32 | DType::F16 | DType::BF16) => true,
            (DType::F32 | DType::F16 | DType::BF16, DType::U32) => true,
            _ => false,
        };
        if unsupported {
            return Err(Unsupported);
        }
        let x: Vec<Name> = operands.iter().map(|operand| operand.1).collect();
        Ok(math::elementwise(self, op, (from, to), &x))
    }
}

impl Lanes for CodeBuilder<'_> {
    type F = Name;
    type I = Name;
    type B = Name;

    fn f32(&mut self, value: f32) -> Name {
        self.constant(value.to_bits())
    }

    fn i32(&mut self, value: i32) -> Name {
        self.constant(value as u32)
    }

    fn float(&mut self, op: Float, x: Name, y: Name) -> Name {
        let op = match op {
            Float::Add => Binary::Add,
            Float::Sub => Binary::Sub,
            Float::Mul => Binary::Mul,
            Float::Div => Binary::Div,
            Float::Min => Binary::Min,
            Float::Max => Binary::Max,
        };
        self.binary(op, x, y)
    }

    fn fma(&mut self, x: Name, y: Name, z: Name) -> Name {
        self.line(Inst::Fma { x, y, z })
    }

    fn sqrt(&mut self, x: Name) -> Name {
        self.unary(Unary::Sqrt, x)
    }

    fn floor(&mut self, x: Name) -> Name {
        self.unary(Unary::Floor, x)
    }

    fn compare(&mut self, is: Comparison, x: Name, y: Name) -> Name {
        let is = match is {
            Comparison::Equal => Predicate::Equal,
            Comparison::NotEqual => Predicate::NotEqual,
            Comparison::Less => Predicate::Less,
            Comparison::LessEqual => Predicate::LessEqual,
        };
        self.mask(is, x, y)
    }

    fn unordered(&mut self, x: Name, y: Name) -> Name {
        self.mask(Predicate::Unordered, x, y)
    }

    fn select(&mut self, mask: Name, x: Name, y: Name) -> Name {
        self.line(Inst::Select { mask, x, y })
    }

    fn bits(&mut self, x: Name) -> Name {
        x
    }

    fn with_bits(&mut self, bits: Name) -> Name {
        bits
    }

    fn float_of(&mut self, _: DType, x: Name) -> Name {
        self.unary(Unary::FromSigned, x)
    }

    /// To `i32`.
    fn integer_of(&mut self, _: DType, x: Name) -> Name {
        // What is no `i32` becomes the least, which is the nearest of what is too small.
        let whole = self.unary(Unary::Truncate, x);
        let (above, zero) = (self.f32(2f32.powi(31)), self.constant(0));
        let too_large = self.mask(Predicate::LessEqual, above, x);
        let nearest = self.binary(Binary::Xor, whole, too_large);
        let is_nan = self.unordered(x, x);
        self.select(is_nan, zero, nearest)
    }

    fn integer(&mut self, op: Integer, x: Name, y: Name) -> Name {
        let op = match op {
            Integer::Add => Binary::AddInt,
            Integer::Sub => Binary::SubInt,
            Integer::Mul => Binary::MulInt,
            Integer::And => Binary::And,
            Integer::Or => Binary::Or,
            Integer::Xor => Binary::Xor,
            Integer::MinSigned => Binary::MinSigned,
            Integer::MaxSigned => Binary::MaxSigned,
            Integer::MinUnsigned => Binary::MinUnsigned,
            Integer::MaxUnsigned => Binary::MaxUnsigned,
            Integer::Shift(Shift::Left) => Binary::ShiftLeft,
            Integer::Shift(Shift::RightLogical) => Binary::ShiftRightLogical,
            Integer::Shift(Shift::RightArithmetic) => Binary::ShiftRightArithmetic,
        };
        self.binary(op, x, y)
    }

    fn shift(&mut self, op: Shift, x: Name, amount: u32) -> Name {
        let amount = amount as u8;
        self.line(Inst::Shift { op, x, amount })
    }

    /// The instructions are for "equal" and for "greater" of signed integers.
    fn compare_integers(&mut self, is: Comparison, signed: bool, x: Name, y: Name) -> Name {
        let [x, y] = match is {
            Comparison::Less | Comparison::LessEqual if !signed => {
                let sign = self.i32(i32::MIN);
                [x, y].map(|x| self.binary(Binary::Xor, x, sign))
            }
            _ => [x, y],
        };
        match is {
            Comparison::Equal => self.mask(Predicate::EqualInt, x, y),
            Comparison::Less => self.mask(Predicate::GreaterInt, y, x),
            Comparison::NotEqual => {
                let equal = self.mask(Predicate::EqualInt, x, y);
                self.not(equal)
            }
            Comparison::LessEqual => {
                let greater = self.mask(Predicate::GreaterInt, x, y);
                self.not(greater)
            }
        }
    }

    fn select_integer(&mut self, mask: Name, x: Name, y: Name) -> Name {
        self.select(mask, x, y)
    }

    fn resize(&mut self, _: DType, to: DType, x: Name) -> Name {
        match to {
            DType::U8 => {
                let byte = self.constant(0xff);
                self.binary(Binary::And, x, byte)
            }
            _ => x,
        }
    }

    fn logic(&mut self, op: Logic, x: Name, y: Name) -> Name {
        let op = match op {
            Logic::And => Binary::And,
            Logic::Or => Binary::Or,
            Logic::Xor => Binary::Xor,
        };
        self.binary(op, x, y)
    }

    fn not(&mut self, x: Name) -> Name {
        self.not_integer(x)
    }

    fn if_true(&mut self, mask: Name, bits: i32) -> Name {
        if bits == -1 {
            return mask;
        }
        let bits = self.i32(bits);
        self.binary(Binary::And, mask, bits)
    }

    fn select_bool(&mut self, mask: Name, x: Name, y: Name) -> Name {
        self.select(mask, x, y)
    }

    fn byte_of(&mut self, x: Name) -> Name {
        // In this order the maximum of a NaN and zero is zero.
        let (zero, most) = (self.f32(0.0), self.f32(255.0));
        let low = self.binary(Binary::Max, x, zero);
        let inside = self.binary(Binary::Min, low, most);
        self.unary(Unary::Truncate, inside)
    }

    fn times_power(&mut self, x: Name, n: Name, biased: Name) -> Name {
        match self.width {
            Width::Zmm => self.binary(Binary::TimesPower, x, n),
            Width::Ymm => math::times_power(self, x, biased),
        }
    }
}
