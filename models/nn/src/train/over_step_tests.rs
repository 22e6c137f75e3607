//! What is of all micro-batches of a step: that of one large batch, and of any number of ranks.

use super::ranks_tests::together;
use super::*;
use crate::data::{NamedTensors, by_step};
use crate::optimizer::{Sgd, Step, minimize};
use bsq_collectives::Ranks;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;
use std::fs;

/// Samples of a micro-batch, and micro-batches of a step.
const SAMPLES: usize = 4;
const MICRO_BATCHES: usize = 4;

/// Codes that fit `y` and are used evenly: the entropy of their mean distribution is made large, over the
/// whole step where it is told so.
fn step(g: &Graph, samples: usize, is_over_step: bool) -> (Step<'_>, Tensors) {
    let model = Scope::root(g);
    let x = g.input("x", DType::F32, [samples, 2]);
    let y = g.input("y", DType::F32, [samples, 3]);
    let probabilities = x.linear(&model / "codes", 3).softmax();
    let mean = probabilities.mean(0);
    let entropy = -(mean * mean.log()).sum(..);
    let loss = (probabilities - y).square().mean(..) - entropy * 2.0;
    let parameters = model.parameters();
    let mut step = minimize(loss, &parameters, &Sgd::new(g.scalar("lr")));
    step = step.output("entropy", entropy);
    if is_over_step {
        step = step.over_step("probabilities", mean);
    }
    (step, crate::init::init(&model.specs(), 1).unwrap())
}

/// Consecutive micro-batches side by side; what is likely in one is not in the next.
fn samples(first: usize, count: usize) -> NamedTensors {
    let own = |i: usize| (first + i / SAMPLES, i % SAMPLES);
    let x = (0..count * SAMPLES).flat_map(|i| {
        let (batch, i) = own(i);
        [(batch as f32 * 1.7).sin() * 3.0, (i as f32).cos()]
    });
    let x: Vec<f32> = x.collect();
    let y: Vec<f32> = x.chunks(2).flat_map(|x| [x[0], x[1], 0.5]).collect();
    let tensor = |width: usize, values: &[f32]| {
        HostTensor::from_slice([count * SAMPLES, width], values).unwrap()
    };
    vec![("x", tensor(2, &x)), ("y", tensor(3, &y))]
}

/// The checkpoint of a training in so many micro-batches on so many ranks.
fn trained(size: usize, micro_batches: usize, is_over_step: bool) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    together(size, |ranks: Ranks| {
        let g = Graph::new();
        let together = MICRO_BATCHES / micro_batches;
        let (step, start) = step(&g, together * SAMPLES, is_over_step);
        let training = Training::new(folder.path(), &step, start).unwrap();
        let training = training.steps(3).learning_rate(|_| 0.1);
        // Of four each has a share of the optimizer's state, and buckets are small.
        let training = training.shard_optimizer(size == 4).bucket_bytes(4);
        let batch = move |index| Ok(samples(index as usize * together, together));
        let training = training.micro_batches(micro_batches).ranks(ranks);
        training.run(by_step(batch), &mut Silent).unwrap()
    });
    fs::read(folder.path().join(FILE_NAME)).unwrap()
}

/// The largest difference of two checkpoints' parameters.
fn distance(a: &[u8], b: &[u8]) -> f32 {
    let folder = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| {
        let path = folder.path().join("a.safetensors");
        fs::write(&path, bytes).unwrap();
        TrainingCheckpoint::read(path).unwrap().tensors
    };
    let (a, b) = (read(a), read(b));
    let differences = a.iter().flat_map(|(name, tensor)| {
        let pairs = tensor.as_slice::<f32>().unwrap().iter();
        let differences = pairs.zip(b[name].as_slice::<f32>().unwrap());
        differences.map(|(a, b)| (a - b).abs()).collect::<Vec<_>>()
    });
    differences.fold(0.0, f32::max)
}

#[test]
fn the_mean_of_a_step_is_that_of_one_large_batch() {
    let large = trained(1, 1, true);
    assert!(
        large == trained(1, 1, false),
        "one batch is the whole step already"
    );
    let (step, batch) = (
        trained(1, MICRO_BATCHES, true),
        trained(1, MICRO_BATCHES, false),
    );
    let [near, far] = [&step, &batch].map(|found| distance(&large, found));
    assert!(near < 1e-6 && far > 1e-2, "{near} {far}");
}

#[test]
fn any_number_of_ranks_has_the_bits_of_one() {
    let one = trained(1, MICRO_BATCHES, true);
    for size in [2, 4] {
        assert!(one == trained(size, MICRO_BATCHES, true), "{size} ranks");
    }
}

#[test]
fn what_is_run_first_reads_what_the_mean_needs_alone() {
    let g = Graph::new();
    let halves = step(&g, SAMPLES, true).0.halves();
    let names = |function: &bsq_ir::Function| {
        let names = function.inputs().map(|(_, name, _)| name.to_string());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    let statistics = halves.statistics.as_ref().unwrap();
    assert_eq!(names(statistics), ["x".to_string()].into());
    let given = ["mean.step/probabilities", "x", "y"].map(String::from);
    assert_eq!(names(&halves.micro_batch), given.into());
    let g = Graph::new();
    assert!(step(&g, SAMPLES, false).0.halves().statistics.is_none());
}

/// Gradients (6, 0) and (0, 8), whose mean is (3, 4).
#[test]
fn the_gradient_norm_is_that_of_the_mean() {
    for (size, micro_batches) in [(1, 1), (1, 2), (2, 2)] {
        let folder = tempfile::tempdir().unwrap();
        together(size, |ranks: Ranks| {
            let g = Graph::new();
            let x = g.input("x", DType::F32, [2]);
            let parameters = ["a", "b"].map(|name| g.parameter(name, DType::F32, []));
            let part = |i: usize| x.slice(0, i..i + 1).sum(..) * parameters[i];
            let rule = Sgd::new(g.scalar("lr"));
            let step = minimize(part(0) + part(1), &parameters, &rule).with_gradient_norm();
            let zero = HostTensor::scalar(0.0_f32).unwrap();
            let start = ["a", "b"].map(|name| (name.to_string(), zero.clone()));
            let start = Tensors::from(start);
            let training = Training::new(folder.path(), &step, start).unwrap();
            let training = training.steps(2).log_every(2).shard_optimizer(size == 2);
            let batch = |index: u64| {
                let x = [[6.0_f32, 0.0], [0.0, 8.0]][index as usize % 2];
                Ok(vec![("x", HostTensor::from_slice([2], &x).unwrap())])
            };
            let training = training.micro_batches(micro_batches).ranks(ranks);
            training.run(by_step(batch), &mut Silent).unwrap()
        });
        let log = fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        // Of one micro-batch a step the mean of 6 and 8.
        let norm = if micro_batches == 1 { 7.0 } else { 5.0 };
        assert_eq!(line["train/gradient_norm"], norm, "{size}: {line}");
    }
}
