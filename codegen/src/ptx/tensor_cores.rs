//! Instructions of the tensor cores.

use super::code::{Address, Class, Opcode, Reg};
use super::emit::Emitter;
use crate::kernel::Format;

impl Emitter<'_> {
    /// Two neighbouring words of a staged panel: of the right operands of two fragments one each.
    pub fn two_words(&mut self, from: &Address) -> [Reg; 2] {
        let words = [0; 2].map(|_| self.t.reg(Class::B32));
        self.t.load(&words, "b32", *from);
        words
    }

    /// The same, rounded to what the tensor cores take.
    pub fn rounded_words(&mut self, format: Format, from: &Address) -> [Reg; 2] {
        let words = self.two_words(from);
        words.map(|word| self.rounded(format, word))
    }

    /// A word of an operand: `f32` rounded to tf32; other formats are what they are.
    pub fn rounded(&mut self, format: Format, word: Reg) -> Reg {
        match format {
            Format::F32 => {
                let number = self.t.def(Class::F32, "mov.b32", word);
                self.tf32(number)
            }
            _ => word,
        }
    }

    /// `f32` as tf32, rounded to nearest.
    pub fn tf32(&mut self, number: Reg) -> Reg {
        self.t.def(Class::B32, "cvt.rna.tf32.f32", number)
    }

    /// Adds the product of two fragments to a third.
    pub fn multiply(&mut self, format: Format, sum: &[Reg; 4], lhs: &[Reg; 4], rhs: [Reg; 2]) {
        let opcode = Opcode::MultiplyFragments(format);
        self.t.set(*sum, opcode, (*lhs, rhs, *sum));
    }
}
