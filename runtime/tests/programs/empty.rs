//! Tensors without elements: results without any, and results of nothing.

use crate::common::{check, check_output};
use bsq_ir::DType::{F32, I32, U8};
use bsq_ir::autodiff::gradients;
use bsq_ir::{Graph, Shape, Tensor};

#[test]
fn reductions_over_nothing() {
    for shape in [[2, 0], [0, 3], [0, 0]] {
        check_output(|g| g.input("x", F32, shape).sum(-1));
        check_output(|g| g.input("x", F32, shape).sum(0) + 1.0);
        check_output(|g| g.input("x", F32, shape).mean(..));
        check_output(|g| g.input("x", I32, shape).sum(..));
        check_output(|g| g.input("x", F32, shape).exp().sum(..).exp());
    }
    check_output(|g| g.input("x", F32, [0, 3]).max(1));
    check_output(|g| g.input("x", F32, [0, 3]).argmax(1));
    check_output(|g| g.input("x", F32, [0, 3]).softmax());
    check_output(|g| g.input("x", F32, [2, 0, 3]).sum(&[0, 2][..]));
}

#[test]
fn products_with_nothing() {
    for [rows, terms, columns] in [[0, 4, 3], [3, 0, 2], [3, 4, 0], [0, 0, 0], [0, 4, 0]] {
        check_output(|g| {
            let (x, w) = (
                g.input("x", F32, [rows, terms]),
                g.parameter("w", F32, [terms, columns]),
            );
            x.matmul(w) + 1.0
        });
        check_output(|g| {
            let x = g.input("x", F32, [2, rows, terms]);
            x.dot_general(g.input("w", F32, [2, terms, columns]), &[(0, 0)], &[(2, 1)])
                .tanh()
        });
    }
    check_output(|g| {
        let x = g.input("x", F32, [0, 4, 5]);
        x.dot_general(g.input("w", F32, [0, 5, 6]), &[(0, 0)], &[(2, 1)])
    });
}

#[test]
fn attention_of_nothing() {
    for [batch, queries, keys] in [[2, 0, 3], [0, 4, 3], [0, 0, 5]] {
        let g = Graph::new();
        let q = g.input("q", F32, [batch, queries, 2]);
        let (k, v) = (
            g.input("k", F32, [batch, keys, 2]),
            g.input("v", F32, [batch, keys, 2]),
        );
        let y = q.attention(k, v, 1.0, None);
        let loss = y.square().sum(..);
        let outputs = gradients(loss, &[q, k, v]);
        let named = ["q", "k", "v"]
            .into_iter()
            .zip(outputs.iter().map(|d| d.id()));
        check(&g.function(named.chain([("y", y.id())]), []));
    }
}

#[test]
fn losses_of_empty_batches_and_their_steps() {
    let g = Graph::new();
    let x = g.input("x", F32, [0, 3]);
    let w = g.parameter("w", F32, [3, 4]);
    let loss = x.matmul(w).gelu().cross_entropy(g.input("k", I32, [0]));
    let new = w - gradients(loss, &[w])[0];
    check(&g.function([("loss", loss.id())], [(w.id(), new.id())]));
}

#[test]
fn movement_of_nothing() {
    check_output(|g| {
        let (x, none) = (g.input("x", F32, [3, 2]), g.input("none", F32, [0, 2]));
        g.concat(&[none, x, none], 0) * 2.0
    });
    check_output(|g| {
        let none = g.input("none", F32, [0, 2]);
        g.concat(&[none, none], 0)
    });
    check_output(|g| g.input("x", F32, [0, 2]).pad(0, 2, 1, 7.0));
    check_output(|g| {
        let (x, none) = (g.input("x", F32, [5, 2]), g.input("none", F32, [0, 2]));
        x.dynamic_update_slice(0, none, g.input("at", I32, Shape::scalar()))
    });
    check_output(|g| g.input("x", F32, [5, 2]).gather(0, g.input("at", I32, [0])));
    check_output(|g| {
        let (x, at) = (g.input("x", F32, [5, 2]), g.input("at", I32, [0]));
        x.scatter_add(0, at, g.input("none", F32, [0, 2]))
    });
    check_output(|g| g.iota(I32, [0, 3], 1).sum(..));
    check_output(|g| {
        g.input("x", U8, [4, 0])
            .cast(F32)
            .swap_axes(0, 1)
            .reshape([2, 0, 7])
    });
    check_output(|g| g.input("x", F32, [4, 3]).slice(0, 2..2).exp());
}

/// A parameter without elements that is updated, beside one with some.
#[test]
fn updates_of_nothing() {
    let g = Graph::new();
    let (p, q) = (g.parameter("p", F32, [0, 3]), g.parameter("q", F32, [3]));
    let new: Tensor = p * 2.0;
    let sum = q + p.sum(0);
    check(&g.function([("p", new.id())], [(p.id(), new.id()), (q.id(), sum.id())]));
}
