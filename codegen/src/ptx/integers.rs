//! Integer arithmetic on indices: what is constant is folded.

use super::code::{Class, Reg};
use super::emit::{Emitter, Index};
use crate::kernel::{Affine, Var};

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
            y => self.t.def(Class::B32, "add.s32", (x, y)),
        }
    }

    /// `x * factor`.
    pub fn times(&mut self, x: Reg, factor: usize) -> Reg {
        match factor {
            1 => x,
            _ => self.t.def(Class::B32, "mul.lo.s32", (x, factor)),
        }
    }

    /// `x * factor + y`.
    pub fn times_plus(&mut self, x: Reg, factor: usize, y: impl Into<Index>) -> Reg {
        match (factor, y.into()) {
            (_, Index::Constant(0)) => self.times(x, factor),
            (1, y) => self.plus(x, y),
            (_, y) => self.t.def(Class::B32, "mad.lo.s32", (x, factor, y)),
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
        let quotient = self.t.def(Class::B32, div, (x, by.0));
        let rest = self.t.def(Class::B32, rem, (x, by.1));
        (quotient, rest)
    }

    /// `constant + sum of terms`, in 32 or 64 bits.
    pub fn affine(&mut self, at: &Affine, class: Class) -> Reg {
        let terms = self.linear(&at.terms, class);
        let (mov, add) = match class {
            Class::B64 => ("mov.b64", "add.s64"),
            _ => ("mov.b32", "add.s32"),
        };
        match (terms, at.constant) {
            (None, constant) => self.t.def(class, mov, constant),
            (Some(terms), 0) => terms,
            (Some(terms), constant) => self.t.def(class, add, (terms, constant)),
        }
    }

    /// The sum of terms, `None` for nothing.
    pub fn linear(&mut self, terms: &[(Var, i64)], class: Class) -> Option<Reg> {
        let mut sum: Option<Reg> = None;
        let mut constant = 0;
        for &(var, factor) in terms {
            let reg = match self.vars[&var] {
                Index::Constant(value) => {
                    constant += factor * value;
                    continue;
                }
                Index::Reg(reg) => reg,
            };
            sum = Some(match (class, sum, factor) {
                (Class::B64, None, _) => self.t.def(class, "mul.wide.s32", (reg, factor)),
                (Class::B64, Some(sum), _) => self.t.def(class, "mad.wide.s32", (reg, factor, sum)),
                (_, None, 1) => reg,
                (_, None, _) => self.t.def(class, "mul.lo.s32", (reg, factor)),
                (_, Some(sum), 1) => self.t.def(class, "add.s32", (reg, sum)),
                (_, Some(sum), _) => self.t.def(class, "mad.lo.s32", (reg, factor, sum)),
            });
        }
        match (sum, constant) {
            (sum, 0) => sum,
            (None, constant) => Some(self.affine(&Affine::constant(constant), class)),
            (Some(sum), constant) => {
                let add = if class == Class::B64 {
                    "add.s64"
                } else {
                    "add.s32"
                };
                Some(self.t.def(class, add, (sum, constant)))
            }
        }
    }
}
