//! The loop with a model of one number, and data that ends, breaks or misleads.

use super::*;
use crate::data::{by_step, from_iterator};
use crate::optimizer::{AdamW, adamw};
use crate::train::{
    BEST_NAME, Evaluated, LoggedPicture, Sign, Silent, Training, TrainingCheckpoint,
};
use bsq_ir::{DType, Graph};
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::Weights;
use bsq_runtime::executor::Tensors;
use std::path::Path;

/// A training in a folder that moves one number to the targets by a learning rate of 1/8.
fn training(folder: &Path) -> Training<'static> {
    training_with(folder, &[])
}

/// The same with parameters that nothing reads.
fn training_with(folder: &Path, idle: &[&str]) -> Training<'static> {
    let g = Graph::new();
    let number = g.parameter("number", DType::F32, [1]);
    let loss = (number - g.scalar("target")).square().mean(..);
    let idle_ones = idle.iter().map(|name| g.parameter(name, DType::F32, [1]));
    let trained: Vec<_> = [number].into_iter().chain(idle_ones).collect();
    let step = adamw(loss, &trained, &AdamW::new(g.scalar("lr"))).with_average(0.5);
    let half = HostTensor::from_slice([1], &[0.5_f32]).unwrap();
    let names = ["number"].iter().chain(idle);
    let start: Tensors = names.map(|name| (name.to_string(), half.clone())).collect();
    let training = Training::new(folder, &step, start).unwrap();
    training.steps(6).learning_rate(|_| 0.125)
}

/// What a user is told.
#[derive(Default)]
struct Heard(Vec<String>);

impl Progress for Heard {
    fn note(&mut self, line: &str) {
        self.0.push(line.to_string());
    }
}

/// Trains on these targets, saving every so many steps; the outcome and what was saved.
fn fit(
    targets: &[f32],
    save_every: u64,
) -> (Result<TrainOutcome, TrainError>, Option<TrainingCheckpoint>) {
    fit_and_tell(targets, save_every, &[], &mut Silent)
}

/// The same with parameters that nothing reads.
fn fit_and_tell(
    targets: &[f32],
    save_every: u64,
    idle: &[&str],
    progress: &mut dyn Progress,
) -> (Result<TrainOutcome, TrainError>, Option<TrainingCheckpoint>) {
    let folder = tempfile::tempdir().unwrap();
    let targets = targets.to_vec();
    let data = by_step(move |step| {
        let target = targets.get(step as usize).ok_or("no more targets")?;
        Ok(vec![("target", HostTensor::scalar(*target)?)])
    });
    let training = training_with(folder.path(), idle).save_every(save_every);
    let outcome = training.run(data, progress);
    let path = folder.path().join(crate::train::FILE_NAME);
    let saved = path
        .exists()
        .then(|| TrainingCheckpoint::read(path).unwrap());
    (outcome, saved)
}

/// An endless iterator of targets, for a training that may begin anywhere in it.
fn targets() -> impl crate::data::Batches<Batch = crate::data::NamedTensors> {
    from_iterator((0..).map(|i: i32| {
        let target = HostTensor::scalar((i as f32 * 0.9).sin()).unwrap();
        vec![("target", target)]
    }))
}

#[test]
fn a_resumed_training_ends_with_the_bits_of_one_that_was_not_stopped() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    training(whole.path()).run(targets(), &mut Silent).unwrap();
    let first = training(parts.path()).steps(4);
    assert_eq!(first.run(targets(), &mut Silent).unwrap().step, 4);
    let error = training(parts.path()).run(targets(), &mut Silent);
    assert!(matches!(error, Err(TrainError::Exists { .. })), "{error:?}");
    let outcome = training(parts.path())
        .resume(true)
        .run(targets(), &mut Silent);
    assert_eq!(outcome.unwrap().step, 6);
    let read = |folder: &Path| TrainingCheckpoint::read(folder.join(crate::train::FILE_NAME));
    assert_eq!(read(whole.path()).unwrap(), read(parts.path()).unwrap());
}

/// What an evaluation would say of a number that is right at 0.7.
fn score(checkpoint: &TrainingCheckpoint) -> Result<Evaluated, crate::BoxError> {
    let number: f32 = checkpoint.tensors["number"].as_slice::<f32>()?[0];
    let picture = LoggedPicture {
        tag: "sample".into(),
        width: 1,
        height: 1,
        png: vec![checkpoint.step as u8],
    };
    Ok(Evaluated {
        line: format!("{number}"),
        scalars: vec![("eval/score", -f64::from((number - 0.7).abs()))],
        pictures: vec![picture],
        score: Some("eval/score"),
    })
}

#[test]
fn the_best_checkpoint_is_kept_and_a_page_shows_the_training() {
    let folder = tempfile::tempdir().unwrap();
    // From 0.5 up by an eighth a step: nearest to 0.7 after two.
    let ones = || {
        from_iterator((0..).map(|_: i32| vec![("target", HostTensor::scalar(9.0_f32).unwrap())]))
    };
    let first = training(folder.path()).steps(3).evaluate_every(1, score);
    let mut lines = Heard::default();
    first.run(ones(), &mut lines).unwrap();
    let evaluated = |line: &&String| line.starts_with("step ");
    assert_eq!(lines.0.iter().filter(evaluated).count(), 4, "{:?}", lines.0);
    let best = || TrainingCheckpoint::read(folder.path().join(BEST_NAME)).unwrap();
    let (step, number) = (best().step, best().tensors["number"].clone());
    assert_eq!(step, 2, "{number:?}");
    // A resumed training remembers it.
    let second = training(folder.path())
        .resume(true)
        .log_every(2)
        .evaluate_every(2, score);
    second.run(ones(), &mut Silent).unwrap();
    assert_eq!((best().step, &best().tensors["number"]), (step, &number));
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(
        page.contains("Step 6 of 6") && page.contains("sample, step 0"),
        "{page}"
    );
    assert!(
        page.contains("sample, step 6") && page.contains("loss"),
        "{page}"
    );
}

#[test]
fn a_training_that_gets_no_better_ends() {
    let folder = tempfile::tempdir().unwrap();
    let target = || HostTensor::scalar(9.0_f32).unwrap();
    let ones = from_iterator((0..).map(move |_: i32| vec![("target", target())]));
    let long = training(folder.path()).steps(100).evaluate_every(1, score);
    let mut lines = Heard::default();
    let outcome = long.patience(3).run(ones, &mut lines).unwrap();
    // The best is the second; three evaluations later it ends, with the step that was begun.
    assert_eq!((outcome.step, outcome.interrupted), (6, false));
    let said = "no better in 3 evaluations";
    assert!(
        lines.0.iter().any(|line| line.starts_with(said)),
        "{:?}",
        lines.0
    );
}

#[test]
fn other_settings_are_said_and_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = training(folder.path()).steps(2).described_by("lr = 1");
    first.run(targets(), &mut Silent).unwrap();
    let mut lines = Heard::default();
    let other = training(folder.path()).resume(true).described_by("lr = 2");
    other.run(targets(), &mut lines).unwrap();
    let said = "changed: settings: lr = 1 -> lr = 2";
    assert!(lines.0.iter().any(|line| line == said), "{:?}", lines.0);

    let g = Graph::new();
    let number = g.parameter("number", DType::F32, [2]);
    let loss = (number - g.scalar("target")).square().mean(..);
    let step = adamw(loss, &[number], &AdamW::new(g.scalar("lr")));
    let start = HostTensor::from_slice([2], &[0.5_f32; 2]).unwrap();
    let start = Tensors::from([("number".to_string(), start)]);
    let other = Training::new(folder.path(), &step, start).unwrap();
    let error = other.resume(true).run(targets(), &mut Silent).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`adamw.exp_avg.number` is f32[1], not f32[2]"),
        "{error}"
    );
}

#[test]
fn data_that_breaks_off_costs_no_steps() {
    let (outcome, saved) = fit(&[1.0; 4], 0);
    assert!(matches!(outcome, Err(TrainError::Data(_))), "{outcome:?}");
    assert_eq!(saved.unwrap().step, 4);
    // Also where it breaks off behind the last step, and nothing is left to judge by.
    let (outcome, saved) = fit(&[1.0; 6], 0);
    assert!(outcome.is_err());
    assert_eq!(saved.unwrap().step, 6);
}

#[test]
fn a_checkpoint_takes_its_place_when_the_next_loss_is_good() {
    let (outcome, saved) = fit(&[1.0; 7], 1);
    assert_eq!(outcome.unwrap().step, 6);
    let saved = saved.unwrap();
    assert_eq!(saved.step, 6);
    // Six steps and not seven: the update of the last run is lost.
    let number = saved.parameters(Weights::Raw)["number"]
        .as_slice::<f32>()
        .unwrap()[0];
    assert!((0.9..1.3).contains(&number), "{number}");

    // Steps 0 and 1 are saved; the loss of step 3 says what the update of step 2 is worth.
    let (outcome, saved) = fit(&[1.0, 1.0, 1.0, 1e3, 1.0, 1.0, 1.0], 1);
    let Err(TrainError::Diverged {
        step,
        sign,
        saved: kept,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!((step, kept), (3, 2));
    assert!(matches!(sign, Sign::Hopeless { .. }), "{sign:?}");
    assert_eq!(saved.unwrap().step, 2);

    // What is not saved may be bad for a while.
    let (outcome, saved) = fit(&[1.0, 1.0, 1.0, 1e3, 1.0, 1.0, 1.0], 6);
    assert_eq!(outcome.unwrap().step, 6);
    assert_eq!(saved.unwrap().step, 6);
}

#[test]
fn what_is_not_finite_is_found_in_the_step_that_makes_it() {
    let (outcome, saved) = fit(&[1.0, 1.0, f32::INFINITY, 1.0, 1.0, 1.0, 1.0], 1);
    let Err(TrainError::Diverged {
        step: 2,
        sign: Sign::Loss(loss),
        saved: 1,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(loss, f32::INFINITY);
    assert_eq!(saved.unwrap().step, 1);
    // The gradient's square overflows where the loss does not: 2 * 1e19 squared is 4e38.
    let (outcome, saved) = fit(&[1.0, 1.0, 1e19, 1.0, 1.0, 1.0, 1.0], 0);
    let Err(TrainError::Diverged {
        step: 2,
        sign: Sign::Update(what),
        saved: 0,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(what, "`adamw.exp_avg_sq.number` holds inf");
    assert!(saved.is_none());
}

#[test]
fn what_no_output_depends_on_is_told_but_for_averages() {
    let mut heard = Heard::default();
    let _ = fit_and_tell(&[1.0; 7], 0, &["idle"], &mut heard);
    let told = |word: &str| heard.0.iter().any(|line| line.contains(word));
    assert!(
        told("no output depends on these parameters"),
        "{:?}",
        heard.0
    );
    assert!(
        told(": idle") && !told("number") && !told("ema."),
        "{:?}",
        heard.0
    );
    let mut heard = Heard::default();
    let _ = fit_and_tell(&[1.0; 7], 0, &[], &mut heard);
    assert!(
        !heard.0.iter().any(|line| line.contains("depends")),
        "{:?}",
        heard.0
    );
}

/// Worse than it was, and not so bad that it is not saved.
#[test]
fn a_loss_that_has_risen_is_told_before_it_is_saved() {
    let rises = [1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0];
    let mut heard = Heard::default();
    let (outcome, saved) = fit_and_tell(&rises, 1, &[], &mut heard);
    assert_eq!((outcome.unwrap().step, saved.unwrap().step), (6, 6));
    let told = heard.0.iter().filter(|line| line.contains("diverging"));
    let told: Vec<&String> = told.collect();
    assert_eq!(told.len(), 1, "{:?}", heard.0);
    assert!(told[0].contains("the checkpoint of step 4"), "{told:?}");
    let mut heard = Heard::default();
    let _ = fit_and_tell(&[1.0; 7], 1, &[], &mut heard);
    assert!(
        !heard.0.iter().any(|line| line.contains("diverging")),
        "{:?}",
        heard.0
    );
}
