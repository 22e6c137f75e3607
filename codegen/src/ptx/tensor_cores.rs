//! Instructions of the tensor cores.

use super::emit::Emitter;
use super::memory::Address;
use super::text::{Class, Reg};
use crate::kernel::Format;

impl Emitter<'_> {
    /// Two neighbouring words of a staged panel: of the right operands of two fragments one each.
    pub fn two_words(&mut self, from: &Address) -> [Reg; 2] {
        let words = [0; 2].map(|_| self.t.reg(Class::B32));
        let operands = format_args!("{{{}, {}}}, {from}", words[0], words[1]);
        self.t.op("ld.shared.v2.b32", operands);
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
        let name = match format {
            Format::F32 => "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
            Format::Int8 => "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32",
            Format::F16 => "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
            _ => "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        };
        let [s0, s1, s2, s3] = sum;
        let [a0, a1, a2, a3] = lhs;
        let [b0, b1] = rhs;
        let sum = format!("{{{s0}, {s1}, {s2}, {s3}}}");
        self.t.op(
            name,
            format_args!("{sum}, {{{a0}, {a1}, {a2}, {a3}}}, {{{b0}, {b1}}}, {sum}"),
        );
    }
}
