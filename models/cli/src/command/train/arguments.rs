//! The arguments of `bsq train`, and what they say of any training.

use crate::command::device::DeviceArgument;
use crate::command::error::CliError;
use crate::command::memory::MemoryArgument;
use crate::command::model::ModelArgument;
use crate::command::output::Output;
use crate::command::precision::TrainPrecisionArgument;
use bsq::config::{DataConfig, TrainConfig};
use bsq::train::{self, FILE_NAME, TrainingCheckpoint};
use bsq_collectives::Ranks;
use clap::Args;
use std::path::{Path, PathBuf};

/// Trains a codec or a tokenizer on pictures, or a prior or a masked language model on tokens.
#[derive(Args)]
#[command(long_about = "\
Trains a codec or a tokenizer on pictures, or a prior or a masked language model on tokens.

`bsq train default --data photos --out run` makes a codec of a folder of photos: `bsq encode --model run` \
and `bsq decode --model run` take the folder. A configuration is a .toml file (`bsq init` writes one), a \
.yaml file of the reference implementation, or the name of one that ships; --list says which those are.

With --prior a prior over a tokenizer's tokens is trained when the tokenizer is done, into the folder \
`prior` of the training's; `bsq encode --model run` finds it there.

Pictures that cannot be read are left out and named, or with --strict stop the training. Links in the folder are followed, and every \
picture is taken once, whatever leads to it. --val names a folder of other pictures to evaluate on, and \
--val-fraction keeps a part of the folder for that.

The folder of the training gets the complete configuration, a log (JSON lines, and TensorBoard events) and \
checkpoint.safetensors, which --model reads and --resume goes on from. A training that is killed at any \
moment and resumed gives the same bits as one that is not; Ctrl-C finishes the step and saves first.

`mpirun -n 4 bsq train ...` trains on four ranks, in a build with MPI, and torchrun or Slurm start them in \
any build (docs/distributed.md): they share train.micro_batches batches a step, one each if nothing is said. The bits do not depend on how many \
ranks share them. Rank 0 reads and writes the folder of the training; all of them read the data.

--resume takes a configuration whose rates, schedule, clipping, steps, intervals or loss weights \
have changed, and says what has; so a training that is done goes on with a higher max_iter. Another \
model, or other data, is refused. --init-from begins a new training with the weights of another.")]
#[command(after_long_help = "\
Examples:
  bsq train --list
  bsq train default --data photos --out run
  bsq train default --data photos --out run --resume
  bsq train default --data photos --out mine --init-from default --val-fraction 0.1
  bsq train default_ms_ssim --data photos --out run2 --init-from run
  bsq train bsq36 --data photos --out run --prior prior --val more_photos
  bsq train config.toml --data photos --out trial --steps 100
  bsq train config.toml --data photos --out run --device cuda
  bsq train config.toml --data photos --out run --precision bf16 --memory 8G
  mpirun -n 4 bsq train config.toml --data photos --out run
  bsq train prior --model bsq18 --data photos --out prior18
  bsq train prior --model my.safetensors --tokens all.safetensors --out run
  bsq train fashion --data /usr/share/datasets/fashion-mnist --out tokenizer
  bsq train fashion_masked_lm --data pictures_by_class --model tokenizer --out run
  bsq train mlm.toml --tokens cat.safetensors dog.safetensors --model tokenizer --out run")]
pub struct Arguments {
    /// What to train and how: a file, or the name of a configuration that ships
    #[arg(value_name = "CONFIG", required_unless_present = "list")]
    config: Option<PathBuf>,
    /// List the configurations that ship, and what each trains
    #[arg(long, conflicts_with_all = ["config", "out"])]
    pub(super) list: bool,
    /// Folder of pictures, searched to the bottom, or IDX files (MNIST's format) [default:
    /// data.train_root]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Files that `bsq tokens` wrote: what a prior learns from instead of pictures, or a masked
    /// language model, which takes one for each class, called after it
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "data")]
    pub(super) tokens: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) model: ModelArgument,
    /// Folder of the training, made if need be
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Go on with the training in the folder
    #[arg(long)]
    pub(super) resume: bool,
    /// Resume although the data is not what it was; the result is that of neither alone
    #[arg(long, requires = "resume")]
    pub(super) other_data: bool,
    /// Begin with these weights, at step 0: a file of weights, the folder of a training, or a name
    /// that ships (default)
    #[arg(long, value_name = "NAME|PATH", conflicts_with = "resume")]
    pub(super) init_from: Option<String>,
    /// Weights of LPIPS's VGG16, for loss.perceptual_weight: what lpips.LPIPS(net='vgg') saves, or
    /// torchvision's network and the heads
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) lpips: Vec<PathBuf>,
    /// The prior of loss.rate_weight, whose bits a tokenizer is trained to save: one that ships (see --prior of `bsq
    /// encode`), or a file that `bsq train` wrote
    #[arg(long, value_name = "NAME|PATH")]
    pub(super) rate_prior: Option<String>,
    /// Folder of pictures to evaluate on while training [default: data.val_root]
    #[arg(long, value_name = "DIR")]
    pub(super) val: Option<PathBuf>,
    /// Share of the pictures to keep apart and evaluate on while training, from 0 to 1
    #[arg(long, value_name = "SHARE", conflicts_with = "val", value_parser = share)]
    pub(super) val_fraction: Option<f64>,
    /// Stop where a picture cannot be read, instead of leaving it out
    #[arg(long)]
    pub(super) strict: bool,
    /// When a tokenizer is done, train a prior over its tokens: a configuration, or the name of one
    /// that ships (prior)
    #[arg(long, value_name = "CONFIG", conflicts_with = "tokens")]
    pub(super) prior: Option<PathBuf>,
    /// Stop when N steps are done, counted from the very first, whatever optimizer.max_iter says;
    /// schedules stay as they are
    #[arg(long, value_name = "N")]
    pub(super) steps: Option<u64>,
    /// Of several ranks: add their gradients in the order of MPI's own all-reduce. The bits of the
    /// training are then those of this number of ranks
    #[arg(long)]
    pub(super) engine_order: bool,
    /// Of several ranks: each keeps a share of the optimizer's state and of averages instead of all of it.
    /// Bits and checkpoints are the same
    #[arg(long)]
    pub(super) shard_optimizer: bool,
    /// Of several ranks: megabytes of gradients that are exchanged together, while the rest of the
    /// backward pass still runs; 0 exchanges all at its end [default: 4]
    #[arg(long, value_name = "MB")]
    pub(super) bucket: Option<usize>,
    /// Write a Chrome trace of the first steps of all ranks, for ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    pub(super) profile: Option<PathBuf>,
    #[command(flatten)]
    pub(super) memory: MemoryArgument,
    #[command(flatten)]
    precision: TrainPrecisionArgument,
    #[command(flatten)]
    pub(super) device: DeviceArgument,
}

impl Arguments {
    /// What to train and how.
    pub(super) fn config(&self) -> &Path {
        self.config.as_deref().expect("a training has one")
    }

    /// The folder of the training.
    pub(super) fn out(&self) -> &Path {
        self.out.as_deref().expect("a training has one")
    }

    /// The folder of pictures to train on; that to evaluate on goes into the configuration.
    pub(super) fn pictures(&self, config: &mut DataConfig) -> Result<PathBuf, CliError> {
        if let Some(folder) = &self.val {
            config.val_root = Some(folder.clone());
        }
        if let Some(share) = self.val_fraction {
            (config.val_root, config.val_fraction) = (None, share);
        }
        self.folder(config).ok_or_else(|| {
            CliError::new(
                "no pictures to train on: give --data, or data.train_root in the configuration",
            )
        })
    }

    /// Pictures to evaluate on were given: they are not for nothing.
    pub(super) fn evaluate(&self, train: &mut TrainConfig, output: &Output) {
        let is_asked = self.val.is_some() || self.val_fraction.is_some();
        if is_asked && train.eval_freq == 0 {
            train.eval_freq = train.save_freq.max(1);
            let every = train.eval_freq;
            output.note(format_args!(
                "train.eval_freq is 0: evaluating every {every} steps"
            ));
        }
    }

    /// What the configuration of any training is told: its format, and how many micro-batches the ranks share,
    /// where it does not say: one each, or as many as the training that goes on has had.
    pub(super) fn settle(
        &self,
        train: &mut TrainConfig,
        out: &Path,
        ranks: &Ranks,
    ) -> Result<(), CliError> {
        self.precision.put(train);
        if train.micro_batches.is_some() {
            return Ok(());
        }
        let mut before = None;
        let checkpoint = out.join(FILE_NAME);
        if ranks.is_first() && self.resume && checkpoint.exists() {
            before = Some(train::micro_batches(&TrainingCheckpoint::read(checkpoint)?));
        }
        let default = before.unwrap_or(ranks.size());
        let shared = ranks.word_of_first(default as u64).map_err(CliError::new)?;
        if shared > 1 {
            train.micro_batches = Some(shared as usize);
        }
        Ok(())
    }

    pub(super) fn folder(&self, config: &DataConfig) -> Option<PathBuf> {
        self.data.clone().or_else(|| config.train_root.clone())
    }
}

/// A share that leaves something.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("a number between 0 and 1".to_string()),
    }
}
