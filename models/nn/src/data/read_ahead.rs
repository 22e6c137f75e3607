//! Batches made on another thread while the current one is trained on.

use super::Batches;
use crate::BoxError;
use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::JoinHandle,
};

/// The thread that makes batches has ended without one: a mistake in this program.
#[derive(Debug, thiserror::Error)]
#[error("the thread that makes batches has failed: {reason}")]
struct ReadAheadFailed {
    /// What it said.
    reason: String,
}

/// A step, and its batch or why there is none.
type Made<B> = (u64, Result<<B as Batches>::Batch, BoxError>);

/// The batches of consecutive steps, in order, made ahead by a separate thread.
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
    ///
    /// # Errors
    /// If the system has no room for one more thread.
    pub fn start(source: Arc<B>, steps: Range<u64>, depth: usize) -> io::Result<ReadAhead<B>> {
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
            .spawn(make_batches)?;
        Ok(ReadAhead {
            batches: Some(batches),
            thread: Some(thread),
            next,
        })
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
            return Some((self.next, Err(Box::new(ReadAheadFailed { reason }))));
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
    use super::*;

    /// Step `n` has the batch `n`; step 30 has none, by an error or a panic.
    struct Numbers {
        panics: bool,
    }

    impl Batches for Numbers {
        type Batch = u64;

        fn batch(&self, step: u64) -> Result<u64, BoxError> {
            match (step == 30, self.panics) {
                (true, true) => panic!("step {step}"),
                (true, false) => Err("no more".into()),
                (false, _) => Ok(step),
            }
        }
    }

    fn ahead(steps: Range<u64>, panics: bool) -> ReadAhead<Numbers> {
        ReadAhead::start(Arc::new(Numbers { panics }), steps, 2).unwrap()
    }

    #[test]
    fn batches_arrive_in_order() {
        let batches: Vec<_> = ahead(3..9, false)
            .map(|(step, batch)| (step, batch.unwrap()))
            .collect();
        assert_eq!(batches, (3..9).map(|n| (n, n)).collect::<Vec<_>>());
    }

    #[test]
    fn dropping_it_early_ends_the_thread() {
        let source = Arc::new(Numbers { panics: false });
        let mut ahead = ReadAhead::start(source.clone(), 0..u64::MAX, 1).unwrap();
        assert_eq!(ahead.next().unwrap().0, 0);
        drop(ahead);
        assert_eq!(Arc::strong_count(&source), 1);
    }

    #[test]
    fn an_error_is_the_last_item_and_so_is_a_panic() {
        for panics in [false, true] {
            let results: Vec<(u64, Option<String>)> = ahead(28..40, panics)
                .map(|(step, batch)| (step, batch.err().map(|error| error.to_string())))
                .collect();
            let steps: Vec<u64> = results.iter().map(|(step, _)| *step).collect();
            assert_eq!(steps, [28, 29, 30]);
            assert!(results[..2].iter().all(|(_, error)| error.is_none()));
            let error = results[2].1.as_ref().unwrap();
            assert_eq!(error.contains("step 30"), panics, "{error}");
        }
    }
}
