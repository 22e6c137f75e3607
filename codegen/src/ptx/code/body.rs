//! The body of a kernel: instructions in order, and what stands between their lines.

use super::instruction::{Instruction, Opcode};
use super::operand::{Address, Class, Label, Operand, Operands, Reg};
use std::fmt::{self, Display, Formatter};

/// The body of a kernel, under construction and whole. Its `Display` is PTX, with the declarations
/// of the registers in use.
#[derive(Clone, Debug, Default)]
pub struct Body {
    instructions: Vec<Instruction>,
    /// The text's lines, and how deep each is indented.
    lines: Vec<(usize, Line)>,
    depth: usize,
    registers: [u32; 5],
    /// How many instructions are before each label.
    labels: Vec<usize>,
}

/// A line of the text.
#[derive(Clone, Debug)]
enum Line {
    /// The next instruction.
    Instruction,
    Label(Label),
    Comment(String),
    Directive(&'static str),
}

impl Body {
    /// A fresh register.
    pub fn reg(&mut self, class: Class) -> Reg {
        let count = &mut self.registers[class as usize];
        *count += 1;
        Reg {
            class,
            number: *count - 1,
        }
    }

    /// An instruction without a result.
    pub fn op(&mut self, opcode: impl Into<Opcode>, operands: impl Operands) -> &mut Instruction {
        self.push(opcode.into(), None, operands)
    }

    /// An instruction whose result is a fresh register.
    pub fn def(&mut self, class: Class, opcode: impl Into<Opcode>, operands: impl Operands) -> Reg {
        let result = self.reg(class);
        self.set(result, opcode, operands);
        result
    }

    /// An instruction whose result is a register, or a list of them, that may have a value already.
    pub fn set(
        &mut self,
        result: impl Into<Operand>,
        opcode: impl Into<Opcode>,
        operands: impl Operands,
    ) -> &mut Instruction {
        self.push(opcode.into(), Some(result.into()), operands)
    }

    fn push(
        &mut self,
        opcode: Opcode,
        result: Option<Operand>,
        operands: impl Operands,
    ) -> &mut Instruction {
        let instruction = Instruction::new(opcode, result, operands.into_list());
        self.lines.push((self.depth, Line::Instruction));
        self.instructions.push_mut(instruction)
    }

    /// Loads neighbours: 1, 2 or 4.
    pub fn load(&mut self, to: &[Reg], ty: &'static str, from: Address) -> &mut Instruction {
        self.set(to, Opcode::Load(from.space, to.len(), ty), from)
    }

    /// Loads one element to a fresh register.
    pub fn loaded(&mut self, class: Class, ty: &'static str, from: Address) -> Reg {
        let result = self.reg(class);
        self.load(&[result], ty, from);
        result
    }

    /// Stores neighbours: 1, 2 or 4.
    pub fn store(&mut self, to: Address, ty: &'static str, values: &[Reg]) -> &mut Instruction {
        self.op(Opcode::Store(to.space, values.len(), ty), (to, values))
    }

    /// Starts a copy of some bytes to shared memory. Of those behind `size`, if it is given, zeros
    /// are written.
    pub fn copy(
        &mut self,
        to: Address,
        from: Address,
        bytes: i64,
        size: Option<Reg>,
    ) -> &mut Instruction {
        match size {
            None => self.op(Opcode::Copy(bytes), (to, from, bytes)),
            Some(size) => self.op(Opcode::Copy(bytes), (to, from, bytes, size)),
        }
    }

    /// Waits for all threads of the block.
    pub fn barrier(&mut self) {
        self.op(Opcode::BlockBarrier, 0);
    }

    pub fn comment(&mut self, comment: impl Display) {
        self.line(Line::Comment(comment.to_string()));
    }

    pub fn directive(&mut self, directive: &'static str) {
        self.line(Line::Directive(directive));
    }

    fn line(&mut self, line: Line) {
        self.lines.push((self.depth, line));
    }

    /// A label that is placed later.
    pub fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() as u32 - 1)
    }

    pub fn place(&mut self, label: Label) {
        self.labels[label.0 as usize] = self.instructions.len();
        self.line(Line::Label(label));
    }

    /// Branches where `condition` holds.
    pub fn branch_if(&mut self, condition: Reg, to: Label) {
        self.op(Opcode::Branch, to).when(condition);
    }

    pub fn indent(&mut self) {
        self.depth += 1;
    }

    pub fn outdent(&mut self) {
        self.depth -= 1;
    }

    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Where an instruction may branch to, as the number of an instruction.
    pub fn target(&self, instruction: &Instruction) -> Option<usize> {
        let label = instruction.label()?;
        Some(self.labels[label.0 as usize])
    }

    /// Every register, those of one class after those of another.
    pub fn registers(&self) -> impl Iterator<Item = Reg> {
        let classes = Class::ALL.into_iter().zip(self.registers);
        classes.flat_map(|(class, count)| (0..count).map(move |number| Reg { class, number }))
    }

    /// The place of a register among [`registers`](Self::registers).
    pub fn number(&self, reg: Reg) -> usize {
        let before = &self.registers[..reg.class as usize];
        (before.iter().sum::<u32>() + reg.number) as usize
    }
}

impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for class in Class::ALL {
            let count = self.registers[class as usize];
            if count > 0 {
                let (declaration, prefix) = (class.declaration(), class.prefix());
                writeln!(f, "    .reg {declaration} {prefix}<{count}>;")?;
            }
        }
        let mut instructions = self.instructions.iter();
        for (depth, line) in &self.lines {
            let indent = 4 + 2 * depth;
            match line {
                Line::Instruction => {
                    let instruction = instructions.next().expect("a line for each");
                    writeln!(f, "{:indent$}{instruction};", "")?;
                }
                Line::Label(label) => writeln!(f, "{:1$}{label}:", "", indent - 2)?,
                Line::Comment(comment) => writeln!(f, "{:indent$}// {comment}", "")?,
                Line::Directive(directive) => writeln!(f, "{:indent$}{directive};", "")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::operand::{Parameter, Space};
    use super::*;

    #[test]
    fn results_and_operands_are_told_apart_and_printed_in_order() {
        let mut t = Body::default();
        let base = t.def(Class::B64, "ld.param.u64", Parameter::Buffer(3));
        let tid = t.def(Class::B32, "mov.u32", "%tid.x");
        let head = t.label();
        t.place(head);
        t.indent();
        let row = [0; 2].map(|_| t.reg(Class::F32));
        let (space, offset) = (Space::ReadOnly, 8);
        let from = Address {
            space,
            base,
            offset,
        };
        t.load(&row, "f32", from);
        let less = t.def(Class::Predicate, "setp.lt.s32", (tid, -7));
        let to = from.plus(-8);
        t.store(to, "f32", &row[..1]).when(less);
        t.set(row[0], "add.rn.f32", (row[1], 1.0));
        t.comment("again");
        t.branch_if(less, head);
        t.outdent();
        t.op(Opcode::Return, ());

        let registers = |list: &mut dyn Iterator<Item = Reg>| -> Vec<String> {
            list.map(|reg| reg.to_string()).collect()
        };
        let instructions = t.instructions().iter();
        let seen: Vec<_> = instructions
            .map(|i| {
                let defined = registers(&mut i.defined());
                (defined, registers(&mut i.used()), t.target(i))
            })
            .collect();
        let of = |defined: &[&str], used: &[&str], target| {
            let names = |list: &[&str]| list.iter().map(|name| name.to_string()).collect();
            (names(defined), names(used), target)
        };
        assert_eq!(
            seen,
            [
                of(&["%d0"], &[], None),
                of(&["%r0"], &[], None),
                of(&["%f0", "%f1"], &["%d0"], None),
                of(&["%p0"], &["%r0"], None),
                of(&[], &["%p0", "%d0", "%f0"], None),
                of(&["%f0"], &["%f1"], None),
                of(&[], &["%p0"], Some(2)),
                of(&[], &[], None),
            ]
        );
        let places: Vec<usize> = t.registers().map(|reg| t.number(reg)).collect();
        assert_eq!(places, [0, 1, 2, 3, 4]);
        assert_eq!(
            t.to_string(),
            "    .reg .pred %p<1>;
    .reg .b32 %r<1>;
    .reg .b64 %d<1>;
    .reg .f32 %f<2>;
    ld.param.u64 %d0, [b3];
    mov.u32 %r0, %tid.x;
  $L0:
      ld.global.nc.v2.f32 {%f0, %f1}, [%d0 + 8];
      setp.lt.s32 %p0, %r0, -7;
      @%p0 st.global.f32 [%d0], %f0;
      add.rn.f32 %f0, %f1, 0f3F800000;
      // again
      @%p0 bra $L0;
    ret;
"
        );
    }
}
