//! Elements one by one, sums, and what moves them.

use crate::common::{check, check_output};
use bsq_ir::DType::{BF16, F16, F32, I32, I64, U8, U64};
use bsq_ir::tensor::Keep;
use bsq_ir::{DType, Graph, Tensor};

#[test]
fn elementwise_chains() {
    for shape in [[3, 37], [1, 1], [17, 1000]] {
        check_output(|g| {
            let x = g.input("x", F32, shape);
            let b = g.input("b", F32, [shape[1]]);
            let y = (x + b).exp() * 0.5 - x.tanh() / (b.square() + 1.0) + x.erf();
            y.maximum(x.abs().log()) + x.sign() - x.floor()
        });
    }
}

#[test]
fn rows() {
    for width in [1, 5, 16, 37, 2100, 9000] {
        check_output(|g| g.input("x", F32, [5, width]).softmax());
        check_output(|g| {
            let x = g.input("x", F32, [4, width]);
            x.layer_norm_with(g.input("w", F32, [width]), g.input("b", F32, [width]), 1e-5)
        });
        check_output(|g| g.input("x", F32, [1, width]).l2_normalize(1e-12));
    }
}

#[test]
fn sums_over_any_axes() {
    check_output(|g| g.input("x", F32, [40, 33]).sum([0]));
    check_output(|g| g.input("x", F32, [3, 40, 33]).sum([0, 1]));
    check_output(|g| g.input("x", F32, [3, 40, 33]).sum([0, 2]));
    check_output(|g| g.input("x", F32, [5000, 3]).sum([0]));
    check_output(|g| g.input("x", F32, [3, 64, 64]).abs().mean(..));
    check_output(|g| g.input("x", F32, [3, 64, 64]).square().max(..));
    check_output(|g| g.input("x", F32, [4, 9]).argmax(-1));
}

/// 16 threads a column where there are terms enough, in one chunk and in several, and of columns
/// whole blocks and less; also where what is summed is updated in place.
#[test]
fn sums_down_columns() {
    for rows in [63, 64, 100, 2048, 2049, 5000] {
        for columns in [1, 16, 20, 33] {
            check_output(|g| g.input("x", F32, [rows, columns]).sum([0]));
        }
    }
    check_output(|g| g.input("x", F32, [3, 300, 20]).abs().max([1]));
    check_output(|g| g.input("x", I32, [2, 150, 18]).sum([1]));
    check_output(|g| g.input("x", I64, [2, 150, 18]).sum([1]));
    // Two sums at once, and one that needs another.
    check_output(|g| {
        let x = g.input("x", F32, [300, 20]);
        x.sum([0]) + (x * g.input("y", F32, [300, 20])).sum([0])
    });
    check_output(|g| {
        let x = g.input("x", F32, [300, 20]);
        (x - x.mean([0])).square().sum([0])
    });
    let g = Graph::new();
    let p = g.parameter("p", F32, [40]);
    let d = (g.input("x", F32, [300, 40]) + p).sum([0]);
    check(&g.function([], [(p.id(), (p - d * 0.1).id())]));
}

/// Of widths that are multiples of 4, of 2, and odd; rows are added to, and columns.
#[test]
fn elements_taken_together() {
    for shape in [[6, 36], [6, 38], [6, 37], [3, 8192 + 4]] {
        check_output(|g| {
            let x = g.input("x", F32, shape) + g.input("row", F32, [shape[1]]);
            x * g.input("column", F32, [shape[0], 1])
        });
        check_output(|g| g.input("x", F32, shape).transpose(&[1, 0]) * 2.0);
        check_output(|g| {
            let transposed = g.input("y", F32, [shape[1], shape[0]]).transpose(&[1, 0]);
            g.input("x", F32, shape) + transposed
        });
        check_output(|g| g.input("x", F32, shape).slice(1, 4..shape[1]).exp());
        check_output(|g| {
            let (x, y) = (g.input("x", BF16, shape), g.input("y", U8, shape));
            let z = g.input("z", I64, shape).cast(F32) + g.input("w", U64, shape).cast(F32);
            x.cast(F32) + y.cast(F32) * z
        });
        check_output(|g| {
            let (x, y) = (g.input("x", F32, shape), g.input("y", F32, shape));
            x.cast(BF16).cast(F32).where_(x.lt(y), y.cast(U8).cast(F32))
        });
        for to in [BF16, U8, I64, DType::Bool] {
            check_output(|g| g.input("x", F32, shape).cast(to));
        }
        // Where something is stored, nothing is loaded too late.
        let g = Graph::new();
        let [p, q] = ["p", "q"].map(|name| g.parameter(name, F32, shape));
        let x = g.input("x", F32, shape);
        let updates = [
            (p.id(), (p * 0.9 + x).id()),
            (q.id(), (q * 0.5 + p * x).id()),
        ];
        check(&g.function([], updates));
    }
}

#[test]
fn indexing_and_padding() {
    check_output(|g| {
        let x = g.input("x", F32, [7, 5]);
        x.gather(0, g.input("i", I32, [3, 2])) * 2.0
    });
    check_output(|g| {
        let x = g.input("x", F32, [7, 5]);
        x.scatter_add(0, g.input("i", I32, [9]), g.input("u", F32, [9, 5]))
    });
    check_output(|g| g.input("x", F32, [4, 5]).pad(1, 2, 3, 0.5));
    check_output(|g| {
        let (x, y) = (g.input("x", F32, [2, 3]), g.input("y", F32, [2, 4]));
        g.concat(&[x, y, x], 1)
    });
    check_output(|g| {
        g.input("x", F32, [9, 4])
            .dynamic_slice(0, g.input("s", I32, []), 3)
    });
    check_output(|g| {
        let x = g.input("x", F32, [9, 4]);
        x.dynamic_update_slice(0, g.input("u", F32, [2, 4]), g.input("s", I32, []))
    });
    check_output(|g| g.input("x", F32, [2, 11]).window(1, 3, 2, 1).sum(-1));
    check_output(|g| {
        let (key, counter) = (g.input("k", U64, []), g.input("c", U64, []));
        g.random_bits([3, 7], key, counter)
    });
}

#[test]
fn casts() {
    for from in [F32, I32, U8, U64, BF16, F16] {
        for to in DType::ALL {
            check_output(|g| g.input("x", from, [41]).cast(to));
        }
    }
}

/// Sine and cosine, and words that are spelled in primitives.
#[test]
fn words() {
    let words: [for<'g> fn(Tensor<'g>) -> Tensor<'g>; 12] = [
        |x| (x * 300.0).sin(),
        |x| (x * 300.0).cos(),
        |x| (x * 1e7).sin() + (x / 0.0).cos(),
        |x| x.pow(1.7) + x.abs().pow(x) + x.powi(-3),
        |x| (x * 8.0).round() + (x * 8.0).trunc(),
        |x| x.silu().log_softmax(),
        |x| x - x.log_sum_exp(Keep(0)),
        |x| x.prod(-1) + x.var(-1, 1) + x.min(-1),
        |x| x.cumsum(1).tril(2),
        |x| (x * 4.0).floor().sort(1).0,
        |x| x.top_k(3, 0).0,
        |x| x.ne(x.floor()).any(1).cast(F32),
    ];
    for word in words {
        check_output(|g| {
            let y = word(g.input("x", F32, [6, 37]));
            // Which NaN it is is left open.
            y.where_(y.eq(y), 77.0)
        });
    }
    check_output(|g| {
        let [key, counter] = ["key", "counter"].map(|name| g.input(name, U64, []));
        let drawn = g.uniform([5, 13], key, counter) + g.normal([5, 13], key, counter);
        drawn.dropout(0.3, key + 1.0, counter)
    });
}
