//! exp, log, tanh and erf: the operations of [`bsq_ir::math`], written out.

use super::code::{Body, Class, Reg};
use bsq_ir::math::Lanes;

/// Writes each operation instead of doing it. Rounding is spelled, so that the assembler joins
/// no product with a sum.
pub struct Written<'t>(pub &'t mut Body);

impl Lanes for Written<'_> {
    type F = Reg;
    type I = Reg;
    type B = Reg;

    fn f32(&mut self, value: f32) -> Reg {
        self.0.def(Class::F32, "mov.f32", value)
    }

    fn i32(&mut self, value: i32) -> Reg {
        self.0.def(Class::B32, "mov.b32", value)
    }

    fn add(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::F32, "add.rn.f32", (x, y))
    }

    fn sub(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::F32, "sub.rn.f32", (x, y))
    }

    fn mul(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::F32, "mul.rn.f32", (x, y))
    }

    fn div(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::F32, "div.rn.f32", (x, y))
    }

    fn fma(&mut self, x: Reg, y: Reg, z: Reg) -> Reg {
        self.0.def(Class::F32, "fma.rn.f32", (x, y, z))
    }

    fn less(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::Predicate, "setp.lt.f32", (x, y))
    }

    fn equal(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::Predicate, "setp.eq.f32", (x, y))
    }

    fn select(&mut self, condition: Reg, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::F32, "selp.f32", (x, y, condition))
    }

    fn min(&mut self, x: Reg, y: Reg) -> Reg {
        let less = self.less(x, y);
        self.select(less, x, y)
    }

    fn max(&mut self, x: Reg, y: Reg) -> Reg {
        let less = self.less(y, x);
        self.select(less, x, y)
    }

    fn bits(&mut self, x: Reg) -> Reg {
        self.0.def(Class::B32, "mov.b32", x)
    }

    fn with_bits(&mut self, bits: Reg) -> Reg {
        self.0.def(Class::F32, "mov.b32", bits)
    }

    fn convert(&mut self, x: Reg) -> Reg {
        self.0.def(Class::F32, "cvt.rn.f32.s32", x)
    }

    fn add_i32(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::B32, "add.s32", (x, y))
    }

    fn sub_i32(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::B32, "sub.s32", (x, y))
    }

    fn and(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::B32, "and.b32", (x, y))
    }

    fn or(&mut self, x: Reg, y: Reg) -> Reg {
        self.0.def(Class::B32, "or.b32", (x, y))
    }

    fn shift_left(&mut self, x: Reg, amount: u32) -> Reg {
        self.0.def(Class::B32, "shl.b32", (x, amount))
    }

    fn shift_right_logical(&mut self, x: Reg, amount: u32) -> Reg {
        self.0.def(Class::B32, "shr.u32", (x, amount))
    }

    fn shift_right_arithmetic(&mut self, x: Reg, amount: u32) -> Reg {
        self.0.def(Class::B32, "shr.s32", (x, amount))
    }
}
