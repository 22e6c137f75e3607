//! One bit per byte of memory: has it been written?

/// A set of byte offsets.
#[derive(Debug, Clone, Default)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub fn new(len: usize) -> Bits {
        Bits {
            words: vec![0; len.div_ceil(64)],
        }
    }

    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Adds or removes a range.
    pub fn set(&mut self, start: usize, len: usize, value: bool) {
        let (mut at, end) = (start, start + len);
        while at < end {
            let count = (64 - at % 64).min(end - at);
            let mask = (u64::MAX >> (64 - count)) << (at % 64);
            let word = &mut self.words[at / 64];
            *word = if value { *word | mask } else { *word & !mask };
            at += count;
        }
    }

    /// The first offset of a range that is not in the set.
    pub fn first_missing(&self, start: usize, len: usize) -> Option<usize> {
        let (mut at, end) = (start, start + len);
        while at < end {
            let count = (64 - at % 64).min(end - at);
            let mask = (u64::MAX >> (64 - count)) << (at % 64);
            let missing = !self.words[at / 64] & mask;
            if missing != 0 {
                return Some(at / 64 * 64 + missing.trailing_zeros() as usize);
            }
            at += count;
        }
        None
    }
}
