//! Registers of a thread, from the values that are alive at once.
//!
//! The assembler gives every living value a register, and takes more of them to issue loads ahead
//! of their use and to unroll loops. So the most values that are alive at once, and an allowance:
//! what is predicted is meant as an upper bound, and the tests hold the assembler to it.

use super::listing::Listing;

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
pub fn predicted(listing: &Listing) -> u32 {
    let alive = f64::from(most_alive(listing).max(most_loaded(listing)));
    let mut branches = listing.instructions.iter().enumerate();
    let loops = branches.any(|(at, i)| i.target.is_some_and(|target| target <= at));
    let of_loop = if loops { OF_LOOP } else { 0.0 };
    let registers = (alive * (1.0 + AHEAD) + SPARE + of_loop).ceil() as u32;
    registers.next_multiple_of(8).min(MOST)
}

/// The most registers of 32 bits that are alive at once. Predicates have separate registers.
pub fn most_alive(listing: &Listing) -> u32 {
    let instructions = &listing.instructions;
    let words = listing.registers.len().div_ceil(64);
    let widths: Vec<u32> = listing.registers.iter().map(|name| width(name)).collect();
    // What is alive before each block's first instruction; blocks begin at branches' targets and
    // after branches.
    let mut starts = vec![0];
    for (at, instruction) in instructions.iter().enumerate() {
        if let Some(target) = instruction.target {
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
        let falls_through = last.guarded || !matches!(last.opcode, "ret" | "exit" | "bra");
        let next = (falls_through && block + 1 < starts.len()).then_some(block + 1);
        let jump = last.target.filter(|&at| at < instructions.len());
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
                step(&mut alive, &instructions[at]);
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
            for &register in &instructions[at].defined {
                here[register / 64] |= 1 << (register % 64);
            }
            most = most.max(total(&here, &widths));
            step(&mut alive, &instructions[at]);
            most = most.max(total(&alive, &widths));
        }
    }
    most
}

/// The most registers that a piece without a branch or a barrier loads from global memory.
fn most_loaded(listing: &Listing) -> u32 {
    let (mut most, mut loaded) = (0, 0);
    for instruction in &listing.instructions {
        if instruction.target.is_some() || instruction.opcode.starts_with("bar.") {
            loaded = 0;
        } else if instruction.opcode.starts_with("ld.global") {
            loaded += instruction.defined.len() as u32;
            most = most.max(loaded);
        }
    }
    most
}

/// What is alive before an instruction, from what is alive after it.
fn step(alive: &mut [u64], instruction: &super::listing::Instruction) {
    if !instruction.guarded {
        for &register in &instruction.defined {
            alive[register / 64] &= !(1 << (register % 64));
        }
    }
    for &register in &instruction.used {
        alive[register / 64] |= 1 << (register % 64);
    }
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
fn width(name: &str) -> u32 {
    match name.as_bytes().first() {
        Some(b'p') => 0,
        Some(b'd') => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loop_needs_again_stays_alive() {
        let alive = |text: &str| most_alive(&Listing::parse(text));
        // An address, a counter and one value.
        let text = "
            ld.param.u64 %d0, [b0];
            mov.b32 %r0, 0;
          $L0:
            ld.global.f32 %f0, [%d0];
            add.f32 %f1, %f0, %f0;
            st.global.f32 [%d0], %f1;
            add.s32 %r0, %r0, 1;
            setp.lt.s32 %p0, %r0, 9;
            @%p0 bra $L0;
            ret;
        ";
        assert_eq!(alive(text), 4);
        // Without the loop the counter is dead after its only use.
        assert_eq!(alive("mov.b32 %r0, 0;\nadd.s32 %r1, %r0, 1;\nret;"), 1);
        // A guarded result keeps what was there.
        let guarded = "
            mov.b32 %r0, 0;
            mov.b32 %r1, 1;
            @%p0 mov.b32 %r0, 2;
            add.s32 %r2, %r0, %r1;
            ret;
        ";
        assert_eq!(alive(guarded), 2);
    }
}
