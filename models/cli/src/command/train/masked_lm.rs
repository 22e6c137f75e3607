//! Training a masked language model.

use super::arguments::Arguments;
use super::configuration::shipped_here;
use super::{At, task, with_option};
use crate::command::error::CliError;
use bsq::config::{MaskedLmConfig, MaskedLmDefaults};
use bsq::data::{LabelledPictures, LabelledSource, LabelledTokens};
use bsq::pipeline::TokenFile;
use bsq::train::{Progress, TrainOutcome};
use std::path::PathBuf;

pub(super) fn train(
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
    let mut config = match shipped_here(arguments.config()) {
        Some(text) => MaskedLmConfig::from_toml_for(text, &defaults)?,
        None => MaskedLmConfig::load_for(arguments.config(), &defaults)?,
    };
    arguments.settle(&mut config.train, arguments.out(), at.ranks)?;
    let (task, options) = task(config, folder, arguments, at);
    bsq::train::run_masked_lm(&task, &options, &tokenizer, source, progress).map_err(with_option)
}
