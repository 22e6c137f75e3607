//! What to train, on what, and where to.

use super::{TrainError, TrainingCheckpoint};
use crate::config::{Config, TrainConfig};
use bsq_collectives::{Order, Ranks};
use bsq_nn::train::{BUCKET_BYTES, LoopSettings, TrainingFolder};
use bsq_runtime::{CompileOptions, Device};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    /// Stop where a picture cannot be read, instead of leaving it out.
    pub strict: bool,
    /// The most bytes that the programs of a step may need: activations are computed again where they would
    /// need more. Evaluations need theirs beside it. Bits are the same.
    pub memory: Option<usize>,
    /// Files with the weights of LPIPS's VGG16, for `loss.perceptual_weight`; without them that term
    /// is left out.
    pub lpips: Vec<PathBuf>,
    /// The prior of which `loss.rate_weight` weights the bits: a file, the folder of its training, or a name that
    /// ships; without one that term is left out.
    pub rate_prior: Option<String>,
    /// Who shares the micro-batches of a step. All ranks are told the same; rank 0 logs, evaluates and
    /// saves.
    pub ranks: Ranks,
    /// In which order the sums of ranks are added; in the engine's own the bits depend on how many there
    /// are.
    pub order: Order,
    /// Whether each of several ranks keeps a share of the optimizer's state instead of all of it; bits and
    /// checkpoints are the same.
    pub shard_optimizer: bool,
    /// Bytes of gradients that ranks exchange together, if not as many as usual; 0 exchanges all at once. Bits
    /// are the same.
    pub bucket_bytes: Option<usize>,
    /// Where a Chrome trace of the first steps of all ranks is written.
    pub timeline: Option<PathBuf>,
}

impl<C> TrainRun<C> {
    /// The folder of the training before the work begins.
    pub(super) fn folder(&self, options: &TrainOptions) -> Result<TrainingFolder, TrainError> {
        Ok(TrainingFolder::of_ranks(
            &self.out,
            self.resume,
            &options.ranks,
        )?)
    }

    /// What the loop is told, for a configuration of `steps` steps.
    pub(super) fn loop_settings(
        &self,
        options: &TrainOptions,
        train: &TrainConfig,
        steps: u64,
    ) -> LoopSettings {
        LoopSettings {
            resume: self.resume,
            other_data: options.other_data,
            strict: options.strict,
            // What it began with is not to be had again from the configuration.
            save_start: options.init_from.is_some(),
            log_every: train.print_freq,
            save_every: train.save_freq,
            evaluate_every: train.eval_freq,
            patience: train.patience,
            micro_batches: train.micro_batches(),
            ranks: options.ranks.clone(),
            order: options.order,
            shard_optimizer: options.shard_optimizer,
            bucket_bytes: options.bucket_bytes.unwrap_or(BUCKET_BYTES),
            timeline: options.timeline.clone(),
            compile: CompileOptions {
                exact: train.exact,
                precision: train.precision.compiled(),
                threads: self.threads,
                device: self.device,
                memory: options.memory,
                ..CompileOptions::default()
            },
            stop: self.stop.clone(),
            ..LoopSettings::new(&self.out, self.steps.unwrap_or(steps))
        }
    }
}

/// How many micro-batches a step of a training has had, by its configuration.
pub fn micro_batches(checkpoint: &TrainingCheckpoint) -> usize {
    let table: toml::Table = checkpoint.settings.parse().unwrap_or_default();
    let section = table.get("train");
    let said = section.and_then(|section| section.get("micro_batches")?.as_integer());
    said.and_then(|said| usize::try_from(said).ok())
        .unwrap_or(1)
}
