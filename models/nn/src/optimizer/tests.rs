//! Steps against the same arithmetic in f64, and the properties of decay, average and clipping.

use super::*;
use bsq_ir::{DType, Graph};
use bsq_runtime::executor::{Evaluator, Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;

fn tensors(named: &[(&str, &[f32])]) -> Tensors {
    let tensor = |values: &[f32]| HostTensor::from_slice([values.len()], values).unwrap();
    let named = named
        .iter()
        .map(|(name, values)| (name.to_string(), tensor(values)));
    named.collect()
}

/// Runs `count` steps with the same gradient; returns every parameter and all state.
fn train(
    start: &[f32],
    gradient: &[f32],
    count: usize,
    lr: f32,
    weight_decay: f64,
    zero_decay_keys: &[&str],
    average: Option<f64>,
) -> Tensors {
    let g = Graph::new();
    let parameter = g.parameter("p", DType::F32, [start.len()]);
    let gradients = [g.input("gradient", DType::F32, [start.len()])];
    let rule = AdamW {
        weight_decay,
        zero_decay_keys: zero_decay_keys.iter().map(|key| key.to_string()).collect(),
        ..AdamW::new(g.scalar("lr"))
    };
    let step = adamw_with_gradients(&[parameter], &gradients, &rule);
    let step = match average {
        Some(decay) => step.with_average(decay),
        None => step,
    };
    let mut parameters = tensors(&[("p", start)]);
    parameters.extend(step.initial_state(&parameters).unwrap());
    let mut inputs = tensors(&[("gradient", gradient)]);
    inputs.insert("lr".into(), HostTensor::scalar(lr).unwrap());
    let function = step.function();
    for _ in 0..count {
        parameters = Evaluator
            .run(&function, &parameters, &inputs)
            .unwrap()
            .updates;
    }
    parameters
}

fn first(tensors: &Tensors, name: &str) -> f64 {
    f64::from(tensors[name].as_slice::<f32>().unwrap()[0])
}

#[test]
fn a_constant_gradient_moves_by_the_learning_rate_and_its_sign() {
    let trained = train(&[1.0, 1.0], &[0.3, -7.0], 10, 0.01, 0.0, &[], None);
    let moved = trained["p"].as_slice::<f32>().unwrap();
    assert!((moved[0] - 0.9).abs() < 1e-6, "{moved:?}");
    assert!((moved[1] - 1.1).abs() < 1e-6, "{moved:?}");
}

#[test]
fn the_corrections_are_one_less_the_powers_of_beta() {
    let trained = train(&[1.0], &[1.0], 7, 0.01, 0.01, &[], None);
    for (name, beta) in [("adamw.correction1", 0.9_f64), ("adamw.correction2", 0.999)] {
        let expected = 1.0 - beta.powi(7);
        let error = first(&trained, name) / expected - 1.0;
        assert!(error.abs() < 3e-7, "{name}: {error:e}");
    }
}

#[test]
fn decay_shrinks_every_parameter_but_the_exempt() {
    let decayed = |keys: &[&str]| first(&train(&[2.0], &[0.0], 3, 0.5, 0.1, keys, None), "p");
    assert!((decayed(&["other"]) - 2.0 * 0.95_f64.powi(3)).abs() < 1e-6);
    assert_eq!(decayed(&["p"]), 2.0);
}

#[test]
fn a_decay_too_small_for_one_rounding_is_not_lost_beside_a_step() {
    // lr * decay = 2^-27: p * (1 - 2^-27) is p in f32. Gradients near epsilon make steps of all
    // sizes, so what is below the parameter's spacing comes through in the mean.
    let (lr, decay, steps, p) = (2.0_f32.powi(-10), 2.0_f64.powi(-17), 16, 1.5_f32);
    let gradient: Vec<f32> = (0..2048).map(|i| 1e-9 + 2e-11 * i as f32).collect();
    let start = vec![p; gradient.len()];
    let mean = |decay| {
        let trained = train(&start, &gradient, steps, lr, decay, &[], None);
        let elements = trained["p"].as_slice::<f32>().unwrap();
        elements.iter().map(|&x| f64::from(x)).sum::<f64>() / elements.len() as f64
    };
    let shrunk = mean(0.0) - mean(decay);
    let expected = steps as f64 * f64::from(lr) * decay * f64::from(p);
    assert!(
        (shrunk / expected - 1.0).abs() < 0.1,
        "{shrunk:e} {expected:e}"
    );
}

#[test]
fn the_average_follows_the_new_parameters() {
    let trained = train(&[1.0], &[1.0], 2, 0.1, 0.0, &[], Some(0.75));
    // Parameters 0.9 and 0.8 after the steps.
    let expected = 0.75 * (0.75 * 1.0 + 0.25 * 0.9) + 0.25 * 0.8;
    assert!((first(&trained, "ema.p") - expected).abs() < 1e-6);
}

#[test]
fn clipping_shortens_long_gradients_and_leaves_short_ones() {
    let g = Graph::new();
    let a = g.constant_f32(&[3.0, 4.0], [2]);
    let b = g.constant_f32(&[0.3, 0.4], [2]);
    let each = clip(&[a, b], Clip::PerTensor(1.0));
    let all = clip(&[a, b], Clip::Global(1.0));
    let named = ["each_a", "each_b", "all_a", "all_b"];
    let results = named.into_iter().zip([each[0], each[1], all[0], all[1]]);
    let function = g.function(results.map(|(name, tensor)| (name, tensor.id())), []);
    let run = Evaluator
        .run(&function, &Tensors::new(), &Tensors::new())
        .unwrap();
    let norm = |name: &str| {
        let elements = run.outputs[name].as_slice::<f32>().unwrap();
        elements.iter().map(|x| x * x).sum::<f32>().sqrt()
    };
    assert!((norm("each_a") - 1.0).abs() < 1e-6);
    assert_eq!(run.outputs["each_b"].as_slice::<f32>().unwrap(), [0.3, 0.4]);
    assert!((norm("all_a").hypot(norm("all_b")) - 1.0).abs() < 1e-6);
    assert!((norm("all_a") / norm("all_b") - 10.0).abs() < 1e-4);
}
