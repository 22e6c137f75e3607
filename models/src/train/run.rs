//! What to train, on what, and where to.

use crate::config::{Config, TrainConfig};
use bsq_nn::train::LoopSettings;
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
    /// Files with the weights of LPIPS's VGG16, for `loss.perceptual_weight`; without them that term
    /// is left out.
    pub lpips: Vec<PathBuf>,
}

impl<C> TrainRun<C> {
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
            // What it began with is not to be had again from the configuration.
            save_start: options.init_from.is_some(),
            log_every: train.print_freq,
            save_every: train.save_freq,
            evaluate_every: train.eval_freq,
            compile: CompileOptions {
                exact: train.exact,
                threads: self.threads,
                device: self.device,
                ..CompileOptions::default()
            },
            stop: self.stop.clone(),
            ..LoopSettings::new(&self.out, self.steps.unwrap_or(steps))
        }
    }
}
