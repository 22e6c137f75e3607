//! What tokenizers and priors tell the loop alike, in the words of their configuration.

use super::changes::changes;
use crate::config::TrainConfig;
use bsq_nn::BoxError;
use bsq_nn::train::{Advice, Change, Identity};

/// What to do about a training that has diverged.
pub(super) const ADVICE: Advice = Advice {
    gentler: "a lower optimizer.lr (or base_lr) or clipped gradients (optimizer.grad_clip_norm)",
    resume: "--resume",
    start: "the pictures and at what the training starts from (train.init, --init-from)",
};

/// What has changed from one configuration to another, both as TOML.
pub(super) fn changed(old: &str, identity: &Identity) -> Result<Vec<Change>, BoxError> {
    changes(old, &identity.settings).map_err(BoxError::from)
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
