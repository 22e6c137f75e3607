//! What every engine must do: one test for all of them.

use crate::{Communicator, Order, PairwiseSum, mean};

/// Calls every operation; all ranks call this.
///
/// # Panics
/// If an operation fails or gives something else.
pub fn check(ranks: &dyn Communicator) {
    let (own, size) = (ranks.rank(), ranks.size());
    let numbers = |from: usize, count: usize| (0..count).map(move |i| (100 * from + i) as f32);
    let send: Vec<f32> = numbers(own, 2 * size).collect();
    let mut received = vec![0.0; 2 * size];
    ranks.all_to_all(&send, &mut received).unwrap();
    let of = |from: usize| numbers(from, 2 * size).skip(2 * own).take(2);
    assert_eq!(received, (0..size).flat_map(of).collect::<Vec<_>>());

    let mut all = vec![0.0; 3 * size];
    ranks.all_gather(&send[..1].repeat(3), &mut all).unwrap();
    let of = |from: usize| [numbers(from, 1).next().unwrap(); 3];
    assert_eq!(all, (0..size).flat_map(of).collect::<Vec<_>>());

    let mut bytes = vec![0; size];
    ranks
        .all_gather_bytes(&[own as u8 + 7], &mut bytes)
        .unwrap();
    assert_eq!(
        bytes,
        (0..size).map(|from| from as u8 + 7).collect::<Vec<_>>()
    );
    ranks.all_gather_bytes(&[], &mut []).unwrap();

    let mut nothing = [0_f32; 0];
    ranks.all_gather(&[], &mut nothing).unwrap();
    ranks.all_to_all(&[], &mut nothing).unwrap();
    ranks.all_reduce(&mut nothing).unwrap();

    let words = ranks.gather_words(own as u64 | 1 << 60).unwrap();
    assert_eq!(
        words,
        (0..size)
            .map(|from| from as u64 | 1 << 60)
            .collect::<Vec<_>>()
    );

    let mut text = [own as u8; 5];
    ranks.broadcast(&mut text).unwrap();
    assert_eq!(text, [0; 5]);

    let mut sum = [own as f32, 1.0];
    ranks.all_reduce(&mut sum).unwrap();
    assert_eq!(sum, [(size * (size - 1) / 2) as f32, size as f32]);

    // The tree's order, of terms whose sum depends on it.
    let term = |i: usize| {
        vec![
            0.1 * 10_f32.powi(i as i32 % 5),
            1e8 / (i + 1) as f32,
            i as f32,
        ]
    };
    let mut expected = PairwiseSum::default();
    (0..size).for_each(|i| expected.push(term(i)));
    let expected: Vec<f32> = expected
        .finish()
        .iter()
        .map(|sum| sum / size as f32)
        .collect();
    let found = mean(ranks, term(own), size, Order::Fixed).unwrap();
    assert_eq!(found, expected);
}
