//! Three rates of a tokenizer's tokens: as they are, by how often each occurs, and with a prior.

use std::collections::HashMap;
use std::fmt::Write;

/// Bits per pixel are means over clips, as those of files are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenRates {
    /// Tokens a pixel.
    pub density: f64,
    /// Bits of a token as it is.
    pub bits: f64,
    /// Bits of a token by how often each occurs in all clips together: their entropy of order zero. It is at most
    /// the logarithm of the number of tokens, so that of few it says too little.
    pub zero_order_bits: f64,
    /// How many tokens there are, and how many different ones.
    pub tokens: u64,
    pub distinct: usize,
    /// Whether files have been coded with a prior.
    pub has_prior: bool,
}

impl TokenRates {
    /// Bits per pixel of tokens as they are.
    pub fn raw(&self) -> f64 {
        self.density * self.bits
    }

    /// Bits per pixel by how often tokens occur.
    pub fn zero_order(&self) -> f64 {
        self.density * self.zero_order_bits
    }

    /// Each rate with bits per pixel and bits per token; files have so many bits per pixel.
    pub(super) fn lines(&self, files: f64) -> Vec<(String, f64, f64)> {
        let TokenRates {
            tokens, distinct, ..
        } = self;
        let zero = format!("by how often each occurs ({distinct} different of {tokens})");
        let mut lines = vec![
            ("as they are".to_string(), self.raw(), self.bits),
            (zero, self.zero_order(), self.zero_order_bits),
        ];
        if self.has_prior {
            let name = "with the prior, whole files".to_string();
            lines.push((name, files, files / self.density));
        }
        lines
    }

    /// A Markdown table.
    pub(super) fn table(&self, files: f64) -> String {
        let mut text =
            "\n| tokens | bits per pixel | bits per token |\n|---|---|---|\n".to_string();
        for (name, pixel, token) in self.lines(files) {
            writeln!(text, "| {name} | {pixel:.4} | {token:.2} |").expect("a String takes all");
        }
        text
    }
}

/// How often each token occurs.
type Counts = HashMap<u64, u64>;

/// Counts tokens of clips.
pub(super) struct Tally {
    bits: usize,
    has_prior: bool,
    /// Of the clip under way.
    clip: Counts,
    all: Counts,
    /// Tokens a pixel of each clip.
    densities: Vec<f64>,
}

impl Tally {
    pub fn new(bits: usize, has_prior: bool) -> Tally {
        Tally {
            bits,
            has_prior,
            clip: Counts::new(),
            all: Counts::new(),
            densities: Vec::new(),
        }
    }

    pub fn push(&mut self, tokens: &[u64]) {
        for token in tokens {
            *self.clip.entry(*token).or_default() += 1;
        }
    }

    /// All of a clip with so many pixels is there; without them it is forgotten.
    pub fn end_clip(&mut self, pixels: Option<usize>) {
        let clip = std::mem::take(&mut self.clip);
        let Some(pixels) = pixels else { return };
        let tokens: u64 = clip.values().sum();
        self.densities.push(tokens as f64 / pixels as f64);
        for (token, count) in clip {
            *self.all.entry(token).or_default() += count;
        }
    }

    /// `None` if there are no clips.
    pub fn rates(&self) -> Option<TokenRates> {
        let clips = self.densities.len();
        let tokens: u64 = self.all.values().sum();
        // In one order: sums are the same in every run.
        let mut counts: Vec<u64> = self.all.values().copied().collect();
        counts.sort_unstable();
        let bits = counts.iter().map(|&count| {
            let share = count as f64 / tokens as f64;
            -share * share.log2()
        });
        (clips > 0).then(|| TokenRates {
            density: self.densities.iter().sum::<f64>() / clips as f64,
            bits: self.bits as f64,
            zero_order_bits: bits.sum(),
            tokens,
            distinct: self.all.len(),
            has_prior: self.has_prior,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_all_clips_that_are_complete() {
        let mut tally = Tally::new(36, false);
        assert_eq!(tally.rates(), None);
        // Half of the tokens are one, a quarter each of two others.
        tally.push(&[7, 7, 7, 7]);
        tally.end_clip(Some(256));
        tally.push(&[1, 1 << 35]);
        tally.push(&[1, 1 << 35]);
        tally.end_clip(Some(128));
        tally.push(&[3, 4, 5]);
        tally.end_clip(None);
        let rates = tally.rates().unwrap();
        assert_eq!((rates.tokens, rates.distinct), (8, 3));
        assert_eq!(rates.zero_order_bits, 1.5);
        assert_eq!(rates.density, (4.0 / 256.0 + 4.0 / 128.0) / 2.0);
        assert_eq!(rates.raw(), 36.0 * rates.density);
        let table = rates.table(0.2);
        assert!(
            table.contains("(3 different of 8) | 0.0352 | 1.50 |"),
            "{table}"
        );
        assert!(!table.contains("prior"), "{table}");
    }
}
