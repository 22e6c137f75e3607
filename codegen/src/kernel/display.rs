//! Kernel IR as indented text; [`parse`](mod@super::parse) reads it.

use super::{
    Array, Combine, Contract, Element, Format, Groups, Inst, Kernel, LoopKind, Place, Reduce, Stmt,
    Value,
};
use std::fmt::{self, Formatter, Result};

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (kind, arrays) in [("buffer", &self.buffers), ("scratch", &self.scratch)] {
            for (index, array) in arrays.iter().enumerate() {
                let Array {
                    dtype,
                    elements,
                    written,
                } = array;
                let access = if *written { " written" } else { "" };
                writeln!(
                    f,
                    "{kind} {}{index}: {dtype}[{elements}]{access}",
                    &kind[..1]
                )?;
            }
        }
        let axes: Vec<String> = self
            .grid
            .iter()
            .map(|axis| format!("i{} < {}", axis.var.0, axis.extent))
            .collect();
        match axes.is_empty() {
            true => writeln!(f, "grid")?,
            false => writeln!(f, "grid {}", axes.join(", "))?,
        }
        block(f, &self.body, 1)
    }
}

fn block(f: &mut Formatter<'_>, body: &[Stmt], depth: usize) -> Result {
    body.iter().try_for_each(|stmt| statement(f, stmt, depth))
}

fn statement(f: &mut Formatter<'_>, stmt: &Stmt, depth: usize) -> Result {
    let indent = depth * 2;
    write!(f, "{:indent$}", "")?;
    match stmt {
        Stmt::Let { value, dtype, inst } => writeln!(f, "{value}: {dtype} = {inst}"),
        Stmt::Store { to, value } => writeln!(f, "{to} = {value}"),
        Stmt::Loop {
            var,
            extent,
            kind,
            body,
        } => {
            let kind = match kind {
                LoopKind::Serial => "",
                LoopKind::Parallel => "parallel ",
                LoopKind::Vector => "vector ",
            };
            writeln!(f, "{kind}for i{} < {extent}", var.0)?;
            block(f, body, depth + 1)
        }
        Stmt::Reduce(Reduce {
            var,
            extent,
            vector,
            body,
            results,
        }) => {
            let vector = if *vector { "vector " } else { "" };
            writeln!(f, "{vector}reduce i{} < {extent}", var.0)?;
            block(f, body, depth + 1)?;
            for result in results {
                let op = match result.op {
                    Combine::Sum => "sum",
                    Combine::Max => "max",
                    Combine::Min => "min",
                };
                let (value, dtype, term) = (result.value, result.dtype, result.term);
                writeln!(f, "{:indent$}{value}: {dtype} = {op} {term}", "")?;
            }
            Ok(())
        }
        Stmt::Contract(contract) => writeln!(f, "{contract}"),
        Stmt::Attend(attend) => writeln!(f, "{attend}"),
        Stmt::AttendBackward(backward) => writeln!(f, "{backward}"),
    }
}

impl fmt::Display for Stmt {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        statement(f, self, 0)
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let plus = if self.accumulate { "+=" } else { "=" };
        write!(
            f,
            "contract {}{} by {} {plus} {} by ({}, {}) * panels {} by {}",
            match self.format {
                Format::F32 => String::new(),
                format => format!("{} ", format.name()),
            },
            self.c,
            self.c_row_stride,
            self.a,
            self.a_row_stride,
            self.a_k_stride,
            self.b,
            self.b_panel_stride,
        )?;
        for (name, groups) in [("groups", &self.a_groups), ("rows", &self.a_row_groups)] {
            for Groups { terms, stride } in groups {
                write!(f, " {name} {terms} by {stride}")?;
            }
        }
        if let Some(columns) = &self.columns {
            write!(f, " columns {columns}")?;
        }
        write!(f, " over m {} n {} k {}", self.m, self.n, self.k)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.dynamic {
            Some(offset) => write!(f, "{}[{} + {offset}]", self.place, self.at),
            None => write!(f, "{}[{}]", self.place, self.at),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Place::Buffer(index) => write!(f, "b{index}"),
            Place::Scratch(index) => write!(f, "s{index}"),
        }
    }
}

/// An `f32` by its bits: its shortest decimal, or the bits of a NaN.
pub(super) struct FloatBits(pub u32);

impl fmt::Display for FloatBits {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let value = f32::from_bits(self.0);
        match value.is_nan() {
            true => write!(f, "{:#x}", self.0),
            false => write!(f, "{value:?}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for Inst {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Inst::Constant(bits) => write!(f, "constant {bits:#x}"),
            Inst::Index(at) => write!(f, "index {at}"),
            Inst::Load(from) => write!(f, "load {from}"),
            Inst::Map(op, operands) => {
                f.write_str(op.name())?;
                for (index, operand) in operands.iter().enumerate() {
                    let comma = if index == 0 { " " } else { ", " };
                    write!(f, "{comma}{operand}")?;
                }
                Ok(())
            }
        }
    }
}
