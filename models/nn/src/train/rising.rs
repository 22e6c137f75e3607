//! A loss that rises far above what it has been, before anything is beyond all learning.

use super::Advice;

/// Steps over which losses are averaged.
const STEPS: f64 = 20.0;

/// How many times worse than its best mean a loss may be without a word.
const WORSE: f64 = 10.0;

/// Best means below this count as this: near zero, a multiple says nothing.
const SMALLEST: f64 = 0.01;

/// Watches the losses of a run and speaks once.
#[derive(Debug, Default)]
pub(super) struct Rising {
    seen: u64,
    mean: f64,
    best: Option<f64>,
    has_spoken: bool,
}

impl Rising {
    /// Takes the finite loss of a step.
    pub fn observe(&mut self, loss: f32) {
        self.seen += 1;
        // Of all losses first, of about the last so many later.
        let weight = (1.0 / self.seen as f64).max(1.0 / STEPS);
        self.mean += weight * (f64::from(loss) - self.mean);
        self.best = Some(self.best.map_or(self.mean, |best| best.min(self.mean)));
    }

    /// What to tell the user before a checkpoint of `step` steps whose last loss was this.
    pub fn note(&mut self, step: u64, loss: f32, advice: Advice) -> Option<String> {
        let best = self.best?;
        let limit = WORSE * best.abs().max(SMALLEST);
        if self.has_spoken || f64::from(loss) <= limit {
            return None;
        }
        self.has_spoken = true;
        Some(format!(
            "the loss before step {step} is {loss}, and its mean over some steps was {best:.6} before: training may be diverging, and the checkpoint of step {step} replaces the one before; if the loss does not come down again, begin again with {}",
            advice.gentler
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{Advice, Rising};

    /// The steps at which something is said; a checkpoint every 5 steps.
    fn said(losses: impl IntoIterator<Item = f32>) -> Vec<u64> {
        let mut rising = Rising::default();
        let mut said = Vec::new();
        for (step, loss) in (1..).zip(losses) {
            rising.observe(loss);
            if step % 5 == 0 && rising.note(step, loss, Advice::default()).is_some() {
                said.push(step);
            }
        }
        said
    }

    #[test]
    fn a_loss_that_rises_and_stays_is_told_once() {
        let falls = |i: i32| 0.5 * 0.95_f32.powi(i);
        let climbs = |i: i32| 0.1 * 1.3_f32.powi(i);
        let diverges = (0..60).map(falls).chain((0..40).map(climbs));
        let told = said(diverges);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!((61..=80).contains(&told[0]), "{told:?}");
    }

    #[test]
    fn noise_and_small_losses_are_not() {
        let noisy = (0..200).map(|i| (2.0 - 0.005 * i as f32) * [1.0, 0.3, 4.0, 0.7][i % 4]);
        assert!(said(noisy).is_empty());
        assert!(said((0..100).map(|i| [1e-6, 1e-3, 0.09][i % 3])).is_empty());
        // A likelihood is below zero where it is good.
        assert!(said((0..100).map(|i| 3.0 - 0.1 * i as f32)).is_empty());
        assert!(said([]).is_empty());
    }
}
