//! Bits of a token, its index, and the indices of its groups, in exact integers.
//!
//! The first bit is the most significant one, in an index as in a group's. Published formulas
//! sometimes count the other way round: see [`reverse_bits`].
//!
//! A token is a bit vector in one or more words: its first [`MAX_BITS`] bits are the first word, and so on; the last
//! word has what is left. A token that fits one word is its index.

/// The widest index that is also exact as an `i64`, the integer that checkpoints hold.
pub const MAX_BITS: usize = 63;
/// The most bits of a token.
pub const MAX_TOKEN_BITS: usize = 512;

/// Words of a token of so many bits: 1 of one that is an index.
pub fn words_of(bits: usize) -> usize {
    bits.div_ceil(MAX_BITS)
}

/// Bits of each word of a token of so many bits.
///
/// ```
/// use bsq::tokenizer::bits::word_widths;
/// assert_eq!(word_widths(36).collect::<Vec<_>>(), [36]);
/// assert_eq!(word_widths(128).collect::<Vec<_>>(), [63, 63, 2]);
/// ```
pub fn word_widths(bits: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
    (0..words_of(bits)).map(move |word| MAX_BITS.min(bits - word * MAX_BITS))
}

/// The words of the bits of a token.
pub fn token_of(bits: &[bool]) -> Vec<u64> {
    bits.chunks(MAX_BITS).map(index_of).collect()
}

/// The `width` bits of a token's words.
///
/// # Panics
/// If these are not as many words, or one has more bits than it may.
#[track_caller]
pub fn token_bits(token: &[u64], width: usize) -> Vec<bool> {
    assert_eq!(token.len(), words_of(width), "words of a token");
    let words = token.iter().zip(word_widths(width));
    words
        .flat_map(|(&word, width)| bits_of(word, width))
        .collect()
}

/// The first `kept` of a token's `width` bits: each word, and how many of its bits they are.
pub fn first_bits(
    token: &[u64],
    width: usize,
    kept: usize,
) -> impl Iterator<Item = (u64, usize)> + '_ {
    let own = token.iter().zip(word_widths(width));
    own.zip(word_widths(kept))
        .map(|((&word, width), kept)| (word >> (width - kept), kept))
}

/// The indices of a token's groups of `size` bits, first group first; a group may lie in two words.
///
/// # Panics
/// If `size` does not divide `width`, or these are not a token's words.
#[track_caller]
pub fn split_token(token: &[u64], width: usize, size: usize) -> Vec<u64> {
    match token {
        [index] => split_index(*index, width, size),
        _ => {
            check_groups(width, size);
            let bits = token_bits(token, width);
            bits.chunks(size).map(index_of).collect()
        }
    }
}

/// The words of a token from the indices of its groups of `size` bits.
///
/// # Panics
/// If a group's index has more than `size` bits.
#[track_caller]
pub fn join_token(groups: &[u64], size: usize) -> Vec<u64> {
    match groups.len() * size <= MAX_BITS {
        true => vec![join_index(groups, size)],
        false => {
            let bits: Vec<bool> = groups.iter().flat_map(|&g| bits_of(g, size)).collect();
            token_of(&bits)
        }
    }
}

/// The index of the bits of a token, or of a group.
///
/// ```
/// use bsq::tokenizer::bits::index_of;
/// assert_eq!(index_of(&[true, false, true, true]), 0b1011);
/// ```
///
/// # Panics
/// If there are more than [`MAX_BITS`] bits.
#[track_caller]
pub fn index_of(bits: &[bool]) -> u64 {
    check(bits.len());
    bits.iter()
        .fold(0, |index, &bit| index << 1 | u64::from(bit))
}

/// The `width` bits of an index.
///
/// # Panics
/// If the index has more bits than that, or `width` exceeds [`MAX_BITS`].
#[track_caller]
pub fn bits_of(index: u64, width: usize) -> Vec<bool> {
    check(width);
    check_fits(index, width);
    let bit = |place: usize| index >> place & 1 == 1;
    (0..width).rev().map(bit).collect()
}

/// The indices of a token's groups of `size` bits, first group first.
///
/// # Panics
/// If `size` does not divide `width`, or the index has more than `width` bits.
#[track_caller]
pub fn split_index(index: u64, width: usize, size: usize) -> Vec<u64> {
    let bits = bits_of(index, width);
    check_groups(width, size);
    bits.chunks(size).map(index_of).collect()
}

/// The index of a token from the indices of its groups of `size` bits.
///
/// # Panics
/// If a group's index has more than `size` bits, or all together exceed [`MAX_BITS`].
#[track_caller]
pub fn join_index(groups: &[u64], size: usize) -> u64 {
    check(groups.len() * size);
    groups.iter().fold(0, |index, &group| {
        check_fits(group, size);
        index << size | group
    })
}

/// The index under the convention that the first bit is the least significant one, and back.
///
/// ```
/// use bsq::tokenizer::bits::reverse_bits;
/// assert_eq!(reverse_bits(0b0011, 4), 0b1100);
/// ```
///
/// # Panics
/// If the index has more than `width` bits, or `width` exceeds [`MAX_BITS`].
#[track_caller]
pub fn reverse_bits(index: u64, width: usize) -> u64 {
    check(width);
    check_fits(index, width);
    match width {
        0 => 0,
        width => index.reverse_bits() >> (u64::BITS as usize - width),
    }
}

#[track_caller]
fn check(width: usize) {
    assert!(
        width <= MAX_BITS,
        "{width} bits: an index has at most {MAX_BITS}"
    );
}

#[track_caller]
fn check_groups(width: usize, size: usize) {
    assert!(
        size > 0 && width.is_multiple_of(size),
        "{width} bits cannot be cut into groups of {size}"
    );
}

#[track_caller]
fn check_fits(index: u64, width: usize) {
    let fits = width >= u64::BITS as usize || index >> width == 0;
    assert!(fits, "index {index} has more than {width} bits");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn width_and_index() -> impl Strategy<Value = (usize, u64)> {
        (1..=MAX_BITS).prop_flat_map(|width| (Just(width), 0..1_u64 << width))
    }

    proptest! {
        #[test]
        fn bits_and_index_round_trip_at_every_width((width, index) in width_and_index()) {
            let bits = bits_of(index, width);
            prop_assert_eq!(bits.len(), width);
            prop_assert_eq!(index_of(&bits), index);
        }

        #[test]
        fn groups_and_index_round_trip((width, index) in width_and_index()) {
            for size in (1..=width).filter(|size| width.is_multiple_of(*size)) {
                let groups = split_index(index, width, size);
                prop_assert_eq!(groups.len(), width / size);
                prop_assert_eq!(join_index(&groups, size), index);
            }
        }

        #[test]
        fn words_and_groups_of_long_tokens_round_trip(bits in prop::collection::vec(any::<bool>(), 1..=MAX_TOKEN_BITS)) {
            let (width, token) = (bits.len(), token_of(&bits));
            prop_assert_eq!(&token_bits(&token, width), &bits);
            for size in (1..=width.min(MAX_BITS)).filter(|size| width.is_multiple_of(*size)) {
                let groups = split_token(&token, width, size);
                prop_assert!(groups.iter().zip(bits.chunks(size)).all(|(&group, own)| group == index_of(own)));
                prop_assert_eq!(&join_token(&groups, size), &token);
            }
            for kept in 1..=width {
                let kept_bits = first_bits(&token, width, kept).flat_map(|(word, width)| bits_of(word, width));
                prop_assert!(kept_bits.eq(bits[..kept].iter().copied()));
            }
        }

        #[test]
        fn reversal_reverses_the_bits((width, index) in width_and_index()) {
            let mut bits = bits_of(index, width);
            bits.reverse();
            prop_assert_eq!(reverse_bits(index, width), index_of(&bits));
            prop_assert_eq!(reverse_bits(reverse_bits(index, width), width), index);
        }
    }

    #[test]
    fn the_first_bit_is_the_most_significant() {
        let bits = [true, false, true, false];
        assert_eq!(index_of(&bits), 10);
        assert_eq!(split_index(10, 4, 2), [2, 2]);
        assert_eq!(split_index(13, 4, 2), [3, 1]);
        let all = [true; MAX_BITS];
        assert_eq!(index_of(&all), (1 << 63) - 1);
    }

    #[test]
    #[should_panic(expected = "index 8 has more than 3 bits")]
    fn an_index_that_is_too_wide_is_refused() {
        bits_of(8, 3);
    }
}
