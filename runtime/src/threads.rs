//! Persistent worker threads and the parallel regions that they run.
//!
//! A compiled program is a sequence of short parallel loops, some of them only tens of
//! microseconds long, so starting one must cost next to nothing. [`WorkerPool`] keeps its threads
//! alive; after a region they spin for a bounded time, ready to start the next within a
//! microsecond, and then sleep, so that an idle program uses no CPU.
//!
//! A region hands out its items in chunks from a shared counter: a thread that the system delays
//! takes fewer chunks, and one that wakes too late for a region is not waited for. A chunk is a
//! fixed part of what is left, so the last ones are single items and threads end together. Which
//! thread computes which item is therefore not determined; a kernel must not let it show in its
//! results.
//!
//! # How a region runs
//!
//! One atomic word, the *gate*, holds the number of the region, a bit that says whether it is open,
//! and how many workers are inside. The caller publishes the region and opens the gate; a worker
//! enters by adding one to the count, which succeeds only while the gate is open. When the counter
//! has run out the caller closes the gate and waits until the count is zero. So nobody touches the
//! region after [`WorkerPool::run`] has returned.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a thread spins before it sleeps: a few times what waking a sleeping thread costs.
const SPIN: Duration = Duration::from_micros(50);

/// A chunk is what is left for each thread divided by this: enough that a late thread leaves little
/// behind, little enough that claiming chunks is cheap.
const CHUNKS_PER_THREAD: usize = 4;

/// The gate's bits: workers inside, the open bit, the stop bit, and the region's number above.
const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const STOP: u64 = 1 << 17;
const REGION: u64 = 1 << 18;

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

/// The body of a region: the worker's index and the items to do.
type Body<'a> = dyn Fn(usize, Range<usize>) + Sync + 'a;

/// One published region.
#[derive(Clone, Copy)]
struct Region {
    body: *const Body<'static>,
    items: usize,
    /// Which part of what is left is a chunk: one in so many, and one item at least.
    parts: usize,
}

/// What the caller and the workers share.
struct Shared {
    gate: AtomicU64,
    /// First item that nobody has claimed; on a cache line of its own, as everyone writes to it.
    next: CacheLine<AtomicUsize>,
    /// Written by the caller while the gate is shut and nobody is inside.
    region: UnsafeCell<Option<Region>>,
    /// The first panic of the region.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Set while the caller sleeps on `left` until the last worker has left.
    caller_sleeps: AtomicBool,
    caller_lock: Mutex<()>,
    left: Condvar,
}

#[repr(align(128))]
struct CacheLine<T>(T);

// SAFETY: `region` is the only field that is not `Sync`. It is written only by a caller that holds
// `WorkerPool::caller` with the gate shut and nobody inside, and read only by threads inside an
// open gate; the gate's acquire and release operations order the two.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `region` is dereferenced only while the caller that owns its target waits
// in `run`, and its target is `Sync`.
unsafe impl Send for Shared {}

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
            shared: Arc::new(Shared {
                gate: AtomicU64::new(0),
                next: CacheLine(AtomicUsize::new(0)),
                region: UnsafeCell::new(None),
                panic: Mutex::new(None),
                caller_sleeps: AtomicBool::new(false),
                caller_lock: Mutex::new(()),
                left: Condvar::new(),
            }),
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
                    move || shared.work(index, &sleeps)
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
        self.open(items, body);
        self.shared.claim_chunks(0);
        self.shared.close_and_wait();
        let panic = lock(&self.shared.panic).take();
        drop(turn);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.caller)
    }

    /// Publishes a region, opens the gate and wakes as many sleeping workers as it has items for.
    fn open(&self, items: usize, body: &Body<'_>) {
        // SAFETY: only the lifetime changes. `run` returns, by unwinding too, only after
        // `close_and_wait`, and nobody uses the pointer after that.
        let body = unsafe { std::mem::transmute::<*const Body<'_>, *const Body<'static>>(body) };
        let parts = self.threads() * CHUNKS_PER_THREAD;
        let region = Region { body, items, parts };
        // SAFETY: the caller's turn is taken, the gate is shut and nobody is inside.
        unsafe { *self.shared.region.get() = Some(region) };
        self.shared.next.0.store(0, Ordering::Relaxed);
        let gate = self.shared.gate.load(Ordering::Relaxed);
        debug_assert_eq!(gate & (OPEN | INSIDE), 0, "the last region has ended");
        // Sequentially consistent, as are the worker's store to `sleeps` and load of the gate
        // before it parks: either it sees the open gate or this thread sees it asleep.
        self.shared
            .gate
            .store(gate.wrapping_add(REGION) | OPEN, Ordering::SeqCst);
        for worker in self.workers.iter().take(items - 1) {
            worker.wake();
        }
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shared.gate.fetch_or(STOP, Ordering::SeqCst);
        for worker in &mut self.workers {
            worker.wake();
            if let Some(handle) = worker.handle.take() {
                // A worker catches the panics of bodies and has none of its own.
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

impl Shared {
    /// A worker thread: enters each region that it finds open, until the pool is dropped.
    fn work(&self, index: usize, sleeps: &AtomicBool) {
        IN_REGION.set(true);
        let mut done = 0;
        while let Some(region) = self.enter(done, sleeps) {
            self.claim_chunks(index);
            self.leave();
            done = region;
        }
    }

    /// Waits for a region other than `done`, enters it and returns its number; `None` when the
    /// pool is being dropped.
    fn enter(&self, done: u64, sleeps: &AtomicBool) -> Option<u64> {
        let mut spin = Spin::new();
        loop {
            let gate = self.gate.load(Ordering::SeqCst);
            if gate & STOP != 0 {
                return None;
            }
            if gate & OPEN != 0 && gate / REGION != done {
                let entered = self.gate.compare_exchange_weak(
                    gate,
                    gate + 1,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if entered.is_ok() {
                    return Some(gate / REGION);
                }
            } else if !spin.again() {
                sleeps.store(true, Ordering::SeqCst);
                if self.gate.load(Ordering::SeqCst) == gate {
                    thread::park();
                }
                sleeps.store(false, Ordering::Relaxed);
                spin = Spin::new();
            }
        }
    }

    /// Does chunks of the open region until there are no more. Only for a thread inside it.
    fn claim_chunks(&self, worker: usize) {
        // SAFETY: this thread is inside the region (or is its caller), so nobody writes to it.
        let Some(region) = (unsafe { *self.region.get() }) else {
            unreachable!("a region is published before the gate opens");
        };
        // SAFETY: the caller keeps the body alive until everyone has left.
        let body = unsafe { &*region.body };
        let result = catch_unwind(AssertUnwindSafe(|| {
            while let Some(chunk) = self.claim(&region) {
                body(worker, chunk);
            }
        }));
        if let Err(payload) = result {
            self.next.0.store(region.items, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(payload);
        }
    }

    /// The next chunk; `None` when there are no more.
    fn claim(&self, region: &Region) -> Option<Range<usize>> {
        let mut start = self.next.0.load(Ordering::Relaxed);
        while start < region.items {
            let end = start + ((region.items - start) / region.parts).max(1);
            let claimed =
                self.next
                    .0
                    .compare_exchange_weak(start, end, Ordering::Relaxed, Ordering::Relaxed);
            match claimed {
                Ok(_) => return Some(start..end),
                Err(now) => start = now,
            }
        }
        None
    }

    /// Leaves the region; wakes a caller that sleeps until everyone has.
    fn leave(&self) {
        self.gate.fetch_sub(1, Ordering::SeqCst);
        if self.caller_sleeps.load(Ordering::SeqCst) {
            let _caller = lock(&self.caller_lock);
            self.left.notify_one();
        }
    }

    /// Shuts the gate and waits until nobody is inside.
    fn close_and_wait(&self) {
        self.gate.fetch_and(!OPEN, Ordering::AcqRel);
        let occupied = || self.gate.load(Ordering::SeqCst) & INSIDE != 0;
        let mut spin = Spin::new();
        while occupied() {
            if !spin.again() {
                let mut caller = lock(&self.caller_lock);
                self.caller_sleeps.store(true, Ordering::SeqCst);
                while occupied() {
                    caller = self
                        .left
                        .wait(caller)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                self.caller_sleeps.store(false, Ordering::Relaxed);
            }
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

/// A bounded busy wait.
struct Spin {
    turns: u32,
    until: Option<Instant>,
}

impl Spin {
    fn new() -> Self {
        Spin {
            turns: 0,
            until: None,
        }
    }

    /// Waits an instant; false when the time is up. Reads the clock on few of the turns.
    fn again(&mut self) -> bool {
        std::hint::spin_loop();
        self.turns += 1;
        if !self.turns.is_multiple_of(64) {
            return true;
        }
        let now = Instant::now();
        now < *self.until.get_or_insert(now + SPIN)
    }
}

/// Locks a mutex whose data are valid even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
