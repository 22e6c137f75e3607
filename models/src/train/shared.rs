//! What ranks make of pictures together: picture `i` is rank `i % ranks`'s own.

use super::TrainError;
use bsq_collectives::Ranks;
use bsq_nn::train::TrainError as Loop;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether picture `index` is this rank's.
pub(super) fn is_own(ranks: &Ranks, index: usize) -> bool {
    index % ranks.size() == ranks.rank()
}

/// What all ranks have made, each of its own pictures and in their order; in the order of pictures, on all.
pub(super) fn gathered<T: Serialize + DeserializeOwned>(
    ranks: &Ranks,
    own: Vec<T>,
) -> Result<Vec<T>, TrainError> {
    if !ranks.are_several() {
        return Ok(own);
    }
    let mut bytes = Vec::new();
    ciborium::into_writer(&own, &mut bytes).expect("memory is written to");
    let all = ranks.gather_bytes(bytes).map_err(Loop::from)?;
    let read = |bytes: &Vec<u8>| {
        let made: Vec<T> = ciborium::from_reader(&bytes[..]).expect("all ranks write alike");
        made.into_iter()
    };
    let mut of_ranks: Vec<_> = all.iter().map(read).collect();
    let size = of_ranks.len();
    Ok((0..)
        .map_while(|index| of_ranks[index % size].next())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_collectives::threads;

    #[test]
    fn what_ranks_make_stands_in_the_order_of_pictures() {
        for (size, count) in [(1, 5), (3, 7), (4, 2), (2, 0)] {
            let run = |ranks: Ranks| {
                let own = (0..count).filter(|&index| is_own(&ranks, index));
                // No number that JSON would keep.
                let own = own.map(|index| (index, f64::INFINITY, 1.0 / index as f32));
                gathered(&ranks, own.collect()).unwrap()
            };
            let all = std::thread::scope(|scope| {
                let start = |rank| scope.spawn(move || run(Ranks::new(rank)));
                let running: Vec<_> = threads(size).into_iter().map(start).collect();
                let found = running.into_iter().map(|rank| rank.join().unwrap());
                found.collect::<Vec<_>>()
            });
            let expected: Vec<_> = (0..count)
                .map(|index| (index, f64::INFINITY, 1.0 / index as f32))
                .collect();
            assert!(all.iter().all(|found| *found == expected), "{size} ranks");
        }
    }
}
