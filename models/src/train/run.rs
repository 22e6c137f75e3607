//! The training loop.

use super::checkpoint::{Identity, Position};
use super::divergence::{largest, not_finite};
use super::place::{CONFIG_NAME, Place};
use super::resume::{Resumed, resume};
use super::rising::Rising;
use super::steps::{Interval, Training};
use super::unused::unused_note;
use super::{Progress, TrainError, TrainingCheckpoint};
use crate::config::{Config, TrainConfig};
use crate::data::{Batches, ReadAhead};
use crate::executor::Tensors;
use crate::train_log::TrainLog;
use bsq_ir::Function;
use bsq_runtime::atomic_file::write_atomically;
use bsq_runtime::{CompileOptions, Device, HostTensor, compile};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Batches that wait for the optimizer.
const READ_AHEAD: usize = 3;

/// What to train, on what, and where to. The configuration is a tokenizer's or a prior's.
#[derive(Clone, Debug)]
pub struct TrainRun<C = Config> {
    pub config: C,
    /// The folder of training pictures.
    pub data: PathBuf,
    /// The folder of the training; made if need be.
    pub out: PathBuf,
    /// Go on with the training in `out`.
    pub resume: bool,
    /// Stop when this many steps are done, counted from the very first, be it more or fewer than
    /// the configuration says; schedules stay as configured.
    pub steps: Option<u64>,
    /// Threads that run kernels; 0 means as many as the CPU has.
    pub threads: usize,
    /// Where steps and evaluations run. The bits of a training do not depend on it.
    pub device: Device,
    /// When this becomes true, the training finishes its step, saves, and returns.
    pub stop: Arc<AtomicBool>,
}

/// What a training may be told beside what it is.
#[derive(Clone, Debug, Default)]
pub struct TrainOptions {
    /// Weights to begin with instead of the configured start, at step 0 and with a fresh
    /// optimizer: a file (safetensors or PyTorch), the folder of a training, or a name that ships.
    /// Averaged weights are taken where there are any.
    pub init_from: Option<String>,
    /// Go on although the data is not what it was.
    pub other_data: bool,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOutcome {
    /// Steps that are done and saved.
    pub step: u64,
    /// It was told to stop before its last step.
    pub interrupted: bool,
    /// The loss of the last step; none if no step was left to do.
    pub loss: Option<f32>,
    /// What was saved last.
    pub checkpoint: PathBuf,
    /// Pictures that could not be read and were left out.
    pub broken: usize,
}

/// A step's program and its state before the first step.
pub(super) struct Program {
    /// Inputs: `lr` and those of [`Task::inputs`]. Outputs: `loss` and the other scalars.
    /// Parameters and optimizer state are updated in place.
    pub function: Function,
    pub start: Tensors,
    /// Names of the scalar outputs, in the order in which they are logged.
    pub scalars: Vec<&'static str>,
}

/// What an evaluation says.
pub(super) struct Evaluated {
    /// To the user.
    pub line: String,
    /// To the log.
    pub scalars: Vec<(&'static str, f64)>,
}

/// Where a training stands; read from its device when it is asked for.
pub(super) type State<'a> = &'a dyn Fn() -> Result<TrainingCheckpoint, TrainError>;

/// What the loop does not know of what it trains.
pub(super) trait Task {
    type Data: Batches;

    /// All but the data.
    fn identity(&self) -> Identity;
    fn settings(&self) -> &TrainConfig;
    /// Steps of the whole training.
    fn steps(&self) -> u64;
    /// Pictures of a step, for the speed in the log.
    fn batch_size(&self) -> usize;
    fn learning_rate(&self, step: u64) -> f64;
    /// The program's inputs at a step, but for the learning rate.
    fn inputs(
        &self,
        step: u64,
        batch: <Self::Data as Batches>::Batch,
    ) -> Result<Vec<(&'static str, HostTensor)>, TrainError>;
    /// Why there is nothing to evaluate on; none if there is something.
    fn does_not_evaluate(&self) -> Option<&'static str>;
    /// Nothing where there is nothing to evaluate on.
    fn evaluate(&mut self, _state: State<'_>) -> Result<Option<Evaluated>, TrainError> {
        Ok(None)
    }
}

/// The loop: batches, steps, log, checkpoints.
pub(super) fn train<C, T: Task>(
    run: &TrainRun<C>,
    options: &TrainOptions,
    place: Place,
    task: T,
    program: Program,
    data: Arc<T::Data>,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let goes_on = place.has_checkpoint;
    let (path, lock) = place.enter(run)?;
    if !lock.is_held() {
        progress.note(
            "nothing keeps another training out of this folder: its file system has no locks",
        );
    }
    let identity = Identity {
        data: data.fingerprint(),
        ..task.identity()
    };
    data.notices().iter().for_each(|line| progress.note(line));
    let (mut position, state) = match goes_on {
        true => {
            let resumed = resume(&path, &identity, &program.start, options)?;
            announce(&resumed, progress);
            (resumed.position, resumed.tensors)
        }
        false => {
            if run.resume {
                progress.note("nothing was saved yet: the training begins at step 0");
            }
            (Position::default(), program.start)
        }
    };
    let named = state.iter().map(|(name, tensor)| (name.as_str(), tensor));
    if let Some(what) = not_finite(named.clone()) {
        return Err(TrainError::NotFinite { what });
    }
    position.first_size.get_or_insert_with(|| largest(named));
    let compile_options = CompileOptions {
        exact: task.settings().exact,
        threads: run.threads,
        device: run.device,
        ..CompileOptions::default()
    };
    let executable = compile(&program.function, &compile_options)?;
    let done = position.done;
    let last = run.steps.unwrap_or(task.steps()).max(done);
    progress.begin(done, last, &executable.report().to_string());
    let unused = executable.report().unused_parameters.iter();
    let unused = unused_note(unused.map(String::as_str));
    hints(&task, done, last)
        .iter()
        .chain(&unused)
        .for_each(|line| progress.note(line));
    write_config(&run.out, &identity.config_text)?;
    let mut training = Training {
        out: run.out.clone(),
        log: TrainLog::open(&run.out, done + 1)?,
        session: executable.bind(state)?,
        scalars: program.scalars,
        task,
        identity,
        position,
        saved: done,
        has_checkpoint: goes_on,
        candidate: None,
        // Reading parameters back from a GPU takes longer than a step.
        watches_updates: run.device == Device::Cpu,
        interval: Interval::default(),
        rising: Rising::default(),
        loss: None,
    };
    if options.init_from.is_some() {
        // What it began with is not to be had again from the configuration.
        training.save_start()?;
    }
    if done < last {
        let batches = ReadAhead::start(data.clone(), done..last.saturating_add(1), READ_AHEAD);
        training.run(&data, batches, last, &run.stop, progress)?;
    }
    progress.end();
    if data.broken() > 0 {
        progress.note(&format!(
            "pictures that could not be read: {}",
            data.broken()
        ));
    }
    Ok(TrainOutcome {
        step: training.position.done,
        interrupted: training.position.done < last,
        loss: training.loss,
        checkpoint: path,
        broken: data.broken(),
    })
}

/// What is not as it was.
fn announce(resumed: &Resumed, progress: &mut dyn Progress) {
    for change in &resumed.changes {
        progress.note(&format!("changed: {change}"));
    }
    if resumed.other_data {
        progress.note("changed: the data; the result is not that of one training on either");
    }
}

/// What a user may have expected otherwise of the steps to come.
fn hints<T: Task>(task: &T, done: u64, last: u64) -> Vec<String> {
    let mut hints = Vec::new();
    if done == last {
        hints.push(format!(
            "all {done} steps are done: to go on raise optimizer.max_iter, or give --steps"
        ));
        return hints;
    }
    if task.learning_rate(done) == 0.0 && task.learning_rate(last - 1) == 0.0 && done > 0 {
        hints.push(format!(
            "the learning rate is 0 from step {done} on: raise optimizer.schedule.max_decay_steps, or lr_min"
        ));
    }
    let period = task.settings().eval_freq;
    if period > 0
        && last / period > done / period
        && let Some(why) = task.does_not_evaluate()
    {
        hints.push(format!(
            "train.eval_freq = {period}, but {why}: there will be no evaluation"
        ));
    }
    hints
}

/// Says in a training's folder what is trained.
fn write_config(out: &Path, config: &str) -> Result<(), TrainError> {
    let path = out.join(CONFIG_NAME);
    let written = write_atomically(&path, |file| file.write_all(config.as_bytes()));
    written.map_err(|reason| TrainError::Unwritable { path, reason })
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
