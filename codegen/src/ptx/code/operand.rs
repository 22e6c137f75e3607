//! What instructions are applied to.

use std::fmt::{self, Display, Formatter};

/// What a register holds; registers of a class are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Predicate,
    B16,
    B32,
    B64,
    F32,
}

impl Class {
    pub const ALL: [Class; 5] = [
        Class::Predicate,
        Class::B16,
        Class::B32,
        Class::B64,
        Class::F32,
    ];

    pub fn prefix(self) -> &'static str {
        match self {
            Class::Predicate => "%p",
            Class::B16 => "%h",
            Class::B32 => "%r",
            Class::B64 => "%d",
            Class::F32 => "%f",
        }
    }

    pub fn declaration(self) -> &'static str {
        match self {
            Class::Predicate => ".pred",
            Class::B16 => ".b16",
            Class::B32 => ".b32",
            Class::B64 => ".b64",
            Class::F32 => ".f32",
        }
    }
}

/// A virtual register; the assembler finds a real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reg {
    pub class: Class,
    pub(super) number: u32,
}

/// A place to branch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(pub(super) u32);

/// State space of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Global,
    /// Global, and never written by the kernel: may go through the read-only cache.
    ReadOnly,
    Shared,
}

/// `[base + offset]`, the offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Address {
    pub space: Space,
    pub base: Reg,
    pub offset: i64,
}

impl Address {
    pub fn plus(self, bytes: i64) -> Address {
        Address {
            offset: self.offset + bytes,
            ..self
        }
    }
}

/// What a kernel is given at its launch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parameter {
    /// The address of the kernel's buffer of this number.
    Buffer(usize),
    Workspace,
}

/// An operand of an instruction.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Register(Reg),
    /// Registers side by side.
    List(Vec<Reg>),
    Integer(i64),
    Float(f32),
    Address(Address),
    Parameter(Parameter),
    /// A register of the machine such as `%tid.x`, or a variable.
    Name(&'static str),
    Label(Label),
}

impl Operand {
    /// The registers that it names.
    pub fn registers(&self) -> impl Iterator<Item = Reg> {
        let (one, list) = match self {
            Operand::Register(reg) => (Some(*reg), &[][..]),
            Operand::Address(address) => (Some(address.base), &[][..]),
            Operand::List(list) => (None, &list[..]),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(list.iter().copied())
    }
}

/// One operand, or several as a tuple or a slice of registers.
pub trait Operands {
    fn into_list(self) -> Vec<Operand>;
}

/// What is an operand by itself.
macro_rules! operands {
    ($($ty:ty: $x:ident => $operand:expr;)*) => {$(
        impl From<$ty> for Operand {
            fn from($x: $ty) -> Operand {
                $operand
            }
        }

        impl Operands for $ty {
            fn into_list(self) -> Vec<Operand> {
                vec![self.into()]
            }
        }
    )*};
}

operands! {
    Reg: x => Operand::Register(x);
    &Reg: x => Operand::Register(*x);
    i32: x => Operand::Integer(x.into());
    u32: x => Operand::Integer(x.into());
    i64: x => Operand::Integer(x);
    usize: x => Operand::Integer(x as i64);
    f32: x => Operand::Float(x);
    Address: x => Operand::Address(x);
    &Address: x => Operand::Address(*x);
    Parameter: x => Operand::Parameter(x);
    &'static str: x => Operand::Name(x);
    Label: x => Operand::Label(x);
}

impl<const N: usize> From<[Reg; N]> for Operand {
    fn from(list: [Reg; N]) -> Operand {
        Operand::List(list.into())
    }
}

/// One register, or a list of several.
impl From<&[Reg]> for Operand {
    fn from(registers: &[Reg]) -> Operand {
        match registers {
            [one] => Operand::Register(*one),
            list => Operand::List(list.into()),
        }
    }
}

/// Registers one by one, not as a list.
impl Operands for &[Reg] {
    fn into_list(self) -> Vec<Operand> {
        self.iter().map(Operand::from).collect()
    }
}

impl Operands for () {
    fn into_list(self) -> Vec<Operand> {
        Vec::new()
    }
}

macro_rules! tuples {
    ($(($($x:ident: $ty:ident),*))*) => {$(
        impl<$($ty: Into<Operand>),*> Operands for ($($ty,)*) {
            fn into_list(self) -> Vec<Operand> {
                let ($($x,)*) = self;
                vec![$($x.into()),*]
            }
        }
    )*};
}

tuples! {
    (a: A)
    (a: A, b: B)
    (a: A, b: B, c: C)
    (a: A, b: B, c: C, d: D)
}

impl Display for Reg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.class.prefix(), self.number)
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "$L{}", self.0)
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.offset {
            0 => write!(f, "[{}]", self.base),
            offset => write!(f, "[{} + {offset}]", self.base),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Register(reg) => write!(f, "{reg}"),
            Operand::List(list) => {
                for (at, reg) in list.iter().enumerate() {
                    let before = if at == 0 { "{" } else { ", " };
                    write!(f, "{before}{reg}")?;
                }
                f.write_str("}")
            }
            Operand::Integer(value) => write!(f, "{value}"),
            Operand::Float(value) => write!(f, "0f{:08X}", value.to_bits()),
            Operand::Address(address) => write!(f, "{address}"),
            Operand::Parameter(Parameter::Buffer(index)) => write!(f, "[b{index}]"),
            Operand::Parameter(Parameter::Workspace) => f.write_str("[workspace]"),
            Operand::Name(name) => f.write_str(name),
            Operand::Label(label) => write!(f, "{label}"),
        }
    }
}
