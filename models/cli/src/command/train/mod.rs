//! `bsq train`: from photos to a tokenizer, a prior or a masked language model of one, or a transform codec.

mod arguments;
mod bar;
mod configuration;
mod masked_lm;
mod prior;
mod tokenizer;
mod transform_codec;

pub use arguments::Arguments;
pub use configuration::{config_text, shipped_here, tokenizer_config};

use super::Verdict;
use super::error::CliError;
use super::interrupt;
use super::output::Output;
use super::ranks::{self, Work};
use bar::Bar;
use bsq::config::{
    Config, MaskedLmConfig, PriorConfig, Shipped, TransformCodecConfig, shipped_configurations,
};
use bsq::train::{Notes, Progress, Silent, TrainError, TrainOptions, TrainOutcome, TrainRun};
use bsq_collectives::{Order, Ranks};
use bsq_nn::train::TrainError as Loop;
use bsq_runtime::Device;
use serde_json::{Value, json};
use std::path::PathBuf;

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    if arguments.list {
        return list(output);
    }
    ranks::together(Work::Training, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

/// The configurations that ship, a line each.
fn list(output: &Output) -> Result<Verdict, CliError> {
    let names = shipped_configurations().map(|shipped| shipped.name.len());
    let width = names.max().unwrap_or(0);
    for Shipped { name, trains, .. } in shipped_configurations() {
        output.say(format_args!("{name:width$}  {trains}"))?;
    }
    let value = |shipped: Shipped| json!({ "name": shipped.name, "trains": shipped.trains });
    output.value(&shipped_configurations().map(value).collect())?;
    Ok(Verdict::Good)
}

/// What one of the ranks does.
fn run_rank(arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    let text = config_text(arguments.config())?;
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
            arguments.config().display()
        )));
    }
    let outcome = if PriorConfig::is_prior(&text) {
        prior::train(&arguments, at, &mut *progress)?
    } else if MaskedLmConfig::is_masked_lm(&text) {
        masked_lm::train(&arguments, at, &mut *progress)?
    } else if TransformCodecConfig::is_transform_codec(&text) {
        transform_codec::train(&arguments, at, &mut *progress)?
    } else {
        tokenizer::train(&arguments, at, &mut *progress)?
    };
    say(&outcome, output)?;
    let mut value = value_of(&outcome);
    let mut is_interrupted = is_stopped()?;
    if let Some(prior) = arguments.prior.as_ref().filter(|_| !is_interrupted) {
        let outcome = prior::train_of_tokenizer(&arguments, prior, at, &mut *progress)?;
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
        "checkpoint": outcome.checkpoint.display().to_string(),
        "step": outcome.step,
        "loss": outcome.loss,
        "broken_pictures": outcome.broken,
    })
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
        out: arguments.out().to_path_buf(),
        resume: arguments.resume,
        steps: arguments.steps,
        threads: at.output.threads,
        device: at.device,
        stop: interrupt::finish_first(),
    };
    let options = TrainOptions {
        init_from: arguments.init_from.clone(),
        other_data: arguments.other_data,
        strict: arguments.strict,
        memory: arguments.memory.memory,
        lpips: arguments.lpips.clone(),
        rate_prior: arguments.rate_prior.clone(),
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
