//! What statements load and store.

use super::{Element, Inst, Stmt};

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
pub fn for_each_access(body: &[Stmt], visit: &mut impl FnMut(&Element, Access)) {
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
