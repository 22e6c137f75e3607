//! The elementwise ops, with the meaning of the reference evaluator.

use super::code::{Class, Opcode, Reg};
use super::emit::Emitter;
use super::math::Written;
use super::memory::class;
use bsq_ir::{DType, Op, math};
use math::Lanes;

impl Emitter<'_> {
    pub(super) fn map(&mut self, op: &Op, to: DType, operands: &[(DType, Reg)]) -> Reg {
        let dtype = operands[0].0;
        let x: Vec<Reg> = operands.iter().map(|operand| operand.1).collect();
        match op {
            Op::StopGradient => x[0],
            Op::Cast(_) => self.cast(dtype, to, x[0]),
            Op::Select => self.select(to, x[0], x[1], x[2]),
            _ if dtype == DType::F32 => self.float(op, &x),
            _ if dtype == DType::Bool => self.boolean(op, &x),
            _ => self.integer(op, dtype, &x),
        }
    }

    fn select(&mut self, to: DType, condition: Reg, x: Reg, y: Reg) -> Reg {
        let selp = match class(to) {
            Class::Predicate => {
                let first = self.logic("and.pred", &[condition, x]);
                let not = self.logic("not.pred", &[condition]);
                let second = self.logic("and.pred", &[not, y]);
                return self.logic("or.pred", &[first, second]);
            }
            Class::B16 => "selp.b16",
            Class::B32 => "selp.b32",
            Class::B64 => "selp.b64",
            Class::F32 => "selp.f32",
        };
        self.t.def(class(to), selp, (x, y, condition))
    }

    fn logic(&mut self, op: impl Into<Opcode>, x: &[Reg]) -> Reg {
        self.apply(Class::Predicate, op, x)
    }

    fn apply(&mut self, class: Class, op: impl Into<Opcode>, x: &[Reg]) -> Reg {
        self.t.def(class, op, x)
    }

    fn float(&mut self, op: &Op, x: &[Reg]) -> Reg {
        let name = match op {
            Op::Add => "add.rn.f32",
            Op::Sub => "sub.rn.f32",
            Op::Mul => "mul.rn.f32",
            Op::Div => "div.rn.f32",
            // NaN if either is, and -0 below +0.
            Op::Max => "max.NaN.f32",
            Op::Min => "min.NaN.f32",
            Op::Neg => "neg.f32",
            Op::Abs => "abs.f32",
            Op::Sqrt => "sqrt.rn.f32",
            Op::Floor => "cvt.rmi.f32.f32",
            Op::Equal => return self.logic("setp.eq.f32", x),
            Op::Less => return self.logic("setp.lt.f32", x),
            Op::LessEqual => return self.logic("setp.le.f32", x),
            Op::Exp => return math::exp(&mut Written(&mut self.t), x[0]),
            Op::Log => return math::log(&mut Written(&mut self.t), x[0]),
            Op::Tanh => return math::tanh(&mut Written(&mut self.t), x[0]),
            Op::Erf => return math::erf(&mut Written(&mut self.t), x[0]),
            Op::Sin => return math::sin(&mut Written(&mut self.t), x[0]),
            Op::Cos => return math::cos(&mut Written(&mut self.t), x[0]),
            Op::Sign => return self.sign(x[0]),
            _ => unreachable!("{} of f32", op.name()),
        };
        self.apply(Class::F32, name, x)
    }

    /// ±0 and NaN stay as they are.
    fn sign(&mut self, x: Reg) -> Reg {
        let mut written = Written(&mut self.t);
        let [zero, one, minus_one] = [0.0, 1.0, -1.0].map(|value| written.f32(value));
        let positive = written.less(zero, x);
        let negative = written.less(x, zero);
        let rest = written.select(negative, minus_one, x);
        written.select(positive, one, rest)
    }

    fn boolean(&mut self, op: &Op, x: &[Reg]) -> Reg {
        match op {
            Op::And => self.logic("and.pred", x),
            Op::Or => self.logic("or.pred", x),
            Op::Xor => self.logic("xor.pred", x),
            Op::Not => self.logic("not.pred", x),
            Op::Equal => {
                let differ = self.logic("xor.pred", x);
                self.logic("not.pred", &[differ])
            }
            // False is below true.
            Op::Less => {
                let not = self.logic("not.pred", &x[..1]);
                self.logic("and.pred", &[not, x[1]])
            }
            Op::LessEqual => {
                let not = self.logic("not.pred", &x[..1]);
                self.logic("or.pred", &[not, x[1]])
            }
            _ => unreachable!("{} of bool", op.name()),
        }
    }

    fn integer(&mut self, op: &Op, dtype: DType, x: &[Reg]) -> Reg {
        let signed = matches!(dtype, DType::I32 | DType::I64);
        let class = class(dtype);
        let bits = if class == Class::B64 { 64 } else { 32 };
        let sign = if signed { 's' } else { 'u' };
        let named = |name: &str| format!("{name}.{sign}{bits}");
        let plain = |name: &str| format!("{name}.b{bits}");
        let result = match op {
            Op::Add => self.apply(class, named("add"), x),
            Op::Sub => self.apply(class, named("sub"), x),
            Op::Mul => self.apply(class, named("mul.lo"), x),
            Op::Max => self.apply(class, named("max"), x),
            Op::Min => self.apply(class, named("min"), x),
            Op::And => self.apply(class, plain("and"), x),
            Op::Or => self.apply(class, plain("or"), x),
            Op::Xor => self.apply(class, plain("xor"), x),
            Op::Not => self.apply(class, plain("not"), x),
            Op::Neg => self.apply(class, format!("neg.s{bits}"), x),
            Op::Abs if signed => self.apply(class, named("abs"), x),
            Op::Abs => x[0],
            Op::Equal => return self.logic(named("setp.eq"), x),
            Op::Less => return self.logic(named("setp.lt"), x),
            Op::LessEqual => return self.logic(named("setp.le"), x),
            Op::Sign => {
                let least = if signed { -1 } else { 0 };
                let low = self.t.def(class, named("max"), (x[0], least));
                self.t.def(class, named("min"), (low, 1))
            }
            Op::ShiftLeft | Op::ShiftRight => self.shift(op, dtype, x),
            _ => unreachable!("{} of {dtype}", op.name()),
        };
        self.wrapped(dtype, result)
    }

    /// Amounts are unsigned; from the width on, all bits are shifted out, as the machine does.
    fn shift(&mut self, op: &Op, dtype: DType, x: &[Reg]) -> Reg {
        let class = class(dtype);
        let amount = match class {
            // The machine takes amounts of 32 bits, and clamps them.
            Class::B64 => {
                let clamped = self.t.def(Class::B64, "min.u64", (x[1], 64));
                self.t.def(Class::B32, "cvt.u32.u64", clamped)
            }
            _ => x[1],
        };
        let name = match (op, dtype) {
            (Op::ShiftLeft, DType::I64 | DType::U64) => "shl.b64",
            (Op::ShiftLeft, _) => "shl.b32",
            (_, DType::I32) => "shr.s32",
            (_, DType::I64) => "shr.s64",
            (_, DType::U64) => "shr.u64",
            _ => "shr.u32",
        };
        self.t.def(class, name, (x[0], amount))
    }

    /// Bytes are kept in wider registers.
    fn wrapped(&mut self, dtype: DType, x: Reg) -> Reg {
        match dtype {
            DType::U8 => self.t.def(Class::B32, "and.b32", (x, 255)),
            _ => x,
        }
    }

    fn cast(&mut self, from: DType, to: DType, x: Reg) -> Reg {
        if from == to {
            return x;
        }
        match (from, to) {
            (DType::Bool, _) => {
                let number = self.t.def(Class::B32, "selp.u32", (1, 0, x));
                self.cast(DType::U32, to, number)
            }
            (DType::F16, _) => {
                let wide = self.t.def(Class::F32, "cvt.f32.f16", x);
                self.cast(DType::F32, to, wide)
            }
            (DType::BF16, _) => {
                let wide = self.widened(x);
                self.cast(DType::F32, to, wide)
            }
            (DType::F32, DType::Bool) => self.t.def(Class::Predicate, "setp.neu.f32", (x, 0.0)),
            (_, DType::Bool) => {
                let setp = match class(from) {
                    Class::B64 => "setp.ne.u64",
                    _ => "setp.ne.u32",
                };
                self.t.def(Class::Predicate, setp, (x, 0))
            }
            (DType::F32, DType::F16) => self.t.def(Class::B16, "cvt.rn.f16.f32", x),
            (DType::F32, DType::BF16) => self.t.def(Class::B16, "cvt.rn.bf16.f32", x),
            (DType::F32, DType::U8) => {
                let whole = self.t.def(Class::B32, "cvt.rzi.u32.f32", x);
                self.t.def(Class::B32, "min.u32", (whole, 255))
            }
            (DType::F32, _) => {
                let name = format!("cvt.rzi.{}.f32", number_type(to));
                let whole = self.t.def(class(to), name, x);
                // In 64 bits the machine makes of NaN what is not 0.
                match class(to) {
                    Class::B64 => {
                        let number = self.t.def(Class::Predicate, "setp.num.f32", (x, x));
                        self.t.def(Class::B64, "selp.b64", (whole, 0, number))
                    }
                    _ => whole,
                }
            }
            (_, DType::F32) => {
                let name = format!("cvt.rn.f32.{}", number_type(from));
                self.t.def(Class::F32, name, x)
            }
            (_, DType::F16 | DType::BF16) => {
                let float = self.cast(from, DType::F32, x);
                self.cast(DType::F32, to, float)
            }
            (_, DType::U8) => {
                let low = match class(from) {
                    Class::B64 => self.t.def(Class::B32, "cvt.u32.u64", x),
                    _ => x,
                };
                self.wrapped(DType::U8, low)
            }
            _ => match (class(from), class(to)) {
                (Class::B32, Class::B64) => {
                    let signed = from == DType::I32;
                    let name = if signed { "cvt.s64.s32" } else { "cvt.u64.u32" };
                    self.t.def(Class::B64, name, x)
                }
                (Class::B64, Class::B32) => self.t.def(Class::B32, "cvt.u32.u64", x),
                _ => x,
            },
        }
    }

    /// A `bf16` as `f32`.
    pub fn widened(&mut self, x: Reg) -> Reg {
        let low = self.t.def(Class::B32, "cvt.u32.u16", x);
        let bits = self.t.def(Class::B32, "shl.b32", (low, 16));
        self.t.def(Class::F32, "mov.b32", bits)
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
