//! The control-flow graph of a kernel, and where diverged lanes meet again.
//!
//! Lanes that leave a kernel need no meeting point, so a predicated exit is no end of a path. If
//! the paths from a branch meet nowhere before the end, the exits other than the last are left
//! out and the meeting point is looked for once more: a side that only leaves does not keep the
//! others apart.

use super::inst::{Inst, Op};

/// No meeting point.
pub const NOWHERE: u32 = u32::MAX;

/// For each instruction that is a branch under a predicate, its immediate post-dominator.
pub fn reconvergence(code: &[Inst]) -> Vec<u32> {
    let end = code.len();
    let last_exit = code.iter().rposition(is_final).unwrap_or(end);
    let all = post_dominators(code, |_| true);
    let last = post_dominators(code, |at| at == last_exit);
    let meeting = |at: usize| {
        let found = [&all, &last]
            .into_iter()
            .map(|tree| tree[at])
            .find(|meets| *meets < end);
        found.map_or(NOWHERE, |meets| meets as u32)
    };
    let is_split = |inst: &Inst| inst.guard.is_some() && matches!(inst.op, Op::Branch { .. });
    let list = code.iter().enumerate();
    list.map(|(at, inst)| if is_split(inst) { meeting(at) } else { NOWHERE })
        .collect()
}

fn is_final(inst: &Inst) -> bool {
    inst.guard.is_none() && matches!(inst.op, Op::Exit)
}

/// Successors of an instruction; the end is the instruction behind the last.
fn successors(code: &[Inst], at: usize, exits: &impl Fn(usize) -> bool) -> [Option<usize>; 2] {
    let inst = &code[at];
    match inst.op {
        Op::Branch { target, .. } => {
            let next = inst.guard.map(|_| at + 1);
            [Some(target as usize), next]
        }
        Op::Exit if inst.guard.is_none() => [Some(code.len()).filter(|_| exits(at)), None],
        _ => [Some(at + 1), None],
    }
}

/// Immediate post-dominators (Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm) of all
/// instructions; `usize::MAX` where the end is not reached.
fn post_dominators(code: &[Inst], exits: impl Fn(usize) -> bool) -> Vec<usize> {
    let end = code.len();
    let mut predecessors = vec![Vec::new(); end + 1];
    for at in 0..end {
        for next in successors(code, at, &exits).into_iter().flatten() {
            predecessors[next].push(at);
        }
    }
    // A postorder of the reversed graph from the end.
    let mut order = Vec::with_capacity(end + 1);
    let mut number = vec![usize::MAX; end + 1];
    let mut seen = vec![false; end + 1];
    let mut stack = vec![(end, 0)];
    seen[end] = true;
    while let Some((at, child)) = stack.pop() {
        if let Some(next) = predecessors[at].get(child) {
            stack.push((at, child + 1));
            if !std::mem::replace(&mut seen[*next], true) {
                stack.push((*next, 0));
            }
        } else {
            number[at] = order.len();
            order.push(at);
        }
    }
    let mut tree = vec![usize::MAX; end + 1];
    tree[end] = end;
    let mut changed = true;
    while changed {
        changed = false;
        for &at in order.iter().rev().filter(|at| **at != end) {
            let mut meets = usize::MAX;
            for next in successors(code, at, &exits).into_iter().flatten() {
                if tree[next] == usize::MAX {
                    continue;
                }
                meets = if meets == usize::MAX {
                    next
                } else {
                    meet(&tree, &number, meets, next)
                };
            }
            changed |= tree[at] != meets;
            tree[at] = meets;
        }
    }
    tree
}

fn meet(tree: &[usize], number: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        while number[a] < number[b] {
            a = tree[a];
        }
        while number[b] < number[a] {
            b = tree[b];
        }
    }
    a
}
