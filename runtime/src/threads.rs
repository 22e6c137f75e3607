//! Persistent worker threads and the parallel regions that they run.
//!
//! A compiled program is a sequence of short parallel loops, some of them only tens of
//! microseconds long, so starting one must cost next to nothing. [`WorkerPool`] keeps its threads
//! alive; after a region they spin for a bounded time, ready to start the next within a
//! microsecond, and then sleep, so that an idle program uses no CPU.
//!
//! Each thread has a share of a region's items, always the same of as many: what one loop has written, the
//! next one finds in the cache of its core. A thread takes its share in chunks, and then chunks of the
//! others': one that the system delays does less than its share, and one that wakes too late for a region is
//! not waited for. A chunk is a fixed part of what is left, so the last ones are single items and threads end
//! together. Which thread computes which item is therefore not determined; a kernel must not let it
//! show in its results.
//!
//! # How a region runs
//!
//! One atomic word, the *gate*, holds the number of the region, a bit that says whether it is open,
//! and how many workers are inside. The caller publishes the region and opens the gate; a worker
//! enters by adding one to the count, which succeeds only while the gate is open. When all items are
//! claimed the caller closes the gate and waits until the count is zero. So nobody touches the
//! region after [`WorkerPool::run`] has returned.

mod gate;
mod spin;

use gate::{Body, Shared};
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

thread_local! {
    /// Whether this thread is inside a region of any pool.
    static IN_REGION: Cell<bool> = const { Cell::new(false) };
}

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The requested number of threads is not between 1 and [`WorkerPool::MAX_THREADS`].
    #[error("{0} threads were asked for: use 1 to {max}", max = WorkerPool::MAX_THREADS)]
    Count(usize),
    /// The system refused a thread.
    #[error("cannot start worker thread {index} of {threads}: {source}; ask for fewer threads")]
    Spawn {
        /// Which thread, counted from 1; thread 0 is the caller.
        index: usize,
        /// How many were asked for.
        threads: usize,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A worker as the caller sees it.
struct Worker {
    handle: Option<JoinHandle<()>>,
    thread: Thread,
    sleeps: Arc<AtomicBool>,
}

/// Threads that run parallel regions; see the [module](self) for how.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use bsq_runtime::threads::WorkerPool;
///
/// let pool = WorkerPool::new(2)?;
/// let sum = AtomicUsize::new(0);
/// pool.run(1000, &|_worker, items| {
///     sum.fetch_add(items.sum(), Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 499_500);
/// # Ok::<(), bsq_runtime::threads::PoolError>(())
/// ```
pub struct WorkerPool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held while a region runs: regions of different callers take turns.
    caller: Mutex<()>,
}

/// How many threads this process can run at once: the cores that its affinity and quota allow.
pub fn available_threads() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(WorkerPool::MAX_THREADS))
}

impl WorkerPool {
    /// The largest pool.
    pub const MAX_THREADS: usize = 1024;

    /// A pool of `threads` threads, of which the caller of [`run`](Self::run) is one: it starts
    /// `threads - 1`.
    ///
    /// # Errors
    /// When `threads` is 0 or above [`MAX_THREADS`](Self::MAX_THREADS), or the system refuses to
    /// start a thread.
    pub fn new(threads: usize) -> Result<Self, PoolError> {
        if !(1..=Self::MAX_THREADS).contains(&threads) {
            return Err(PoolError::Count(threads));
        }
        let mut pool = WorkerPool {
            shared: Arc::new(Shared::new(threads)),
            workers: Vec::with_capacity(threads - 1),
            caller: Mutex::new(()),
        };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let sleeps = Arc::new(AtomicBool::new(false));
            let handle = thread::Builder::new()
                .name(format!("bsq-worker-{index}"))
                .spawn({
                    let sleeps = Arc::clone(&sleeps);
                    move || {
                        IN_REGION.set(true);
                        shared.work(index, &sleeps);
                    }
                })
                .map_err(|source| PoolError::Spawn {
                    index,
                    threads,
                    source,
                })?;
            pool.workers.push(Worker {
                thread: handle.thread().clone(),
                handle: Some(handle),
                sleeps,
            });
        }
        Ok(pool)
    }

    /// How many threads run a region, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `body(worker, range)` until the ranges have covered `0..items`, each item once, and
    /// returns when all of them are done. What the body wrote is then visible to the caller.
    ///
    /// `worker` is below [`threads`](Self::threads), and no two calls of `body` that run at the
    /// same time have the same one, so it can choose a scratch buffer. The caller is worker 0.
    /// Ranges are contiguous and never empty. An item should be worth at least some hundred
    /// nanoseconds: split tensors into tiles or rows, not elements.
    ///
    /// Several threads may call `run` on one pool: their regions take turns.
    ///
    /// # Panics
    /// If `body` panics, with the first panic's payload, once every thread has left the region;
    /// the other threads stop at their next chunk. The pool stays usable.
    ///
    /// Regions do not nest: calling `run`, on any pool, from inside a body panics.
    pub fn run(&self, items: usize, body: &Body<'_>) {
        let _inside = InRegion::enter();
        if items == 0 {
            return;
        }
        if self.workers.is_empty() || items == 1 {
            // Still one region at a time: `worker` 0 is nobody else's.
            let _turn = (!self.workers.is_empty()).then(|| self.take_turn());
            body(0, 0..items);
            return;
        }
        let turn = self.take_turn();
        // SAFETY: the turn is taken, and `close_and_wait` comes before this function returns: a
        // body's panic is caught.
        unsafe { self.shared.open(items, body) };
        for worker in self.workers.iter().take(items - 1) {
            worker.wake();
        }
        self.shared.claim_chunks(0);
        self.shared.close_and_wait();
        let panic = self.shared.take_panic();
        drop(turn);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.caller)
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shared.stop();
        for worker in &mut self.workers {
            worker.wake();
            if let Some(handle) = worker.handle.take() {
                // A worker catches the panics of bodies and has none itself.
                let _ = handle.join();
            }
        }
    }
}

impl Worker {
    fn wake(&self) {
        if self.sleeps.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

/// Marks this thread as inside a region until dropped.
struct InRegion;

impl InRegion {
    fn enter() -> Self {
        assert!(
            !IN_REGION.replace(true),
            "WorkerPool::run was called from inside a parallel region: regions do not nest"
        );
        InRegion
    }
}

impl Drop for InRegion {
    fn drop(&mut self) {
        IN_REGION.set(false);
    }
}

/// Locks a mutex whose data are valid even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
