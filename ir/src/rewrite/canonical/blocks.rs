//! How two shapes of one tensor correspond.

use std::ops::Range;

/// Splits two shapes of equally many elements into the smallest blocks of neighbouring axes with
/// equal products: `[2,3,4]` and `[6,2,2]` give `[2,3]`/`[6]` and `[4]`/`[2,2]`. `None` if a
/// tensor without elements makes that ambiguous.
pub fn blocks(from: &[usize], to: &[usize]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    if from.contains(&0) || to.contains(&0) {
        return None;
    }
    let (mut i, mut j) = (0, 0);
    let mut blocks = Vec::new();
    while i < from.len() || j < to.len() {
        let (first_i, first_j) = (i, j);
        let (mut a, mut b) = (1, 1);
        if i < from.len() {
            a = from[i];
            i += 1;
        }
        if j < to.len() {
            b = to[j];
            j += 1;
        }
        while a != b {
            if a < b {
                a *= from[i];
                i += 1;
            } else {
                b *= to[j];
                j += 1;
            }
        }
        blocks.push((first_i..i, first_j..j));
    }
    Some(blocks)
}

/// Where each axis of `from` lies in `to`, if `to` is `from` with axes of extent 1 inserted.
pub fn unit_insertion(from: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let mut places = Vec::with_capacity(from.len());
    for (axis, &extent) in to.iter().enumerate() {
        if places.len() < from.len() && from[places.len()] == extent {
            places.push(axis);
        } else if extent != 1 {
            return None;
        }
    }
    (places.len() == from.len()).then_some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_minimal() {
        let split = |from: &[usize], to: &[usize]| blocks(from, to).unwrap();
        assert_eq!(split(&[2, 3, 4], &[6, 2, 2]), [(0..2, 0..1), (2..3, 1..3)]);
        assert_eq!(split(&[5, 1], &[5]), [(0..1, 0..1), (1..2, 1..1)]);
        assert_eq!(split(&[1, 5], &[5]), [(0..2, 0..1)]);
        assert_eq!(blocks(&[0, 2], &[2, 0]), None);
    }

    #[test]
    fn unit_insertion_keeps_the_order() {
        assert_eq!(unit_insertion(&[3, 4], &[3, 1, 4]), Some(vec![0, 2]));
        assert_eq!(unit_insertion(&[1, 4], &[1, 1, 4]), Some(vec![0, 2]));
        assert_eq!(unit_insertion(&[3, 4], &[12]), None);
        assert_eq!(unit_insertion(&[3], &[1]), None);
    }
}
