//! Bits of a token, its index, and the indices of its groups, in exact integers.
//!
//! The first bit is the most significant one, in an index as in a group's. Published formulas
//! sometimes count the other way round: see [`reverse_bits`].

/// The widest index that is also exact as an `i64`, the integer that checkpoints hold.
pub const MAX_BITS: usize = 63;

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
    assert!(
        size > 0 && width.is_multiple_of(size),
        "{width} bits cannot be cut into groups of {size}"
    );
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
