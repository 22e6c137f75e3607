//! The stream of choices that a generator draws from: a seed's, or a fuzzer's bytes.

/// Where choices come from.
enum Source<'b> {
    /// SplitMix64; never ends.
    Seed(u64),
    /// Two bytes a choice; once they have run out every choice is the first.
    Bytes(&'b [u8]),
}

/// Choices one after another. The same source gives the same choices everywhere.
pub struct Choices<'b>(Source<'b>);

impl<'b> Choices<'b> {
    pub fn from_seed(seed: u64) -> Self {
        Choices(Source::Seed(seed))
    }

    pub fn from_bytes(bytes: &'b [u8]) -> Self {
        Choices(Source::Bytes(bytes))
    }

    /// True if every choice from here on is the first.
    pub fn are_over(&self) -> bool {
        matches!(self.0, Source::Bytes([]))
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        self.word() as usize % limit
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// 16 bits from bytes, 32 from a seed.
    pub fn word(&mut self) -> u32 {
        match &mut self.0 {
            Source::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 32) as u32
            }
            Source::Bytes(bytes) => {
                let (now, later) = bytes.split_at(bytes.len().min(2));
                *bytes = later;
                now.iter()
                    .fold(0, |word, &byte| word << 8 | u32::from(byte))
            }
        }
    }
}
