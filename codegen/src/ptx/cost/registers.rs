//! Registers of a thread, from the values that are alive at once.
//!
//! The assembler gives every living value a register, and takes more of them to issue loads ahead
//! of their use and to unroll loops. So the most values that are alive at once, and an allowance:
//! what is predicted is meant as an upper bound, and the tests hold the assembler to it.

use super::super::code::{Body, Class, Instruction, Opcode, Space};

/// The assembler's allowance: a part of what lives, some registers, and more of them for what a
/// loop does ahead. Chosen such that the bound holds for every kernel that ships; it is 1.8 times
/// what they take on average, less for large ones.
const AHEAD: f64 = 0.25;
const SPARE: f64 = 12.0;
const OF_LOOP: f64 = 28.0;
/// The most that a thread can have.
const MOST: u32 = 255;

/// At least as many registers as the assembler will give a thread. It may issue all loads of a straight piece before
/// it uses the first of them.
pub fn predicted(body: &Body) -> u32 {
    let alive = f64::from(most_alive(body).max(most_loaded(body)));
    let mut instructions = body.instructions().iter().enumerate();
    let loops = instructions.any(|(at, i)| body.target(i).is_some_and(|target| target <= at));
    let of_loop = if loops { OF_LOOP } else { 0.0 };
    let registers = (alive * (1.0 + AHEAD) + SPARE + of_loop).ceil() as u32;
    registers.next_multiple_of(8).min(MOST)
}

/// The most registers of 32 bits that are alive at once. Predicates have separate registers.
pub fn most_alive(body: &Body) -> u32 {
    let instructions = body.instructions();
    let widths: Vec<u32> = body.registers().map(|reg| width(reg.class)).collect();
    let words = widths.len().div_ceil(64);
    // What is alive before each block's first instruction; blocks begin at branches' targets and
    // after branches.
    let mut starts = vec![0];
    for (at, instruction) in instructions.iter().enumerate() {
        if let Some(target) = body.target(instruction) {
            starts.extend([target, at + 1]);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    starts.retain(|&start| start < instructions.len());
    let block_of = |at: usize| starts.partition_point(|&start| start <= at).checked_sub(1);
    let end_of = |block: usize| starts.get(block + 1).copied().unwrap_or(instructions.len());
    let mut alive_at_start = vec![vec![0u64; words]; starts.len()];
    // What is alive after a block: what its successors need.
    let after = |block: usize, alive_at_start: &[Vec<u64>]| {
        let mut alive = vec![0u64; words];
        let last = &instructions[end_of(block) - 1];
        let next = (last.falls_through() && block + 1 < starts.len()).then_some(block + 1);
        let jump = body.target(last).filter(|&at| at < instructions.len());
        for successor in next.into_iter().chain(jump.and_then(block_of)) {
            let needed = &alive_at_start[successor];
            alive.iter_mut().zip(needed).for_each(|(a, b)| *a |= b);
        }
        alive
    };
    loop {
        let mut changed = false;
        for block in (0..starts.len()).rev() {
            let mut alive = after(block, &alive_at_start);
            for at in (starts[block]..end_of(block)).rev() {
                step(body, &mut alive, &instructions[at]);
            }
            if alive != alive_at_start[block] {
                alive_at_start[block] = alive;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut most = 0;
    for (block, &start) in starts.iter().enumerate() {
        let mut alive = after(block, &alive_at_start);
        for at in (start..end_of(block)).rev() {
            // Results need a place at the instruction that makes them, even if nobody wants them.
            let mut here = alive.clone();
            for register in instructions[at].defined() {
                include(&mut here, body.number(register));
            }
            most = most.max(total(&here, &widths));
            step(body, &mut alive, &instructions[at]);
            most = most.max(total(&alive, &widths));
        }
    }
    most
}

/// The most registers that a piece without a branch or a barrier loads from global memory.
fn most_loaded(body: &Body) -> u32 {
    let (mut most, mut loaded) = (0, 0);
    for instruction in body.instructions() {
        match instruction.opcode {
            Opcode::Branch | Opcode::BlockBarrier | Opcode::WarpBarrier => loaded = 0,
            Opcode::Load(Space::Global | Space::ReadOnly, count, _) => {
                loaded += count as u32;
                most = most.max(loaded);
            }
            _ => {}
        }
    }
    most
}

/// What is alive before an instruction, from what is alive after it.
fn step(body: &Body, alive: &mut [u64], instruction: &Instruction) {
    if !instruction.is_guarded() {
        for register in instruction.defined() {
            let number = body.number(register);
            alive[number / 64] &= !(1 << (number % 64));
        }
    }
    for register in instruction.used() {
        include(alive, body.number(register));
    }
}

fn include(alive: &mut [u64], register: usize) {
    alive[register / 64] |= 1 << (register % 64);
}

fn total(alive: &[u64], widths: &[u32]) -> u32 {
    let mut sum = 0;
    for (at, &word) in alive.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            sum += widths[64 * at + rest.trailing_zeros() as usize];
            rest &= rest - 1;
        }
    }
    sum
}

/// Registers of 32 bits that a value takes.
fn width(class: Class) -> u32 {
    match class {
        Class::Predicate => 0,
        Class::B64 => 2,
        Class::B16 | Class::B32 | Class::F32 => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::code::{Address, Parameter};
    use super::*;

    #[test]
    fn what_a_loop_needs_again_stays_alive() {
        let body = |looped: bool| {
            let mut t = Body::default();
            let base = t.def(Class::B64, "ld.param.u64", Parameter::Buffer(0));
            let counter = t.def(Class::B32, "mov.b32", 0);
            let head = t.label();
            t.place(head);
            let at = Address {
                space: Space::Global,
                base,
                offset: 0,
            };
            let value = t.loaded(Class::F32, "f32", at);
            let value = t.def(Class::F32, "add.f32", (value, value));
            t.store(at, "f32", &[value]);
            t.set(counter, "add.s32", (counter, 1));
            let more = t.def(Class::Predicate, "setp.lt.s32", (counter, 9));
            if looped {
                t.branch_if(more, head);
            }
            t.op(Opcode::Return, ());
            t
        };
        // An address, a counter and one value.
        assert_eq!(most_alive(&body(true)), 4);
        assert_eq!(most_loaded(&body(true)), 1);
        assert!(predicted(&body(true)) > predicted(&body(false)));
    }

    #[test]
    fn what_is_used_once_dies_there() {
        let mut t = Body::default();
        let x = t.def(Class::B32, "mov.b32", 0);
        t.def(Class::B32, "add.s32", (x, 1));
        assert_eq!(most_alive(&t), 1);
    }

    #[test]
    fn a_guarded_result_keeps_what_was_there() {
        let alive = |guarded: bool| {
            let mut t = Body::default();
            let condition = t.reg(Class::Predicate);
            let [x, y] = [0, 1].map(|value| t.def(Class::B32, "mov.b32", value));
            let sum = t.def(Class::B32, "add.s32", (y, y));
            let set = t.set(x, "mov.b32", sum);
            set.when(guarded.then_some(condition));
            t.def(Class::B32, "add.s32", (x, x));
            most_alive(&t)
        };
        assert_eq!((alive(true), alive(false)), (2, 1));
    }
}
