//! The 196,560 minimal vectors of the Leech lattice, from the extended binary Golay code.
//!
//! They are the densest way to put points on the unit sphere of 24 dimensions: any two are at
//! least 60 degrees apart, and each has 4,600 neighbours at exactly that angle. A vector quantizer
//! uses them as a table of codes that needs no training.
//!
//! In units of 1/sqrt(32), with C running through the 4,096 words of the Golay code, they are
//!
//! | shape | number | which |
//! |---|---|---|
//! | two ±4, the rest 0 | 24 * 23 / 2 * 4 = 1,104 | any two places, any signs |
//! | eight ±2, the rest 0 | 759 * 2^7 = 97,152 | at the ones of a word of weight 8, an even number of signs minus |
//! | one ±3, the rest ±1 | 24 * 4,096 = 98,304 | minus at the ones of any word; then one place times -3 |
//!
//! (Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 11.)

/// How many minimal vectors there are.
pub const MINIMAL_VECTORS: usize = 196_560;

/// Features of each vector.
pub const DIMENSION: usize = 24;

/// The table `[196560, 24]`, row by row, every row of unit length.
///
/// The order is fixed: the three shapes as in the table above; within a shape by pair of places or
/// by code word (in the order of their messages), then by sign pattern or by place, as binary
/// numbers count. It is this project's own: indices into tables of other origin differ.
///
/// ```
/// let table = bsq::leech::minimal_vectors();
/// let (first, second) = (&table[..24], &table[24..48]);
/// let cosine: f32 = first.iter().zip(second).map(|(a, b)| a * b).sum();
/// assert!((cosine - 0.0).abs() < 1e-6); // (4, 4, 0, ...) and (-4, 4, 0, ...)
/// ```
pub fn minimal_vectors() -> Vec<f32> {
    let mut table = Vec::with_capacity(MINIMAL_VECTORS * DIMENSION);
    for first in 0..DIMENSION {
        for second in first + 1..DIMENSION {
            for signs in 0..4_u32 {
                push(&mut table, |place| match place {
                    _ if place == first => signed(4, signs & 1),
                    _ if place == second => signed(4, signs >> 1),
                    _ => 0,
                });
            }
        }
    }
    let words: Vec<u32> = golay_code().collect();
    for &octad in words.iter().filter(|word| word.count_ones() == 8) {
        for signs in 0..128_u32 {
            // Seven signs are free and the eighth makes their number even.
            let signs = signs | (signs.count_ones() & 1) << 7;
            push(&mut table, |place| {
                if octad >> place & 1 == 0 {
                    return 0;
                }
                let rank = (octad & ((1 << place) - 1)).count_ones();
                signed(2, signs >> rank & 1)
            });
        }
    }
    for &word in &words {
        for tripled in 0..DIMENSION {
            push(&mut table, |place| {
                let one = signed(1, word >> place & 1);
                if place == tripled { -3 * one } else { one }
            });
        }
    }
    table
}

fn signed(magnitude: i32, minus: u32) -> i32 {
    if minus == 1 { -magnitude } else { magnitude }
}

/// Appends a vector whose squared length is 32, scaled to length 1.
fn push(table: &mut Vec<f32>, coordinate: impl Fn(usize) -> i32) {
    let scale = 32_f64.sqrt().recip();
    table.extend((0..DIMENSION).map(|place| (f64::from(coordinate(place)) * scale) as f32));
}

/// The words of the extended Golay code, as 24-bit sets, ordered by their 12-bit messages.
///
/// A message times x^11 + x^9 + x^7 + x^6 + x^5 + x + 1 over GF(2) is a word of the cyclic code of
/// length 23; the 24th bit makes the number of ones even.
fn golay_code() -> impl Iterator<Item = u32> {
    const GENERATOR: u32 = 0b1010_1110_0011;
    (0..1_u32 << 12).map(|message| {
        let product = (0..12)
            .filter(|bit| message >> bit & 1 == 1)
            .fold(0, |sum, bit| sum ^ GENERATOR << bit);
        product | (product.count_ones() & 1) << 23
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The vectors in units of 1/sqrt(32).
    fn integers() -> Vec<[i32; DIMENSION]> {
        let scale = 32_f64.sqrt();
        let table = minimal_vectors();
        let rows = table.as_chunks::<DIMENSION>().0.iter();
        rows.map(|row| row.map(|x| (f64::from(x) * scale).round() as i32))
            .collect()
    }

    fn dot(a: &[i32; DIMENSION], b: &[i32; DIMENSION]) -> i32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn the_golay_code_has_its_weights() {
        let mut weights = [0; 25];
        golay_code().for_each(|word| weights[word.count_ones() as usize] += 1);
        let expected = [(0, 1), (8, 759), (12, 2576), (16, 759), (24, 1)];
        for (weight, count) in weights.into_iter().enumerate() {
            let found = expected.iter().find(|(at, _)| *at == weight);
            assert_eq!(
                count,
                found.map_or(0, |(_, count)| *count),
                "weight {weight}"
            );
        }
    }

    #[test]
    fn there_are_196560_different_vectors_of_unit_length_and_their_negatives() {
        let table = minimal_vectors();
        assert_eq!(table.len(), MINIMAL_VECTORS * DIMENSION);
        for row in table.as_chunks::<DIMENSION>().0 {
            let squared: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            assert!((squared - 1.0).abs() < 2e-7);
        }
        let vectors = integers();
        assert!(vectors.iter().all(|vector| dot(vector, vector) == 32));
        let different: HashSet<_> = vectors.iter().collect();
        assert_eq!(different.len(), MINIMAL_VECTORS);
        assert!(vectors.iter().all(|v| different.contains(&v.map(|x| -x))));
    }

    /// Seen from any of them, the others are at inner products 0, ±1/4, ±1/2 and -1, in numbers
    /// that only the Leech lattice has.
    #[test]
    fn every_vector_sees_the_same_kissing_configuration() {
        let vectors = integers();
        for at in [0, 1_000, 1_104, 60_000, 98_255, 98_256, 150_000, 196_559] {
            let mut counts = [0; 65];
            for other in &vectors {
                counts[(dot(&vectors[at], other) + 32) as usize] += 1;
            }
            for (offset, count) in [
                (-32, 1),
                (-16, 4_600),
                (-8, 47_104),
                (0, 93_150),
                (8, 47_104),
                (16, 4_600),
                (32, 1),
            ] {
                assert_eq!(
                    counts[(offset + 32) as usize],
                    count,
                    "vector {at}, product {offset}"
                );
            }
        }
    }
}
