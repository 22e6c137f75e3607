//! The rule of a sampling step, for one picture: take what is likely, keep what is sure.
//!
//! Step k of S, with rho = (k + 1) / S and U0 entries unknown at the start:
//!
//! 1. every masked sub-token is drawn from its probabilities;
//! 2. an entry's confidence is the logarithm of the probability of what was drawn, plus Gumbel noise
//!    times `temperature (1 - rho)`;
//! 3. the `U0 gamma(rho)` entries of lowest confidence are masked again, at least 1 and at most all
//!    but one of those that were masked before the step. What was kept once never changes.
//!
//! The picture is what step S draws, before anything is masked again. An entry is a sub-token, or a
//! token whose sub-tokens are masked together and whose confidence is the sum of theirs.

use super::MaskedLmError;
use crate::config::{MaskSchedule, MaskedLmModelConfig, Masking};
use crate::data::{Draw, Purpose};
use std::f64::consts::PI;

/// How much logits go beyond those with the class, away from those without it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guidance {
    /// The same in every step.
    Constant(f64),
    /// `scale (1 - cos(pi (k / S)^power)) / 2` in step k: MaskBit's.
    Ramp {
        /// Its limit.
        scale: f64,
        /// How late it rises.
        power: f64,
    },
}

impl Guidance {
    /// The guidance of step `step` of `steps`.
    pub fn at(self, step: usize, steps: usize) -> f64 {
        match self {
            Guidance::Constant(strength) => strength,
            Guidance::Ramp { scale, power } => {
                let way = libm::pow(step as f64 / steps as f64, power);
                scale * (1.0 - libm::cos(PI * way)) / 2.0
            }
        }
    }

    /// Whether it is 0 in every step.
    pub fn is_none(self) -> bool {
        let (Guidance::Constant(strength)
        | Guidance::Ramp {
            scale: strength, ..
        }) = self;
        strength == 0.0
    }
}

/// How pictures are sampled. The default is the paper's, with 12 steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleSettings {
    /// Seed of all noise.
    pub seed: u64,
    /// Steps; at most one for each entry.
    pub steps: usize,
    /// Of the noise on confidences, in the first step; it falls linearly to 0.
    pub temperature: f64,
    pub guidance: Guidance,
    /// How many entries stay masked.
    pub schedule: MaskSchedule,
}

impl Default for SampleSettings {
    fn default() -> SampleSettings {
        SampleSettings {
            seed: 0,
            steps: 12,
            temperature: 15.0,
            guidance: Guidance::Constant(0.5),
            schedule: MaskSchedule::Cosine,
        }
    }
}

impl SampleSettings {
    /// That they make sense for a picture of so many masked entries.
    ///
    /// # Errors
    /// [`MaskedLmError::Steps`] or [`MaskedLmError::Setting`].
    pub fn check(&self, entries: usize) -> Result<(), MaskedLmError> {
        let steps = self.steps;
        if !(1..=entries).contains(&steps) {
            return Err(MaskedLmError::Steps { steps, entries });
        }
        let mut settings = vec![("temperature", self.temperature)];
        match self.guidance {
            Guidance::Constant(strength) => settings.push(("guidance", strength)),
            Guidance::Ramp { scale, power } => {
                settings.extend([("guidance", scale), ("guidance's power", power)]);
            }
        }
        let is_good = |value: f64| value.is_finite() && value >= 0.0;
        match settings.into_iter().find(|(_, value)| !is_good(*value)) {
            Some((setting, value)) => Err(MaskedLmError::Setting { setting, value }),
            None => Ok(()),
        }
    }
}

impl MaskSchedule {
    /// The share that is masked at a share `way` of the way.
    pub fn masked(self, way: f64) -> f64 {
        match self {
            MaskSchedule::Cosine => libm::cos(PI * way / 2.0),
            MaskSchedule::Arccos => libm::acos(way) * 2.0 / PI,
        }
    }
}

/// How many of `unknown` entries are masked again behind step `step`, of `at_start` that were
/// unknown before the first.
pub fn remasked(settings: &SampleSettings, step: usize, at_start: usize, unknown: usize) -> usize {
    let way = (step + 1) as f64 / settings.steps as f64;
    let share = settings.schedule.masked(way).clamp(1e-6, 1.0);
    let wanted = (at_start as f64 * share).floor() as usize;
    wanted.min(unknown.saturating_sub(1)).max(1)
}

/// What a step draws with.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// Of each sub-token, at least 0 and below 1.
    pub uniform: Vec<f64>,
    /// Of each entry, from the Gumbel distribution.
    pub gumbel: Vec<f64>,
}

impl Noise {
    /// The noise of one step of one picture.
    pub fn of(seed: u64, picture: u64, step: usize, config: &MaskedLmModelConfig) -> Noise {
        // A stream for each step: 2^16 are more than any picture has.
        let index = picture << 16 | step as u64;
        let mut draw = Draw::new(seed, Purpose::Sampling, index);
        let sub_tokens = config.tokens * config.groups;
        Noise {
            uniform: (0..sub_tokens).map(|_| draw.uniform(0.0, 1.0)).collect(),
            gumbel: (0..config.entries()).map(|_| draw.gumbel()).collect(),
        }
    }
}

/// A picture that is being sampled.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// `[tokens, groups]`; the vocabulary's size where masked.
    pub sub_tokens: Vec<i32>,
    /// What the last step drew, before it masked again.
    pub drawn: Vec<i32>,
    /// Of each entry what decided whether it was masked again; 0 where it was known.
    pub confidence: Vec<f64>,
    at_start: usize,
    vocabulary: usize,
    per_entry: usize,
}

impl Sampling {
    /// Begins with sub-tokens of which some are masked.
    pub fn new(config: &MaskedLmModelConfig, sub_tokens: Vec<i32>) -> Sampling {
        let mut sampling = Sampling {
            drawn: sub_tokens.clone(),
            sub_tokens,
            confidence: vec![0.0; config.entries()],
            at_start: 0,
            vocabulary: config.vocabulary(),
            per_entry: match config.masking {
                Masking::SubToken => 1,
                Masking::Token => config.groups,
            },
        };
        sampling.at_start = sampling.unknown().len();
        sampling
    }

    /// Entries that were masked at the start.
    pub fn at_start(&self) -> usize {
        self.at_start
    }

    /// Entries that are masked.
    pub fn unknown(&self) -> Vec<usize> {
        let mask = self.vocabulary as i32;
        let entries = self.sub_tokens.chunks_exact(self.per_entry).enumerate();
        let masked = entries.filter(|(_, sub_tokens)| sub_tokens.contains(&mask));
        masked.map(|(entry, _)| entry).collect()
    }

    /// Step `step`: `probabilities` are `[tokens, groups, V]`.
    pub fn step(
        &mut self,
        settings: &SampleSettings,
        step: usize,
        probabilities: &[f32],
        noise: &Noise,
    ) {
        let mask = self.vocabulary as i32;
        let unknown = self.unknown();
        let way = (step + 1) as f64 / settings.steps as f64;
        let temperature = settings.temperature * (1.0 - way);
        self.drawn.clone_from(&self.sub_tokens);
        self.confidence.fill(0.0);
        for &entry in &unknown {
            let places = entry * self.per_entry..(entry + 1) * self.per_entry;
            let mut confidence = temperature * noise.gumbel[entry];
            for place in places.filter(|&place| self.sub_tokens[place] == mask) {
                let row = &probabilities[place * self.vocabulary..][..self.vocabulary];
                let value = draw(row, noise.uniform[place]);
                self.drawn[place] = value as i32;
                confidence += libm::log(f64::from(row[value]));
            }
            self.confidence[entry] = confidence;
        }
        let again = remasked(settings, step, self.at_start, unknown.len());
        let mut order = unknown;
        // Of equal confidences the first is masked again: the order is one of places.
        order.sort_by(|&a, &b| {
            self.confidence[a]
                .total_cmp(&self.confidence[b])
                .then(a.cmp(&b))
        });
        let before = std::mem::replace(&mut self.sub_tokens, self.drawn.clone());
        for &entry in order.iter().take(again) {
            let places = entry * self.per_entry..(entry + 1) * self.per_entry;
            for place in places.filter(|&place| before[place] == mask) {
                self.sub_tokens[place] = mask;
            }
        }
    }
}

/// The smallest value whose cumulative probability is above `uniform`; the last if there is none.
fn draw(probabilities: &[f32], uniform: f64) -> usize {
    let mut sum = 0.0;
    let found = probabilities.iter().position(|&probability| {
        sum += f64::from(probability);
        sum > uniform
    });
    found.unwrap_or(probabilities.len() - 1)
}
