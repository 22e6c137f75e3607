//! A training under way: steps, the log, and checkpoints that have proved themselves.

use super::checkpoint::{BEST_NAME, Candidate, FILE_NAME, Identity, Position};
use super::divergence::{Sign, are_too_large, is_hopeless, largest, not_finite};
use super::parts::Parts;
use super::rising::Rising;
use super::run::LoopSettings;
use super::task::{Evaluated, Task};
use super::timeline;
use super::together::{agree, checksum};
use super::{Progress, TrainError, TrainingCheckpoint};
use crate::BoxError;
use crate::data::{Batches, DataFingerprint};
use crate::optimizer::is_state;
use crate::train_log::{Place, TrainLog};
use bsq_runtime::HostTensor;
use bsq_runtime::atomic_file::write_atomically;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What ranks compare.
const PARAMETERS: &str = "the checksum of the parameters";

/// The batches of a step that are a rank's own, with their indices.
type StepBatches<T> = Vec<(u64, <<T as Task>::Data as Batches>::Batch)>;

/// What the programs of a step have made, by name.
type Outputs = BTreeMap<String, HostTensor>;

/// A training under way.
pub(super) struct Steps<'a, T> {
    pub settings: &'a LoopSettings,
    pub task: T,
    pub identity: Identity,
    pub fingerprint: DataFingerprint,
    pub parts: Parts,
    pub scalars: Vec<String>,
    /// None where another rank logs.
    pub log: Option<TrainLog>,
    pub position: Position,
    /// Steps that the checkpoint has seen.
    pub saved: u64,
    /// Whether there is one.
    pub has_checkpoint: bool,
    /// What will be the checkpoint if the next loss is good.
    pub candidate: Option<Candidate>,
    /// Look at every number after every step, and not only before it is saved.
    pub watches_updates: bool,
    pub interval: Interval,
    pub rising: Rising,
    /// Of the last step.
    pub loss: Option<f32>,
    /// Steps that were done when this run began, and when that was.
    pub began: u64,
    pub started: Instant,
    /// Steps that it ends with.
    pub last: u64,
    /// Evaluations since the best one.
    pub without_gain: u64,
    /// There were so many that the training ends.
    pub is_satisfied: bool,
    /// The steps whose checkpoint is to be kept as the best, once it is one.
    pub keeps: Option<u64>,
}

/// What an evaluation says of those before it.
#[derive(Clone, Copy)]
enum Gain {
    /// There was none, or it has no score.
    Unknown,
    None,
    Better,
}

/// What has happened since the last line of the log.
pub(super) struct Interval {
    steps: u64,
    /// Sums and counts of the scalars.
    sums: Vec<(f64, u64)>,
    start: Instant,
    /// What went to evaluations.
    aside: Duration,
}

impl Default for Interval {
    fn default() -> Interval {
        Interval {
            steps: 0,
            sums: Vec::new(),
            start: Instant::now(),
            aside: Duration::ZERO,
        }
    }
}

impl<T: Task> Steps<'_, T> {
    /// Trains until `last` steps are done or `stop` is true, and saves.
    ///
    /// One batch more than that is run: its loss is the first to tell what the last update is
    /// worth, and a checkpoint takes its place only then. What that run updates is lost.
    pub fn run(
        &mut self,
        data: &T::Data,
        batches: impl Iterator<Item = (u64, Result<StepBatches<T>, BoxError>)>,
        last: u64,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let mut last = last;
        if self.position.done == 0 && self.settings.evaluate_every > 0 {
            self.evaluate(progress)?;
        }
        for (step, batch) in batches {
            data.notices().iter().for_each(|line| progress.note(line));
            let batch = match data.broken() {
                broken if self.settings.strict && broken > 0 => {
                    Err(format!("samples that cannot be read: {broken}").into())
                }
                _ => batch,
            };
            let without = self.ranks_that(batch.is_err())?;
            if let Some(&rank) = without.first() {
                // There will be no next loss, and what is done must not be lost.
                self.propose()?;
                self.accept()?;
                self.settings.ranks.gather_words(0)?;
                let elsewhere = TrainError::NoDataElsewhere { rank, step };
                return Err(batch.err().map_or(elsewhere, TrainError::Data));
            }
            let batch = batch.map_err(TrainError::Data)?;
            let rate = self.task.learning_rate(step);
            let outputs = self.compute(step, batch, rate)?;
            let loss: f32 = outputs["loss"].item()?;
            self.judge(step, loss, &outputs)?;
            self.accept()?;
            if step == last {
                break;
            }
            self.finish_step(&outputs, rate, loss, progress)?;
            if self.position.done == self.began + timeline::STEPS {
                self.write_timeline()?;
            }
            let is_stopped = self.settings.stop.load(Ordering::Relaxed) || self.is_satisfied;
            if !self.ranks_that(is_stopped)?.is_empty() {
                last = self.position.done;
            }
            let is_due = due(self.position.done, self.settings.save_every);
            let is_last = self.position.done == last;
            if is_due || is_last || due(self.position.done, self.settings.compare_every) {
                let own = || Ok(checksum(self.parts.common()?.into_iter()));
                agree(&self.settings.ranks, PARAMETERS, step, own)?;
            }
            if is_due || is_last {
                let advice = self.task.advice();
                let note = self.rising.note(self.position.done, loss, advice);
                note.iter().for_each(|line| progress.note(line));
                self.propose()?;
            }
            let every = self.settings.evaluate_every;
            let is_end = self.position.done == last && every > 0;
            if is_end || due(self.position.done, every) {
                self.evaluate(progress)?;
            }
        }
        self.write_timeline()?;
        self.write_page()
    }

    /// Writes what was recorded of the first steps, once.
    fn write_timeline(&mut self) -> Result<(), TrainError> {
        match (self.parts.timeline.take(), &self.settings.timeline) {
            (Some(timeline), Some(path)) => timeline.write(&self.settings.ranks, path),
            _ => Ok(()),
        }
    }

    /// Runs the program of a step. Its loss is that of the parameters before the update.
    fn compute(
        &mut self,
        step: u64,
        batches: StepBatches<T>,
        rate: f64,
    ) -> Result<Outputs, TrainError> {
        let mut all = Vec::new();
        for (index, batch) in batches {
            let inputs = self.task.inputs(step, index, batch);
            let mut inputs = inputs.map_err(TrainError::Task)?;
            inputs.push(("lr", HostTensor::scalar(rate as f32)?));
            all.push(inputs);
        }
        let all: Vec<Vec<_>> = all
            .iter()
            .map(|inputs| {
                inputs
                    .iter()
                    .map(|(name, tensor)| (*name, tensor))
                    .collect()
            })
            .collect();
        self.parts.run(step, &all)
    }

    /// The ranks of which something is true.
    fn ranks_that(&self, is_true: bool) -> Result<Vec<usize>, TrainError> {
        let words = self.settings.ranks.gather_words(u64::from(is_true))?;
        let ranks = words.iter().enumerate().filter(|(_, word)| **word != 0);
        Ok(ranks.map(|(rank, _)| rank).collect())
    }

    /// What a loss says of the updates before it.
    fn judge(&self, step: u64, loss: f32, outputs: &Outputs) -> Result<(), TrainError> {
        let term = self.not_finite_term(loss, outputs);
        let sign = match self.position.first_loss {
            _ if term.is_some() => term.unwrap_or(Sign::Loss(loss)),
            _ if !loss.is_finite() => Sign::Loss(loss),
            // Losses come down again, and only what is saved has to be worth it.
            Some(first) if self.candidate.is_some() && is_hopeless(loss, first) => {
                Sign::Hopeless { loss, first }
            }
            _ => return Ok(()),
        };
        Err(self.diverged(step, sign))
    }

    /// The first number of a step, but for the loss, that is not finite.
    fn not_finite_term(&self, loss: f32, outputs: &Outputs) -> Option<Sign> {
        let numbers = self.scalars.iter().filter(|name| *name != "loss");
        numbers.into_iter().find_map(|name| {
            let value = outputs.get(name)?.item::<f32>().ok()?;
            let name = name.clone();
            (!value.is_finite()).then_some(Sign::Term { loss, name, value })
        })
    }

    fn finish_step(
        &mut self,
        outputs: &Outputs,
        rate: f64,
        loss: f32,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        if self.watches_updates {
            self.check_update(self.position.done)?;
        }
        self.position.first_loss.get_or_insert(loss);
        self.position.done += 1;
        self.loss = Some(loss);
        self.rising.observe(loss);
        self.count(outputs)?;
        progress.step(self.position.done, loss);
        match due(self.position.done, self.settings.log_every) {
            true => self.write_log(rate),
            false => Ok(()),
        }
    }

    fn diverged(&self, step: u64, sign: Sign) -> TrainError {
        TrainError::Diverged {
            step,
            sign,
            saved: self.saved,
            has_checkpoint: self.has_checkpoint,
            advice: self.task.advice(),
        }
    }

    /// That the update of a step has left nothing that is not finite.
    fn check_update(&self, step: u64) -> Result<(), TrainError> {
        let mut what = not_finite(self.parts.parameters()?.into_iter());
        if self.parts.are_sharded() {
            // Only its owner sees it, and all are to say it.
            let own = what.unwrap_or_default().into_bytes();
            let all = self.settings.ranks.gather_bytes(own)?;
            let found = all.iter().find(|found| !found.is_empty());
            what = found.map(|found| String::from_utf8_lossy(found).into_owned());
        }
        match what {
            None => Ok(()),
            Some(what) => Err(self.diverged(step, Sign::Update(what))),
        }
    }

    /// That it has left parameters of a size that training can go on with.
    fn check_size(&self, step: u64) -> Result<(), TrainError> {
        let size = largest(self.parts.parameters()?.into_iter());
        match self.position.first_size {
            Some(first) if are_too_large(size, first) => {
                let sign = Sign::Grown { size, first };
                Err(self.diverged(step, sign))
            }
            _ => Ok(()),
        }
    }

    /// Writes what is done, for the next loss to judge.
    fn propose(&mut self) -> Result<(), TrainError> {
        let done = self.position.done;
        let known = self
            .candidate
            .as_ref()
            .map_or(self.saved, |candidate| candidate.done);
        if known < done {
            self.check_update(done - 1)?;
            self.check_size(done - 1)?;
            self.candidate = Some(self.write_candidate()?);
        }
        Ok(())
    }

    fn write_candidate(&self) -> Result<Candidate, TrainError> {
        let is_first = self.settings.ranks.is_first();
        let elsewhere = self.parts.elsewhere(|_| true, is_first)?;
        if !is_first {
            return Ok(Candidate::elsewhere(self.position));
        }
        let mut tensors: BTreeMap<_, _> = self.parts.parameters()?.into_iter().collect();
        tensors.extend(
            elsewhere
                .iter()
                .map(|(name, tensor)| (name.as_str(), tensor)),
        );
        let path = self.settings.folder.join(FILE_NAME);
        let position = self.position;
        Candidate::write(&path, position, &self.identity, self.fingerprint, &tensors)
    }

    /// Makes a checkpoint of what the first step begins with.
    pub fn save_start(&mut self) -> Result<(), TrainError> {
        self.candidate = Some(self.write_candidate()?);
        self.accept()
    }

    /// Makes what was proposed the checkpoint.
    fn accept(&mut self) -> Result<(), TrainError> {
        if let Some(candidate) = self.candidate.take() {
            let done = candidate.done;
            candidate.replace()?;
            (self.saved, self.has_checkpoint) = (done, true);
            if self.keeps.take_if(|step| *step == done).is_some() {
                self.keep_best()?;
            }
        }
        Ok(())
    }

    /// Copies the checkpoint to where the best one is kept, where this rank saves.
    fn keep_best(&self) -> Result<(), TrainError> {
        if !self.settings.ranks.is_first() {
            return Ok(());
        }
        let folder = &self.settings.folder;
        let (path, best) = (folder.join(FILE_NAME), folder.join(BEST_NAME));
        let copied = std::fs::File::open(&path).and_then(|mut checkpoint| {
            write_atomically(&best, |file| std::io::copy(&mut checkpoint, file).map(drop))
        });
        copied.map_err(|reason| TrainError::Unwritable { path: best, reason })
    }

    fn count(&mut self, outputs: &Outputs) -> Result<(), TrainError> {
        self.interval.steps += 1;
        self.interval.sums.resize(self.scalars.len(), (0.0, 0));
        for ((sum, count), name) in self.interval.sums.iter_mut().zip(&self.scalars) {
            // Some programs have no turn at every step.
            if let Some(value) = outputs.get(name.as_str()) {
                *sum += f64::from(value.item::<f32>()?);
                *count += 1;
            }
        }
        Ok(())
    }

    /// One line: means over the interval, the learning rate, and the speed of training without evaluations.
    fn write_log(&mut self, lr: f64) -> Result<(), TrainError> {
        let interval = std::mem::take(&mut self.interval);
        let Interval { steps, sums, .. } = interval;
        let seconds = interval.start.elapsed();
        let training = seconds.saturating_sub(interval.aside).as_secs_f64();
        let seconds = seconds.as_secs_f64();
        let names: Vec<String> = self.scalars.iter().map(|s| format!("train/{s}")).collect();
        let known = names.iter().zip(&sums).filter(|(_, (_, count))| *count > 0);
        let mean =
            |(name, (sum, count)): (&'_ String, &(f64, u64))| (name.clone(), sum / *count as f64);
        let means: Vec<(String, f64)> = known.map(mean).collect();
        let mut line: Vec<(&str, f64)> = means
            .iter()
            .map(|(name, mean)| (name.as_str(), *mean))
            .collect();
        let batch = self.task.batch_size() * self.settings.micro_batches;
        let images = steps * batch as u64;
        line.push(("train/lr", lr));
        line.push(("train/images_per_second", images as f64 / training));
        line.push(("train/seconds", seconds));
        if let Some(log) = &mut self.log {
            log.scalars(self.position.done, &line)?;
        }
        self.write_page()
    }

    fn evaluate(&mut self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let (start, done, parts) = (Instant::now(), self.position.done, &self.parts);
        let state = || {
            // No evaluation looks at the optimizer.
            let mut tensors = parts.elsewhere(|name| !is_state(name), true)?;
            let own = parts.parameters()?.into_iter();
            tensors.extend(own.map(|(name, tensor)| (name.to_string(), tensor.clone())));
            Ok(TrainingCheckpoint {
                step: done,
                settings: String::new(),
                tensors,
            })
        };
        let evaluated = self.task.evaluate(&state).map_err(TrainError::Task)?;
        let own = match evaluated {
            Some(evaluated) => {
                progress.note(&format!("step {done}: {}", evaluated.line));
                self.log_evaluation(&evaluated)?
            }
            None => Gain::Unknown,
        };
        // A best checkpoint is one that all judge, and save.
        match self.settings.ranks.word_of_first(own as u64)? {
            gain if gain == Gain::Better as u64 => {
                self.propose()?;
                self.keeps = Some(done);
                self.without_gain = 0;
            }
            gain if gain == Gain::None as u64 => {
                self.without_gain += 1;
                let patience = self.settings.patience;
                if patience > 0 && self.without_gain >= patience && !self.is_satisfied {
                    self.is_satisfied = true;
                    progress.note(&format!(
                        "no better in {patience} evaluations: the training ends here (train.patience)"
                    ));
                }
            }
            _ => {}
        }
        self.interval.aside += start.elapsed();
        Ok(())
    }

    /// Logs an evaluation, where this rank logs; what it says of those before it.
    fn log_evaluation(&mut self, evaluated: &Evaluated) -> Result<Gain, TrainError> {
        let done = self.position.done;
        let Some(log) = &mut self.log else {
            return Ok(Gain::Unknown);
        };
        let before = evaluated.score.and_then(|name| log.largest(name));
        log.scalars(done, &evaluated.scalars)?;
        for picture in &evaluated.pictures {
            let size = (picture.width, picture.height);
            log.image(done, &picture.tag, size, &picture.png)?;
        }
        self.write_page()?;
        let mut scalars = evaluated.scalars.iter();
        let score = scalars.find(|(name, _)| Some(*name) == evaluated.score);
        let is_better = score.is_some_and(|(_, score)| before.is_none_or(|before| *score > before));
        Ok(match evaluated.score {
            _ if is_better => Gain::Better,
            Some(_) => Gain::None,
            None => Gain::Unknown,
        })
    }

    fn write_page(&self) -> Result<(), TrainError> {
        let of_this_run = self.position.done - self.began;
        let seconds = self.started.elapsed().as_secs_f64() / of_this_run.max(1) as f64;
        let place = Place {
            done: self.position.done,
            last: self.last,
            seconds_per_step: (of_this_run > 0).then_some(seconds),
        };
        match &self.log {
            Some(log) => Ok(log.write_page(place)?),
            None => Ok(()),
        }
    }
}

/// Whether something that happens every `period` steps happens after `done` steps.
fn due(done: u64, period: u64) -> bool {
    period != 0 && done.is_multiple_of(period)
}
