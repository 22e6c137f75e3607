//! `bsq train`: from photos to a tokenizer, a prior or a masked language model of one, or a transform codec.

mod bar;
mod configuration;

pub use configuration::{config_text, shipped_here, tokenizer_config};

use super::Verdict;
use super::device::DeviceArgument;
use super::error::{CliError, Context};
use super::interrupt;
use super::model::ModelArgument;
use super::output::Output;
use super::ranks::{self, Work};
use bar::Bar;
use bsq::config::{
    Config, DataConfig, MaskedLmConfig, MaskedLmDefaults, PriorConfig, TrainConfig,
    TransformCodecConfig,
};
use bsq::data::{LabelledPictures, LabelledSource, LabelledTokens};
use bsq::pipeline::{ModelFile, TokenFile, fingerprint};
use bsq::pretrained;
use bsq::prior::PriorFile;
use bsq::train::{
    self, FILE_NAME, Notes, Progress, Silent, TokenSource, TrainError, TrainOptions, TrainOutcome,
    TrainRun, TrainingCheckpoint,
};
use bsq_collectives::{Order, Ranks};
use bsq_nn::train::TrainError as Loop;
use bsq_runtime::Device;
use bsq_runtime::checkpoint::Weights;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Trains a codec or a tokenizer on pictures, or a prior or a masked language model on tokens.
#[derive(Args)]
#[command(long_about = "\
Trains a codec or a tokenizer on pictures, or a prior or a masked language model on tokens.

`bsq train default --data photos --out run` makes a codec of a folder of photos: `bsq encode --model run` \
and `bsq decode --model run` take the folder. A configuration is a .toml file (`bsq init` writes one), a \
.yaml file of the reference implementation, or the name of one that ships:

  default                  the transform codec: transform and probabilities in one model
  default_ms_ssim          its second stage: --init-from the first
  bsq36, bsq18, default-1  tokenizers of 36, 18 and 36 bits a patch
  video36                  a tokenizer of clips: --init-from bsq36
  prior, prior_paper       priors, which tokens are coded with: --model says whose
  fashion                  a tokenizer of pictures of 32x32 pixels
  fashion_masked_lm        a masked language model, which `bsq generate` makes pictures with; it \
learns from pictures with classes: a folder for each class, or IDX files
  masked_lm_paper          the same in the size of the paper
  bsq_256_b36g36, ...      tokenizers of the paper

With --prior a prior over a tokenizer's tokens is trained when the tokenizer is done, into the folder \
`prior` of the training's; `bsq encode --model run` finds it there.

Pictures that cannot be read are left out and named. Links in the folder are followed, and every \
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
  bsq train default --data photos --out run
  bsq train default --data photos --out run --resume
  bsq train default --data photos --out mine --init-from default --val-fraction 0.1
  bsq train default_ms_ssim --data photos --out run2 --init-from run
  bsq train bsq36 --data photos --out run --prior prior --val more_photos
  bsq train config.toml --data photos --out trial --steps 100
  bsq train config.toml --data photos --out run --device cuda
  mpirun -n 4 bsq train config.toml --data photos --out run
  bsq train prior --model bsq18 --data photos --out prior18
  bsq train prior --model my.safetensors --tokens all.safetensors --out run
  bsq train fashion --data /usr/share/datasets/fashion-mnist --out tokenizer
  bsq train fashion_masked_lm --data pictures_by_class --model tokenizer --out run
  bsq train mlm.toml --tokens cat.safetensors dog.safetensors --model tokenizer --out run")]
pub struct Arguments {
    /// What to train and how: a file, or the name of a configuration that ships
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Folder of pictures, searched to the bottom, or IDX files (MNIST's format) [default:
    /// data.train_root]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Files that `bsq tokens` wrote: what a prior learns from instead of pictures, or a masked
    /// language model, which takes one for each class, called after it
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "data")]
    tokens: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgument,
    /// Folder of the training, made if need be
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with the training in the folder
    #[arg(long)]
    resume: bool,
    /// Resume although the data is not what it was; the result is that of neither alone
    #[arg(long, requires = "resume")]
    other_data: bool,
    /// Begin with these weights, at step 0: a file of weights, the folder of a training, or a name
    /// that ships (default)
    #[arg(long, value_name = "NAME|PATH", conflicts_with = "resume")]
    init_from: Option<String>,
    /// Weights of LPIPS's VGG16, for loss.perceptual_weight: what lpips.LPIPS(net='vgg') saves, or
    /// torchvision's network and the heads
    #[arg(long, value_name = "FILE", num_args = 1..)]
    lpips: Vec<PathBuf>,
    /// Folder of pictures to evaluate on while training [default: data.val_root]
    #[arg(long, value_name = "DIR")]
    val: Option<PathBuf>,
    /// Share of the pictures to keep apart and evaluate on while training, from 0 to 1
    #[arg(long, value_name = "SHARE", conflicts_with = "val", value_parser = share)]
    val_fraction: Option<f64>,
    /// When a tokenizer is done, train a prior over its tokens: a configuration, or the name of one
    /// that ships (prior)
    #[arg(long, value_name = "CONFIG", conflicts_with = "tokens")]
    prior: Option<PathBuf>,
    /// Stop when N steps are done, counted from the very first, whatever optimizer.max_iter says;
    /// schedules stay as they are
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Of several ranks: add their gradients in the order of MPI's own all-reduce. The bits of the
    /// training are then those of this number of ranks
    #[arg(long)]
    engine_order: bool,
    /// Of several ranks: each keeps a share of the optimizer's state and of averages instead of all of it.
    /// Bits and checkpoints are the same
    #[arg(long)]
    shard_optimizer: bool,
    /// Of several ranks: megabytes of gradients that are exchanged together, while the rest of the
    /// backward pass still runs; 0 exchanges all at its end [default: 4]
    #[arg(long, value_name = "MB")]
    bucket: Option<usize>,
    /// Write a Chrome trace of the first steps of all ranks, for ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    profile: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgument,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    ranks::together(Work::Training, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

/// What one of the ranks does.
fn run_rank(arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    let text = config_text(&arguments.config)?;
    let mut progress: Box<dyn Progress> = match (ranks.is_first(), output.is_json()) {
        (false, _) => Box::new(Silent),
        (true, true) => Box::new(Notes),
        (true, false) => Box::new(Bar::default()),
    };
    let device = arguments.device.open(output)?;
    let ranks = &ranks::on_device(ranks, device, output);
    let at = At {
        device,
        output,
        ranks,
    };
    let stop = interrupt::finish_first();
    // Of any rank, and all are told.
    let is_stopped = || {
        let own = stop.load(std::sync::atomic::Ordering::Relaxed);
        let words = ranks.gather_words(u64::from(own))?;
        Ok::<_, CliError>(words.contains(&1))
    };
    let is_tokenizer = Config::is_tokenizer(&text);
    if arguments.prior.is_some() && !is_tokenizer {
        return Err(CliError::new(format_args!(
            "--prior is for tokenizers, and {} is no configuration of one",
            arguments.config.display()
        )));
    }
    let outcome = if PriorConfig::is_prior(&text) {
        train_prior(&arguments, at, &mut *progress)?
    } else if MaskedLmConfig::is_masked_lm(&text) {
        train_masked_lm(&arguments, at, &mut *progress)?
    } else if TransformCodecConfig::is_transform_codec(&text) {
        train_transform_codec(&arguments, at, &mut *progress)?
    } else {
        train_tokenizer(&arguments, at, &mut *progress)?
    };
    say(&outcome, output)?;
    let mut value = value_of(&outcome);
    let mut is_interrupted = is_stopped()?;
    if let Some(prior) = arguments.prior.as_ref().filter(|_| !is_interrupted) {
        let outcome = train_prior_of(&arguments, prior, at, &mut *progress)?;
        say(&outcome, output)?;
        value["prior"] = value_of(&outcome);
        is_interrupted = is_stopped()?;
    }
    value["interrupted"] = is_interrupted.into();
    output.value(&value)?;
    Ok(match is_interrupted {
        true => Verdict::Interrupted,
        false => Verdict::Good,
    })
}

/// Where a training runs, and what it is said with.
#[derive(Clone, Copy)]
struct At<'a> {
    device: Device,
    output: &'a Output,
    ranks: &'a Ranks,
}

fn say(outcome: &TrainOutcome, output: &Output) -> Result<(), CliError> {
    let (checkpoint, step) = (outcome.checkpoint.display(), outcome.step);
    output.say(format_args!("{checkpoint}: step {step}"))
}

fn value_of(outcome: &TrainOutcome) -> Value {
    json!({
        "checkpoint": outcome.checkpoint,
        "step": outcome.step,
        "loss": outcome.loss,
        "broken_pictures": outcome.broken,
    })
}

/// A share that leaves something.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("a number between 0 and 1".to_string()),
    }
}

impl Arguments {
    /// The folder of pictures to train on; that to evaluate on goes into the configuration.
    fn pictures(&self, config: &mut DataConfig) -> Result<PathBuf, CliError> {
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
    fn evaluate(&self, train: &mut TrainConfig, output: &Output) {
        let is_asked = self.val.is_some() || self.val_fraction.is_some();
        if is_asked && train.eval_freq == 0 {
            train.eval_freq = train.save_freq.max(1);
            let every = train.eval_freq;
            output.note(format_args!(
                "train.eval_freq is 0: evaluating every {every} steps"
            ));
        }
    }

    /// How many micro-batches the ranks share, where the configuration does not say: one each, or as many
    /// as the training that goes on has had.
    fn share(&self, train: &mut TrainConfig, out: &Path, ranks: &Ranks) -> Result<(), CliError> {
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

    fn folder(&self, config: &DataConfig) -> Option<PathBuf> {
        self.data.clone().or_else(|| config.train_root.clone())
    }
}

fn train_tokenizer(
    arguments: &Arguments,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let (mut config, notices) = tokenizer_config(&arguments.config)?;
    // What makes it impossible is said before what is of no effect.
    train::check_supported(&config)?;
    for notice in notices {
        at.output
            .note(format_args!("{}: {notice}", arguments.config.display()));
    }
    if let Some(name) = arguments.model.given() {
        return Err(CliError::new(format_args!(
            "--model says whose tokens a prior learns, and {} is the configuration of a tokenizer: to begin with the weights of {name} give --init-from {name}",
            arguments.config.display()
        )));
    }
    if !arguments.tokens.is_empty() {
        let message = "--tokens is for priors: a configuration with a section [prior]";
        return Err(CliError::new(message));
    }
    let data = arguments.pictures(&mut config.data)?;
    arguments.evaluate(&mut config.train, at.output);
    arguments.share(&mut config.train, &arguments.out, at.ranks)?;
    let (task, options) = task(config, data, arguments, at);
    train::run_with(&task, &options, progress).map_err(with_option)
}

fn train_prior(
    arguments: &Arguments,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let tokenizer = arguments.model.open(at.output)?;
    let bits = tokenizer.tokenizer.config().quantizer.bits_per_token();
    let mut config = match shipped_here(&arguments.config) {
        Some(text) => PriorConfig::from_toml_for(text, bits)?,
        None => PriorConfig::load_for(&arguments.config, bits)?,
    };
    if arguments.val.is_some() || arguments.val_fraction.is_some() {
        let message = "--val and --val-fraction are for codecs and tokenizers: a prior is not evaluated while it trains";
        return Err(CliError::new(message));
    }
    let source = match (arguments.tokens.is_empty(), arguments.folder(&config.data)) {
        (false, _) => TokenSource::Files(arguments.tokens.clone()),
        (true, Some(folder)) => TokenSource::Pictures(folder),
        (true, None) => {
            let message = "nothing to train on: give --data or --tokens, or data.train_root in the configuration";
            return Err(CliError::new(message));
        }
    };
    arguments.share(&mut config.train, &arguments.out, at.ranks)?;
    let (task, options) = task(config, PathBuf::new(), arguments, at);
    train::run_prior_with(&task, &options, &tokenizer, &source, progress).map_err(with_option)
}

/// The prior of the tokenizer that has just been trained, from the same pictures.
fn train_prior_of(
    arguments: &Arguments,
    config: &Path,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let tokenizer = pretrained::open(&arguments.out.to_string_lossy(), Weights::Ema)?;
    let bits = tokenizer.tokenizer.config().quantizer.bits_per_token();
    let mut config = match shipped_here(config) {
        Some(text) => PriorConfig::from_toml_for(text, bits)?,
        None => PriorConfig::load_for(config, bits)?,
    };
    // What the tokenizer did not learn from, its prior does not either.
    config.data.val_fraction = tokenizer.config.data.val_fraction;
    let folder = arguments
        .data
        .clone()
        .or(tokenizer.config.data.train_root.clone());
    let folder =
        folder.ok_or_else(|| CliError::new("no pictures to train a prior on: give --data"))?;
    let out = pretrained::prior_folder(&arguments.out);
    // Rank 0 looks what is there: after the answer it may be moved.
    let exists = pretrained::weights_file(&out).exists();
    let exists = at.ranks.word_of_first(u64::from(exists))? == 1;
    let mut before = String::new();
    if exists && at.ranks.is_first() {
        before = set_aside(&out, &tokenizer, at.output)?.unwrap_or_default();
    }
    let before = at.ranks.bytes_of_first(before.into_bytes())?;
    let before = String::from_utf8(before)?;
    arguments.share(&mut config.train, &out, at.ranks)?;
    let (mut task, mut options) = task(config, PathBuf::new(), arguments, at);
    (task.out, task.resume) = (out, task.resume && exists && before.is_empty());
    options.init_from = Some(before).filter(|before| !before.is_empty());
    let source = TokenSource::Pictures(folder);
    train::run_prior_with(&task, &options, &tokenizer, &source, progress).map_err(with_option)
}

/// Moves a prior away that knows the tokens of the tokenizer as it was before it learned more; gives where
/// it lies then.
fn set_aside(
    prior: &Path,
    tokenizer: &ModelFile,
    output: &Output,
) -> Result<Option<String>, CliError> {
    let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
    if PriorFile::open(&pretrained::weights_file(prior))?.tokenizer == own {
        return Ok(None);
    }
    let names = (1..).map(|number| match number {
        1 => prior.with_file_name("prior-before"),
        number => prior.with_file_name(format!("prior-before-{number}")),
    });
    let mut free = names.filter(|path| !path.exists());
    let before = free.next().expect("there are names without end");
    std::fs::rename(prior, &before).in_(prior.display())?;
    let before = before.display().to_string();
    output.note(format_args!(
        "the tokenizer has changed: its prior begins again, with the weights of {before}"
    ));
    Ok(Some(before))
}

fn train_masked_lm(
    arguments: &Arguments,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    if arguments.val.is_some() || arguments.val_fraction.is_some() {
        let message = "--val and --val-fraction are for codecs and tokenizers: a masked language model is not evaluated while it trains";
        return Err(CliError::new(message));
    }
    let tokenizer = arguments.model.open(at.output)?;
    let folder = arguments.data.clone().unwrap_or_default();
    let pictures;
    let source = match (arguments.tokens.is_empty(), arguments.data.is_some()) {
        (false, _) => {
            let load = |path: &PathBuf| Ok((path.clone(), TokenFile::load(path, &tokenizer)?));
            let files: Result<Vec<_>, CliError> = arguments.tokens.iter().map(load).collect();
            LabelledSource::Tokens(LabelledTokens::of_files(&files?, &tokenizer)?)
        }
        (true, true) => {
            pictures = LabelledPictures::open(&folder)?;
            LabelledSource::Pictures(&pictures)
        }
        (true, false) => {
            return Err(CliError::new(
                "nothing to train on: give --data or --tokens",
            ));
        }
    };
    let defaults = MaskedLmDefaults {
        bits: tokenizer.tokenizer.config().quantizer.bits_per_token(),
        tokens: tokenizer.tokenizer.config().encoder.tokens(),
        classes: source.classes().to_vec(),
    };
    let mut config = match shipped_here(&arguments.config) {
        Some(text) => MaskedLmConfig::from_toml_for(text, &defaults)?,
        None => MaskedLmConfig::load_for(&arguments.config, &defaults)?,
    };
    arguments.share(&mut config.train, &arguments.out, at.ranks)?;
    let (task, options) = task(config, folder, arguments, at);
    train::run_masked_lm(&task, &options, &tokenizer, source, progress).map_err(with_option)
}

fn train_transform_codec(
    arguments: &Arguments,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let mut config = match shipped_here(&arguments.config) {
        Some(text) => TransformCodecConfig::from_toml(text)?,
        None => TransformCodecConfig::load(&arguments.config)?,
    };
    if arguments.model.given().is_some() || !arguments.tokens.is_empty() {
        let message = "--model and --tokens are for priors: a configuration with a section [prior]";
        return Err(CliError::new(message));
    }
    let data = arguments.pictures(&mut config.data)?;
    arguments.evaluate(&mut config.train, at.output);
    arguments.share(&mut config.train, &arguments.out, at.ranks)?;
    let (task, options) = task(config, data, arguments, at);
    train::run_transform_codec(&task, &options, progress).map_err(with_option)
}

/// What stopped a training, with the option that answers it.
fn with_option(error: TrainError) -> CliError {
    let option = match &error {
        TrainError::Loop(Loop::Exists { .. }) => "--resume",
        TrainError::Loop(Loop::OtherData { .. }) => "--other-data",
        TrainError::Loop(Loop::AnotherModel { .. }) => "--init-from",
        _ => return error.into(),
    };
    CliError::new(format_args!("{error} ({option})"))
}

fn task<C>(config: C, data: PathBuf, arguments: &Arguments, at: At) -> (TrainRun<C>, TrainOptions) {
    let run = TrainRun {
        config,
        data,
        out: arguments.out.clone(),
        resume: arguments.resume,
        steps: arguments.steps,
        threads: at.output.threads,
        device: at.device,
        stop: interrupt::finish_first(),
    };
    let options = TrainOptions {
        init_from: arguments.init_from.clone(),
        other_data: arguments.other_data,
        lpips: arguments.lpips.clone(),
        ranks: at.ranks.clone(),
        order: match arguments.engine_order {
            true => Order::Engine,
            false => Order::Fixed,
        },
        shard_optimizer: arguments.shard_optimizer,
        bucket_bytes: arguments.bucket.map(|megabytes| megabytes << 20),
        timeline: arguments.profile.clone(),
    };
    (run, options)
}
