//! Recognises masks that let a query see the keys of its own and of earlier blocks.

use crate::op::{Constant, Op};
use crate::rewrite::egraph::{Build, Classes, ENode};
use crate::rewrite::fixed;
use crate::shape::Shape;
use egg::Id;

/// Scores that are at most this are masked.
pub const MASKED: f64 = -1e9;

/// The block size of a `bool` mask over the last two axes (queries, keys) that is true exactly
/// where a query may attend: where the key's block is not after the query's. With `masked` it is
/// true where the query may not.
pub fn block_size(classes: &Classes, mask: Id, masked: bool) -> Option<usize> {
    let visible = classes[mask].nodes.iter().find_map(|node| {
        let rank = classes.ty(mask).shape.rank();
        match &node.op {
            Op::Not => Some(Visible::Block(block_size(
                classes,
                node.operands[0],
                !masked,
            )?)),
            Op::Broadcast { axes, .. } if is_matrix(axes, rank) => Some(Visible::Block(
                block_size(classes, node.operands[0], masked)?,
            )),
            Op::Less | Op::LessEqual => compared(classes, node, rank, masked).map(Visible::Counts),
            op => {
                let size = |constant: &Constant| {
                    let bytes = constant.dense_elements()?;
                    let seen = bytes.iter().map(|&byte| (byte != 0) != masked);
                    size_from_elements(&constant.ty().shape, seen)
                };
                asked_once(classes, op, masked, size).map(Visible::Block)
            }
        }
    })?;
    match visible {
        Visible::Block(size) => Some(size),
        Visible::Counts(counts) => uniform_blocks(&counts, *classes.ty(mask).shape.last()?),
    }
}

enum Visible {
    Block(usize),
    /// For each query: how many keys it sees, all of them first.
    Counts(Vec<usize>),
}

fn is_matrix(axes: &[usize], rank: usize) -> bool {
    rank > 2 && axes == [rank - 2, rank - 1]
}

/// The answer for a constant; that for a large one is kept.
fn asked_once(
    classes: &Classes,
    op: &Op,
    masked: bool,
    answer: impl FnOnce(&Constant) -> Option<usize>,
) -> Option<usize> {
    match op {
        Op::Constant(constant) => answer(constant),
        Op::Input { name, .. } => {
            let constant = classes.analysis.constants.get(name)?;
            let key = (name.clone(), masked);
            let known = classes.analysis.answers.borrow().get(&key).copied();
            known.unwrap_or_else(|| {
                let answer = answer(constant);
                classes.analysis.answers.borrow_mut().insert(key, answer);
                answer
            })
        }
        _ => None,
    }
}

/// Counts from a comparison of a value per key with a value per query.
fn compared(classes: &Classes, node: &ENode, rank: usize, masked: bool) -> Option<Vec<usize>> {
    let (query, key) = (rank.checked_sub(2)?, rank - 1);
    let [x, y] = [node.operands[0], node.operands[1]];
    // `key <= query` shows a prefix of the keys, and so does the contrary of `query < key`.
    let (keys, queries, strict) = match masked {
        false => (x, y, node.op == Op::Less),
        true => (y, x, node.op == Op::LessEqual),
    };
    let (keys, queries) = (line(classes, keys, key)?, line(classes, queries, query)?);
    let is_seen = |key: f64, query: f64| if strict { key < query } else { key <= query };
    let count = |&query: &f64| keys.partition_point(|&key| is_seen(key, query));
    keys.is_sorted()
        .then(|| queries.iter().map(count).collect())
}

/// The values of a class that changes along one axis only.
fn line(classes: &Classes, id: Id, axis: usize) -> Option<Vec<f64>> {
    let source = classes[id].nodes.iter().find_map(|node| match &node.op {
        Op::Broadcast { axes, .. } if axes[..] == [axis] => Some(node.operands[0]),
        _ => None,
    })?;
    Some(fixed::value(classes, source)?.to_f64())
}

/// The block size from all elements of one `[queries, keys]` matrix.
fn size_from_elements(shape: &Shape, mut seen: impl Iterator<Item = bool>) -> Option<usize> {
    let &[queries, keys] = &shape[..] else {
        return None;
    };
    let mut counts = Vec::with_capacity(queries);
    for _ in 0..queries {
        let mut count = 0;
        for key in 0..keys {
            match seen.next()? {
                true if key == count => count += 1,
                true => return None,
                false => {}
            }
        }
        counts.push(count);
    }
    uniform_blocks(&counts, keys)
}

/// The block size that explains every count.
fn uniform_blocks(counts: &[usize], keys: usize) -> Option<usize> {
    let size = *counts.first()?;
    let expected = |query: usize| keys.min((query / size + 1) * size);
    let fits = |(query, &count): (usize, &usize)| count == expected(query);
    (size > 0 && counts.iter().enumerate().all(fits)).then_some(size)
}
