//! The exchange of a step's buckets on a thread of its own, beside the last micro-batch.

use super::TrainError;
use super::averaged::{Averaged, Put};
use super::parts::Together;
use super::timeline::{Lane, Timeline};
use bsq_collectives::{CollectiveError, PairwiseSum, mean};
use bsq_runtime::HostTensor;
use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};

/// Takes the outputs of a rank's micro-batches, one after another.
pub(super) struct Sums<'a> {
    averaged: &'a Averaged,
    /// Of each bucket so far.
    sums: Vec<PairwiseSum>,
    /// Sums that wait for a bucket before them, and which one is next: all ranks exchange in one order.
    ready: BTreeMap<usize, Vec<f32>>,
    next: usize,
    exchange: Sender<Vec<f32>>,
}

/// Runs `micro_batches`, which gives all outputs of a rank's micro-batches to [`Sums::take`], and has each
/// bucket exchanged as soon as it is summed; the means over all ranks, by name.
pub(super) fn averages(
    averaged: &Averaged,
    together: &Together,
    timeline: Option<&Timeline>,
    micro_batches: impl FnOnce(&mut Sums<'_>) -> Result<(), TrainError>,
) -> Result<BTreeMap<String, HostTensor>, TrainError> {
    std::thread::scope(|scope| {
        let (exchange, summed) = channel::<Vec<f32>>();
        let exchanging = scope.spawn(move || {
            let one = |(number, sum): (usize, Vec<f32>)| {
                let exchange = || {
                    mean(
                        &*together.ranks,
                        sum,
                        together.micro_batches,
                        together.order,
                    )
                };
                let name = || format!("bucket {number}");
                Timeline::measure(timeline, Lane::Exchange, name, exchange)
            };
            let means = summed.into_iter().enumerate().map(one);
            means.collect::<Result<Vec<_>, CollectiveError>>()
        });
        let mut sums = Sums {
            averaged,
            sums: (0..averaged.buckets())
                .map(|_| PairwiseSum::default())
                .collect(),
            ready: BTreeMap::new(),
            next: 0,
            exchange,
        };
        let ran = micro_batches(&mut sums);
        // The exchange ends when nothing more can come.
        drop(sums);
        let means = exchanging.join().expect("an exchange does not panic");
        ran?;
        averaged.unpack(&means?)
    })
}

impl Sums<'_> {
    /// Takes what `run` gives of a micro-batch, and returns what is not averaged. With the last of a rank's
    /// micro-batches buckets go on their way.
    pub fn take(
        &mut self,
        is_last: bool,
        run: impl FnOnce(&mut dyn FnMut(&str, HostTensor)) -> Result<(), TrainError>,
    ) -> Result<BTreeMap<String, HostTensor>, TrainError> {
        let (mut filling, mut others, mut failed) = (self.averaged.empty(), BTreeMap::new(), None);
        run(&mut |name, tensor| match filling.put(name, tensor) {
            Ok(Put::Other(tensor)) => {
                others.insert(name.to_string(), tensor);
            }
            Ok(Put::Kept) => {}
            Ok(Put::Full { bucket, values }) => {
                self.sums[bucket].push(values);
                if is_last {
                    let sum = std::mem::take(&mut self.sums[bucket]).finish();
                    self.ready.insert(bucket, sum);
                    self.send();
                }
            }
            Err(error) => failed = Some(error),
        })?;
        failed.map_or(Ok(others), Err)
    }

    fn send(&mut self) {
        while let Some(sum) = self.ready.remove(&self.next) {
            // An exchange that has failed says why when it is joined.
            let _ = self.exchange.send(sum);
            self.next += 1;
        }
    }
}
