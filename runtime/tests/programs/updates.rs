//! Parameters that are replaced while their old values are still needed.

use crate::common::check;
use bsq_ir::DType::{F32, I32};
use bsq_ir::{Graph, Op, Padding, Shape, Tensor};
use bsq_runtime::{CompileOptions, HostTensor, compile};

/// A step of a state `p`: what it gives, and the value that replaces `p`.
type Step = for<'g> fn(&'g Graph, Tensor<'g>) -> (Tensor<'g>, Tensor<'g>);

#[test]
fn old_values_are_read_before_they_are_replaced() {
    let steps: [(&str, Step); 9] = [
        ("change", |g, p| {
            let new = g.input("x", F32, [4, 5]) * 2.0;
            (new - p, new)
        }),
        ("a view of the old one", |g, p| {
            let new = g.input("x", F32, [4, 5]) + p;
            (new.swap_axes(0, 1) - p.swap_axes(0, 1), new)
        }),
        ("another row", |_, p| {
            let new = p.flip([0]) + 1.0;
            (p * new, new)
        }),
        ("softmax", |g, p| {
            let new = g.input("x", F32, [4, 5]).softmax();
            (new / p, new)
        }),
        ("sums of the old one", |g, p| {
            let new = g.input("x", F32, [4, 5]) * p;
            (p.sum(-1), new)
        }),
        ("a product with the old one", |g, p| {
            let new = p.matmul(g.input("w", F32, [5, 5]));
            (new.matmul(p.swap_axes(0, 1)), new)
        }),
        ("a product with itself", |_, p| {
            let new = p.matmul(p.swap_axes(0, 1)).matmul(p);
            (new.sum(0), new)
        }),
        ("a slice", |g, p| {
            let row = p.slice(0, 1..2) * 3.0;
            let at = g.input("at", I32, Shape::scalar());
            let new = p.dynamic_update_slice(0, row, at);
            (p - new, new)
        }),
        ("the old one itself", |g, p| {
            (p, g.input("x", F32, [4, 5]).exp())
        }),
    ];
    for (name, step) in steps {
        let g = Graph::new();
        let p = g.parameter("p", F32, [4, 5]);
        let (y, new) = step(&g, p);
        println!("{name}");
        check(&g.function([("y", y.id())], [(p.id(), new.id())]));
        check(&g.function(
            [("y", y.id()), ("p", p.id()), ("new", new.id())],
            [(p.id(), new.id())],
        ));
    }
}

#[test]
fn one_value_for_two_parameters() {
    let g = Graph::new();
    let [p, q] = ["p", "q"].map(|name| g.parameter(name, F32, [6]));
    let new = g.input("x", F32, [6]).exp();
    let updates = [(p.id(), new.id()), (q.id(), new.id())];
    check(&g.function([("y", (p / new).id())], updates));
    check(&g.function([("y", (q / new).id())], updates));
    check(&g.function([("y", (p / q).id())], updates));
    check(&g.function([], updates));
}

#[test]
fn parameters_that_replace_one_another() {
    let g = Graph::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| g.parameter(name, F32, [7]));
    let root = b.abs().sqrt();
    // A chain, an exchange, a circle of three, and a circle with work in it.
    check(&g.function(
        [],
        [(a.id(), root.id()), (b.id(), a.id()), (c.id(), a.id())],
    ));
    check(&g.function([], [(a.id(), b.id()), (b.id(), a.id())]));
    check(&g.function([], [(a.id(), b.id()), (b.id(), c.id()), (c.id(), a.id())]));
    let [x, y, z] = [b + c, c * a, a - b];
    check(&g.function(
        [("sum", (x + y + z).id())],
        [(a.id(), x.id()), (b.id(), y.id()), (c.id(), z.id())],
    ));
}

/// What users write first: momentum, with the last gradient or with the new one.
#[test]
fn momentum_of_a_users_own() {
    for newest in [false, true] {
        let g = Graph::new();
        let x = g.input("x", F32, [8, 3]);
        let [p, m] = ["p", "m"].map(|name| g.parameter(name, F32, [3, 5]));
        let loss = x.matmul(p).tanh().square().mean(..);
        let gradient = bsq_ir::autodiff::gradients(loss, &[p])[0];
        let momentum = m * 0.9 + gradient;
        let step = if newest { momentum } else { gradient + m * 0.9 };
        let new = p - step * 0.1;
        let kept = if newest { momentum } else { gradient };
        check(&g.function(
            [("loss", loss.id())],
            [(p.id(), new.id()), (m.id(), kept.id())],
        ));
    }
}

/// A cache of which one step writes a slice, read before and after, and kept by two parameters.
#[test]
fn a_cache_and_its_copy() {
    let g = Graph::new();
    let [cache, copy] = ["cache", "copy"].map(|name| g.parameter(name, F32, [8, 4]));
    let x = g.input("x", F32, [2, 4]);
    let at = g.input("at", I32, Shape::scalar());
    let new = cache.dynamic_update_slice(0, x, at);
    let both = [(cache.id(), new.id()), (copy.id(), new.id())];
    let turned = [both[1], both[0]];
    let seen = new.sum(0) + cache.sum(0) * 2.0 + copy.sum(0);
    for updates in [both, turned] {
        check(&g.function([("seen", seen.id())], updates));
        check(&g.function([], updates));
    }
    // The other one takes the whole of it, and nobody the slice alone.
    check(&g.function([("seen", seen.id())], [(copy.id(), new.id())]));
}

#[test]
fn a_pad_that_adds_nothing() {
    let g = Graph::new();
    let p = g.parameter("p", F32, [4, 1]);
    let nine = g.full(9.0, F32, Shape::scalar());
    let between = |between| Padding {
        before: 0,
        after: 0,
        between,
    };
    let new = g
        .add(Op::Pad(vec![between(0), between(1)]), &[p.id(), nine.id()])
        .unwrap();
    check(&g.function([], [(p.id(), new)]));
}

/// What a function lists is what it takes, whatever rewriting finds that nobody needs.
#[test]
fn inputs_and_parameters_that_no_result_needs() {
    let g = Graph::new();
    let [x, z] = ["x", "z"].map(|name| g.input(name, F32, [3]));
    let p = g.parameter("p", F32, [3]);
    let chosen = x.where_(g.full(1.0, bsq_ir::DType::Bool, [3]), z + p);
    let function = g.function([("y", chosen.id())], []);
    check(&function);
    let value = HostTensor::from_slice([3], &[1.0f32, 2.0, 3.0]).unwrap();
    for exact in [true, false] {
        let options = CompileOptions {
            exact,
            ..Default::default()
        };
        let executable = compile(&function, &options).unwrap();
        let mut session = executable
            .bind([("p".to_string(), value.clone())].into())
            .unwrap();
        let outputs = session.run(&[("x", &value), ("z", &value)]).unwrap();
        assert_eq!(outputs["y"], value);
        assert_eq!(*session.parameter("p").unwrap(), value);
        let wrong = HostTensor::from_slice([2], &[1.0f32, 2.0]).unwrap();
        assert!(
            session.run(&[("x", &value), ("z", &wrong)]).is_err(),
            "its type is checked"
        );
        assert!(session.run(&[("x", &value)]).is_err(), "it is not optional");
    }
}

/// What is safe stays in place: a step of gradient descent copies no parameter.
#[test]
fn a_step_of_gradient_descent_copies_nothing() {
    let g = Graph::new();
    let x = g.input("x", F32, [16, 24]);
    let [w, v] =
        [("w", [24, 40]), ("v", [40, 8])].map(|(name, shape)| g.parameter(name, F32, shape));
    let loss = x.matmul(w).gelu().matmul(v).square().mean(..);
    let gradients = bsq_ir::autodiff::gradients(loss, &[w, v]);
    let updates = [w, v].into_iter().zip(gradients);
    let updates = updates.map(|(old, gradient)| (old.id(), (old - gradient * 0.1).id()));
    let function = g.function([("loss", loss.id())], updates);
    check(&function);
    let executable = compile(&function, &CompileOptions::default()).unwrap();
    assert!(executable.program().copies.is_empty());
    assert!(executable.report().unused_parameters.is_empty());
}
