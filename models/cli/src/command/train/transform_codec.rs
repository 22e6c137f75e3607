//! Training a transform codec.

use super::arguments::Arguments;
use super::configuration::shipped_here;
use super::{At, task, with_option};
use crate::command::error::CliError;
use bsq::config::TransformCodecConfig;
use bsq::train::{Progress, TrainOutcome};

pub(super) fn train(
    arguments: &Arguments,
    at: At,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, CliError> {
    let mut config = match shipped_here(arguments.config()) {
        Some(text) => TransformCodecConfig::from_toml(text)?,
        None => TransformCodecConfig::load(arguments.config())?,
    };
    if arguments.model.given().is_some() || !arguments.tokens.is_empty() {
        let message = "--model and --tokens are for priors: a configuration with a section [prior]";
        return Err(CliError::new(message));
    }
    let data = arguments.pictures(&mut config.data)?;
    arguments.evaluate(&mut config.train, at.output);
    arguments.settle(&mut config.train, arguments.out(), at.ranks)?;
    let (task, options) = task(config, data, arguments, at);
    bsq::train::run_transform_codec(&task, &options, progress).map_err(with_option)
}
