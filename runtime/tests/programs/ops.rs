//! Every kind of op.

use crate::common::{check, check_on, check_output};
use bsq_codegen::pipeline;
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
            x.layer_norm_with(w, b, 1e-5)
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

/// Constants of one value, and positions, have no buffer.
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
    let program = pipeline::lower(&function, &Default::default()).unwrap();
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

/// The first NaN is the maximum.
#[test]
fn argmax_of_rows_with_nan() {
    const NAN: f32 = f32::NAN;
    for axis in [0, 1] {
        let g = Graph::new();
        let x = g.input("x", F32, [3, 4]);
        let y = x.argmax(axis);
        let rows = [
            [1.0, NAN, 0.0, NAN],
            [NAN, 5.0, 7.0, 1.0],
            [1.0, 3.0, 3.0, NAN],
        ];
        let value = move |_: &str, ty: &bsq_ir::Type| {
            bsq_ir::eval::Value::new(&ty.shape, rows.as_flattened().to_vec())
        };
        check_on(&g.function([("y", y.id())], []), value);
    }
}

/// Rows that do not start where a vector does, of which only some instructions take operands.
#[test]
fn comparisons_of_rows_at_any_address() {
    for width in [5, 17] {
        for order in 0..4 {
            check_output(|g| {
                let [a, b, c] = ["a", "b", "c"].map(|name| g.input(name, F32, [2, width]));
                let d = g.input("d", F32, [2, width + 1]).slice(1, 0..width);
                let condition = match order {
                    0 => a.lt(b),
                    1 => d.lt(a),
                    2 => a.le(d),
                    _ => d.eq(b),
                };
                c.where_(condition, d)
            });
        }
    }
}

/// Elements that no window covers are results all the same, and what several windows cover is
/// stored once.
#[test]
fn results_that_are_read_through_windows() {
    for (size, stride, dilation) in [(3, 2, 2), (2, 3, 1), (3, 1, 1), (2, 2, 1)] {
        let g = Graph::new();
        let y = g.input("x", F32, [9]).exp();
        let windows = y.window(0, size, stride, dilation);
        check(&g.function([("y", y.id()), ("windows", (windows + 1.0).id())], []));
        let (largest, sum) = (y.reshape([3, 3]).max(1), y.reshape([3, 3]).sum(0));
        let windows = [largest.window(0, 2, 1, 1).exp(), sum.slice(0, 1..2).exp()];
        let outputs = [("largest", largest.id()), ("sum", sum.id())];
        let of_windows = [("w0", windows[0].id()), ("w1", windows[1].id())];
        check(&g.function(outputs.into_iter().chain(of_windows), []));
    }
}

/// What is read at positions known at run time is stored first, whatever shape it is seen in.
#[test]
fn reshapes_that_are_read_by_position() {
    check_output(|g| {
        let x = g.input("x", F32, [2, 2, 5, 1, 2]);
        let x = x
            .broadcast_in_dim([2, 2, 5, 1, 2, 2], &[0, 1, 2, 3, 4])
            .reshape([2, 10, 4]);
        x.dynamic_slice(1, g.input("at", DType::I32, Shape::scalar()), 1)
    });
    check_output(|g| {
        g.iota(DType::I32, [11, 16], 0)
            .reshape([176])
            .gather(0, g.input("at", I32, [3]))
    });
    check_output(|g| {
        let x = g.input("x", DType::I32, [1, 74, 2]).transpose(&[2, 1, 0]);
        x.reshape([74, 2, 1]).argmax(0)
    });
    check_output(|g| {
        let product = g.input("x", F32, [11, 3]).matmul(g.input("w", F32, [3, 4]));
        product.reshape([44]).gather(0, g.input("at", I32, [2, 2]))
    });
}

#[test]
fn contractions_of_flipped_sides() {
    check_output(|g| {
        let (x, w) = (
            g.input("x", F32, [5, 9]).flip([1]),
            g.input("w", F32, [9, 4]).flip([0, 1]),
        );
        x.matmul(w)
    });
    check_output(|g| {
        let x = g.input("x", F32, [2, 3, 2]).flip([0, 1]);
        x.dot_general(g.input("w", F32, [2, 3, 2]), &[(0, 2)], &[(2, 0), (1, 1)])
    });
}

/// A sum is one of partial sums that start from +0, however few terms there are.
#[test]
fn sums_of_one_term() {
    check_output(|g| g.full(-0.0, F32, [3, 1]).sum(1));
    let g = Graph::new();
    let x = g.input("x", F32, [3]);
    let sum = g.add(bsq_ir::Op::Sum(vec![]), &[x.id()]).unwrap();
    let value =
        |_: &str, ty: &bsq_ir::Type| bsq_ir::eval::Value::new(&ty.shape, vec![-0.0f32, 0.0, 1.0]);
    check_on(&g.function([("y", sum)], []), value);
}

/// What is counted need not be stored to be summed over several axes.
#[test]
fn sums_of_positions_take_no_memory() {
    let g = Graph::new();
    let positions = g.iota(DType::U64, [300, 1000], 1);
    let outputs = [
        ("sum", positions.sum(..).id()),
        ("max", (positions * positions).max(..).id()),
    ];
    let function = g.function(outputs, []);
    check(&function);
    let program = pipeline::lower(&function, &Default::default()).unwrap();
    assert!(
        program.arena_bytes < 300 * 1000,
        "{} bytes",
        program.arena_bytes
    );
}
