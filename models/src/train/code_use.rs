//! How many of a tokenizer's codes occur: of each group of bits, of each table, or of all levels together.

use super::TrainError;
use super::shared::gathered;
use crate::config::QuantizerConfig;
use bsq_collectives::Ranks;
use std::collections::BTreeSet;

/// A larger number of codes no set of pictures fills, and a share of it says nothing.
const MOST_CODES: u64 = 1 << 20;

/// The codes that were seen.
#[derive(Clone, Debug)]
pub(super) struct CodeUse {
    tables: Vec<Table>,
    seen: Vec<BTreeSet<u64>>,
}

/// A part of a token's index.
#[derive(Clone, Copy, Debug)]
struct Table {
    /// Its lowest bit and how many it has.
    shift: usize,
    bits: usize,
    /// The number of its values.
    codes: u64,
}

impl CodeUse {
    /// None seen yet; none for a quantizer with too many codes to speak of a share, or tokens of several words.
    pub fn of(quantizer: &QuantizerConfig) -> Option<CodeUse> {
        let bits = quantizer.bits_per_token();
        if quantizer.words_per_token() > 1 {
            return None;
        }
        let equal = |count: usize, codes: u64| {
            let own = bits / count;
            let table = |number: usize| Table {
                shift: own * number,
                bits: own,
                codes,
            };
            (0..count).map(table).collect::<Vec<Table>>()
        };
        let tables = match quantizer {
            QuantizerConfig::Bsq(bsq) => {
                let codes = 1_u64.checked_shl(bsq.embed_group_size as u32)?;
                equal(bsq.groups(), codes)
            }
            QuantizerConfig::Vq(vq) => equal(vq.codebooks, vq.n_embed as u64),
            QuantizerConfig::Fsq(fsq) => {
                let product = |codes: u64, &levels: &usize| codes.checked_mul(levels as u64);
                equal(1, fsq.levels.iter().try_fold(1, product)?)
            }
        };
        let are_few = tables.iter().all(|table| table.codes <= MOST_CODES);
        are_few.then(|| CodeUse {
            seen: vec![BTreeSet::new(); tables.len()],
            tables,
        })
    }

    /// Sees the indices of tokens.
    pub fn see(&mut self, indices: &[u64]) {
        for (table, seen) in self.tables.iter().zip(&mut self.seen) {
            let mask = u64::MAX >> (64 - table.bits.max(1));
            seen.extend(indices.iter().map(|index| index >> table.shift & mask));
        }
    }

    /// The share of codes that any rank has seen, the mean over groups or tables; all ranks call it
    /// together.
    pub fn share(self, ranks: &Ranks) -> Result<f64, TrainError> {
        let mut all = vec![BTreeSet::new(); self.tables.len()];
        for of_rank in gathered(ranks, vec![self.seen])? {
            all.iter_mut()
                .zip(of_rank)
                .for_each(|(all, own)| all.extend(own));
        }
        let tables = self.tables.iter().zip(&all);
        let shares = tables.map(|(table, seen)| seen.len() as f64 / table.codes as f64);
        Ok(shares.sum::<f64>() / self.tables.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use bsq_collectives::threads;

    fn quantizer(keys: &str) -> QuantizerConfig {
        let own = "embed_dim = 12\nembed_group_size = 3\nl2_norm = true\npost_q_l2_norm = true";
        let tiny = include_str!("../../tests/tiny.toml").replacen(own, keys, 1);
        Config::from_toml(&tiny).unwrap().model.quantizer
    }

    fn share(keys: &str, indices: &[u64]) -> f64 {
        let mut used = CodeUse::of(&quantizer(keys)).unwrap();
        used.see(indices);
        used.share(&Ranks::default()).unwrap()
    }

    #[test]
    fn codes_are_those_of_a_group_a_table_or_all_levels() {
        // Two groups of three bits: 101 and 001, and 101 and 011.
        let bits = "embed_dim = 6\nembed_group_size = 3";
        assert_eq!(share(bits, &[0b101_001, 0b101_011]), (1.0 + 2.0) / 16.0);
        assert_eq!(share(bits, &(0..64).collect::<Vec<_>>()), 1.0);
        let whole = "embed_dim = 6\nembed_group_size = 6";
        assert_eq!(share(whole, &[5, 5, 9]), 2.0 / 64.0);
        let tables = "quantizer = \"vq\"\nembed_dim = 4\nn_embed = 8\ncodebooks = 2";
        assert_eq!(
            share(tables, &[0b111_000, 0b111_001, 0b110_010]),
            5.0 / 16.0
        );
        let levels = "quantizer = \"fsq\"\nlevels = [8, 4]";
        assert_eq!(share(levels, &[0, 0b1_0111, 0b1_0111]), 2.0 / 32.0);
        let many =
            "embed_dim = 36\nembed_group_size = 36\npersample_entropy_compute = \"analytical\"";
        assert!(CodeUse::of(&quantizer(many)).is_none());
        let long = "embed_dim = 130\nembed_group_size = 10";
        assert!(CodeUse::of(&quantizer(long)).is_none());
    }

    #[test]
    fn ranks_count_a_code_once() {
        let of_ranks = |ranks: Ranks| {
            let mut used = CodeUse::of(&quantizer("embed_dim = 3\nembed_group_size = 3")).unwrap();
            used.see(&[ranks.rank() as u64, 7]);
            used.share(&ranks).unwrap()
        };
        let shares = std::thread::scope(|scope| {
            let start = |rank| scope.spawn(move || of_ranks(Ranks::new(rank)));
            let running: Vec<_> = threads(3).into_iter().map(start).collect();
            let found = running.into_iter().map(|rank| rank.join().unwrap());
            found.collect::<Vec<_>>()
        });
        assert_eq!(shares, [0.5; 3]);
    }
}
