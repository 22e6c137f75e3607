//! The elementwise ops in SIMD code, with the meaning of the reference evaluator.

use super::build::{CodeBuilder, Unsupported};
use super::code::{Binary, Name, Predicate, Unary};
use super::math::Written;
use bsq_ir::{DType, Op, math};

const SIGN: u32 = 1 << 31;

impl CodeBuilder<'_> {
    /// An op of type `to` on operands in registers.
    pub(super) fn map(
        &mut self,
        op: &Op,
        to: DType,
        operands: &[(DType, Name)],
    ) -> Result<Name, Unsupported> {
        let from = operands[0].0;
        let x: Vec<Name> = operands.iter().map(|operand| operand.1).collect();
        match op {
            Op::StopGradient => Ok(x[0]),
            Op::Cast(_) => self.cast(from, to, x[0]),
            Op::Select => Ok(self.select(x[0], x[1], x[2])),
            _ => match from {
                DType::F32 => self.float(op, &x),
                DType::I32 | DType::U32 => self.integer(op, from == DType::I32, &x),
                DType::Bool => self.boolean(op, &x),
                // Bytes are zero-extended, and these ops keep them so.
                DType::U8 if matches!(op, Op::And | Op::Or | Op::Xor) => {
                    self.integer(op, false, &x)
                }
                _ => Err(Unsupported),
            },
        }
    }

    fn float(&mut self, op: &Op, x: &[Name]) -> Result<Name, Unsupported> {
        let compare = |builder: &mut Self, is| Ok(builder.compare(is, x[0], x[1]));
        let binary = |builder: &mut Self, op| Ok(builder.binary(op, x[0], x[1]));
        match op {
            Op::Add => binary(self, Binary::Add),
            Op::Sub => binary(self, Binary::Sub),
            Op::Mul => binary(self, Binary::Mul),
            Op::Div => binary(self, Binary::Div),
            Op::Max => Ok(self.min_max(Binary::Max, Binary::And, x[0], x[1])),
            Op::Min => Ok(self.min_max(Binary::Min, Binary::Or, x[0], x[1])),
            Op::Equal => compare(self, Predicate::Equal),
            Op::Less => compare(self, Predicate::Less),
            Op::LessEqual => compare(self, Predicate::LessEqual),
            Op::Neg => {
                let sign = self.bits(SIGN);
                Ok(self.binary(Binary::Xor, x[0], sign))
            }
            Op::Abs => {
                let magnitude = self.bits(!SIGN);
                Ok(self.binary(Binary::And, x[0], magnitude))
            }
            Op::Sqrt => Ok(self.unary(Unary::Sqrt, x[0])),
            Op::Floor => Ok(self.unary(Unary::Floor, x[0])),
            Op::Sign => {
                let zero = self.bits(0);
                let [one, minus_one] = [1f32, -1.0].map(|value| self.bits(value.to_bits()));
                let positive = self.compare(Predicate::Less, zero, x[0]);
                let negative = self.compare(Predicate::Less, x[0], zero);
                let rest = self.select(negative, minus_one, x[0]);
                Ok(self.select(positive, one, rest))
            }
            Op::Exp => Ok(math::exp(&mut Written(self), x[0])),
            Op::Log => Ok(math::log(&mut Written(self), x[0])),
            Op::Tanh => Ok(math::tanh(&mut Written(self), x[0])),
            Op::Erf => Ok(math::erf(&mut Written(self), x[0])),
            Op::Sin => Ok(math::sin(&mut Written(self), x[0])),
            Op::Cos => Ok(math::cos(&mut Written(self), x[0])),
            _ => Err(Unsupported),
        }
    }

    /// The larger or smaller of two numbers; NaN if either is, and -0 below +0.
    fn min_max(&mut self, pick: Binary, join: Binary, x: Name, y: Name) -> Name {
        let forth = self.binary(pick, x, y);
        let back = self.binary(pick, y, x);
        let number = self.binary(join, forth, back);
        let is_nan = self.compare(Predicate::Unordered, x, y);
        self.binary(Binary::Or, number, is_nan)
    }

    fn integer(&mut self, op: &Op, signed: bool, x: &[Name]) -> Result<Name, Unsupported> {
        let op = match op {
            Op::Add => Binary::AddInt,
            Op::Sub => Binary::SubInt,
            Op::Mul => Binary::MulInt,
            Op::And => Binary::And,
            Op::Or => Binary::Or,
            Op::Xor => Binary::Xor,
            Op::Max if signed => Binary::MaxSigned,
            Op::Max => Binary::MaxUnsigned,
            Op::Min if signed => Binary::MinSigned,
            Op::Min => Binary::MinUnsigned,
            Op::ShiftLeft => Binary::ShiftLeft,
            Op::ShiftRight if signed => Binary::ShiftRightArithmetic,
            Op::ShiftRight => Binary::ShiftRightLogical,
            Op::Equal => return Ok(self.compare(Predicate::EqualInt, x[0], x[1])),
            Op::Less => {
                let [x, y] = [x[0], x[1]].map(|x| self.ordered(signed, x));
                return Ok(self.compare(Predicate::GreaterInt, y, x));
            }
            Op::LessEqual => {
                let [x, y] = [x[0], x[1]].map(|x| self.ordered(signed, x));
                let greater = self.compare(Predicate::GreaterInt, x, y);
                return Ok(self.not(greater));
            }
            Op::Not => return Ok(self.not(x[0])),
            Op::Neg => {
                let zero = self.bits(0);
                return Ok(self.binary(Binary::SubInt, zero, x[0]));
            }
            _ => return Err(Unsupported),
        };
        Ok(self.binary(op, x[0], x[1]))
    }

    /// Integers such that signed comparison orders them.
    fn ordered(&mut self, signed: bool, x: Name) -> Name {
        match signed {
            true => x,
            false => {
                let sign = self.bits(SIGN);
                self.binary(Binary::Xor, x, sign)
            }
        }
    }

    fn not(&mut self, x: Name) -> Name {
        let all = self.bits(u32::MAX);
        self.binary(Binary::Xor, x, all)
    }

    fn boolean(&mut self, op: &Op, x: &[Name]) -> Result<Name, Unsupported> {
        match op {
            Op::And => Ok(self.binary(Binary::And, x[0], x[1])),
            Op::Or => Ok(self.binary(Binary::Or, x[0], x[1])),
            Op::Xor => Ok(self.binary(Binary::Xor, x[0], x[1])),
            Op::Not => Ok(self.not(x[0])),
            _ => Err(Unsupported),
        }
    }

    fn cast(&mut self, from: DType, to: DType, x: Name) -> Result<Name, Unsupported> {
        match (from, to) {
            _ if from == to => Ok(x),
            (DType::I32, DType::U32) | (DType::U32, DType::I32) => Ok(x),
            (DType::Bool, DType::F32) => {
                let one = self.bits(1f32.to_bits());
                Ok(self.binary(Binary::And, x, one))
            }
            (DType::Bool, DType::I32 | DType::U32) => {
                let one = self.bits(1);
                Ok(self.binary(Binary::And, x, one))
            }
            (DType::F32, DType::Bool) => {
                let zero = self.bits(0);
                Ok(self.compare(Predicate::NotEqual, x, zero))
            }
            (DType::U8, DType::I32 | DType::U32) => Ok(x),
            (DType::I32 | DType::U32, DType::U8) => {
                let byte = self.bits(0xff);
                Ok(self.binary(Binary::And, x, byte))
            }
            (DType::F32, DType::U8) => {
                // In this order the maximum of a NaN and zero is zero.
                let (zero, most) = (self.bits(0), self.bits(255f32.to_bits()));
                let low = self.binary(Binary::Max, x, zero);
                let inside = self.binary(Binary::Min, low, most);
                Ok(self.unary(Unary::Truncate, inside))
            }
            (DType::I32 | DType::U8, DType::F32) => Ok(self.unary(Unary::FromSigned, x)),
            (DType::BF16, DType::F32) => Ok(self.widen_bf16(x)),
            (DType::F16, DType::F32) => Ok(self.widen_f16(x)),
            (DType::F32, DType::BF16) => Ok(self.round_to_bf16(x)),
            (DType::F32, DType::F16) => Ok(self.round_to_f16(x)),
            _ => Err(Unsupported),
        }
    }
}
