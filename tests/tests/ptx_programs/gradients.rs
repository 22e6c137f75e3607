//! Gradients, and parameters that are updated.

use crate::common::check;
use bsq_ir::DType::F32;
use bsq_ir::Graph;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Gradients of a layer norm and a linear layer: sums along columns, and updates.
    #[test]
    fn training_steps(rows in 1usize..80, width in 1usize..90, outputs in 1usize..40) {
        let g = Graph::new();
        let (gain, shift) = (g.parameter("gain", F32, [width]), g.parameter("shift", F32, [width]));
        let weight = g.parameter("weight", F32, [outputs, width]);
        let x = g.input("x", F32, [rows, width]).layer_norm_with(gain, shift, 1e-5);
        let loss = x.matmul_transposed(weight).tanh().square().mean(..);
        let parameters = [gain, shift, weight];
        let gradients = bsq_ir::autodiff::gradients(loss, &parameters);
        let updates = parameters.iter().zip(gradients);
        let updates: Vec<_> = updates.map(|(p, d)| (p.id(), (*p - d * 0.1).id())).collect();
        check(&g.function([("loss", loss.id())], updates));
    }
}

/// A penalty on a gradient, as discriminators have: derivatives of derivatives.
#[test]
fn second_derivatives() {
    let g = Graph::new();
    let x = g.input("x", F32, [9, 20]);
    let w = g.parameter("w", F32, [20, 12]);
    let y = x.matmul(w).gelu().softmax().square().sum(..);
    let slope = bsq_ir::autodiff::gradients(y, &[x])[0];
    let penalty = slope.square().sum(..);
    let d = bsq_ir::autodiff::gradients(penalty, &[w])[0];
    check(&g.function([("penalty", penalty.id())], [(w.id(), (w - d * 0.1).id())]));
}

#[test]
fn parameters_are_updated() {
    let g = Graph::new();
    let p = g.parameter("p", F32, [50, 8]);
    let q = g.parameter("q", F32, [8]);
    let y = g.input("x", F32, [4, 50]).matmul(p) + q;
    let p2 = p * 0.9 + y.mean(..) * 0.1;
    let q2 = q + p.sum([0]);
    check(&g.function([("y", y.id())], [(p.id(), p2.id()), (q.id(), q2.id())]));
}

/// Old and new value are one buffer: all threads must have loaded before one stores.
#[test]
fn one_value_is_updated_in_place() {
    let g = Graph::new();
    let p = g.parameter("p", F32, [1]);
    let x = g.input("x", F32, [67]);
    let new = p - (x * x).sum([0]) * 0.1;
    check(&g.function([], [(p.id(), new.id())]));
}
