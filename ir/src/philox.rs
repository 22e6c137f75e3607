//! Philox-4x32-10, the counter-based generator behind every random number.
//!
//! Four 32-bit words are a pure function of a 128-bit counter and a 64-bit key, so a stream may
//! be split, skipped and computed in any order. The algorithm is that of Salmon, Moraes, Dror
//! and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Added to the key after each round: the golden ratio and the square root of 3, less 1.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One block of four words.
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], mut key) = (counter, key);
    for _ in 0..ROUNDS {
        let (high_a, low_a) = wide_product(MULTIPLIERS[0], a);
        let (high_c, low_c) = wide_product(MULTIPLIERS[1], c);
        (a, b, c, d) = (high_c ^ b ^ key[0], low_c, high_a ^ d ^ key[1], low_a);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    [a, b, c, d]
}

/// Word `index mod 4` of block `counter + index / 4`: element `index` of
/// [`Op::Random`](crate::Op::Random). The block number is 64 bits wide and wraps.
pub fn random_word(key: u64, counter: u64, index: u64) -> u32 {
    random_block(key, counter.wrapping_add(index / 4))[(index % 4) as usize]
}

/// Block `block` of the stream of `key`.
pub fn random_block(key: u64, block: u64) -> [u32; 4] {
    let [block_low, block_high] = halves(block);
    philox4x32_10([block_low, block_high, 0, 0], halves(key))
}

fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// High and low half of the product.
fn wide_product(x: u32, y: u32) -> (u32, u32) {
    let product = u64::from(x) * u64::from(y);
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with the algorithm's reference implementation, Random123.
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        for (counter, key, words) in [
            (
                [0; 4],
                [0; 2],
                [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8],
            ),
            (
                [ones; 4],
                [ones; 2],
                [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD],
            ),
            (
                [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344],
                [0xA409_3822, 0x299F_31D0],
                [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1],
            ),
        ] {
            assert_eq!(philox4x32_10(counter, key), words);
        }
    }

    #[test]
    fn a_stream_may_be_entered_anywhere() {
        let (key, counter) = (7, u64::from(u32::MAX));
        let words: Vec<u32> = (0..12).map(|i| random_word(key, counter, i)).collect();
        let later: Vec<u32> = (0..8).map(|i| random_word(key, counter + 1, i)).collect();
        assert_eq!(words[4..], later);
    }
}
