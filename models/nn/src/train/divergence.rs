//! What tells a training that diverges from one that learns, before it replaces a checkpoint.
//!
//! Every number that a step leaves must be finite: parameters, their averages, the optimizer's
//! state, in which a gradient that is not finite stays for good. And what is saved must not be
//! hopeless. A loss says little of that: it is that of the parameters *before* an update, and
//! where reconstructions are clamped it has a ceiling. So two more things are looked at: how large
//! the parameters have become, and the loss of the *next* step, which is the first to tell what
//! the updated ones are worth.

use crate::optimizer::{ADVERSARY_PREFIX, AVERAGE_PREFIX, is_state};
use bsq_runtime::HostTensor;
use std::fmt;

/// How many times worse than at the start a training may be and still be saved. No training that
/// recovers is near it: a model's first loss is that of random weights, or of what it starts from.
const WORSE: f32 = 100.0;

/// First losses below this count as this: near zero, a multiple says nothing.
const SMALLEST: f32 = 0.01;

/// How many times larger than at the start, or than 1, the largest parameter may be. AdamW moves a
/// parameter by about the learning rate at each step: none that learns comes near it.
const LARGER: f32 = 1000.0;

/// Whether a finite loss is beyond all learning, given the first loss of the training.
pub(super) fn is_hopeless(loss: f32, first: f32) -> bool {
    loss > WORSE * first.abs().max(SMALLEST)
}

/// Whether parameters are, given the sizes of the largest of them now and at the start.
pub(super) fn are_too_large(size: f32, first: f32) -> bool {
    size > LARGER * first.max(1.0)
}

/// The size of the largest parameter of the model.
pub(super) fn largest<'a>(tensors: impl Iterator<Item = (&'a str, &'a HostTensor)>) -> f32 {
    let of_model = tensors.filter(|(name, _)| rank(name) == 0);
    let values = of_model.filter_map(|(_, tensor)| tensor.as_slice::<f32>().ok());
    values
        .flatten()
        .fold(0.0, |largest, x| largest.max(x.abs()))
}

/// The model's own parameters before all that is made of them.
fn rank(name: &str) -> usize {
    match name {
        _ if is_state(name) => 1,
        _ if name.starts_with(AVERAGE_PREFIX) => 2,
        _ if name.starts_with(ADVERSARY_PREFIX) => 3,
        _ => 0,
    }
}

/// The first tensor that is not finite, the model's parameters first, and how much of it is not.
pub(super) fn not_finite<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a HostTensor)> + Clone,
) -> Option<String> {
    let broken = tensors.filter(|(_, tensor)| tensor.first_non_finite().is_some());
    let (name, tensor) = broken.min_by_key(|(name, _)| rank(name))?;
    let first = tensor.first_non_finite()?;
    let value = tensor.as_slice::<f32>().map_or(f32::NAN, |x| x[first]);
    Some(format!("`{name}` holds {value}"))
}

/// What was seen of a training that has diverged.
#[derive(Clone, Debug, PartialEq)]
pub enum Sign {
    /// The loss of a step, which is that of the parameters before its update, is not finite.
    Loss(f32),
    /// The same, and so is a number that it is made of or that is beside it, by its name in the log.
    Term { loss: f32, name: String, value: f32 },
    /// The same, finite, and what it was at the start.
    Hopeless { loss: f32, first: f32 },
    /// The size of the largest parameter after the update of a step, and at the start.
    Grown { size: f32, first: f32 },
    /// The update of a step left something that is not finite.
    Update(String),
}

/// What to do about a training that has diverged, in the words of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What would make it gentler.
    pub gentler: &'static str,
    /// How to go on from the checkpoint.
    pub resume: &'static str,
    /// What to look at if the very first loss is not finite.
    pub start: &'static str,
}

impl Default for Advice {
    fn default() -> Advice {
        Advice {
            gentler: "a lower learning rate or clipped gradients",
            resume: "resuming",
            start: "the data and what the parameters start from",
        }
    }
}

/// The message of [`TrainError::Diverged`](super::TrainError::Diverged).
pub(super) struct Message<'a> {
    pub step: u64,
    pub sign: &'a Sign,
    pub saved: u64,
    pub has_checkpoint: bool,
    pub advice: Advice,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message {
            step,
            sign,
            saved,
            has_checkpoint,
            advice,
        } = self;
        let Advice {
            gentler,
            resume,
            start,
        } = advice;
        match sign {
            Sign::Loss(loss) => write!(f, "the loss of step {step} is {loss}")?,
            Sign::Term { loss, name, value } => {
                write!(
                    f,
                    "the loss of step {step} is {loss}, and its {name} is {value}"
                )?;
            }
            Sign::Hopeless { loss, first } => {
                write!(
                    f,
                    "the loss of step {step} is {loss}, at the start it was {first}"
                )?;
            }
            Sign::Grown { size, first } => write!(
                f,
                "after the update of step {step} the largest parameter is {size}, at the start it was {first}"
            )?,
            Sign::Update(what) => write!(f, "after the update of step {step} {what}")?,
        }
        match (has_checkpoint, step, sign) {
            (false, 0, Sign::Loss(_) | Sign::Term { .. }) => write!(
                f,
                ": nothing is trained or saved yet, so the learning rate is not the cause; look at {start}"
            ),
            (false, ..) => write!(
                f,
                ": training has diverged, and no checkpoint was saved before; start again with {gentler}"
            ),
            _ => write!(
                f,
                ": training has diverged, and the checkpoint of step {saved} was kept; go on from it by {resume} with {gentler}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_named_parameters_first() {
        let tensor = |values: &[f32]| HostTensor::from_slice([values.len()], values).unwrap();
        let good = tensor(&[1.0, f32::MAX]);
        let (nan, inf) = (tensor(&[0.0, f32::NAN]), tensor(&[f32::NEG_INFINITY]));
        let named = |list: &[(&str, &HostTensor)]| not_finite(list.iter().copied());
        assert_eq!(named(&[("a", &good), ("ema.a", &good)]), None);
        let list = [("adamw.exp_avg.a", &nan), ("a", &inf), ("ema.a", &nan)];
        assert_eq!(named(&list).unwrap(), "`a` holds -inf");
        let list = [("ema.a", &inf), ("adamw.exp_avg.a", &nan)];
        assert_eq!(named(&list).unwrap(), "`adamw.exp_avg.a` holds NaN");
    }

    #[test]
    fn only_what_no_training_comes_back_from_is_hopeless() {
        assert!(is_hopeless(60.0, 0.5) && !is_hopeless(40.0, 0.5));
        assert!(is_hopeless(60.0, -0.5) && !is_hopeless(-60.0, -0.5));
        assert!(!is_hopeless(0.9, 1e-6));
        assert!(are_too_large(1e4, 0.02) && !are_too_large(900.0, 0.02));
        assert!(!are_too_large(1e5, 442.0));
        let tensor = |x: f32| HostTensor::from_slice([1], &[x]).unwrap();
        let (small, large) = (tensor(-3.0), tensor(1e9));
        let list = [
            ("a", &small),
            ("ema.a", &large),
            ("adamw.exp_avg.a", &large),
        ];
        assert_eq!(largest(list.into_iter()), 3.0);
    }

    #[test]
    fn a_message_speaks_of_checkpoints_that_are_there() {
        let message = |step, sign: Sign, saved| {
            let message = Message {
                step,
                sign: &sign,
                saved,
                has_checkpoint: saved > 0,
                advice: Advice::default(),
            };
            message.to_string()
        };
        let first = message(0, Sign::Loss(f32::NAN), 0);
        assert!(
            first.starts_with("the loss of step 0 is NaN: nothing"),
            "{first}"
        );
        assert!(!first.contains("kept"), "{first}");
        let none = message(3, Sign::Update("`a` holds inf".into()), 0);
        assert!(none.contains("step 3 `a` holds inf"), "{none}");
        assert!(none.contains("no checkpoint was saved"), "{none}");
        let hopeless = Sign::Hopeless {
            loss: 1e9,
            first: 0.5,
        };
        let kept = message(7, hopeless, 4);
        assert!(kept.contains("checkpoint of step 4 was kept"), "{kept}");
        assert!(kept.contains("resuming with a lower"), "{kept}");
    }
}
