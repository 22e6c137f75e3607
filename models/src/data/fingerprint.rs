//! What tells training data from other data without reading all of it.

use crate::pipeline::Fnv;
use crate::token_grid::TokenGrid;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The number of samples, and a hash of what they are: of pictures the names within their folder
/// and the sizes of the files, of token files the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataFingerprint {
    pub samples: usize,
    pub hash: u64,
}

impl DataFingerprint {
    /// That of picture files, in order.
    pub(super) fn of_files<'a>(files: impl Iterator<Item = (&'a Path, u64)>) -> DataFingerprint {
        let (mut hash, mut samples) = (Fnv::default(), 0);
        for (name, bytes) in files {
            // Part by part, so that the separator of a system does not matter.
            for part in name {
                hash.bytes(part.as_encoded_bytes());
            }
            hash.number(bytes);
            samples += 1;
        }
        let hash = hash.0;
        DataFingerprint { samples, hash }
    }

    /// That of grids of tokens: columns and tokens of each.
    pub(super) fn of_tokens(grids: &[TokenGrid]) -> DataFingerprint {
        let (mut hash, mut samples) = (Fnv::default(), 0);
        for TokenGrid { shape, indices } in grids {
            hash.numbers(&[shape.columns, indices.len()]);
            indices.iter().for_each(|&token| hash.number(token));
            samples += 1;
        }
        let hash = hash.0;
        DataFingerprint { samples, hash }
    }
}

/// As in the metadata of a checkpoint: `SAMPLES HASH`.
impl fmt::Display for DataFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:016x}", self.samples, self.hash)
    }
}

impl FromStr for DataFingerprint {
    type Err = ();

    fn from_str(text: &str) -> Result<DataFingerprint, ()> {
        let (samples, hash) = text.split_once(' ').ok_or(())?;
        Ok(DataFingerprint {
            samples: samples.parse().map_err(|_| ())?,
            hash: u64::from_str_radix(hash, 16).map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sizes_and_order_count_and_the_text_reads_back() {
        let of = |files: &[(&str, u64)]| {
            DataFingerprint::of_files(files.iter().map(|(name, bytes)| (Path::new(*name), *bytes)))
        };
        let first = of(&[("a.png", 3), ("b/c.png", 4)]);
        assert_eq!(first.to_string().parse(), Ok(first));
        for other in [
            of(&[("a.png", 3)]),
            of(&[("a.png", 3), ("b/c.png", 5)]),
            of(&[("a.png", 3), ("b/d.png", 4)]),
            of(&[("b/c.png", 4), ("a.png", 3)]),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!("".parse::<DataFingerprint>(), Err(()));
    }
}
