//! What each kernel's part in a program is.

use crate::machine::{Rates, median};
use bsq_codegen::program::{Launch, Program};
use bsq_runtime::program::LaunchTime;
use std::collections::BTreeMap;

/// A kernel's part in a run.
pub struct KernelShare {
    /// What its first launch computes.
    pub label: String,
    pub calls: usize,
    /// Of all calls together.
    pub seconds: f64,
    /// Arithmetic operations of contractions, of all calls together.
    pub flops: u64,
    /// Of all arguments, each counted once per call, of all calls together.
    pub bytes: usize,
}

impl KernelShare {
    /// Operations of contractions, and everything that is read or written once, per second.
    pub fn rates(&self) -> Rates {
        let [gflops, gbytes] =
            [self.flops as f64, self.bytes as f64].map(|amount| amount / self.seconds / 1e9);
        Rates { gflops, gbytes }
    }
}

/// Bytes of everything that a launch reads or writes.
pub fn argument_bytes(program: &Program, launch: &Launch) -> usize {
    let arguments = launch.arguments.iter();
    arguments.map(|&id| program.buffer(id).ty.bytes()).sum()
}

/// The kernels of a program by the medians of their launches, those that take longest first.
pub fn shares(program: &Program, runs: &[Vec<LaunchTime>]) -> Vec<KernelShare> {
    let mut times: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for time in runs.iter().flatten() {
        let seconds = time.span.time().as_secs_f64();
        times.entry(time.launch).or_default().push(seconds);
    }
    let mut shares: BTreeMap<usize, KernelShare> = BTreeMap::new();
    for (index, times) in times {
        let launch = &program.launches[index];
        let share = shares.entry(launch.kernel).or_insert_with(|| KernelShare {
            label: launch.label.clone(),
            calls: 0,
            seconds: 0.0,
            flops: 0,
            bytes: 0,
        });
        share.calls += 1;
        share.seconds += median(&times);
        share.flops += launch.flops;
        share.bytes += argument_bytes(program, launch);
    }
    let mut shares: Vec<KernelShare> = shares.into_values().collect();
    shares.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    shares
}
