//! Micro-batches and ranks: the bits are those of one rank that takes all micro-batches.

use super::*;
use crate::BoxError;
use crate::data::{Batches, NamedTensors, by_step};
use crate::layers::Mlp;
use crate::optimizer::{AdamW, Clip, Step, adamw};
use bsq_collectives::{CollectiveError, Ranks, threads};
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `y = x1 - x2` learned by a perceptron, with clipped gradients, a moving average, and a running mean
/// of what it guesses, as batch norms have.
fn step(g: &Graph) -> (Step<'_>, Tensors) {
    let model = Scope::root(g);
    let x = g.input("x", DType::F32, [4, 2]);
    let y = g.input("y", DType::F32, [4, 1]);
    let guess = Mlp::new(8, 1).forward(&model, x);
    let loss = (guess - y).square().mean(..);
    let remembered = g.parameter("remembered", DType::F32, []);
    let rule = AdamW {
        clip: Some(Clip::Global(0.5)),
        ..AdamW::new(g.scalar("lr"))
    };
    let step = adamw(loss, &model.parameters(), &rule)
        .with_average(0.9)
        .replacing(&[(remembered, remembered * 0.9 + guess.mean(..) * 0.1)])
        .output("guess", guess.mean(..));
    let mut start = crate::init::init(&model.specs(), 1).unwrap();
    let zero = HostTensor::scalar(0.0_f32).unwrap();
    start.insert("remembered".to_string(), zero);
    (step, start)
}

/// Four samples of a batch.
fn samples(batch: u64) -> NamedTensors {
    let x: Vec<f32> = (0..8).map(|i| ((batch * 8 + i) as f32).sin()).collect();
    let y: Vec<f32> = x.chunks(2).map(|x| x[0] - x[1]).collect();
    let tensor = |shape, values| HostTensor::from_slice(shape, values).unwrap();
    vec![("x", tensor([4, 2], &x)), ("y", tensor([4, 1], &y))]
}

fn batches() -> impl Batches<Batch = NamedTensors> {
    by_step(|index| Ok(samples(index)))
}

fn training(folder: &Path, micro_batches: usize, ranks: Ranks) -> Training<'static> {
    let g = Graph::new();
    let (step, start) = step(&g);
    let training = Training::new(folder, &step, start).unwrap();
    let training = training.steps(6).learning_rate(|_| 0.01).save_every(2);
    training.micro_batches(micro_batches).ranks(ranks)
}

/// What each of several ranks finds that train together.
pub(super) fn together<T: Send>(size: usize, run: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let start = |rank| scope.spawn(move || run(Ranks::new(rank)));
        let running: Vec<_> = threads(size).into_iter().map(start).collect();
        running
            .into_iter()
            .map(|rank| rank.join().unwrap())
            .collect()
    })
}

/// The checkpoint of a training on so many ranks.
fn trained(size: usize, micro_batches: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let outcomes = together(size, |ranks| {
        let training = training(folder.path(), micro_batches, ranks);
        training.run(batches(), &mut Silent).unwrap()
    });
    let steps = outcomes.iter().map(|outcome| (outcome.step, outcome.loss));
    assert!(steps.clone().all(|end| end == (6, outcomes[0].loss)));
    fs::read(folder.path().join(FILE_NAME)).unwrap()
}

#[test]
fn any_number_of_ranks_has_the_bits_of_one() {
    let one = trained(1, 4);
    assert!(one == trained(2, 4), "2 ranks");
    assert!(one == trained(4, 4), "4 ranks");
    assert!(
        one != trained(1, 2),
        "the number of micro-batches changes nothing"
    );
}

/// The mean over micro-batches is close to the gradient of all samples at once: here of one step whose
/// clipping does nothing.
#[test]
fn micro_batches_are_one_large_batch() {
    let g = Graph::new();
    let (step, start) = step(&g);
    let halves = step.halves();
    let inputs = |function: &bsq_ir::Function| -> Vec<String> {
        function
            .inputs()
            .map(|(_, name, _)| name.to_string())
            .collect()
    };
    let mut of_batch = inputs(&halves.micro_batch);
    of_batch.sort();
    assert_eq!(of_batch, ["x", "y"]);
    let of_update = inputs(&halves.update);
    assert!(
        of_update
            .iter()
            .all(|name| name == "lr" || name.starts_with("mean."))
    );
    assert!(of_update.contains(&"mean.remembered".to_string()));
    // Everything that the step changes.
    let updated = halves.update.updates().len();
    assert_eq!(updated, step.function().updates().len());
    assert_eq!(
        updated,
        start.len() + step.initial_state(&start).unwrap().len()
    );

    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, micro_batches: usize| {
        let folder = folder.path().join(name);
        let training = training(&folder, micro_batches, Ranks::default()).steps(3);
        // The same four samples again and again: their mean is that of one batch.
        let same = by_step(|_| Ok(samples(7)));
        training.run(same, &mut Silent).unwrap();
        TrainingCheckpoint::read(folder.join(FILE_NAME))
            .unwrap()
            .tensors
    };
    let (one, four) = (of("one", 1), of("four", 4));
    for (name, tensor) in &one {
        let pairs = tensor.as_slice::<f32>().unwrap().iter();
        for (a, b) in pairs.zip(four[name].as_slice::<f32>().unwrap()) {
            assert!(
                (a - b).abs() <= 1e-5 * a.abs().max(1e-2),
                "{name}: {a}, {b}"
            );
        }
    }
}

#[test]
fn a_training_goes_on_with_another_number_of_ranks_to_the_same_bits() {
    let straight = trained(1, 4);
    let folder = tempfile::tempdir().unwrap();
    for (size, steps) in [(4, 2), (1, 4), (2, 6)] {
        // Only rank 0 sees the folder.
        let elsewhere = folder.path().join("elsewhere");
        let outcomes = together(size, |ranks| {
            let own = match ranks.rank() {
                0 => folder.path().join("run"),
                _ => elsewhere.clone(),
            };
            let training = training(&own, 4, ranks).steps(steps);
            let training = training.resume(folder.path().join("run").exists() && steps > 2);
            training.run(batches(), &mut Silent).unwrap().step
        });
        assert!(outcomes.iter().all(|&step| step == steps));
        assert!(!elsewhere.exists());
    }
    let file = folder.path().join("run").join(FILE_NAME);
    assert!(straight == fs::read(file).unwrap());
}

#[test]
fn a_rank_whose_parameters_differ_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let errors = together(4, |ranks| {
        let wrong = ranks.rank() == 2;
        let training = training(folder.path(), 4, ranks);
        let training = training.learning_rate(move |_| if wrong { 0.02 } else { 0.01 });
        training.run(batches(), &mut Silent).unwrap_err()
    });
    for error in errors {
        let text = error.to_string();
        assert!(
            text.contains("step 1:") && text.contains("of rank 2 is not"),
            "{text}"
        );
    }
    assert!(!folder.path().join(FILE_NAME).exists());
}

#[test]
fn ranks_with_other_data_are_named_before_the_first_step() {
    struct Other(u64);
    impl Batches for Other {
        type Batch = NamedTensors;
        fn batch(&self, step: u64) -> Result<NamedTensors, BoxError> {
            Ok(samples(step))
        }
        fn fingerprint(&self) -> crate::data::DataFingerprint {
            crate::data::DataFingerprint {
                samples: 4,
                hash: self.0,
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let errors = together(2, |ranks| {
        let data = Other(ranks.rank() as u64);
        training(folder.path(), 2, ranks)
            .run(data, &mut Silent)
            .unwrap_err()
    });
    assert!(
        errors[0].to_string().contains("the data of rank 1"),
        "{}",
        errors[0]
    );
}

#[test]
fn a_rank_without_data_stops_all_and_what_is_done_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let errors = together(2, |ranks| {
        let ends = by_step(|index| match index {
            7 => Err("no more".into()),
            _ => Ok(samples(index)),
        });
        training(folder.path(), 2, ranks)
            .run(ends, &mut Silent)
            .unwrap_err()
    });
    assert!(matches!(
        errors[0],
        TrainError::NoDataElsewhere { rank: 1, step: 3 }
    ));
    assert_eq!(errors[1].to_string(), "no more");
    let saved = TrainingCheckpoint::read(folder.path().join(FILE_NAME)).unwrap();
    assert_eq!(saved.step, 3);
}

#[test]
fn one_rank_that_is_told_to_stop_stops_all_at_the_same_step() {
    struct StopAt(u64, Arc<AtomicBool>);
    impl Progress for StopAt {
        fn step(&mut self, done: u64, _loss: f32) {
            self.1.fetch_or(done == self.0, Ordering::Relaxed);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let outcomes = together(2, |ranks| {
        let stop = Arc::new(AtomicBool::new(false));
        let at = if ranks.rank() == 1 { 3 } else { u64::MAX };
        let training = training(folder.path(), 2, ranks).stop(stop.clone());
        training.run(batches(), &mut StopAt(at, stop)).unwrap()
    });
    assert!(outcomes.iter().all(|end| end.interrupted && end.step == 3));
}

/// Buckets of one tensor each, of a few, and of all: they go on their way in one order, whatever they hold.
#[test]
fn buckets_change_no_bit_and_are_seen_on_a_timeline() {
    let straight = trained(1, 4);
    for (size, bytes) in [(1, 1), (2, 1), (2, 64), (4, 0), (2, 1 << 20)] {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace.json");
        together(size, |ranks| {
            let training = training(folder.path(), 4, ranks).bucket_bytes(bytes);
            let training = training.timeline(trace.clone());
            training.run(batches(), &mut Silent).unwrap()
        });
        let found = fs::read(folder.path().join(FILE_NAME)).unwrap();
        assert!(straight == found, "{size} ranks, {bytes} bytes");
        let trace: serde_json::Value = serde_json::from_slice(&fs::read(trace).unwrap()).unwrap();
        let count = |rank: usize, name: &str| {
            let events = trace["traceEvents"].as_array().unwrap().iter();
            let of = |event: &&serde_json::Value| {
                event["pid"] == rank && event["name"].as_str().unwrap().starts_with(name)
            };
            events.filter(of).count()
        };
        // Four weights and biases, what is remembered, the guess, and the loss; seven steps, of which the
        // last only judges.
        let buckets = match bytes {
            1 => 7,
            64 => 3,
            _ => 1,
        };
        for rank in 0..size {
            assert_eq!(
                count(rank, "bucket"),
                7 * buckets,
                "{size} ranks, {bytes} bytes"
            );
            assert_eq!(count(rank, "micro-batch"), 7 * 4 / size);
            assert_eq!(count(rank, "update"), 7);
        }
    }
}

/// Each rank has a share of the optimizer's state; nothing else changes, and a checkpoint has all of it.
#[test]
fn a_training_with_shared_state_has_the_bits_of_one_without() {
    let straight = trained(1, 4);
    let folder = tempfile::tempdir().unwrap();
    for (size, steps) in [(2, 2), (1, 3), (4, 6)] {
        let outcomes = together(size, |ranks| {
            let training = training(folder.path(), 4, ranks).shard_optimizer(true);
            // The average is asked for, and one rank each has it.
            let training = training.steps(steps).resume(steps > 2);
            let averages = |at: &TrainingCheckpoint| {
                let names = at.tensors.keys().filter(|name| name.starts_with("ema."));
                assert_eq!(names.count(), 4);
                Ok(Evaluated::default())
            };
            let training = training.evaluate_every(2, averages);
            training.run(batches(), &mut Silent).unwrap().step
        });
        assert!(outcomes.iter().all(|&step| step == steps));
    }
    assert!(straight == fs::read(folder.path().join(FILE_NAME)).unwrap());
}

/// What only one rank holds becomes infinite: all say the same.
#[test]
fn what_one_rank_finds_of_its_share_all_say() {
    let folder = tempfile::tempdir().unwrap();
    let errors = together(4, |ranks| {
        let training = training(folder.path(), 4, ranks).shard_optimizer(true);
        let training = training.learning_rate(|step| if step == 2 { f64::INFINITY } else { 0.01 });
        training
            .run(batches(), &mut Silent)
            .unwrap_err()
            .to_string()
    });
    assert!(errors[0].contains("holds"), "{}", errors[0]);
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
}

/// What an evaluation brings about is the same on all ranks.
fn evaluating(folder: &Path, ranks: Ranks, rate: f64) -> Training<'static> {
    let score = |at: &TrainingCheckpoint| {
        Ok(Evaluated {
            scalars: vec![(
                "score",
                if at.step == 4 {
                    5.0
                } else {
                    1.0 / (1.0 + at.step as f64)
                },
            )],
            score: Some("score"),
            ..Evaluated::default()
        })
    };
    let training = training(folder, 4, ranks)
        .save_every(0)
        .evaluate_every(2, score);
    training.learning_rate(move |_| rate)
}

#[test]
fn the_best_checkpoint_is_that_of_one_rank() {
    let best = |size| {
        let folder = tempfile::tempdir().unwrap();
        together(size, |ranks| {
            let training = evaluating(folder.path(), ranks, 0.01);
            training.run(batches(), &mut Silent).unwrap()
        });
        let best = TrainingCheckpoint::read(folder.path().join(BEST_NAME)).unwrap();
        assert_eq!(best.step, 4);
        fs::read(folder.path().join(BEST_NAME)).unwrap()
    };
    assert!(best(1) == best(2));
}

/// A checkpoint that an evaluation has proposed is judged by all.
#[test]
fn all_ranks_find_a_loss_hopeless() {
    let folder = tempfile::tempdir().unwrap();
    let errors = together(2, |ranks| {
        let training = evaluating(folder.path(), ranks, 30.0);
        training.run(batches(), &mut Silent).unwrap_err()
    });
    let is_divergence = |error: &TrainError| matches!(error, TrainError::Diverged { .. });
    assert!(errors.iter().all(is_divergence), "{errors:?}");
    assert_eq!(errors[0].to_string(), errors[1].to_string());
}

/// A rank that is gone: the others end instead of waiting.
#[test]
fn a_rank_that_ends_ends_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let results = together(3, |ranks| {
        if ranks.rank() == 1 {
            // It has come as far as the folder.
            ranks.gather_words(0).unwrap();
            return Err(TrainError::Collective(CollectiveError::Ended { rank: 9 }));
        }
        training(folder.path(), 3, ranks).run(batches(), &mut Silent)
    });
    for rank in [0, 2] {
        let error = results[rank].as_ref().unwrap_err();
        assert!(
            matches!(
                error,
                TrainError::Collective(CollectiveError::Ended { rank: 1 })
            ),
            "{error}"
        );
    }
    assert!(!folder.path().join(FILE_NAME).exists());
}
