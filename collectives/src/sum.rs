//! Sums of buffers in the order of one binary tree, whoever holds its leaves.
//!
//! The tree over terms 0, 1, 2, ... adds neighbours, then neighbours of those sums, and so on; a sum
//! without a neighbour goes up as it is: `((0 + 1) + (2 + 3)) + 4`. A block of `2^k` terms that begins at
//! a multiple of `2^k` is a subtree. So ranks that hold equal blocks of that size add their own, and the
//! same tree over the ranks gives the sum that one rank alone would have found.

use super::{CollectiveError, Communicator};

/// In which order terms of several ranks are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// In that of one tree over all terms: the same bits with any number of ranks.
    #[default]
    Fixed,
    /// In the engine's own between ranks: the bits of this number of ranks with this engine.
    Engine,
}

/// A sum of buffers, one after another, in the order of the tree. Of `n` terms so far it keeps as many
/// buffers as `n` has ones in binary.
#[derive(Debug, Default)]
pub struct PairwiseSum {
    /// Sums of subtrees that wait for their right neighbour, with their heights, which fall.
    waiting: Vec<(u32, Vec<f32>)>,
}

impl PairwiseSum {
    /// Adds the next term.
    ///
    /// # Panics
    /// If it has another length than the terms before.
    pub fn push(&mut self, term: Vec<f32>) {
        let (mut height, mut sum) = (0, term);
        while let Some((_, left)) = self.waiting.pop_if(|(waiting, _)| *waiting == height) {
            sum = added(left, &sum);
            height += 1;
        }
        self.waiting.push((height, sum));
    }

    /// The sum of all terms; nothing of none.
    pub fn finish(self) -> Vec<f32> {
        let sums = self.waiting.into_iter().map(|(_, sum)| sum);
        sums.rev()
            .reduce(|right, left| added(left, &right))
            .unwrap_or_default()
    }
}

fn added(mut left: Vec<f32>, right: &[f32]) -> Vec<f32> {
    assert_eq!(left.len(), right.len(), "terms of one sum");
    left.iter_mut().zip(right).for_each(|(l, r)| *l += r);
    left
}

/// The mean over `terms` terms of all ranks, of which each gives the sum of its own: every rank gets all
/// of it. In [`Order::Fixed`] the sum over ranks is that of [`PairwiseSum`].
///
/// # Errors
/// If another rank has ended.
pub fn mean(
    ranks: &dyn Communicator,
    mut sum: Vec<f32>,
    terms: usize,
    order: Order,
) -> Result<Vec<f32>, CollectiveError> {
    let (length, size) = (sum.len(), ranks.size());
    let divide = |values: &mut [f32]| values.iter_mut().for_each(|v| *v /= terms as f32);
    if size == 1 || order == Order::Engine {
        ranks.all_reduce(&mut sum)?;
        divide(&mut sum);
        return Ok(sum);
    }
    let share = length.div_ceil(size);
    sum.resize(share * size, 0.0);
    let mut parts = vec![0.0; share * size];
    ranks.all_to_all(&sum, &mut parts)?;
    let mut own = PairwiseSum::default();
    if share > 0 {
        parts.chunks(share).for_each(|part| own.push(part.to_vec()));
    }
    let mut own = own.finish();
    divide(&mut own);
    ranks.all_gather(&own, &mut sum)?;
    sum.truncate(length);
    Ok(sum)
}

/// Replaces `values` by their sum over ranks, each adding a share in the order of ranks.
pub(super) fn in_order_of_ranks<C: Communicator + ?Sized>(
    ranks: &C,
    values: &mut [f32],
) -> Result<(), CollectiveError> {
    let (length, size) = (values.len(), ranks.size());
    let share = length.div_ceil(size);
    let mut all = values.to_vec();
    all.resize(share * size, 0.0);
    let mut parts = vec![0.0; share * size];
    ranks.all_to_all(&all, &mut parts)?;
    let (own, others) = parts.split_at_mut(share);
    for part in others.chunks(share.max(1)) {
        own.iter_mut()
            .zip(part)
            .for_each(|(sum, value)| *sum += value);
    }
    ranks.all_gather(own, &mut all)?;
    values.copy_from_slice(&all[..length]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads;

    /// Term `i`, of numbers whose sum depends on the order.
    fn term(i: usize, length: usize) -> Vec<f32> {
        let value =
            |j: usize| ((i * 7919 + j * 104_729) % 1000) as f32 / 7.0 * 10_f32.powi(i as i32 % 5);
        (0..length).map(value).collect()
    }

    fn sum(terms: impl Iterator<Item = Vec<f32>>) -> Vec<f32> {
        let mut sum = PairwiseSum::default();
        terms.for_each(|term| sum.push(term));
        sum.finish()
    }

    #[test]
    fn neighbours_are_added_first() {
        let terms = [1e8_f32, 1.0, -1e8, 3.0, 1e-3, 0.5];
        let of = |count: usize| sum(terms[..count].iter().map(|&term| vec![term]));
        let [a, b, c, d, e, f] = terms;
        assert_eq!(of(6), [((a + b) + (c + d)) + (e + f)]);
        assert_ne!(
            of(6),
            [((((a + b) + c) + d) + e) + f],
            "these terms show no order"
        );
        assert_eq!(of(5), [((a + b) + (c + d)) + e]);
        assert!(of(0).is_empty());
    }

    #[test]
    fn any_number_of_ranks_has_the_mean_of_one() {
        for (terms, sizes) in [(8, &[1, 2, 4, 8][..]), (12, &[1, 3, 6, 12]), (5, &[1, 5])] {
            for length in [0, 1, 3, 64] {
                let all = sum((0..terms).map(|i| term(i, length)));
                let expected: Vec<f32> = all.iter().map(|sum| sum / terms as f32).collect();
                for &size in sizes {
                    let means = run_all(size, move |ranks| {
                        let block = terms / size;
                        let own = ranks.rank() * block..(ranks.rank() + 1) * block;
                        let own = sum(own.map(|i| term(i, length)));
                        mean(ranks, own, terms, Order::Fixed).unwrap()
                    });
                    for found in means {
                        assert_eq!(found, expected, "{terms} terms, {size} ranks, {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_engines_order_is_close() {
        let means = run_all(4, |ranks| {
            mean(ranks, term(ranks.rank(), 9), 4, Order::Engine).unwrap()
        });
        let expected = sum((0..4).map(|i| term(i, 9)));
        for (found, sum) in means[0].iter().zip(expected) {
            assert!((found * 4.0 - sum).abs() <= sum.abs() * 1e-5);
        }
    }

    /// What each of several ranks finds.
    fn run_all<T: Send>(size: usize, run: impl Fn(&dyn Communicator) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let run = &run;
            let start = |rank| scope.spawn(move || run(&rank));
            let running: Vec<_> = threads(size).into_iter().map(start).collect();
            let found = running.into_iter().map(|rank| rank.join().unwrap());
            found.collect()
        })
    }
}
