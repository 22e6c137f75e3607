//! The main loop of a kernel: which instructions it is made of, and what share of a unit's peak
//! they leave it.
//!
//! A sub-core issues one instruction of a warp each cycle, and the tensor cores work while others
//! are issued. So of a loop with `n` instructions, whose `m` on the tensor cores keep them busy for
//! `c` cycles each, the tensor cores are busy for at most `m c / max(m c, n, s)` of the time, where
//! `s` is the time of shared memory: 128 bytes a cycle for a multiprocessor, a quarter of it for a
//! sub-core. Every line of PTX counts as one instruction, also those that the assembler may drop.

use super::super::devices::Device;
use super::listing::{Instruction, Listing};
use std::ops::Range;

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Multiply-adds of f32.
    Fma,
    Tf32,
    Bf16,
    F16,
    Int8,
}

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Fma => "fma",
            Unit::Tf32 => "tf32",
            Unit::Bf16 => "bf16",
            Unit::F16 => "f16",
            Unit::Int8 => "int8",
        }
    }

    /// Operations of one instruction of a warp.
    const fn operations(self) -> f64 {
        match self {
            Unit::Fma => 64.0,
            Unit::Tf32 => 2048.0,
            Unit::Bf16 | Unit::F16 => 4096.0,
            Unit::Int8 => 8192.0,
        }
    }

    fn of(instruction: &Instruction) -> Option<Unit> {
        let opcode = instruction.opcode;
        if opcode == "fma.rn.f32" {
            return Some(Unit::Fma);
        }
        if !opcode.starts_with("mma.sync") {
            return None;
        }
        [
            (".tf32", Unit::Tf32),
            (".bf16", Unit::Bf16),
            (".f16", Unit::F16),
            (".s8", Unit::Int8),
        ]
        .into_iter()
        .find(|(format, _)| opcode.contains(format))
        .map(|(_, unit)| unit)
    }
}

/// Instructions of a main loop, by kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    pub unit: Unit,
    /// On the unit.
    pub multiplies: usize,
    /// From shared memory.
    pub loads: usize,
    /// To shared memory without registers.
    pub copies: usize,
    /// From and to global memory, with registers.
    pub global: usize,
    pub barriers: usize,
    /// Addresses, conversions, predicates, branches.
    pub others: usize,
    /// Cycles that the loop keeps the unit, the issue slot and shared memory busy.
    pub unit_cycles: f64,
    pub issue_cycles: f64,
    pub shared_cycles: f64,
    /// The largest share of the unit's peak that the loop allows.
    pub share: f64,
}

/// Bytes that shared memory gives a sub-core each cycle.
const SHARED_BYTES: f64 = 32.0;

impl Mix {
    /// Of the innermost loop that multiplies most; of the whole kernel if no loop multiplies. None
    /// if nothing does.
    pub(super) fn of_main_loop(listing: &Listing, device: &Device) -> Option<Mix> {
        let tensor = |instruction: &Instruction| matches!(Unit::of(instruction), Some(unit) if unit != Unit::Fma);
        // Polynomials are multiply-adds, too: on the tensor cores they are not the main thing.
        let on_tensor_cores = listing.instructions.iter().any(tensor);
        let multiplies = |instruction: &&Instruction| match on_tensor_cores {
            true => tensor(instruction),
            false => Unit::of(instruction) == Some(Unit::Fma),
        };
        let of = |range: &Range<usize>| {
            let inside = listing.instructions[range.clone()].iter();
            inside.filter(multiplies).count()
        };
        let loops = innermost(listing).into_iter();
        let range = loops.max_by_key(of).filter(|range| of(range) > 0);
        let range = range.unwrap_or(0..listing.instructions.len());
        let body = &listing.instructions[range];
        let first = body.iter().find(multiplies)?;
        let unit = Unit::of(first)?;
        let is_copy = |i: &&Instruction| i.opcode.starts_with("cp.async.c");
        let is_copy = |i: &&Instruction| is_copy(i) && !i.opcode.contains("commit");
        let is_load = |i: &&Instruction| {
            i.opcode.starts_with("ldmatrix") || i.opcode.starts_with("ld.shared")
        };
        let is_global = |i: &&Instruction| {
            i.opcode.starts_with("ld.global") || i.opcode.starts_with("st.global")
        };
        let is_barrier = |i: &&Instruction| i.opcode.starts_with("bar.");
        let count = |is: &dyn Fn(&&Instruction) -> bool| body.iter().filter(|i| is(i)).count();
        let mut mix = Mix {
            unit,
            multiplies: count(&multiplies),
            loads: count(&is_load),
            copies: count(&is_copy),
            global: count(&is_global),
            barriers: count(&is_barrier),
            others: 0,
            unit_cycles: 0.0,
            issue_cycles: body.len() as f64,
            shared_cycles: 0.0,
            share: 1.0,
        };
        mix.others = body.len()
            - [
                mix.multiplies,
                mix.loads,
                mix.copies,
                mix.global,
                mix.barriers,
            ]
            .iter()
            .sum::<usize>();
        mix.unit_cycles = mix.multiplies as f64 * device.cycles(unit, unit.operations());
        // Lanes of the FMA units' loads read the same words, and how many cannot be told from the
        // text.
        if unit != Unit::Fma {
            let bytes: f64 = body.iter().filter(is_load).map(loaded_bytes).sum();
            mix.shared_cycles = bytes / SHARED_BYTES;
        }
        let longest = mix.unit_cycles.max(mix.issue_cycles).max(mix.shared_cycles);
        mix.share = mix.unit_cycles / longest;
        Some(mix)
    }
}

/// Loops that have no loop inside, as ranges of instructions.
fn innermost(listing: &Listing) -> Vec<Range<usize>> {
    let branches = listing.instructions.iter().enumerate();
    let loops = branches.filter_map(|(at, instruction)| {
        let start = instruction.target?;
        (start <= at).then_some(start..at + 1)
    });
    let loops: Vec<Range<usize>> = loops.collect();
    let holds = |outer: &Range<usize>, inner: &Range<usize>| {
        outer != inner && outer.start <= inner.start && inner.end <= outer.end
    };
    let is_innermost = |outer: &&Range<usize>| !loops.iter().any(|inner| holds(outer, inner));
    loops.iter().filter(is_innermost).cloned().collect()
}

/// Bytes that a load gives a warp.
fn loaded_bytes(instruction: &Instruction) -> f64 {
    let words = [(".x4", 4.0), (".v4", 4.0), (".x2", 2.0), (".v2", 2.0)];
    let words = words
        .into_iter()
        .find(|(mark, _)| instruction.opcode.contains(mark));
    128.0 * words.map_or(1.0, |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::super::super::devices::DEVICES;
    use super::*;

    #[test]
    fn the_main_loop_is_the_innermost_that_multiplies() {
        for (format, unit) in [("bf16", Unit::Bf16), ("f16", Unit::F16)] {
            main_loop_of(format, unit);
        }
    }

    fn main_loop_of(format: &str, unit: Unit) {
        let mma = format!(
            "mma.sync.aligned.m16n8k16.row.col.f32.{format}.{format}.f32 {{%f0}}, {{%r0}}, {{%r1}}, {{%f0}};\n"
        );
        let text = format!(
            "mov.b32 %r0, 0;\n\
             $L0:\n\
             $L1:\n\
             ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r0}}, [%r2];\n\
             {}\
             cp.async.cg.shared.global [%r2], [%d0], 16;\n\
             cp.async.commit_group;\n\
             add.s32 %r3, %r3, 1;\n\
             @%p0 bra $L1;\n\
             fma.rn.f32 %f0, %f0, %f0, %f0;\n\
             @%p0 bra $L0;\n",
            mma.repeat(2)
        );
        let mix = Mix::of_main_loop(&Listing::parse(&text), &DEVICES[0]).unwrap();
        assert_eq!(mix.unit, unit);
        assert_eq!(
            (mix.multiplies, mix.loads, mix.copies, mix.others),
            (2, 1, 1, 3)
        );
        assert_eq!((mix.issue_cycles, mix.shared_cycles), (7.0, 16.0));
        assert!((mix.unit_cycles - 32.0).abs() < 0.1);
        assert_eq!(mix.share, 1.0);
        assert!(Mix::of_main_loop(&Listing::parse("ret;"), &DEVICES[0]).is_none());
    }

    #[test]
    fn others_take_the_place_of_multiply_adds() {
        let text = "$L0:\n".to_string()
            + &"fma.rn.f32 %f0, %f1, %f2, %f0;\n".repeat(6)
            + "ld.shared.f32 %f1, [%r0];\n@%p0 bra $L0;\n";
        let mix = Mix::of_main_loop(&Listing::parse(&text), &DEVICES[0]).unwrap();
        assert_eq!((mix.unit, mix.multiplies), (Unit::Fma, 6));
        assert!((mix.share - 0.75).abs() < 0.01, "{mix:?}");
    }
}
