//! Training a tokenizer.

use super::arguments::Arguments;
use super::configuration::tokenizer_config;
use super::{At, task, with_option};
use crate::command::error::CliError;
use bsq::train::{Progress, TrainOutcome};

pub(super) fn train(
    arguments: &Arguments,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let (mut config, notices) = tokenizer_config(arguments.config())?;
    // What makes it impossible is said before what is of no effect.
    bsq::train::check_supported(&config)?;
    for notice in notices {
        at.output
            .note(format_args!("{}: {notice}", arguments.config().display()));
    }
    if let Some(name) = arguments.model.given() {
        return Err(CliError::new(format_args!(
            "--model says whose tokens a prior learns, and {} is the configuration of a tokenizer: to begin with the weights of {name} give --init-from {name}",
            arguments.config().display()
        )));
    }
    if !arguments.tokens.is_empty() {
        let message = "--tokens is for priors: a configuration with a section [prior]";
        return Err(CliError::new(message));
    }
    let data = arguments.pictures(&mut config.data)?;
    arguments.evaluate(&mut config.train, at.output);
    arguments.settle(&mut config.train, arguments.out(), at.ranks)?;
    let (task, options) = task(config, data, arguments, at);
    bsq::train::run_with(&task, &options, progress).map_err(with_option)
}
