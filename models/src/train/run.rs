//! The training loop.

use super::checkpoint::{self, FILE_NAME, Identity};
use super::{Progress, TrainError, TrainingCheckpoint};
use crate::config::{Config, TrainConfig};
use crate::data::{Batches, ReadAhead};
use crate::executor::Tensors;
use crate::train_log::TrainLog;
use bsq_ir::Function;
use bsq_runtime::atomic_file::write_atomically;
use bsq_runtime::{CompileOptions, Device, HostTensor, Outputs, Session, compile};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

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
    /// Stop when this many steps are done, counted from the very first; schedules stay those of
    /// the whole training.
    pub steps: Option<u64>,
    /// Threads that run kernels; 0 means as many as the CPU has.
    pub threads: usize,
    /// Where steps and evaluations run. The bits of a training do not depend on it.
    pub device: Device,
    /// When this becomes true, the training finishes its step, saves, and returns.
    pub stop: Arc<AtomicBool>,
}

impl<C> TrainRun<C> {
    /// Whether it was told to stop.
    pub fn was_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
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
    /// Nothing where there is nothing to evaluate on.
    fn evaluate(&mut self, _state: State<'_>) -> Result<Option<Evaluated>, TrainError> {
        Ok(None)
    }
}

/// Where a training's checkpoint is; an error if there is one that it must not replace.
pub(super) fn checkpoint_of<C>(run: &TrainRun<C>) -> Result<PathBuf, TrainError> {
    let path = run.out.join(FILE_NAME);
    match !run.resume && path.exists() {
        true => Err(TrainError::Exists { path }),
        false => Ok(path),
    }
}

/// The loop: batches, steps, log, checkpoints.
pub(super) fn train<C, T: Task>(
    run: &TrainRun<C>,
    task: T,
    program: Program,
    data: Arc<T::Data>,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let path = checkpoint_of(run)?;
    let identity = task.identity();
    let (done, state) = match run.resume {
        true => {
            let TrainingCheckpoint { step, tensors, .. } =
                checkpoint::resume(&path, &identity, &program.start)?;
            (step, tensors)
        }
        false => (0, program.start),
    };
    let options = CompileOptions {
        exact: task.settings().exact,
        threads: run.threads,
        device: run.device,
        ..CompileOptions::default()
    };
    let executable = compile(&program.function, &options)?;
    let last = task.steps();
    let last = run.steps.map_or(last, |steps| steps.min(last)).max(done);
    progress.begin(done, last, &executable.report().to_string());
    make_folder(&run.out, &identity.config_text)?;
    let mut training = Training {
        out: run.out.clone(),
        log: TrainLog::open(&run.out, done + 1)?,
        session: executable.bind(state)?,
        scalars: program.scalars,
        task,
        identity,
        done,
        saved: done,
        interval: Interval::default(),
        loss: None,
    };
    for (step, batch) in ReadAhead::start(data, done..last, READ_AHEAD) {
        training.step(step, batch?, progress)?;
        if run.was_stopped() {
            break;
        }
    }
    training.save()?;
    progress.end();
    Ok(TrainOutcome {
        step: training.done,
        interrupted: training.done < last,
        loss: training.loss,
        checkpoint: path,
    })
}

/// Makes the training's folder and says in it what is trained.
fn make_folder(out: &Path, config: &str) -> Result<(), TrainError> {
    let unwritable = |path: PathBuf| move |reason| TrainError::Unwritable { path, reason };
    fs::create_dir_all(out).map_err(unwritable(out.to_path_buf()))?;
    let path = out.join("config.toml");
    write_atomically(&path, |file| file.write_all(config.as_bytes())).map_err(unwritable(path))
}

/// A training under way.
struct Training<T> {
    out: PathBuf,
    task: T,
    identity: Identity,
    session: Session,
    scalars: Vec<&'static str>,
    log: TrainLog,
    /// Steps that are done, and that are saved.
    done: u64,
    saved: u64,
    interval: Interval,
    loss: Option<f32>,
}

/// What has happened since the last line of the log.
struct Interval {
    steps: u64,
    sums: Vec<f64>,
    start: Instant,
}

impl Default for Interval {
    fn default() -> Interval {
        Interval {
            steps: 0,
            sums: Vec::new(),
            start: Instant::now(),
        }
    }
}

impl<T: Task> Training<T> {
    fn step(
        &mut self,
        step: u64,
        batch: <T::Data as Batches>::Batch,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let rate = self.task.learning_rate(step);
        let mut inputs = self.task.inputs(step, batch)?;
        inputs.push(("lr", HostTensor::scalar(rate as f32)?));
        let inputs: Vec<_> = inputs
            .iter()
            .map(|(name, tensor)| (*name, tensor))
            .collect();
        let outputs = self.session.run(&inputs)?;
        let loss: f32 = outputs["loss"].item()?;
        if !loss.is_finite() {
            let saved = self.saved;
            return Err(TrainError::Diverged { step, loss, saved });
        }
        (self.done, self.loss) = (step + 1, Some(loss));
        self.count(&outputs)?;
        progress.step(self.done, loss);
        let settings = self.task.settings();
        let [print, save, evaluate] = [settings.print_freq, settings.save_freq, settings.eval_freq]
            .map(|period| due(self.done, period));
        if print {
            self.write_log(rate)?;
        }
        if save {
            self.save()?;
        }
        if evaluate {
            self.evaluate(progress)?;
        }
        Ok(())
    }

    fn count(&mut self, outputs: &Outputs) -> Result<(), TrainError> {
        self.interval.steps += 1;
        self.interval.sums.resize(self.scalars.len(), 0.0);
        for (sum, &name) in self.interval.sums.iter_mut().zip(&self.scalars) {
            *sum += f64::from(outputs[name].item::<f32>()?);
        }
        Ok(())
    }

    /// One line: means over the interval, the learning rate, and the speed.
    fn write_log(&mut self, lr: f64) -> Result<(), TrainError> {
        let Interval { steps, sums, start } = std::mem::take(&mut self.interval);
        let seconds = start.elapsed().as_secs_f64();
        let names: Vec<String> = self.scalars.iter().map(|s| format!("train/{s}")).collect();
        let means = sums.iter().map(|sum| sum / steps as f64);
        let mut line: Vec<(&str, f64)> = names.iter().map(String::as_str).zip(means).collect();
        let images = steps * self.task.batch_size() as u64;
        line.push(("train/lr", lr));
        line.push(("train/images_per_second", images as f64 / seconds));
        line.push(("train/seconds", seconds));
        Ok(self.log.scalars(self.done, &line)?)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        if self.saved < self.done {
            let path = self.out.join(FILE_NAME);
            checkpoint::save(&path, self.done, &self.identity, &self.session)?;
            self.saved = self.done;
        }
        Ok(())
    }

    fn evaluate(&mut self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let (done, session) = (self.done, &self.session);
        let state = || {
            let parameters = session.parameters()?.into_iter();
            Ok(TrainingCheckpoint {
                step: done,
                config_text: String::new(),
                tensors: parameters
                    .map(|(name, tensor)| (name.to_string(), tensor.clone()))
                    .collect(),
            })
        };
        if let Some(Evaluated { line, scalars }) = self.task.evaluate(&state)? {
            progress.note(&format!("step {done}: {line}"));
            self.log.scalars(done, &scalars)?;
        }
        Ok(())
    }
}

/// Whether something that happens every `period` steps happens after `done` steps.
fn due(done: u64, period: u64) -> bool {
    period != 0 && done.is_multiple_of(period)
}
