//! The gate: how the caller of a region and the workers meet; see the [module](super) above.

use super::lock;
use super::spin::Spin;
use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// A chunk is what is left of a share divided by this: enough that a late thread leaves little
/// behind, little enough that claiming chunks is cheap.
const CHUNKS: usize = 4;

/// The gate's bits: workers inside, the open bit, the stop bit, and the region's number above.
const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const STOP: u64 = 1 << 17;
const REGION: u64 = 1 << 18;

/// The body of a region: the worker's index and the items to do.
pub type Body<'a> = dyn Fn(usize, Range<usize>) + Sync + 'a;

/// One published region.
#[derive(Clone, Copy)]
struct Region {
    body: *const Body<'static>,
    items: usize,
}

/// What the caller and the workers share.
pub struct Shared {
    gate: AtomicU64,
    /// The first item of each thread's share that nobody has claimed; each alone on a cache line.
    next: Box<[CacheLine<AtomicUsize>]>,
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
// the pool's turn with the gate shut and nobody inside, and read only by threads inside an
// open gate; the gate's acquire and release operations order the two.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `region` is dereferenced only while the caller that owns its target waits
// in `run`, and its target is `Sync`.
unsafe impl Send for Shared {}

impl Shared {
    /// Of so many threads, the caller included.
    pub fn new(threads: usize) -> Self {
        let next = (0..threads).map(|_| CacheLine(AtomicUsize::new(0)));
        Shared {
            gate: AtomicU64::new(0),
            next: next.collect(),
            region: UnsafeCell::new(None),
            panic: Mutex::new(None),
            caller_sleeps: AtomicBool::new(false),
            caller_lock: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Publishes a region and opens the gate.
    ///
    /// # Safety
    /// One caller at a time, which lets the body live until it has called
    /// [`close_and_wait`](Self::close_and_wait).
    pub unsafe fn open(&self, items: usize, body: &Body<'_>) {
        // SAFETY: only the lifetime changes; nobody uses the pointer after `close_and_wait`.
        let body = unsafe { std::mem::transmute::<*const Body<'_>, *const Body<'static>>(body) };
        let region = Region { body, items };
        // SAFETY: there is one caller, the gate is shut and nobody is inside.
        unsafe { *self.region.get() = Some(region) };
        for (thread, next) in self.next.iter().enumerate() {
            next.0
                .store(self.share(items, thread).start, Ordering::Relaxed);
        }
        let gate = self.gate.load(Ordering::Relaxed);
        debug_assert_eq!(gate & (OPEN | INSIDE), 0, "the last region has ended");
        // Sequentially consistent, as are the worker's store to `sleeps` and load of the gate
        // before it parks: either it sees the open gate or the caller sees it asleep.
        self.gate
            .store(gate.wrapping_add(REGION) | OPEN, Ordering::SeqCst);
    }

    /// Ends every worker's [`work`](Self::work) once it is outside of a region.
    pub fn stop(&self) {
        self.gate.fetch_or(STOP, Ordering::SeqCst);
    }

    /// The first panic of the last region.
    pub fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.panic).take()
    }

    /// A worker thread: enters each region that it finds open, until the pool is dropped.
    pub fn work(&self, index: usize, sleeps: &AtomicBool) {
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
    pub fn claim_chunks(&self, worker: usize) {
        // SAFETY: this thread is inside the region (or is its caller), so nobody writes to it.
        let Some(region) = (unsafe { *self.region.get() }) else {
            unreachable!("a region is published before the gate opens");
        };
        // SAFETY: the caller keeps the body alive until everyone has left.
        let body = unsafe { &*region.body };
        let result = catch_unwind(AssertUnwindSafe(|| {
            while let Some(chunk) = self.claim(region.items, worker) {
                body(worker, chunk);
            }
        }));
        if let Err(payload) = result {
            for next in &self.next {
                next.0.store(region.items, Ordering::Relaxed);
            }
            lock(&self.panic).get_or_insert(payload);
        }
    }

    /// A thread's own items; with fewer items than threads the first ones have one each.
    fn share(&self, items: usize, thread: usize) -> Range<usize> {
        let threads = self.next.len().min(items);
        let start = |thread: usize| {
            let thread = thread.min(threads);
            items / threads * thread + (items % threads).min(thread)
        };
        start(thread)..start(thread + 1)
    }

    /// The next chunk of the thread's own share, or of another's when that is done; `None` when there are no
    /// more.
    fn claim(&self, items: usize, worker: usize) -> Option<Range<usize>> {
        let others = (worker + 1..self.next.len()).chain(0..worker);
        let mut shares = std::iter::once(worker).chain(others);
        shares.find_map(|thread| self.claim_of(thread, self.share(items, thread).end))
    }

    /// The next chunk of a thread's share.
    fn claim_of(&self, thread: usize, end: usize) -> Option<Range<usize>> {
        let next = &self.next[thread].0;
        let mut start = next.load(Ordering::Relaxed);
        while start < end {
            let to = start + ((end - start) / CHUNKS).max(1);
            let claimed =
                next.compare_exchange_weak(start, to, Ordering::Relaxed, Ordering::Relaxed);
            match claimed {
                Ok(_) => return Some(start..to),
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
    pub fn close_and_wait(&self) {
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
