//! What tokenizers and priors tell the loop alike, in the words of their configuration.

use super::changes::changes;
use super::{TrainError, TrainOptions};
use crate::config::{ConfigError, DataConfig, EMA_EVAL_FREQ, TrainConfig};
use crate::data::{Listing, held_out_pictures};
use bsq_ir::{Scope, Tensor};
use bsq_nn::BoxError;
use bsq_nn::train::{Advice, Change, Identity};
use std::path::Path;

/// What to do about a training that has diverged.
pub(super) const ADVICE: Advice = Advice {
    gentler: "a lower optimizer.lr (or base_lr) or clipped gradients (optimizer.grad_clip_norm)",
    resume: "--resume",
    start: "the pictures and at what the training starts from (train.init, --init-from)",
};

/// The parameters that a training changes, with their names: those that `train.freeze` leaves.
pub(super) fn trained<'g>(scope: &Scope<'g>, train: &TrainConfig) -> Vec<(String, Tensor<'g>)> {
    let names = scope.specs().into_iter().map(|spec| spec.name);
    let parameters = names.zip(scope.parameters());
    parameters
        .filter(|(name, _)| !train.freezes(name))
        .collect()
}

/// That each beginning in `train.freeze` is that of a parameter, and something is left to train.
pub(super) fn check_freeze<'a>(
    train: &TrainConfig,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), TrainError> {
    let invalid = |reason: String| Err(ConfigError::invalid("train.freeze", reason).into());
    for key in &train.freeze {
        if !names.clone().any(|name| name.starts_with(key.as_str())) {
            return invalid(format!("no parameter's name begins with \"{key}\""));
        }
    }
    match names.clone().all(|name| train.freezes(name)) {
        true => invalid("nothing is left to train".into()),
        false => Ok(()),
    }
}

/// What evaluates while training on the pictures of `folder`, opened with those that are held out;
/// `None` where that is not asked for.
pub(super) fn evaluator<E>(
    (data, train): (&DataConfig, &TrainConfig),
    folder: &Path,
    open: impl FnOnce(Listing) -> Result<E, TrainError>,
) -> Result<Option<E>, TrainError> {
    if train.eval_freq == 0 {
        return Ok(None);
    }
    let opened = held_out_pictures(folder, data)
        .map_err(TrainError::from)
        .and_then(|listing| listing.map(open).transpose());
    opened.map_err(|error| match error {
        TrainError::Data(error) if data.val_root.is_some() => {
            ConfigError::invalid("data.val_root", error.to_string()).into()
        }
        error => error,
    })
}

/// That pictures to evaluate on could be read, where all have to be.
pub(super) fn check_readable(options: &TrainOptions, broken: usize) -> Result<(), TrainError> {
    match options.strict && broken > 0 {
        true => {
            let reason = format!("pictures to evaluate on that cannot be read: {broken}");
            Err(ConfigError::invalid("data.val_root", reason).into())
        }
        false => Ok(()),
    }
}

/// That no part of the data is to be kept apart, where `of` what they are does not allow it.
pub(super) fn refuse_split(data: &DataConfig, of: &str) -> Result<(), TrainError> {
    if data.val_fraction == 0.0 {
        return Ok(());
    }
    let reason = format!("is not for trainings {of}: name other pictures as data.val_root (--val)");
    Err(ConfigError::invalid("data.val_fraction", reason).into())
}

/// What has changed from one configuration to another, both as TOML.
pub(super) fn changed(old: &str, identity: &Identity) -> Result<Vec<Change>, BoxError> {
    changes(old, &identity.settings).map_err(BoxError::from)
}

/// Keys of the reference that were set and have no effect here, a line each.
pub(super) fn without_effect(train: &TrainConfig) -> Vec<String> {
    let keys = [
        (
            train.vis_freq != 0,
            "train.vis_freq is of no effect: every evaluation logs pictures (train.eval_freq)",
        ),
        (
            train.ema_eval_freq != EMA_EVAL_FREQ,
            "train.ema_eval_freq is of no effect: with train.use_ema every evaluation is of the average (train.eval_freq)",
        ),
    ];
    let set = keys.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, line)| line.to_string()).collect()
}

/// What a user may have expected otherwise of steps `done` to `last`. `does_not_evaluate` says why
/// there is nothing to evaluate on.
pub(super) fn hints(
    (done, last): (u64, u64),
    train: &TrainConfig,
    learning_rate: impl Fn(u64) -> f64,
    does_not_evaluate: Option<&str>,
) -> Vec<String> {
    if done == last {
        return vec![format!(
            "all {done} steps are done: to go on raise optimizer.max_iter, or give --steps"
        )];
    }
    let mut hints = Vec::new();
    if learning_rate(done) == 0.0 && learning_rate(last - 1) == 0.0 && done > 0 {
        hints.push(format!(
            "the learning rate is 0 from step {done} on: raise optimizer.schedule.max_decay_steps, or lr_min"
        ));
    }
    let period = train.eval_freq;
    if period > 0
        && last / period > done / period
        && let Some(why) = does_not_evaluate
    {
        hints.push(format!(
            "train.eval_freq = {period}, but {why}: there will be no evaluation"
        ));
    }
    hints
}
