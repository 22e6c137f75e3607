//! Training a prior: one by itself, or that of the tokenizer that has just been trained.

use super::arguments::Arguments;
use super::configuration::shipped_here;
use super::{At, task, with_option};
use crate::command::error::{CliError, Context};
use crate::command::output::Output;
use bsq::config::PriorConfig;
use bsq::pipeline::{ModelFile, fingerprint};
use bsq::pretrained;
use bsq::prior::PriorFile;
use bsq::train::{Progress, TokenSource, TrainOutcome};
use bsq_runtime::checkpoint::Weights;
use std::path::{Path, PathBuf};

pub(super) fn train(
    arguments: &Arguments,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let tokenizer = arguments.model.open(at.output)?;
    let bits = tokenizer.tokenizer.config().quantizer.bits_per_token();
    let mut config = match shipped_here(arguments.config()) {
        Some(text) => PriorConfig::from_toml_for(text, bits)?,
        None => PriorConfig::load_for(arguments.config(), bits)?,
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
    arguments.settle(&mut config.train, arguments.out(), at.ranks)?;
    let (task, options) = task(config, PathBuf::new(), arguments, at);
    bsq::train::run_prior_with(&task, &options, &tokenizer, &source, progress).map_err(with_option)
}

/// The prior of the tokenizer that has just been trained, from the same pictures.
pub(super) fn train_of_tokenizer(
    arguments: &Arguments,
    config: &Path,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let tokenizer = pretrained::open_at(arguments.out(), Weights::Ema)?;
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
    let out = pretrained::prior_folder(arguments.out());
    // Rank 0 looks what is there: after the answer it may be moved.
    let exists = pretrained::weights_file(&out).exists();
    let exists = at.ranks.word_of_first(u64::from(exists))? == 1;
    let mut before = String::new();
    if exists && at.ranks.is_first() {
        before = set_aside(&out, &tokenizer, at.output)?.unwrap_or_default();
    }
    let before = at.ranks.bytes_of_first(before.into_bytes())?;
    let before = String::from_utf8(before)?;
    arguments.settle(&mut config.train, &out, at.ranks)?;
    let (mut task, mut options) = task(config, PathBuf::new(), arguments, at);
    (task.out, task.resume) = (out, task.resume && exists && before.is_empty());
    options.init_from = Some(before).filter(|before| !before.is_empty());
    let source = TokenSource::Pictures(folder);
    bsq::train::run_prior_with(&task, &options, &tokenizer, &source, progress).map_err(with_option)
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
