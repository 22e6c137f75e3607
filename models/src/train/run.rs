//! The training loop.

use super::checkpoint::{self, FILE_NAME};
use super::{Evaluator, Progress, StepProgram, TrainError, TrainingCheckpoint, transform_coding};
use crate::config::{Config, Initialisation};
use crate::data::{Batch, Dataset, ReadAhead};
use crate::losses::left_out;
use crate::tokenizer::Tokenizer;
use crate::train_log::TrainLog;
use bsq_runtime::atomic_file::write_atomically;
use bsq_runtime::checkpoint::Weights;
use bsq_runtime::{CompileOptions, HostTensor, Outputs, Session, compile};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Batches that wait for the optimizer.
const READ_AHEAD: usize = 3;

/// What to train, on what, and where to.
#[derive(Clone, Debug)]
pub struct TrainRun {
    pub config: Config,
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
    /// When this becomes true, the training finishes its step, saves, and returns.
    pub stop: Arc<AtomicBool>,
}

impl TrainRun {
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

/// Trains.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run(run: &TrainRun, progress: &mut dyn Progress) -> Result<TrainOutcome, TrainError> {
    let config = &run.config;
    let missing = left_out(&config.loss);
    if !missing.is_empty() {
        let what = missing.join(" or ");
        return Err(TrainError::NotSupported { what });
    }
    let path = run.out.join(FILE_NAME);
    if !run.resume && path.exists() {
        return Err(TrainError::Exists { path });
    }
    let tokenizer = Tokenizer::new(&config.model)?;
    let (size, seed) = (config.model.encoder.image_size, config.train.seed);
    let dataset = Arc::new(Dataset::open(&run.data, &config.data, size, seed)?);
    let mut parameters = tokenizer.init(seed)?;
    if config.train.init == Initialisation::TransformCoder && !run.resume {
        transform_coding::start(config, &dataset, &mut parameters)?;
    }
    let program = StepProgram::new(config, &tokenizer, parameters)?;
    let (done, state) = match run.resume {
        true => {
            let TrainingCheckpoint { step, tensors, .. } =
                checkpoint::resume(&path, config, &program.start)?;
            (step, tensors)
        }
        false => (0, program.start),
    };

    let options = CompileOptions {
        exact: config.train.exact,
        threads: run.threads,
        ..CompileOptions::default()
    };
    let executable = compile(&program.function, &options)?;
    let last = config.optimizer.max_iter;
    let last = run.steps.map_or(last, |steps| steps.min(last)).max(done);
    progress.begin(done, last, &executable.report().to_string());
    make_folder(run)?;
    let log = TrainLog::open(&run.out, done + 1)?;
    let evaluator = match (&config.data.val_root, config.train.eval_freq) {
        (None, _) | (_, 0) => None,
        (Some(folder), _) => Some(Evaluator::new(&config.model, folder, run.threads)?),
    };
    let mut training = Training {
        run,
        session: executable.bind(state)?,
        scalars: program.scalars,
        has_codebook_weight: program.has_codebook_weight,
        log,
        evaluator,
        done,
        saved: done,
        interval: Interval::default(),
        loss: None,
    };
    for (step, batch) in ReadAhead::start(dataset, done..last, READ_AHEAD) {
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
fn make_folder(run: &TrainRun) -> Result<(), TrainError> {
    let unwritable = |path: PathBuf| move |reason| TrainError::Unwritable { path, reason };
    fs::create_dir_all(&run.out).map_err(unwritable(run.out.clone()))?;
    let path = run.out.join("config.toml");
    let text = run.config.to_toml();
    write_atomically(&path, |file| file.write_all(text.as_bytes())).map_err(unwritable(path))
}

/// A training under way.
struct Training<'a> {
    run: &'a TrainRun,
    session: Session,
    scalars: Vec<&'static str>,
    has_codebook_weight: bool,
    log: TrainLog,
    evaluator: Option<Evaluator>,
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

impl Training<'_> {
    fn step(
        &mut self,
        step: u64,
        batch: Batch,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let config = &self.run.config;
        let image = HostTensor::from_slice(batch.shape, &batch.images)?;
        let lr = HostTensor::scalar(config.learning_rate(step) as f32)?;
        let weight = HostTensor::scalar(config.loss.codebook_weight_at(step) as f32)?;
        let mut inputs = vec![("image", &image), ("lr", &lr)];
        if self.has_codebook_weight {
            inputs.push(("codebook_weight", &weight));
        }
        let outputs = self.session.run(&inputs)?;
        let loss: f32 = outputs["loss"].item()?;
        if !loss.is_finite() {
            let saved = self.saved;
            return Err(TrainError::Diverged { step, loss, saved });
        }
        (self.done, self.loss) = (step + 1, Some(loss));
        self.count(&outputs)?;
        progress.step(self.done, loss);
        let train = &config.train;
        if due(self.done, train.print_freq) {
            self.write_log(config.learning_rate(step))?;
        }
        if due(self.done, train.save_freq) {
            self.save()?;
        }
        if due(self.done, train.eval_freq) {
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
        let images = steps * self.run.config.data.batch_size as u64;
        line.push(("train/lr", lr));
        line.push(("train/images_per_second", images as f64 / seconds));
        line.push(("train/seconds", seconds));
        Ok(self.log.scalars(self.done, &line)?)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        if self.saved < self.done {
            let path = self.run.out.join(FILE_NAME);
            checkpoint::save(&path, self.done, &self.run.config, &self.session)?;
            self.saved = self.done;
        }
        Ok(())
    }

    fn evaluate(&mut self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let Some(evaluator) = &mut self.evaluator else {
            return Ok(());
        };
        let state = TrainingCheckpoint {
            step: self.done,
            config_text: String::new(),
            tensors: self
                .session
                .parameters()
                .map(|(name, tensor)| (name.to_string(), tensor.clone()))
                .collect(),
        };
        let evaluation = evaluator.evaluate(&state.parameters(Weights::Ema))?;
        let psnr = evaluation.psnr();
        progress.note(&format!("step {}: {psnr:.3} dB", self.done));
        Ok(self.log.scalars(self.done, &[("eval/psnr", psnr)])?)
    }
}

/// Whether something that happens every `period` steps happens after `done` steps.
fn due(done: u64, period: u64) -> bool {
    period != 0 && done.is_multiple_of(period)
}
