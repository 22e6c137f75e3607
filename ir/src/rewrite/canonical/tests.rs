//! Each form that the sweep promises, by example.

use super::canonicalise;
use crate::dtype::DType::*;
use crate::graph::{Function, Graph, NodeId};
use crate::op::Op;
use crate::tensor::Tensor;

/// The canonical form of one result.
fn canonical(tensor: Tensor) -> Function {
    let function = tensor.graph().function([("y", tensor.id())], []);
    canonicalise(&function)
}

fn names(function: &Function) -> Vec<&'static str> {
    function.nodes().iter().map(|node| node.op.name()).collect()
}

fn root(function: &Function) -> (&Op, Vec<NodeId>) {
    let node = function.node(function.outputs()[0].1);
    (&node.op, node.operands.to_vec())
}

#[test]
fn movement_composes_and_cancels() {
    let g = Graph::new();
    let x = g.input("x", F32, [2, 3, 4]);
    let there_and_back = x.transpose(&[2, 0, 1]).transpose(&[1, 2, 0]);
    assert_eq!(names(&canonical(there_and_back)), ["input"]);
    assert_eq!(
        names(&canonical(x.reshape([6, 4]).reshape([2, 3, 4]))),
        ["input"]
    );
    let rows = x.sum(-1).unsqueeze(-1).broadcast_to([2, 3, 4]);
    assert_eq!(names(&canonical(rows)), ["input", "sum", "broadcast"]);
}

#[test]
fn transposes_go_below_broadcasts() {
    let g = Graph::new();
    let x = g.input("x", F32, [2, 3]);
    let y = canonical(x.broadcast_in_dim([5, 2, 3], &[1, 2]).transpose(&[2, 0, 1]));
    assert_eq!(names(&y), ["input", "transpose", "broadcast"]);
    let (op, _) = root(&y);
    let (shape, axes) = ([3, 5, 2].into(), vec![0, 2]);
    assert_eq!(*op, Op::Broadcast { shape, axes });
}

#[test]
fn inserted_unit_axes_belong_to_the_broadcast() {
    let g = Graph::new();
    let w = g.input("w", F32, [4]);
    let y = canonical(
        w.reshape([1, 1, 4])
            .broadcast_in_dim([1, 3, 1, 4], &[0, 2, 3]),
    );
    assert_eq!(names(&y), ["input", "broadcast"]);
    // An axis of extent 1 that the tensor itself has is not squeezed away.
    let m = g.input("m", F32, [1, 3]);
    let rows = canonical(m.broadcast_in_dim([1, 3, 4], &[0, 1]));
    let (shape, axes) = ([1, 3, 4].into(), vec![0, 1]);
    assert_eq!(*root(&rows).0, Op::Broadcast { shape, axes });
}

#[test]
fn constants_take_the_shape_that_is_asked_for() {
    let g = Graph::new();
    let c = g.full(2.0, F32, [3, 4]).transpose(&[1, 0]).reshape([2, 6]);
    assert_eq!(names(&canonical(c)), ["constant"]);
    let dense = g.constant_f32(&[1.5; 6], [2, 3]);
    assert_eq!(names(&canonical(dense.slice(1, 0..2))), ["constant"]);
    assert_eq!(names(&canonical(g.full(3.0, F32, [2]) * 2.0)), ["constant"]);
}

#[test]
fn identities_that_keep_every_bit() {
    let g = Graph::new();
    let x = g.input("x", F32, [3]);
    for same in [
        x * 1.0,
        1.0 * x,
        x / 1.0,
        x - 0.0,
        x + -0.0,
        -(-x),
        x.stop_gradient(),
    ] {
        assert_eq!(names(&canonical(same)), ["input"], "{same:?}");
    }
    assert_eq!(names(&canonical(x * -1.0)), ["input", "neg"]);
    // -0 + 0 is 0.
    assert_eq!(names(&canonical(x + 0.0)), ["input", "constant", "add"]);
    assert_eq!(names(&canonical(x - x)), ["input", "sub"]);
}

#[test]
fn behind_a_barrier_everything_is_computed_again() {
    let g = Graph::new();
    let x = g.input("x", F32, [3]);
    assert_eq!(
        names(&canonical(x.exp() + x.optimization_barrier().exp())),
        ["input", "exp", "optimization_barrier", "exp", "add"]
    );
    let row = g.input("r", F32, []).broadcast_to([3]);
    assert_eq!(
        names(&canonical(row.optimization_barrier())),
        ["input", "broadcast", "optimization_barrier"]
    );
}

#[test]
fn signs_move_outwards() {
    let g = Graph::new();
    let (x, y) = (g.input("x", F32, [3]), g.input("y", F32, [3]));
    assert_eq!(names(&canonical(x + (-y))), ["input", "input", "sub"]);
    assert_eq!(names(&canonical(x - (-y))), ["input", "input", "add"]);
    assert_eq!(names(&canonical((-x) * (-y))), ["input", "input", "mul"]);
    assert_eq!(
        names(&canonical(x + (-x / y) * y)),
        ["input", "input", "div", "mul", "sub"]
    );
    let row = g.input("r", F32, []);
    let spread = x + (-row).broadcast_to([3]);
    assert_eq!(
        names(&canonical(spread)),
        ["input", "input", "broadcast", "sub"]
    );
}

#[test]
fn division_by_a_power_of_two_is_multiplication() {
    let g = Graph::new();
    let x = g.input("x", F32, [3]);
    assert_eq!(names(&canonical(x / 8.0)), ["input", "constant", "mul"]);
    assert_eq!(names(&canonical(x / 6.0)), ["input", "constant", "div"]);
    // The reciprocal of the smallest normal number overflows nothing, that of 2^127 is subnormal.
    assert_eq!(
        names(&canonical(x / 2f64.powi(127))),
        ["input", "constant", "div"]
    );
}

#[test]
fn broadcasts_move_outwards() {
    let g = Graph::new();
    let (a, b) = (g.input("a", F32, [3]), g.input("b", F32, [3]));
    let y = canonical(a.broadcast_to([2, 3]) * b.broadcast_to([2, 3]) + 1.0);
    let expected = ["input", "input", "mul", "constant", "add", "broadcast"];
    assert_eq!(names(&y), expected);
}

#[test]
fn contractions_read_operands_as_they_lie() {
    let g = Graph::new();
    let (x, w) = (g.input("x", F32, [2, 3, 4]), g.input("w", F32, [5, 4]));
    let y = canonical(x.matmul(w.transpose(&[1, 0])));
    assert_eq!(names(&y), ["input", "input", "dot_general"]);
    let flat = canonical(x.reshape([6, 4]).matmul_transposed(w).reshape([2, 3, 5]));
    assert_eq!(names(&flat), ["input", "input", "dot_general"]);
    // Both sides merged the contracted axes alike.
    let z = g.input("z", F32, [2, 3, 5]);
    let gradient = x
        .reshape([6, 4])
        .transpose(&[1, 0])
        .matmul(z.reshape([6, 5]));
    let gradient = canonical(gradient.transpose(&[1, 0]));
    assert_eq!(names(&gradient), ["input", "input", "dot_general"]);
    let Op::DotGeneral(axes) = root(&gradient).0 else {
        panic!("a contraction")
    };
    assert_eq!(axes.contract, [(0, 0), (1, 1)]);
    // Merged batch axes stay merged.
    let heads = g.input("h", F32, [2, 3, 4, 5]).reshape([6, 4, 5]);
    let scores = canonical(heads.matmul(heads.swap_axes(-1, -2)));
    assert_eq!(names(&scores), ["input", "reshape", "dot_general"]);
}

#[test]
fn slices_and_concatenations_cancel() {
    let g = Graph::new();
    let (x, y) = (g.input("x", F32, [2, 6]), g.input("y", F32, [2, 3]));
    let parts = x.chunk(3, -1);
    assert_eq!(names(&canonical(g.concat(&parts, -1))), ["input"]);
    let joined = g.concat(&[y, x], 1);
    assert_eq!(names(&canonical(joined.slice(1, 0..3))), ["input"]);
    assert_eq!(names(&canonical(joined.slice(1, 4..8))), ["input", "slice"]);
    assert_eq!(
        names(&canonical(x.slice(1, 1..5).slice(1, 1..3))),
        ["input", "slice"]
    );
}

#[test]
fn masks_are_compared_along_lines() {
    let g = Graph::new();
    let keys = g
        .iota(I32, [2, 8, 8], 2)
        .shift_right(g.full(1.0, I32, [2, 8, 8]));
    let queries = g.iota(I32, [2, 8, 8], 1);
    let mask = canonical(keys.le(queries));
    let shapes: Vec<usize> = mask
        .nodes()
        .iter()
        .map(|node| node.shape().rank())
        .collect();
    assert_eq!(
        names(&mask)
            .iter()
            .filter(|name| **name == "shift_right")
            .count(),
        1
    );
    assert_eq!(
        shapes.iter().filter(|&&rank| rank == 3).count(),
        3,
        "{shapes:?}"
    );
}
