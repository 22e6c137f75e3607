//! What statements load and store.

use super::{Affine, Element, Inst, Kernel, Place, Stmt};

/// How an element is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub written: bool,
    /// Only this element; otherwise it is the first of a range.
    pub single: bool,
}

impl Access {
    const LOAD: Access = Access {
        written: false,
        single: true,
    };
    const STORE: Access = Access {
        written: true,
        single: true,
    };
    const READ: Access = Access {
        written: false,
        single: false,
    };
    const WRITE: Access = Access {
        written: true,
        single: false,
    };
}

/// Visits every element that statements touch, in program order.
pub fn for_each_access<'k>(body: &'k [Stmt], visit: &mut impl FnMut(&'k Element, Access)) {
    for stmt in body {
        match stmt {
            Stmt::Let {
                inst: Inst::Load(from),
                ..
            } => visit(from, Access::LOAD),
            Stmt::Let { .. } => {}
            Stmt::Store { to, .. } => visit(to, Access::STORE),
            Stmt::Loop { body, .. } => for_each_access(body, visit),
            Stmt::Reduce(reduce) => for_each_access(&reduce.body, visit),
            Stmt::Contract(contract) => {
                contract
                    .reads()
                    .for_each(|element| visit(element, Access::READ));
                if contract.accumulate {
                    visit(&contract.c, Access::READ);
                }
                visit(&contract.c, Access::WRITE);
            }
            Stmt::AttendBackward(backward) => {
                let (reads, writes) = (backward.reads(), backward.writes());
                reads.into_iter().for_each(|x| visit(x, Access::READ));
                writes.into_iter().for_each(|x| visit(x, Access::WRITE));
            }
            Stmt::Attend(attend) => {
                attend
                    .reads()
                    .into_iter()
                    .for_each(|element| visit(element, Access::READ));
                attend
                    .writes()
                    .into_iter()
                    .for_each(|element| visit(element, Access::WRITE));
            }
        }
    }
}

/// True if the two arrays may be the same memory: every element of `old` that is read is read
/// before it is written as an element of `new`, whichever items run first.
///
/// So it is if there is one place in the program that writes, every read has the same address in
/// terms of loop variables, and comes earlier. Items write to disjoint elements, so no other item
/// writes what an item reads.
pub fn reads_first(kernel: &Kernel, old: Place, new: Place) -> bool {
    let mut store: Option<&Affine> = None;
    let mut loads: Vec<&Affine> = Vec::new();
    let mut in_order = true;
    for_each_access(&kernel.body, &mut |element, access| {
        if element.place != old && element.place != new {
            return;
        }
        let plain = element.dynamic.is_none() && access.single && store.is_none();
        in_order &= plain;
        match access.written {
            true => store = Some(&element.at),
            false => loads.push(&element.at),
        }
    });
    in_order && store.is_some_and(|store| loads.iter().all(|load| *load == store))
}
