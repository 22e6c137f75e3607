//! Batches made on another thread while the current one is trained on.

use super::{DataError, DataFingerprint};
use std::{
    ops::Range,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::JoinHandle,
};

/// What batches come from: each is a pure function of its step.
pub trait Batches: Send + Sync + 'static {
    type Batch: Send;

    /// The batch of a step.
    ///
    /// # Errors
    /// If no picture can be read.
    fn batch(&self, step: u64) -> Result<Self::Batch, DataError>;

    /// What tells this data from other data.
    fn fingerprint(&self) -> DataFingerprint;

    /// What the user should know of the data, a line each, and has not been asked for yet.
    fn notices(&self) -> Vec<String>;

    /// Samples that were found broken.
    fn broken(&self) -> usize;
}

/// A step, and its batch or why there is none.
type Made<B> = (u64, Result<<B as Batches>::Batch, DataError>);

/// The batches of consecutive steps, in order, made ahead by a thread of its own.
///
/// Dropping it ends the thread.
pub struct ReadAhead<B: Batches> {
    batches: Option<Receiver<Made<B>>>,
    thread: Option<JoinHandle<()>>,
    /// The step whose batch comes next.
    next: u64,
}

impl<B: Batches> ReadAhead<B> {
    /// Starts with the first of `steps`; at most `depth` finished batches wait.
    pub fn start(source: Arc<B>, steps: Range<u64>, depth: usize) -> ReadAhead<B> {
        let (sender, batches) = sync_channel(depth);
        let next = steps.start;
        let make_batches = move || {
            for step in steps {
                let batch = source.batch(step);
                let failed = batch.is_err();
                // Nobody is listening any more: the reader was dropped.
                if sender.send((step, batch)).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("read-ahead".into())
            .spawn(make_batches)
            .expect("the system has room for one more thread");
        ReadAhead {
            batches: Some(batches),
            thread: Some(thread),
            next,
        }
    }
}

impl<B: Batches> Iterator for ReadAhead<B> {
    type Item = Made<B>;

    /// The next step and its batch; ends after the last step or the first error.
    fn next(&mut self) -> Option<Self::Item> {
        let received = self.batches.as_ref()?.recv().ok();
        if received.is_none()
            && let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let reason = text.unwrap_or("it gave no reason").to_string();
            return Some((self.next, Err(DataError::ReadAhead { reason })));
        }
        if let Some((step, _)) = &received {
            self.next = step + 1;
        }
        received
    }
}

impl<B: Batches> Drop for ReadAhead<B> {
    fn drop(&mut self) {
        // Without a receiver the thread's next send fails, and it ends.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic there would have been passed on by `next`; here nobody waits for a batch.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::tests::{flat_pictures, open};
    use super::*;

    #[test]
    fn batches_arrive_in_order_and_are_those_of_the_dataset() {
        let folder = flat_pictures(5);
        let dataset = Arc::new(open(folder.path(), 2, 1));
        let ahead = ReadAhead::start(dataset.clone(), 3..9, 2);
        let mut steps = Vec::new();
        for (step, batch) in ahead {
            assert_eq!(batch.unwrap(), dataset.batch(step).unwrap());
            steps.push(step);
        }
        assert_eq!(steps, [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn dropping_it_early_ends_the_thread() {
        let folder = flat_pictures(5);
        let dataset = Arc::new(open(folder.path(), 2, 1));
        let mut ahead = ReadAhead::start(dataset.clone(), 0..u64::MAX, 1);
        assert_eq!(ahead.next().unwrap().0, 0);
        drop(ahead);
        assert_eq!(Arc::strong_count(&dataset), 1);
    }

    /// Fails at step 3, by an error or a panic.
    struct Failing {
        panics: bool,
    }

    impl Batches for Failing {
        type Batch = ();

        fn batch(&self, step: u64) -> Result<(), DataError> {
            match (step == 3, self.panics) {
                (true, true) => panic!("step {step}"),
                (true, false) => Err(DataError::NoTokens),
                (false, _) => Ok(()),
            }
        }

        fn fingerprint(&self) -> DataFingerprint {
            DataFingerprint {
                samples: 0,
                hash: 0,
            }
        }

        fn notices(&self) -> Vec<String> {
            Vec::new()
        }

        fn broken(&self) -> usize {
            0
        }
    }

    #[test]
    fn an_error_is_the_last_item_and_so_is_a_panic() {
        for panics in [false, true] {
            let results: Vec<(u64, Option<String>)> =
                ReadAhead::start(Arc::new(Failing { panics }), 1..10, 2)
                    .map(|(step, batch)| (step, batch.err().map(|error| error.to_string())))
                    .collect();
            let steps: Vec<u64> = results.iter().map(|(step, _)| *step).collect();
            assert_eq!(steps, [1, 2, 3]);
            assert!(results[..2].iter().all(|(_, error)| error.is_none()));
            let error = results[2].1.as_ref().unwrap();
            assert_eq!(error.contains("step 3"), panics, "{error}");
        }
    }
}
