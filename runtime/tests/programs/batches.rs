//! A batch of any size has the bits of a program of its own size, and what cannot is refused.

use crate::common::{fill, host};
use bsq_ir::tensor::Keep;
use bsq_ir::{DType, Function, Graph, Scope, Tensor, Type};
use bsq_runtime::executor::Tensors;
use bsq_runtime::program::powers_of_two;
use bsq_runtime::{BatchError, BatchedProgram, CompileOptions, HostTensor, compile};

/// Attention over each sample's own tokens, a class and logits. Tokens of all samples are rows of
/// one matrix in `rows`; samples lie along the second axis in `columns`.
fn model(batch: usize) -> Function {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [batch, 5, 8]);
    let shift = g.input("shift", DType::F32, [2 * batch]);
    let scale = g.scalar("scale");
    let scope = Scope::root(&g);
    let hidden = x.layer_norm(&scope / "norm", 1e-5);
    let hidden = x + hidden.attention(hidden, hidden, 0.4, None) * scale;
    let rows = hidden
        .reshape([5 * batch, 8])
        .linear(&scope / "out", 3)
        .gelu();
    let logits = rows.reshape([batch, 5, 3]).mean(1) + shift.reshape([batch, 2]).sum(Keep(-1));
    let outputs = [
        ("rows", rows),
        ("class", logits.argmax(-1)),
        ("columns", logits.transpose(&[1, 0])),
        ("twice", scale * 2.0),
    ];
    g.function(outputs.map(|(name, tensor)| (name, tensor.id())), [])
}

fn parameters() -> Tensors {
    let function = model(1);
    let parameters = function.parameters();
    parameters
        .map(|(_, name, ty)| (name.to_string(), host(&fill(name, ty))))
        .collect()
}

fn inputs(batch: usize) -> [(&'static str, HostTensor); 3] {
    let tensor = |name: &'static str, shape: &[usize]| {
        (name, host(&fill(name, &Type::new(DType::F32, shape))))
    };
    [
        tensor("x", &[batch, 5, 8]),
        tensor("shift", &[2 * batch]),
        tensor("scale", &[]),
    ]
}

fn refs<'t>(inputs: &'t [(&'static str, HostTensor)]) -> Vec<(&'static str, &'t HostTensor)> {
    inputs
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect()
}

#[test]
fn every_size_has_the_bits_of_its_own_program() {
    for threads in [1, 2] {
        let options = CompileOptions {
            threads,
            ..Default::default()
        };
        for sizes in [vec![4], powers_of_two(4), vec![3]] {
            let mut batched =
                BatchedProgram::new(model, parameters(), options.clone(), &sizes).unwrap();
            for batch in 1..=9 {
                let inputs = inputs(batch);
                let own = compile(&model(batch), &options).unwrap();
                let own = own.bind(parameters()).unwrap().run(&refs(&inputs)).unwrap();
                let served = batched.run(&refs(&inputs)).unwrap();
                assert_eq!(own, served, "{batch} of {sizes:?}");
            }
        }
    }
}

#[test]
fn sizes_are_powers_and_the_largest() {
    assert_eq!(powers_of_two(1), [1]);
    assert_eq!(powers_of_two(4), [1, 2, 4]);
    assert_eq!(powers_of_two(6), [1, 2, 4, 6]);
    let batched = BatchedProgram::new(model, parameters(), CompileOptions::default(), &[4, 1, 4]);
    assert_eq!(batched.unwrap().sizes().collect::<Vec<_>>(), [1, 4]);
}

/// What is said of `f(x f32[batch, 6])`.
fn refused(of: fn(Tensor<'_>, usize) -> Function) -> String {
    let function = move |batch| {
        let g = Graph::new();
        of(g.input("x", DType::F32, [batch, 6]), batch)
    };
    let w = HostTensor::zeros(DType::F32, [6]).unwrap();
    let parameters = [("w".to_string(), w)].into();
    let batched = BatchedProgram::new(function, parameters, CompileOptions::default(), &[1, 4]);
    batched.err().expect("it is refused").to_string()
}

fn output(x: Tensor<'_>) -> Function {
    x.graph().function([("y", x.id())], [])
}

#[test]
fn functions_that_are_none_of_a_batch_are_refused_with_the_reason() {
    type Case = (
        &'static str,
        fn(Tensor<'_>, usize) -> Function,
        &'static str,
    );
    let cases: &[Case] = &[
        (
            "mean",
            |x, _| output(x.mean(..)),
            "sum: adds up or compares samples of the batch (axis 0)",
        ),
        ("batch norm", |x, _| output(x - x.mean(0)), "batches.rs:"),
        (
            "constant",
            |x, n| output(x * (1.0 / n as f64)),
            "differ in their constants",
        ),
        (
            "state",
            |x, n| {
                let w = x.graph().parameter("w", DType::F32, [n, 6]);
                output(x + w)
            },
            "parameter `w` is f32[4,6] in a batch of 4 and f32[5,6] in one of 5",
        ),
        (
            "update",
            |x, _| {
                let w = x.graph().parameter("w", DType::F32, [6]);
                x.graph()
                    .function([("y", (x + w).id())], [(w.id(), (w * 2.0).id())])
            },
            "updates `w`",
        ),
        (
            "square",
            |x, n| {
                let both = x.graph().input("both", DType::F32, [n, n]);
                output(both.matmul(x))
            },
            "input `both` is f32[4,4] in a batch of 4 and f32[5,5] in one of 5",
        ),
        (
            "size plus one",
            |x, n| {
                let more = x.graph().input("more", DType::F32, [n + 1]);
                output(x + more.slice(0, 0..n).unsqueeze(1))
            },
            "its extent is no multiple of the batch",
        ),
        (
            "fixed",
            |x, _| output(x.graph().scalar("lr") * 2.0),
            "no input has an axis",
        ),
        (
            "names",
            |x, n| x.graph().function([(["even", "odd"][n % 2], x.id())], []),
            "even and odd",
        ),
        (
            "counted",
            |x, n| {
                let counted = x.graph().iota(DType::F32, [n], 0);
                x.graph().function([("x", x.id()), ("n", counted.id())], [])
            },
            "output `n` is f32[4] in a batch of 4 and f32[5] in one of 5",
        ),
    ];
    for (name, of, wanted) in cases {
        let message = refused(*of);
        assert!(message.contains(wanted), "{name}: {message}");
    }
    let sizes: [&[usize]; 2] = [&[], &[0, 2]];
    for sizes in sizes {
        let batched = BatchedProgram::new(model, parameters(), CompileOptions::default(), sizes);
        assert!(matches!(batched.err(), Some(BatchError::NoSamples)));
    }
}

#[test]
fn inputs_that_are_no_batch_are_refused() {
    let sizes = powers_of_two(2);
    let mut batched =
        BatchedProgram::new(model, parameters(), CompileOptions::default(), &sizes).unwrap();
    let [x, shift, scale] = inputs(3);
    let mut message =
        |given: &[(&'static str, HostTensor)]| batched.run(&refs(given)).unwrap_err().to_string();
    let [_, few, _] = inputs(2);
    assert_eq!(
        message(&[x.clone(), few, scale.clone()]),
        "input `shift` has 2 samples, `x` has 3"
    );
    let odd = ("shift", HostTensor::zeros(DType::F32, [7]).unwrap());
    assert_eq!(
        message(&[x.clone(), odd, scale.clone()]),
        "input `shift` must be f32[2 n] for some n, got f32[7]"
    );
    let long = ("x", HostTensor::zeros(DType::F32, [3, 6, 8]).unwrap());
    assert_eq!(
        message(&[long, shift.clone(), scale.clone()]),
        "input `x` must be f32[n,5,8] for some n, got f32[3,6,8]"
    );
    assert_eq!(message(&inputs(0)), "batches of no samples");
    assert!(message(&[x.clone(), shift.clone()]).starts_with("input `scale` (f32[]) is missing"));
    let typo = ("scael", scale.1.clone());
    assert!(message(&[x, shift, typo]).ends_with("did you mean `scale`?"));
}

/// A training step whose loss is a weighted mean: samples of weight 0 change nothing, so that the last
/// batch of an epoch is filled up with any.
#[test]
fn samples_of_weight_zero_leave_a_training_step_as_it_is() {
    let step = |batch: usize| {
        let g = Graph::new();
        let x = g.input("x", DType::F32, [batch, 8]);
        let weight = g.input("weight", DType::F32, [batch]);
        let scope = Scope::root(&g);
        let error = x.linear(&scope / "out", 3).square().mean(-1);
        let loss = (error * weight).sum(..) / weight.sum(..);
        let parameters = scope.parameters();
        let slopes = bsq_ir::autodiff::gradients(loss, &parameters);
        let updates = parameters.iter().zip(&slopes);
        let updates = updates.map(|(&w, &slope)| (w.id(), (w - slope * 0.1).id()));
        g.function([("loss", loss.id())], updates)
    };
    let run = |batch: usize, weights: &[f32]| {
        let function = step(batch);
        let parameters = function.parameters();
        let parameters = parameters.map(|(_, name, ty)| (name.to_string(), host(&fill(name, ty))));
        let mut session = compile(&function, &CompileOptions::default())
            .unwrap()
            .bind(parameters.collect())
            .unwrap();
        let x = host(&fill("x", &Type::new(DType::F32, [batch, 8])));
        let weight = HostTensor::from_slice([batch], weights).unwrap();
        let outputs = session.run(&[("x", &x), ("weight", &weight)]).unwrap();
        let after: Vec<HostTensor> = session
            .parameters()
            .unwrap()
            .into_iter()
            .map(|(_, value)| value.clone())
            .collect();
        (outputs, after)
    };
    assert_eq!(run(3, &[1.0; 3]), run(5, &[1.0, 1.0, 1.0, 0.0, 0.0]));
}
