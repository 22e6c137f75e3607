//! What the pool guarantees, under one to four threads.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

fn pool(threads: usize) -> WorkerPool {
    WorkerPool::new(threads).unwrap()
}

/// The message of the panic that `run` ends with.
fn panic_of(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("must panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().expect("text").to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_item_is_done_once(threads in 1usize..=4, items in 0usize..3000) {
        let pool = pool(threads);
        let done: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
        let busy: Vec<AtomicBool> = (0..threads).map(|_| AtomicBool::new(false)).collect();
        pool.run(items, &|worker, range| {
            assert!(!range.is_empty());
            assert!(!busy[worker].swap(true, Relaxed), "two calls with one worker index");
            for item in range {
                done[item].fetch_add(1, Relaxed);
            }
            busy[worker].store(false, Relaxed);
        });
        prop_assert!(done.iter().all(|count| count.load(Relaxed) == 1));
    }
}

/// Nobody ends the first chunk before all have begun theirs.
#[test]
fn each_thread_begins_with_its_own_share() {
    for (threads, items, starts) in [
        (2, 9, vec![0, 5]),
        (3, 12, vec![0, 4, 8]),
        (4, 4, vec![0, 1, 2, 3]),
    ] {
        let pool = pool(threads);
        for _ in 0..20 {
            let firsts = Mutex::new(BTreeMap::new());
            let all = Barrier::new(threads);
            pool.run(items, &|worker, range| {
                let begins = !lock(&firsts).contains_key(&worker);
                if begins {
                    lock(&firsts).insert(worker, range.start);
                    all.wait();
                }
            });
            let firsts = firsts.into_inner().unwrap();
            assert_eq!(firsts.into_values().collect::<Vec<_>>(), starts);
        }
    }
}

#[test]
fn many_regions_in_a_row_lose_nothing() {
    for threads in 1..=4 {
        let pool = pool(threads);
        let sum = AtomicUsize::new(0);
        for items in 0..20_000 {
            pool.run(items % 37, &|_, range| {
                sum.fetch_add(range.len(), Relaxed);
            });
        }
        let expected: usize = (0..20_000).map(|items| items % 37).sum();
        assert_eq!(sum.into_inner(), expected);
    }
}

/// Each region needs both threads at once, so a lost wake-up would hang; the pauses put the
/// start of a region before, at and after the moment at which the worker falls asleep.
#[test]
fn a_sleeping_worker_wakes_up() {
    let pool = pool(2);
    for pause in 0..300 {
        let both = Barrier::new(2);
        pool.run(2, &|_, _| {
            both.wait();
        });
        thread::sleep(Duration::from_micros(pause % 100));
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_survives() {
    for threads in 1..=4 {
        let pool = pool(threads);
        for bad in [0, 57, 99] {
            let message = panic_of(|| {
                pool.run(100, &|_, range| {
                    assert!(!range.contains(&bad), "item {bad} is bad");
                });
            });
            assert_eq!(message, format!("item {bad} is bad"));
            let count = AtomicUsize::new(0);
            pool.run(100, &|_, range| {
                count.fetch_add(range.len(), Relaxed);
            });
            assert_eq!(count.into_inner(), 100);
        }
    }
}

#[test]
fn a_panic_on_a_worker_thread_reaches_the_caller() {
    let pool = pool(2);
    let both = Barrier::new(2);
    let message = panic_of(|| {
        pool.run(2, &|worker, _| {
            both.wait();
            assert_eq!(worker, 0, "not the caller");
        });
    });
    assert!(message.contains("not the caller"), "{message}");
}

#[test]
fn nested_regions_are_refused() {
    for (threads, items) in [(1, 1), (1, 5), (3, 1), (3, 5)] {
        let pool = pool(threads);
        let message = panic_of(|| pool.run(items, &|_, _| pool.run(3, &|_, _| ())));
        assert!(message.contains("regions do not nest"), "{message}");
        pool.run(2, &|_, _| ());
    }
}

#[test]
fn callers_take_turns() {
    let pool = pool(2);
    let busy = [const { AtomicBool::new(false) }; 2];
    thread::scope(|scope| {
        for items in [1, 2, 64] {
            let (pool, busy) = (&pool, &busy);
            scope.spawn(move || {
                for _ in 0..200 {
                    pool.run(items, &|worker, _| {
                        assert!(!busy[worker].swap(true, Relaxed), "two with one index");
                        thread::yield_now();
                        busy[worker].store(false, Relaxed);
                    });
                }
            });
        }
    });
}

#[test]
fn dropping_a_pool_ends_its_threads() {
    for threads in 1..=4 {
        let pool = pool(threads);
        pool.run(10, &|_, _| ());
        let shared = Arc::downgrade(&pool.shared);
        drop(pool);
        assert!(shared.upgrade().is_none(), "a thread still runs");
    }
}

#[test]
fn impossible_counts_are_refused() {
    for threads in [0, WorkerPool::MAX_THREADS + 1, usize::MAX] {
        assert!(matches!(WorkerPool::new(threads), Err(PoolError::Count(_))));
    }
    assert!(available_threads() >= 1);
}
