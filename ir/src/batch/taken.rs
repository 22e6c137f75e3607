//! Elements that each row takes of its own, by indices: how [`Tensor::take_along`](crate::Tensor::take_along)
//! spells it, and with it sorting and the largest few.

use crate::graph::{Function, Node, NodeId};
use crate::op::Op;

/// The length n of rows, if `indices` `[rows, ..]` of row r are all in `r n .. (r + 1) n`: a sum of `r n`
/// and of what is clamped to `0 ..= n - 1`.
pub(super) fn length_of_rows(function: &Function, indices: NodeId) -> Option<usize> {
    let node = function.node(indices);
    let (Op::Add, &[start, within]) = (&node.op, &node.operands[..]) else {
        return None;
    };
    let length = whole_of(
        function,
        start,
        |op| matches!(op, Op::Mul),
        |from| matches!(from.op, Op::Iota { axis: 0, .. }),
    )?;
    let last = whole_of(
        function,
        within,
        |op| matches!(op, Op::Min),
        |from| matches!(from.op, Op::Max) && whole(function, from.operands[1]) == Some(0),
    )?;
    (last == length - 1).then(|| usize::try_from(length).ok())?
}

/// The number y of a node `x op y`, where `x` is what is wanted.
fn whole_of(
    function: &Function,
    id: NodeId,
    op: impl Fn(&Op) -> bool,
    wanted: impl Fn(&Node) -> bool,
) -> Option<i64> {
    let node = function.node(id);
    let &[x, y] = &node.operands[..] else {
        return None;
    };
    (op(&node.op) && wanted(function.node(x))).then(|| whole(function, y))?
}

/// The `i64` that fills a tensor.
fn whole(function: &Function, id: NodeId) -> Option<i64> {
    let node = function.node(id);
    match &node.op {
        Op::Broadcast { .. } => whole(function, node.operands[0]),
        Op::Constant(constant) => {
            let element = constant.splat_element()?;
            Some(i64::from_le_bytes(element.try_into().ok()?))
        }
        _ => None,
    }
}
