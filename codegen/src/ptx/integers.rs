//! Integer arithmetic on indices: what is constant is folded.

use super::emit::{Emitter, Index};
use super::text::{Class, Reg};

impl From<Reg> for Index {
    fn from(reg: Reg) -> Self {
        Index::Reg(reg)
    }
}

impl From<usize> for Index {
    fn from(value: usize) -> Self {
        Index::Constant(value as i64)
    }
}

impl Emitter<'_> {
    /// `x + y`.
    pub fn plus(&mut self, x: Reg, y: impl Into<Index>) -> Reg {
        match y.into() {
            Index::Constant(0) => x,
            y => self.t.def(Class::B32, "add.s32", format_args!("{x}, {y}")),
        }
    }

    /// `x * factor`.
    pub fn times(&mut self, x: Reg, factor: usize) -> Reg {
        match factor {
            1 => x,
            _ => self
                .t
                .def(Class::B32, "mul.lo.s32", format_args!("{x}, {factor}")),
        }
    }

    /// `x * factor + y`.
    pub fn times_plus(&mut self, x: Reg, factor: usize, y: impl Into<Index>) -> Reg {
        match (factor, y.into()) {
            (_, Index::Constant(0)) => self.times(x, factor),
            (1, y) => self.plus(x, y),
            (_, y) => self
                .t
                .def(Class::B32, "mad.lo.s32", format_args!("{x}, {factor}, {y}")),
        }
    }

    /// `(x / divisor, x % divisor)` of an unsigned number.
    pub fn split(&mut self, x: Reg, divisor: usize) -> (Reg, Reg) {
        if divisor == 1 {
            return (x, self.t.def(Class::B32, "mov.b32", 0));
        }
        let (div, rem, by) = match divisor.is_power_of_two() {
            true => (
                "shr.u32",
                "and.b32",
                (divisor.ilog2() as usize, divisor - 1),
            ),
            false => ("div.u32", "rem.u32", (divisor, divisor)),
        };
        let quotient = self.t.def(Class::B32, div, format_args!("{x}, {}", by.0));
        let rest = self.t.def(Class::B32, rem, format_args!("{x}, {}", by.1));
        (quotient, rest)
    }
}
