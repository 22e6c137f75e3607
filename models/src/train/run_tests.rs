//! The loop with a model of one number, and data that ends, breaks or misleads.

use super::*;
use crate::config::Config;
use crate::data::{DataError, DataFingerprint};
use crate::optimizer::{AdamW, adamw};
use crate::train::{Sign, Silent};
use bsq_ir::{DType, Graph};
use bsq_runtime::checkpoint::Weights;

/// Targets by step; what is not there is an error.
struct Targets(Vec<f32>);

impl Batches for Targets {
    type Batch = f32;

    fn batch(&self, step: u64) -> Result<f32, DataError> {
        let target = self.0.get(step as usize);
        target.copied().ok_or(DataError::NoTokens)
    }

    fn fingerprint(&self) -> DataFingerprint {
        DataFingerprint::default()
    }

    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    fn broken(&self) -> usize {
        0
    }
}

/// Moves one number to the targets.
struct Fit(TrainConfig);

impl Task for Fit {
    type Data = Targets;

    fn identity(&self) -> Identity {
        Identity {
            config_text: include_str!("../../configs/default.toml").to_string(),
            seed: 0,
            metadata: Vec::new(),
            data: DataFingerprint::default(),
        }
    }

    fn settings(&self) -> &TrainConfig {
        &self.0
    }

    fn steps(&self) -> u64 {
        6
    }

    fn batch_size(&self) -> usize {
        1
    }

    fn learning_rate(&self, _step: u64) -> f64 {
        0.125
    }

    fn inputs(
        &self,
        _step: u64,
        target: f32,
    ) -> Result<Vec<(&'static str, HostTensor)>, TrainError> {
        Ok(vec![("target", HostTensor::scalar(target)?)])
    }

    fn does_not_evaluate(&self) -> Option<&'static str> {
        Some("there is nothing to evaluate on")
    }
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
    save_freq: u64,
) -> (Result<TrainOutcome, TrainError>, Option<TrainingCheckpoint>) {
    fit_and_tell(targets, save_freq, &[], &mut Silent)
}

/// The same with parameters that nothing reads.
fn fit_and_tell(
    targets: &[f32],
    save_freq: u64,
    idle: &[&str],
    progress: &mut dyn Progress,
) -> (Result<TrainOutcome, TrainError>, Option<TrainingCheckpoint>) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::from_toml(include_str!("../../configs/default.toml")).unwrap();
    let settings = TrainConfig {
        save_freq,
        ..config.train.clone()
    };
    let g = Graph::new();
    let number = g.parameter("number", DType::F32, [1]);
    let loss = (number - g.scalar("target")).square().mean(..);
    let idle_ones = idle.iter().map(|name| g.parameter(name, DType::F32, [1]));
    let trained: Vec<_> = [number].into_iter().chain(idle_ones).collect();
    let step = adamw(loss, &trained, &AdamW::new(g.scalar("lr"))).with_average(0.5);
    let half = HostTensor::from_slice([1], &[0.5_f32]).unwrap();
    let names = ["number"].iter().chain(idle);
    let mut start: Tensors = names.map(|name| (name.to_string(), half.clone())).collect();
    start.extend(step.initial_state(&start).unwrap());
    let program = Program {
        function: step.function(),
        start,
        scalars: vec!["loss"],
    };
    let run = TrainRun {
        config,
        data: PathBuf::new(),
        out: folder.path().join("out"),
        resume: false,
        steps: None,
        threads: 1,
        device: Device::Cpu,
        stop: Arc::default(),
    };
    let place = Place::of(&run).unwrap();
    let data = Arc::new(Targets(targets.to_vec()));
    let options = TrainOptions::default();
    let outcome = train(
        &run,
        &options,
        place,
        Fit(settings),
        program,
        data,
        progress,
    );
    let path = run.out.join(crate::train::FILE_NAME);
    let saved = path
        .exists()
        .then(|| TrainingCheckpoint::read(path).unwrap());
    (outcome, saved)
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
