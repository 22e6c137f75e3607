//! Every kind of op.

use crate::common::{check, check_output};
use bsq_codegen::lower::lower;
use bsq_codegen::program::{BufferId, BufferKind};
use bsq_ir::DType::{F32, I32};
use bsq_ir::{DType, Graph, Shape};

#[test]
fn elementwise_chains() {
    check_output(|g| {
        let x = g.input("x", DType::F32, [3, 37]);
        let b = g.input("b", DType::F32, [37]);
        (x + b).exp() * 0.5 - x.tanh() / (b.square() + 1.0) + x.erf()
    });
}

#[test]
fn transposes_and_reshapes() {
    check_output(|g| {
        let x = g.input("x", DType::F32, [2, 3, 16, 8]);
        let patches = x.reshape([2, 3, 2, 8, 1, 8]).transpose(&[0, 2, 4, 1, 3, 5]);
        patches.reshape([2, 2, 192]) * 2.0
    });
    check_output(|g| g.input("x", DType::F32, [6, 4]).swap_axes(0, 1));
    check_output(|g| {
        g.input("x", DType::F32, [6, 4])
            .flip([1])
            .slice(0, 1..5)
            .reshape([16])
    });
}

#[test]
fn row_reductions() {
    for width in [1, 5, 16, 37, 2100] {
        check_output(|g| g.input("x", DType::F32, [5, width]).softmax());
        check_output(|g| {
            let x = g.input("x", DType::F32, [4, width]);
            let w = g.input("w", DType::F32, [width]);
            let b = g.input("b", DType::F32, [width]);
            x.layer_norm(w, b, 1e-5)
        });
        check_output(|g| g.input("x", DType::F32, [7, width]).l2_normalize(1e-12));
    }
}

#[test]
fn sums_over_any_axes() {
    check_output(|g| g.input("x", DType::F32, [40, 33]).sum([0]));
    check_output(|g| g.input("x", DType::F32, [3, 40, 33]).sum([0, 1]));
    check_output(|g| g.input("x", DType::F32, [3, 40, 33]).sum([0, 2]));
    check_output(|g| g.input("x", DType::F32, [5000, 3]).sum([0]));
    check_output(|g| g.input("x", DType::F32, [3, 64, 64]).abs().mean(..));
    check_output(|g| g.input("x", DType::F32, [3, 64, 64]).square().max(..));
    check_output(|g| g.input("x", DType::F32, [4, 9]).argmax(-1));
}

#[test]
fn contractions() {
    for (m, k, n) in [
        (1, 1, 1),
        (7, 5, 3),
        (100, 64, 48),
        (97, 33, 200),
        (5, 1500, 17),
    ] {
        check_output(|g| {
            let x = g.input("x", DType::F32, [m, k]);
            x.matmul(g.input("w", DType::F32, [k, n]))
        });
        check_output(|g| {
            let x = g.input("x", DType::F32, [m, k]);
            let y = x.matmul_transposed(g.input("w", DType::F32, [n, k]));
            (y + g.input("b", DType::F32, [n])).gelu()
        });
        check_output(|g| {
            let x = g.input("x", DType::F32, [k, m]);
            x.dot_general(g.input("y", DType::F32, [k, n]), &[], &[(0, 0)])
        });
    }
}

#[test]
fn contractions_of_many_axes() {
    check_output(|g| {
        let x = g.input("x", DType::F32, [2, 3, 4, 5]);
        x.matmul(g.input("y", DType::F32, [2, 3, 5, 6]))
    });
    check_output(|g| {
        let x = g
            .input("x", DType::F32, [2, 8, 6, 24])
            .transpose(&[0, 2, 1, 3]);
        let y = g.input("y", DType::F32, [7, 8, 24]);
        x.dot_general(y, &[], &[(2, 1), (3, 2)])
    });
    check_output(|g| {
        let x = g.input("x", DType::F32, [5, 6]);
        let y = g.input("y", DType::F32, [4, 6, 8]);
        x.dot_general(y, &[], &[(1, 1)])
    });
}

#[test]
fn contractions_of_constants() {
    check_output(|g| {
        let x = g.input("x", DType::F32, [5, 6]);
        x.matmul(x.full_like(1.5).reshape([6, 5]))
            + g.iota(DType::F32, [5, 6], 1).matmul_transposed(x)
    });
}

#[test]
fn attention_spelled_out() {
    check_output(|g| {
        let qkv = g.input("qkv", DType::F32, [2, 20, 96]);
        let parts = qkv.chunk(3, -1);
        let query = g.iota(DType::I32, [20, 20], 0);
        let mask = g.iota(DType::I32, [20, 20], 1).le(query);
        let q = parts[0].reshape([2, 20, 4, 8]).transpose(&[0, 2, 1, 3]);
        let k = parts[1].reshape([2, 20, 4, 8]).transpose(&[0, 2, 1, 3]);
        let v = parts[2].reshape([2, 20, 4, 8]).transpose(&[0, 2, 1, 3]);
        let o = q.attention(k, v, 0.35, Some(mask));
        o.transpose(&[0, 2, 1, 3]).reshape([2, 20, 32])
    });
}

#[test]
fn indexing_and_padding() {
    check_output(|g| {
        let x = g.input("x", DType::F32, [7, 5]);
        x.gather(0, g.input("i", DType::I32, [3, 2])) * 2.0
    });
    check_output(|g| {
        let x = g.input("x", DType::F32, [7, 5]);
        x.scatter_add(
            0,
            g.input("i", DType::I32, [9]),
            g.input("u", DType::F32, [9, 5]),
        )
    });
    check_output(|g| g.input("x", DType::F32, [4, 5]).pad(1, 2, 3, 0.5));
    check_output(|g| {
        let (x, y) = (
            g.input("x", DType::F32, [2, 3]),
            g.input("y", DType::F32, [2, 4]),
        );
        g.concat(&[x, y, x], 1)
    });
    check_output(|g| {
        let x = g.input("x", DType::F32, [9, 4]);
        x.dynamic_slice(0, g.input("s", DType::I32, []), 3)
    });
    check_output(|g| {
        let x = g.input("x", DType::F32, [9, 4]);
        x.dynamic_update_slice(
            0,
            g.input("u", DType::F32, [2, 4]),
            g.input("s", DType::I32, []),
        )
    });
    check_output(|g| g.input("x", DType::F32, [2, 11]).window(1, 3, 2, 1).sum(-1));
}

/// Constants of one value, and positions, have no buffer of their own.
#[test]
fn indexing_into_constants() {
    check_output(|g| {
        let x = g.input("x", DType::F32, [9, 4]);
        let start = g.input("s", DType::I32, []);
        x.full_like(1.5).dynamic_slice(0, start, 3) + x.dynamic_slice(0, start, 3)
    });
    check_output(|g| {
        let start = g.input("s", DType::I32, []);
        let counted = g.iota(DType::F32, [9, 4], 0);
        let repeated = g.iota(DType::F32, [9], 0).broadcast_to([4, 9]);
        counted.dynamic_slice(0, start, 3) + repeated.swap_axes(0, 1).dynamic_slice(0, start, 3)
    });
    check_output(|g| {
        let indices = g.input("i", DType::I32, [3]);
        let x = g.input("x", DType::F32, [3, 5]);
        g.iota(DType::F32, [7, 5], 1).gather(0, indices) + x.full_like(2.0).gather(0, indices)
    });
}

#[test]
fn random_bits() {
    check_output(|g| {
        let (key, counter) = (g.input("k", DType::U64, []), g.input("c", DType::U64, []));
        g.random_bits([3, 7], key, counter)
    });
}

#[test]
fn parameters_are_updated() {
    let g = Graph::new();
    let p = g.parameter("p", DType::F32, [50, 8]);
    let q = g.parameter("q", DType::F32, [8]);
    let x = g.input("x", DType::F32, [4, 50]);
    let y = x.matmul(p) + q;
    let p2 = p * 0.9 + y.mean(..) * 0.1;
    let q2 = q + p.sum([0]);
    let updates = [(p.id(), p2.id()), (q.id(), q2.id())];
    check(&g.function([("y", y.id())], updates));
}

#[test]
fn an_exchange_is_not_in_place() {
    let g = Graph::new();
    let a = g.parameter("a", DType::F32, [8]);
    let b = g.parameter("b", DType::F32, [8]);
    check(&g.function([], [(a.id(), b.id()), (b.id(), a.id())]));
}

/// A cache: a step writes the slice that it adds, nothing else, and reads the new value.
#[test]
fn a_slice_of_a_parameter_is_updated_in_place() {
    let g = Graph::new();
    let cache = g.parameter("cache", F32, [3, 8, 4]);
    let x = g.input("x", F32, [3, 2, 4]);
    let at = g.input("at", I32, Shape::scalar());
    let new = cache.dynamic_update_slice(1, x * 2.0, at);
    let sum = new.sum(1);
    let function = g.function([("sum", sum.id())], [(cache.id(), new.id())]);
    check(&function);
    let program = lower(&function);
    assert!(program.copies.is_empty());
    let cache = program
        .buffers
        .iter()
        .position(|buffer| matches!(&buffer.kind, BufferKind::Parameter(_)));
    let cache = BufferId(cache.unwrap() as u32);
    let writes = program.launches.iter().filter(|launch| {
        let kernel = &program.kernels[launch.kernel];
        let mut arguments = launch.arguments.iter().zip(&kernel.buffers);
        arguments.any(|(&argument, array)| argument == cache && array.written)
    });
    assert_eq!(writes.count(), 1);
}

/// New elements that depend on old ones elsewhere cannot be written over them.
#[test]
fn a_slice_that_reads_the_parameter_is_not_in_place() {
    let g = Graph::new();
    let cache = g.parameter("cache", F32, [8, 4]);
    let at = g.input("at", I32, Shape::scalar());
    let moved = cache.flip(0).slice(0, 0..5);
    let new = cache.dynamic_update_slice(0, moved, at);
    check(&g.function([("new", new.id())], [(cache.id(), new.id())]));
}
