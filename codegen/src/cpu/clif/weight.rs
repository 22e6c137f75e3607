//! How many lanes a vector loop runs at once.

use crate::kernel::{Inst, Stmt};
use bsq_ir::Op;

/// Groups of four lanes for a vector loop: enough independent work to hide the latency of the
/// long functions, not so much that code grows or registers run out.
pub(super) fn groups(body: &[Stmt]) -> usize {
    match weight(body) {
        0..=12 => 4,
        13..=80 => 2,
        _ => 1,
    }
}

/// Roughly the machine instructions of a block for one group.
fn weight(body: &[Stmt]) -> usize {
    let statement = |stmt: &Stmt| match stmt {
        Stmt::Let { inst, .. } => match inst {
            Inst::Map(Op::Exp | Op::Tanh, _) => 20,
            Inst::Map(Op::Log | Op::Erf, _) => 28,
            Inst::Map(..) | Inst::Load(_) => 1,
            Inst::Constant(_) | Inst::Index(_) => 0,
        },
        Stmt::Store { .. } => 1,
        Stmt::Loop { body, .. } => 8 + weight(body),
        Stmt::Reduce(reduce) => 16 + weight(&reduce.body),
        Stmt::Contract(_) => 100,
    };
    body.iter().map(statement).sum()
}
