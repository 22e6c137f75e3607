//! exp, log, tanh and erf: the operations of [`bsq_ir::math`], as SIMD code.

use super::assembler::Width;
use super::build::CodeBuilder;
use super::code::{Binary, Inst, Name, Predicate, Shift, Unary};
use bsq_ir::math::{self, Lanes};

/// Writes each operation instead of doing it.
pub(super) struct Written<'b, 'k>(pub &'b mut CodeBuilder<'k>);

impl Lanes for Written<'_, '_> {
    type F = Name;
    type I = Name;
    type B = Name;

    fn f32(&mut self, value: f32) -> Name {
        self.0.bits(value.to_bits())
    }

    fn i32(&mut self, value: i32) -> Name {
        self.0.bits(value as u32)
    }

    fn add(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::Add, x, y)
    }

    fn sub(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::Sub, x, y)
    }

    fn mul(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::Mul, x, y)
    }

    fn div(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::Div, x, y)
    }

    fn fma(&mut self, x: Name, y: Name, z: Name) -> Name {
        self.0.line(Inst::Fma { x, y, z })
    }

    fn less(&mut self, x: Name, y: Name) -> Name {
        self.0.compare(Predicate::Less, x, y)
    }

    fn equal(&mut self, x: Name, y: Name) -> Name {
        self.0.compare(Predicate::Equal, x, y)
    }

    fn select(&mut self, condition: Name, x: Name, y: Name) -> Name {
        self.0.select(condition, x, y)
    }

    fn min(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::Min, x, y)
    }

    fn max(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::Max, x, y)
    }

    fn bits(&mut self, x: Name) -> Name {
        x
    }

    fn with_bits(&mut self, bits: Name) -> Name {
        bits
    }

    fn convert(&mut self, x: Name) -> Name {
        self.0.unary(Unary::FromSigned, x)
    }

    fn add_i32(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::AddInt, x, y)
    }

    fn sub_i32(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::SubInt, x, y)
    }

    fn and(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::And, x, y)
    }

    fn or(&mut self, x: Name, y: Name) -> Name {
        self.0.binary(Binary::Or, x, y)
    }

    fn shift_left(&mut self, x: Name, amount: u32) -> Name {
        self.0.shift(Shift::Left, x, amount as u8)
    }

    fn shift_right_logical(&mut self, x: Name, amount: u32) -> Name {
        self.0.shift(Shift::RightLogical, x, amount as u8)
    }

    fn shift_right_arithmetic(&mut self, x: Name, amount: u32) -> Name {
        self.0.shift(Shift::RightArithmetic, x, amount as u8)
    }

    fn times_power(&mut self, x: Name, n: Name, biased: Name) -> Name {
        match self.0.width {
            Width::Zmm => self.0.binary(Binary::TimesPower, x, n),
            Width::Ymm => math::times_power(self, x, biased),
        }
    }
}
