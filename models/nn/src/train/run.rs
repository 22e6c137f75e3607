//! The loop: batches, steps, log, checkpoints.

use super::checkpoint::Position;
use super::divergence::{largest, not_finite};
use super::folder::{CONFIG_NAME, TrainingFolder};
use super::parts::{Parts, Together};
use super::resume::{Resumed, resume};
use super::rising::Rising;
use super::share::{Share, ShareOf};
use super::steps::{Interval, Steps};
use super::task::{Program, Task};
use super::timeline::Timeline;
use super::together::{agree, start_of_first};
use super::unused::unused_note;
use super::{Progress, TrainError};
use crate::data::{Batches, ReadAhead};
use crate::train_log::TrainLog;
use bsq_collectives::{Order, Ranks};
use bsq_runtime::atomic_file::write_atomically;
use bsq_runtime::{CompileOptions, Device};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Batches that wait for the optimizer.
const READ_AHEAD: usize = 3;

/// Gradients that are exchanged together.
pub const BUCKET_BYTES: usize = 4 << 20;

/// Where a training is, how long it takes, and what it does beside its steps.
#[derive(Clone, Debug)]
pub struct LoopSettings {
    /// The folder of the training; made if need be.
    pub folder: PathBuf,
    /// Stop when this many steps are done, counted from the very first.
    pub steps: u64,
    /// Go on with the training in the folder.
    pub resume: bool,
    /// Go on although the data is not what it was.
    pub other_data: bool,
    /// Stop where a sample cannot be read, instead of leaving it out.
    pub strict: bool,
    /// Save before the first step: for a start that is not to be had again.
    pub save_start: bool,
    /// Steps between lines of the log, checkpoints (0: at the end only), and evaluations; 0 is
    /// never.
    pub log_every: u64,
    pub save_every: u64,
    pub evaluate_every: u64,
    /// Evaluations without a better one after which the training ends; 0 is never.
    pub patience: u64,
    /// Batches of a step, whose mean gradient it takes.
    pub micro_batches: usize,
    /// Who shares them, and in which order the sums of ranks are added.
    pub ranks: Ranks,
    pub order: Order,
    /// Whether each rank keeps a share of the optimizer's state and of averages instead of all of it: the
    /// bits and the checkpoint are the same.
    pub shard_optimizer: bool,
    /// Bytes of gradients that are exchanged together, as soon as they are there and while the rest of the
    /// backward pass still runs; 0 exchanges all at its end. The bits are the same.
    pub bucket_bytes: usize,
    /// Where a Chrome trace of the first steps of all ranks is written.
    pub timeline: Option<PathBuf>,
    /// Steps between comparisons of the parameters of all ranks; 0 is before checkpoints only.
    pub compare_every: u64,
    /// How the program is compiled and where it runs. The bits of a training do not depend on
    /// threads or the device.
    pub compile: CompileOptions,
    /// When this becomes true, the training finishes its step, saves, and returns.
    pub stop: Arc<AtomicBool>,
}

impl LoopSettings {
    /// A training that saves at its end and logs every 100 steps.
    pub fn new(folder: &Path, steps: u64) -> LoopSettings {
        LoopSettings {
            folder: folder.to_path_buf(),
            steps,
            resume: false,
            other_data: false,
            strict: false,
            save_start: false,
            log_every: 100,
            save_every: 0,
            evaluate_every: 0,
            patience: 0,
            micro_batches: 1,
            ranks: Ranks::default(),
            order: Order::Fixed,
            shard_optimizer: false,
            bucket_bytes: BUCKET_BYTES,
            timeline: None,
            compare_every: 100,
            compile: CompileOptions {
                exact: false,
                ..CompileOptions::default()
            },
            stop: Arc::default(),
        }
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
    /// Samples that could not be read and were left out.
    pub broken: usize,
}

/// Trains. `folder` is where, found before anything was read.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn train<T: Task>(
    settings: &LoopSettings,
    folder: TrainingFolder,
    task: T,
    mut program: Program,
    data: Arc<T::Data>,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let ranks = &settings.ranks;
    let share = Share::of(settings.micro_batches, ranks)?;
    let goes_on = folder.has_checkpoint();
    let (path, lock) = folder.enter()?;
    if lock.as_ref().is_some_and(|lock| !lock.is_held()) {
        progress.note(
            "nothing keeps another training out of this folder: its file system has no locks",
        );
    }
    let (identity, fingerprint) = (task.identity(), data.fingerprint());
    data.notices().iter().for_each(|line| progress.note(line));
    let settings_sum = || Ok(u64::from(crc32c::crc32c(identity.settings.as_bytes())));
    agree(ranks, "the configuration", 0, settings_sum)?;
    agree(ranks, "the data", 0, || Ok(fingerprint.hash))?;
    let start = std::mem::take(&mut program.start);
    let (mut position, mut state) = match goes_on {
        true if ranks.is_first() => {
            let resumed = resume(&path, &task, fingerprint, &start, settings.other_data)?;
            announce(&resumed, progress);
            (resumed.position, resumed.tensors)
        }
        _ => {
            if settings.resume && !goes_on {
                progress.note("nothing was saved yet: the training begins at step 0");
            }
            (Position::default(), start)
        }
    };
    start_of_first(ranks, &mut position, &mut state)?;
    let named = state.iter().map(|(name, tensor)| (name.as_str(), tensor));
    if let Some(what) = not_finite(named.clone()) {
        return Err(TrainError::NotFinite { what });
    }
    position.first_size.get_or_insert_with(|| largest(named));
    let together = (!share.is_whole_step()).then(|| Together {
        ranks: ranks.clone(),
        micro_batches: share.micro_batches,
        order: settings.order,
        shards_state: settings.shard_optimizer && ranks.are_several(),
        bucket: match settings.bucket_bytes.div_ceil(4) {
            0 => usize::MAX,
            elements => elements,
        },
    });
    let (mut parts, report) = Parts::new(&program, &state, together, &settings.compile)?;
    // Programs have their own.
    drop(state);
    parts.timeline = settings.timeline.as_ref().map(|_| Timeline::begin());
    let done = position.done;
    let last = settings.steps.max(done);
    progress.begin(done, last, &report.to_string());
    let unused = report.unused_parameters.iter();
    let unused = unused_note(unused.map(String::as_str));
    task.hints(done, last)
        .iter()
        .chain(&unused)
        .for_each(|line| progress.note(line));
    if ranks.is_first() && !identity.settings.is_empty() {
        write_config(&settings.folder, &identity.settings)?;
    }
    let mut steps = Steps {
        settings,
        log: match ranks.is_first() {
            true => Some(TrainLog::open(&settings.folder, done + 1)?),
            false => None,
        },
        parts,
        scalars: program.scalars,
        task,
        identity,
        fingerprint,
        position,
        saved: done,
        has_checkpoint: goes_on,
        candidate: None,
        // Reading parameters back from a GPU takes longer than a step.
        watches_updates: settings.compile.device == Device::Cpu,
        interval: Interval::default(),
        rising: Rising::default(),
        loss: None,
        began: done,
        started: Instant::now(),
        last,
        without_gain: 0,
        is_satisfied: false,
        keeps: None,
    };
    if settings.save_start && !goes_on {
        steps.save_start()?;
    }
    if done < last {
        let batches = ShareOf {
            share,
            batches: data.clone(),
        };
        let ahead = done..last.saturating_add(1);
        let batches = ReadAhead::start(Arc::new(batches), ahead, READ_AHEAD);
        let batches = batches.map_err(|reason| TrainError::Data(reason.into()))?;
        steps.run(&data, batches, last, progress)?;
    }
    // Nobody leaves before everything is saved.
    ranks.gather_words(0)?;
    progress.end();
    if data.broken() > 0 {
        progress.note(&format!(
            "pictures that could not be read: {}",
            data.broken()
        ));
    }
    Ok(TrainOutcome {
        step: steps.position.done,
        interrupted: steps.position.done < last && !steps.is_satisfied,
        loss: steps.loss,
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

/// Says in a training's folder what is trained.
fn write_config(folder: &Path, config: &str) -> Result<(), TrainError> {
    let path = folder.join(CONFIG_NAME);
    let written = write_atomically(&path, |file| file.write_all(config.as_bytes()));
    written.map_err(|reason| TrainError::Unwritable { path, reason })
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
