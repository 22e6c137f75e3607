//! What this machine can do, measured: multiply-adds in registers, and copying memory.
//!
//! Clock frequency and neighbours move both, so they mean something only beside what was measured
//! at the same time: a [`Probe`] is sampled in turn with the programs that are compared with it,
//! and medians are compared.
//!
//! ```
//! use bsq_cli::machine::Probe;
//! use bsq_codegen::cpu::microkernel::Family;
//!
//! let mut probe = Probe::new(Family::Portable, 1);
//! probe.sample();
//! assert!(probe.rates().gflops > 0.0);
//! ```

use bsq_codegen::cpu::microkernel::{Family, fma_peak};
use std::hint::black_box;
use std::thread;
use std::time::Instant;

/// Seconds of one sample of the peak.
const PEAK_SECONDS: f64 = 0.02;
/// Floats that are copied: larger than caches.
const COPIED: usize = 1 << 24;
/// The least that a thread copies.
const COPIED_BY_ONE: usize = 1 << 20;

/// What a machine can do, or what a program did of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Fused multiply-adds, each counted as two operations, in 10^9 per second.
    pub gflops: f64,
    /// Bytes read and written, in 10^9 per second.
    pub gbytes: f64,
}

/// Measures what all threads together can do.
pub struct Probe {
    family: Family,
    /// Source and destination of each thread.
    copied: Vec<(Vec<f32>, Vec<f32>)>,
    peaks: Vec<f64>,
    bandwidths: Vec<f64>,
}

impl Probe {
    /// A probe with as many threads as the programs beside it have.
    ///
    /// # Panics
    /// If this CPU lacks the family's instructions, or there are no threads.
    pub fn new(family: Family, threads: usize) -> Probe {
        assert!(threads > 0, "a probe needs a thread");
        let each = (COPIED / threads).max(COPIED_BY_ONE);
        let buffers = || (vec![1.0; each], vec![0.0; each]);
        let mut probe = Probe {
            family,
            copied: (0..threads).map(|_| buffers()).collect(),
            peaks: Vec::new(),
            bandwidths: Vec::new(),
        };
        // The first pass pays for pages that have never been touched.
        probe.bandwidth();
        probe
    }

    /// How many threads it measures with.
    pub fn threads(&self) -> usize {
        self.copied.len()
    }

    /// Takes one sample of each.
    pub fn sample(&mut self) {
        let peak = self.peak();
        self.peaks.push(peak);
        let bandwidth = self.bandwidth();
        self.bandwidths.push(bandwidth);
    }

    /// Forgets the samples taken so far.
    pub fn restart(&mut self) {
        self.peaks.clear();
        self.bandwidths.clear();
    }

    /// The medians of the samples so far; not a number if there are none.
    pub fn rates(&self) -> Rates {
        Rates {
            gflops: median(&self.peaks),
            gbytes: median(&self.bandwidths),
        }
    }

    fn peak(&self) -> f64 {
        thread::scope(|scope| {
            let one = || fma_peak(self.family, PEAK_SECONDS);
            let others: Vec<_> = (1..self.threads()).map(|_| scope.spawn(one)).collect();
            let own = one();
            let joined = others.into_iter().map(|other| other.join());
            own + joined.map(|rate| rate.unwrap_or(0.0)).sum::<f64>()
        })
    }

    fn bandwidth(&mut self) -> f64 {
        let floats: usize = self.copied.iter().map(|(from, _)| 2 * from.len()).sum();
        let start = Instant::now();
        thread::scope(|scope| {
            for (from, to) in &mut self.copied {
                scope.spawn(|| black_box(to).copy_from_slice(black_box(from)));
            }
        });
        (floats * size_of::<f32>()) as f64 / start.elapsed().as_secs_f64() / 1e9
    }
}

/// The middle value; of an even number the lower of the middle two, of none not a number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count => sorted[(count - 1) / 2],
    }
}

/// What the system calls this CPU.
pub fn cpu_name() -> String {
    let known = std::fs::read_to_string("/proc/cpuinfo").ok();
    let name = known.as_deref().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    name.unwrap_or_else(|| format!("unknown {} CPU", std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_lower_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn threads_add_up() {
        let mut probe = Probe::new(Family::Portable, 2);
        assert!(probe.rates().gflops.is_nan());
        probe.sample();
        let rates = probe.rates();
        assert!(rates.gflops > 0.0 && rates.gbytes > 0.0, "{rates:?}");
        assert!(!cpu_name().is_empty());
    }
}
