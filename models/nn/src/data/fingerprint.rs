//! What tells training data from other data.

use std::fmt;
use std::str::FromStr;

/// The number of samples, and a hash of what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataFingerprint {
    pub samples: usize,
    pub hash: u64,
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
    fn the_text_reads_back() {
        let fingerprint = DataFingerprint {
            samples: 12,
            hash: 0xABC,
        };
        assert_eq!(fingerprint.to_string(), "12 0000000000000abc");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for text in ["", "12", "x 1", "1 x"] {
            assert_eq!(text.parse::<DataFingerprint>(), Err(()), "{text}");
        }
    }
}
