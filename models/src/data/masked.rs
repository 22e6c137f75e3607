//! Masked tokens to train a masked language model on, as a pure function of the step.

use super::LabelledTokens;
use super::draw::{Draw, Purpose};
use crate::config::{MaskedLmConfig, Masking};
use crate::masked_lm::sub_tokens_of;
use bsq_nn::BoxError;
use bsq_nn::data::{Batches, DataFingerprint, EpochOrders};
use std::sync::{Mutex, PoisonError};

/// The pictures of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedBatch {
    /// `[batch, tokens, groups]`; the vocabulary's size where masked.
    pub tokens: Vec<i32>,
    /// The same without masks.
    pub targets: Vec<i32>,
    /// `[batch]`; -1 where dropped.
    pub classes: Vec<i32>,
}

/// Batches of masked tokens. The samples of all epochs are one sequence, as a
/// [`Dataset`](super::Dataset)'s.
pub struct MaskedDataset {
    tokens: LabelledTokens,
    config: MaskedLmConfig,
    orders: EpochOrders,
    notices: Mutex<Vec<String>>,
}

impl MaskedDataset {
    /// Batches as a configuration says.
    pub fn new(mut tokens: LabelledTokens, config: &MaskedLmConfig) -> MaskedDataset {
        MaskedDataset {
            notices: Mutex::new(std::mem::take(&mut tokens.notices)),
            orders: EpochOrders::new(tokens.tokens.len(), config.train.seed),
            tokens,
            config: config.clone(),
        }
    }

    /// The pictures of a step, what is masked of them, and which classes are dropped.
    pub fn masked(&self, step: u64) -> MaskedBatch {
        let (config, batch) = (&self.config.masked_lm, self.config.data.batch_size as u64);
        let mut result = MaskedBatch {
            tokens: Vec::new(),
            targets: Vec::new(),
            classes: Vec::new(),
        };
        for sample in step * batch..(step + 1) * batch {
            let index = self.orders.sample(sample);
            let targets = sub_tokens_of(config, &self.tokens.tokens[index]);
            let mut draw = Draw::new(self.config.train.seed, Purpose::Masking, sample);
            let dropped =
                config.classes.is_empty() || draw.uniform(0.0, 1.0) < config.class_dropout;
            result.classes.push(match dropped {
                true => -1,
                false => self.tokens.labels[index] as i32,
            });
            let masked = masked_entries(&mut draw, config);
            let per_entry = match config.masking {
                Masking::SubToken => 1,
                Masking::Token => config.groups,
            };
            let mask = config.vocabulary() as i32;
            let seen = targets.iter().enumerate();
            let seen = seen.map(|(place, &x)| if masked[place / per_entry] { mask } else { x });
            result.tokens.extend(seen);
            result.targets.extend(targets);
        }
        result
    }
}

/// Which entries are masked: at least one, and otherwise the nearest number to the drawn share of
/// them, at random places.
fn masked_entries(draw: &mut Draw, config: &crate::config::MaskedLmModelConfig) -> Vec<bool> {
    let entries = config.entries();
    let share = config.schedule.masked(draw.uniform(0.0, 1.0));
    let count = libm::rint(entries as f64 * share) as usize;
    let order = draw.permutation(entries);
    let mut masked = vec![false; entries];
    for &entry in &order[..count.clamp(1, entries)] {
        masked[entry as usize] = true;
    }
    masked
}

impl Batches for MaskedDataset {
    type Batch = MaskedBatch;

    fn batch(&self, step: u64) -> Result<MaskedBatch, BoxError> {
        Ok(self.masked(step))
    }

    fn fingerprint(&self) -> DataFingerprint {
        self.tokens.fingerprint
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut notices)
    }

    fn broken(&self) -> usize {
        self.tokens.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(count: u64, lines: &str) -> MaskedDataset {
        let text = format!(
            "[masked_lm]\nbits = 8\ntokens = 4\nclasses = ['a', 'b', 'c']\nwidth = 8\nlayers = 1\n\
             heads = 1\n{lines}\n[data]\nbatch_size = 8\n"
        );
        let config = MaskedLmConfig::from_toml(&text).unwrap();
        let tokens = LabelledTokens {
            tokens: (0..count)
                .map(|i| vec![i * 16 + 1, i, 255 - i, 7])
                .collect(),
            labels: (0..count as usize).map(|i| i % 3).collect(),
            classes: config.masked_lm.classes.clone(),
            fingerprint: DataFingerprint::default(),
            notices: Vec::new(),
            broken: 0,
        };
        MaskedDataset::new(tokens, &config)
    }

    #[test]
    fn masks_hide_targets_and_nothing_else() {
        let batch = dataset(10, "").masked(3);
        assert_eq!(batch.tokens.len(), 8 * 8);
        assert_eq!(batch, dataset(10, "").masked(3));
        for (picture, class) in batch.tokens.chunks(8).zip(&batch.classes) {
            assert!(picture.contains(&16), "at least one is masked");
            assert!((-1..3).contains(class));
        }
        let pairs = batch.tokens.iter().zip(&batch.targets);
        assert!(
            pairs
                .clone()
                .all(|(seen, target)| seen == target || *seen == 16)
        );
        assert!(pairs.clone().any(|(seen, target)| seen == target));
    }

    #[test]
    fn sub_tokens_of_a_token_are_masked_together_if_asked() {
        let batch = dataset(10, "masking = \"token\"").masked(0);
        let tokens = batch.tokens.chunks(2);
        assert!(
            tokens
                .clone()
                .all(|token| (token[0] == 16) == (token[1] == 16))
        );
        let batch = dataset(10, "").masked(0);
        let mut tokens = batch.tokens.chunks(2);
        assert!(tokens.any(|token| (token[0] == 16) != (token[1] == 16)));
    }

    #[test]
    fn shares_are_those_of_the_schedule_and_classes_are_dropped() {
        for (schedule, mean) in [
            ("cosine", 2.0 / std::f64::consts::PI),
            ("arccos", 2.0 / std::f64::consts::PI),
        ] {
            let data = dataset(
                10,
                &format!("schedule = \"{schedule}\"\nclass_dropout = 0.25"),
            );
            let (mut masked, mut dropped, mut all) = (0, 0, 0);
            for step in 0..500 {
                let batch = data.masked(step);
                masked += batch.tokens.iter().filter(|&&x| x == 16).count();
                dropped += batch.classes.iter().filter(|&&x| x == -1).count();
                all += batch.tokens.len();
            }
            let share = masked as f64 / all as f64;
            assert!((share - mean).abs() < 0.02, "{schedule}: {share}");
            let dropped = dropped as f64 / 4000.0;
            assert!((dropped - 0.25).abs() < 0.03, "{dropped}");
        }
    }
}
