//! Norms beside their formulas, what they remember, and derivatives.

use super::differences::{assert_close, check_grads, floats, run, values};
use super::{ActNorm, BatchMemory, BatchNorm, BatchUse, GroupNorm};
use bsq_ir::{DType::F32, Graph, Scope};

/// Mean and mean square deviation.
fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let square = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    (mean, square / x.len() as f64)
}

/// Elements of channel `c` of `[2, 3, 4]`.
fn channel(x: &[f64], c: usize) -> Vec<f64> {
    (0..8).map(|i| x[12 * (i / 4) + 4 * c + i % 4]).collect()
}

#[test]
fn a_batch_is_normalised_and_remembered() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let mut memory = BatchMemory::new(BatchUse::Training);
    let x = g.input("x", F32, [2, 3, 4]);
    let y = BatchNorm::default().forward(&model, x, &mut memory);
    let again = x * 2.0;
    BatchNorm::default().forward(model.sharing(), again, &mut memory);
    check_grads(&model, x, y);
    let [mean, variance] = memory.updates() else {
        panic!("{:?}", memory.updates())
    };
    let given = values(&g, y + (mean.1 + variance.1).sum(..));
    let [x, w, b] = ["x", "weight", "bias"].map(|name| floats(&given[name]));
    let [old_mean, old_variance] = ["running_mean", "running_var"].map(|name| floats(&given[name]));
    let (y, means, variances) = (run(y, &given), run(mean.1, &given), run(variance.1, &given));
    for c in 0..3 {
        let (mean, variance) = moments(&channel(&x, c));
        let normalised = |x: f64| (x - mean) / (variance + 1e-5).sqrt() * w[c] + b[c];
        let wanted: Vec<f64> = channel(&x, c).into_iter().map(normalised).collect();
        assert_close(&channel(&y, c), &wanted);
        // Two batches, the second twice the first; deviations as of a sample.
        let after =
            |old: f64, new: f64, factor: f64| 0.9 * (0.9 * old + 0.1 * new) + 0.1 * factor * new;
        assert_close(&means[c..=c], &[after(old_mean[c], mean, 2.0)]);
        let sample = variance * 8.0 / 7.0;
        assert_close(&variances[c..=c], &[after(old_variance[c], sample, 4.0)]);
    }
}

#[test]
fn inference_uses_what_was_remembered_and_changes_nothing() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let mut memory = BatchMemory::new(BatchUse::Inference);
    let x = g.input("x", F32, [2, 3, 4]);
    let y = BatchNorm::default().forward(&model, x, &mut memory);
    assert!(memory.updates().is_empty());
    let given = values(&g, y);
    let of = |name: &str| floats(&given[name]);
    let (x, y) = (of("x"), run(y, &given));
    for c in 0..3 {
        let gain = of("weight")[c] / (of("running_var")[c] + 1e-5).sqrt();
        let wanted = channel(&x, c).into_iter();
        let wanted: Vec<f64> = wanted
            .map(|x| (x - of("running_mean")[c]) * gain + of("bias")[c])
            .collect();
        assert_close(&channel(&y, c), &wanted);
    }
}

#[test]
fn groups_and_instances_are_normalised() {
    for (norm, rows) in [(GroupNorm::new(2), 4), (GroupNorm::instance(), 8)] {
        let g = Graph::new();
        let model = Scope::root(&g);
        let x = g.input("x", F32, [2, 4, 3, 2]);
        let y = norm.forward(&model, x);
        check_grads(&model, x, y);
        let given = values(&g, y);
        let (values, got) = (floats(&given["x"]), run(y, &given));
        let row = values.len() / rows;
        for (at, got) in got.iter().enumerate() {
            let (mean, variance) = moments(&values[at / row * row..][..row]);
            let unit = (values[at] - mean) / (variance + 1e-5).sqrt();
            let wanted = match norm.affine {
                true => {
                    let c = at / 6 % 4;
                    unit * floats(&given["weight"])[c] + floats(&given["bias"])[c]
                }
                false => unit,
            };
            assert_close(&[*got], &[wanted]);
        }
    }
}

#[test]
fn the_first_batch_starts_an_act_norm() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", F32, [2, 3, 4]);
    let mut memory = BatchMemory::new(BatchUse::Starting);
    let first = ActNorm.forward(&model, x, &mut memory);
    // A second batch in the same graph is scaled as the first was.
    let second = ActNorm.forward(model.sharing(), x * 3.0, &mut memory);
    let given = values(&g, first + second);
    let (x_values, first) = (floats(&given["x"]), run(first, &given));
    let second = run(second, &given);
    for c in 0..3 {
        let (mean, variance) = moments(&channel(&x_values, c));
        let deviation = (variance * 8.0 / 7.0).sqrt() + 1e-6;
        let wanted = |factor: f64| -> Vec<f64> {
            let values = channel(&x_values, c).into_iter();
            values.map(|x| (factor * x - mean) / deviation).collect()
        };
        assert_close(&channel(&first, c), &wanted(1.0));
        assert_close(&channel(&second, c), &wanted(3.0));
    }
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", F32, [2, 3, 2, 2]);
    let y = ActNorm.forward(&model, x, &mut BatchMemory::new(BatchUse::Training));
    assert_eq!(model.specs()[0].ty.to_string(), "f32[1,3,1,1]");
    check_grads(&model, x, y);
}
