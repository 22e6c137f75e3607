//! Prints what starting a parallel region costs, hot and after a pause, and how far away another core is.
//!
//! `cargo run --release -p bsq-runtime --example region_overhead`

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bsq_runtime::threads::{WorkerPool, available_threads};

/// The median of `samples` timings of `region`, in microseconds, `pause` apart.
fn median(samples: usize, pause: Duration, mut region: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..samples)
        .map(|_| {
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            let start = Instant::now();
            region();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[samples / 2]
}

/// Work that takes about `microseconds`.
fn busy(microseconds: u64) {
    let until = Instant::now() + Duration::from_micros(microseconds);
    while Instant::now() < until {}
}

/// How long a cache line takes to another thread and back, in nanoseconds.
fn round_trip() -> f64 {
    const ROUNDS: usize = 100_000;
    let turn = AtomicUsize::new(0);
    let wait_for = |at: usize| {
        while turn.load(Ordering::Acquire) != at {
            spin_loop();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                wait_for(2 * round + 1);
                turn.store(2 * round + 2, Ordering::Release);
            }
        });
        let start = Instant::now();
        for round in 0..ROUNDS {
            turn.store(2 * round + 1, Ordering::Release);
            wait_for(2 * round + 2);
        }
        start.elapsed().as_secs_f64() * 1e9 / ROUNDS as f64
    })
}

fn main() -> Result<(), bsq_runtime::threads::PoolError> {
    println!(
        "a cache line to another thread and back: {:.0} ns",
        round_trip()
    );
    println!(
        "threads  empty, hot  2 x 20 us per thread, hot  the same after 5 ms   (microseconds)"
    );
    for threads in 1..=available_threads().max(2) {
        let pool = WorkerPool::new(threads)?;
        let empty = median(20_001, Duration::ZERO, || pool.run(threads, &|_, _| ()));
        let work = || pool.run(2 * threads, &|_, items| items.for_each(|_| busy(20)));
        let hot = median(2_001, Duration::ZERO, work);
        let cold = median(201, Duration::from_millis(5), work);
        println!("{threads:7}  {empty:10.2}  {hot:26.1}  {cold:19.1}");
    }
    Ok(())
}
