//! Instructions of the tensor cores.

use super::emit::Emitter;
use super::memory::Address;
use super::text::{Class, Reg};
use crate::kernel::Format;

impl Emitter<'_> {
    /// Two neighbouring words of a staged panel: of the right sides of two fragments one each.
    pub fn two_words(&mut self, from: &Address) -> [Reg; 2] {
        let words = [0; 2].map(|_| self.t.reg(Class::B32));
        let operands = format_args!("{{{}, {}}}, {from}", words[0], words[1]);
        self.t.op("ld.shared.v2.b32", operands);
        words
    }

    /// Adds the product of two fragments to a third.
    pub fn multiply(&mut self, format: Format, sum: &[Reg; 4], left: &[Reg; 4], right: [Reg; 2]) {
        let name = match format {
            Format::F32 => "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
            Format::Int8 => "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32",
            _ => "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        };
        let [s0, s1, s2, s3] = sum;
        let [a0, a1, a2, a3] = left;
        let [b0, b1] = right;
        let sum = format!("{{{s0}, {s1}, {s2}, {s3}}}");
        self.t.op(
            name,
            format_args!("{sum}, {{{a0}, {a1}, {a2}, {a3}}}, {{{b0}, {b1}}}, {sum}"),
        );
    }
}
