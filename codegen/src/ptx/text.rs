//! PTX as it is written: registers by class, lines, labels, comments.

use std::fmt::{self, Display, Write};

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
    const ALL: [Class; 5] = [
        Class::Predicate,
        Class::B16,
        Class::B32,
        Class::B64,
        Class::F32,
    ];

    fn prefix(self) -> &'static str {
        match self {
            Class::Predicate => "%p",
            Class::B16 => "%h",
            Class::B32 => "%r",
            Class::B64 => "%d",
            Class::F32 => "%f",
        }
    }

    fn declaration(self) -> &'static str {
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
    number: u32,
}

impl Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.class.prefix(), self.number)
    }
}

/// A place to branch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(u32);

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$L{}", self.0)
    }
}

/// An `f32` immediate.
pub struct Float(pub f32);

impl Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0f{:08X}", self.0.to_bits())
    }
}

/// The body of a kernel under construction.
#[derive(Default)]
pub struct Text {
    lines: String,
    depth: usize,
    registers: [u32; 5],
    labels: u32,
}

impl Text {
    pub fn reg(&mut self, class: Class) -> Reg {
        let count = &mut self.registers[class as usize];
        *count += 1;
        Reg {
            class,
            number: *count - 1,
        }
    }

    /// `instruction operands;`
    pub fn op(&mut self, instruction: &str, operands: impl Display) {
        let indent = 4 + 2 * self.depth;
        let _ = writeln!(self.lines, "{:indent$}{instruction} {operands};", "");
    }

    /// `instruction result, operands;` with a fresh result.
    pub fn def(&mut self, class: Class, instruction: &str, operands: impl Display) -> Reg {
        let result = self.reg(class);
        self.op(instruction, format_args!("{result}, {operands}"));
        result
    }

    /// An instruction without operands.
    pub fn bare(&mut self, instruction: &str) {
        let indent = 4 + 2 * self.depth;
        let _ = writeln!(self.lines, "{:indent$}{instruction};", "");
    }

    pub fn comment(&mut self, comment: impl Display) {
        let indent = 4 + 2 * self.depth;
        let _ = writeln!(self.lines, "{:indent$}// {comment}", "");
    }

    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    pub fn place(&mut self, label: Label) {
        let indent = 2 + 2 * self.depth;
        let _ = writeln!(self.lines, "{:indent$}{label}:", "");
    }

    /// Branches where `condition` holds, or does not.
    pub fn branch(&mut self, condition: Reg, holds: bool, to: Label) {
        let not = if holds { "" } else { "!" };
        self.op(&format!("@{not}{condition} bra"), to);
    }

    pub fn indent(&mut self) {
        self.depth += 1;
    }

    pub fn outdent(&mut self) {
        self.depth -= 1;
    }

    /// Declarations of the registers in use, then the body.
    pub fn finish(self) -> String {
        let mut text = String::with_capacity(self.lines.len() + 200);
        for class in Class::ALL {
            let count = self.registers[class as usize];
            if count > 0 {
                let (declaration, prefix) = (class.declaration(), class.prefix());
                let _ = writeln!(text, "    .reg {declaration} {prefix}<{count}>;");
            }
        }
        text + &self.lines
    }
}
