//! The main loop of a kernel: which instructions it is made of, and what share of a unit's peak
//! they leave it.
//!
//! A sub-core issues one instruction of a warp each cycle, and the tensor cores work while others
//! are issued. So of a loop with `n` instructions, whose `m` on the tensor cores keep them busy for
//! `c` cycles each, the tensor cores are busy for at most `m c / max(m c, n, s)` of the time, where
//! `s` is the time of shared memory: 128 bytes a cycle for a multiprocessor, a quarter of it for a
//! sub-core. Every instruction of PTX counts as one, also those
//! that the assembler may drop.

use super::super::code::{Body, FMA, Instruction, Opcode, Space};
use super::super::devices::{Device, Unit};
use crate::kernel::Format;
use std::ops::Range;

/// What an instruction multiplies on.
fn unit_of(instruction: &Instruction) -> Option<Unit> {
    match &instruction.opcode {
        Opcode::Named(name) if name == FMA => Some(Unit::Fma),
        Opcode::MultiplyFragments(format) => Some(match format {
            Format::F32 => Unit::Tf32,
            Format::F16 => Unit::F16,
            Format::Int8 | Format::U8Weights => Unit::Int8,
            Format::Bf16 | Format::Bf16Weights => Unit::Bf16,
        }),
        _ => None,
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

/// Threads of a warp.
const LANES: f64 = 32.0;

impl Mix {
    /// Of the innermost loop that multiplies most; of the whole kernel if no loop multiplies. None
    /// if nothing does.
    pub(super) fn of_main_loop(body: &Body, device: &Device) -> Option<Mix> {
        let instructions = body.instructions();
        let tensor = |i: &Instruction| matches!(i.opcode, Opcode::MultiplyFragments(_));
        // Polynomials are multiply-adds, too: on the tensor cores they are not the main thing.
        let on_tensor_cores = instructions.iter().any(tensor);
        let multiplies = |instruction: &&Instruction| match on_tensor_cores {
            true => tensor(instruction),
            false => unit_of(instruction) == Some(Unit::Fma),
        };
        let of = |range: &Range<usize>| {
            let inside = instructions[range.clone()].iter();
            inside.filter(multiplies).count()
        };
        let loops = innermost(body).into_iter();
        let range = loops.max_by_key(of).filter(|range| of(range) > 0);
        let inside = &instructions[range.unwrap_or(0..instructions.len())];
        let first = inside.iter().find(multiplies)?;
        let unit = unit_of(first)?;
        let mut mix = Mix {
            unit,
            multiplies: inside.iter().filter(multiplies).count(),
            loads: 0,
            copies: 0,
            global: 0,
            barriers: 0,
            others: 0,
            unit_cycles: 0.0,
            issue_cycles: inside.len() as f64,
            shared_cycles: 0.0,
            share: 1.0,
        };
        let mut loaded_words = 0;
        for instruction in inside {
            let count = match instruction.opcode {
                Opcode::Load(Space::Shared, ..) | Opcode::LoadMatrix => {
                    loaded_words += instruction.defined().count();
                    &mut mix.loads
                }
                Opcode::Load(..) | Opcode::Store(Space::Global | Space::ReadOnly, ..) => {
                    &mut mix.global
                }
                Opcode::Copy(_) => &mut mix.copies,
                Opcode::BlockBarrier | Opcode::WarpBarrier => &mut mix.barriers,
                _ if multiplies(&instruction) => continue,
                _ => &mut mix.others,
            };
            *count += 1;
        }
        mix.unit_cycles = mix.multiplies as f64 * device.cycles(unit, unit.operations());
        // Lanes of the FMA units' loads read the same words, and how many cannot be told from the
        // instructions.
        if unit != Unit::Fma {
            mix.shared_cycles = LANES * 4.0 * loaded_words as f64 / SHARED_BYTES;
        }
        let longest = mix.unit_cycles.max(mix.issue_cycles).max(mix.shared_cycles);
        mix.share = mix.unit_cycles / longest;
        Some(mix)
    }
}

/// Loops that have no loop inside, as ranges of instructions.
fn innermost(body: &Body) -> Vec<Range<usize>> {
    let branches = body.instructions().iter().enumerate();
    let loops = branches.filter_map(|(at, instruction)| {
        let start = body.target(instruction)?;
        (start <= at).then_some(start..at + 1)
    });
    let loops: Vec<Range<usize>> = loops.collect();
    let holds = |outer: &Range<usize>, inner: &Range<usize>| {
        outer != inner && outer.start <= inner.start && inner.end <= outer.end
    };
    let is_innermost = |outer: &&Range<usize>| !loops.iter().any(|inner| holds(outer, inner));
    loops.iter().filter(is_innermost).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::code::{Address, Class};
    use super::super::super::devices::DEVICES;
    use super::*;

    /// A loop around `inside`, which branches on `more`.
    fn looped(t: &mut Body, inside: impl FnOnce(&mut Body)) {
        let more = t.reg(Class::Predicate);
        let head = t.label();
        t.place(head);
        inside(t);
        t.branch_if(more, head);
    }

    fn at(t: &mut Body, space: Space, class: Class) -> Address {
        let (base, offset) = (t.reg(class), 0);
        Address {
            space,
            base,
            offset,
        }
    }

    #[test]
    fn the_main_loop_is_the_innermost_that_multiplies() {
        for (format, unit) in [(Format::Bf16, Unit::Bf16), (Format::F16, Unit::F16)] {
            main_loop_of(format, unit);
        }
    }

    fn main_loop_of(format: Format, unit: Unit) {
        let mut t = Body::default();
        let shared = at(&mut t, Space::Shared, Class::B32);
        let global = at(&mut t, Space::ReadOnly, Class::B64);
        let words = [0; 4].map(|_| t.reg(Class::B32));
        let sums = [0; 4].map(|_| t.reg(Class::F32));
        let count = t.def(Class::B32, "mov.b32", 0);
        looped(&mut t, |t| {
            looped(t, |t| {
                t.set(words, Opcode::LoadMatrix, shared);
                for _ in 0..2 {
                    let multiply = Opcode::MultiplyFragments(format);
                    t.set(sums, multiply, (words, [words[0], words[1]], sums));
                }
                t.copy(shared, global, 16, None);
                t.op("cp.async.commit_group", ());
                t.set(count, "add.s32", (count, 1));
            });
            t.set(sums[0], FMA, (sums[0], sums[0], sums[0]));
        });
        let mix = Mix::of_main_loop(&t, &DEVICES[0]).unwrap();
        assert_eq!(mix.unit, unit);
        assert_eq!(
            (mix.multiplies, mix.loads, mix.copies, mix.others),
            (2, 1, 1, 3)
        );
        assert_eq!((mix.issue_cycles, mix.shared_cycles), (7.0, 16.0));
        assert!((mix.unit_cycles - 32.0).abs() < 0.1);
        assert_eq!(mix.share, 1.0);
    }

    #[test]
    fn what_does_not_multiply_has_no_main_loop() {
        let mut t = Body::default();
        t.op(Opcode::Return, ());
        assert!(Mix::of_main_loop(&t, &DEVICES[0]).is_none());
    }

    #[test]
    fn others_take_the_place_of_multiply_adds() {
        let mut t = Body::default();
        let from = at(&mut t, Space::Shared, Class::B32);
        let [sum, x] = [0; 2].map(|_| t.reg(Class::F32));
        looped(&mut t, |t| {
            for _ in 0..6 {
                t.set(sum, FMA, (x, x, sum));
            }
            t.load(&[x], "f32", from);
        });
        let mix = Mix::of_main_loop(&t, &DEVICES[0]).unwrap();
        assert_eq!((mix.unit, mix.multiplies), (Unit::Fma, 6));
        assert!((mix.share - 0.75).abs() < 0.01, "{mix:?}");
    }
}
