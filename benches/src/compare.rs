//! Samples of everybody in turn, checked first, then handed to Criterion and printed.
//!
//! Criterion measures one benchmark after the other, so a neighbour that wakes up meets one
//! implementation and not the next. Here a round is one sample of each, with one of the machine's
//! peak and bandwidth beside it; Criterion is then played the samples, and gives its statistics,
//! saved baselines and filters as usual.

use super::implementation::{Candidate, Implementation};
use super::table::{Items, Row, Work, print};
use super::threads::{tell_everybody, threads};
use bsq_cli::machine::{Probe, cpu_name, median};
use bsq_codegen::cpu::microkernel::selected;
use criterion::{Criterion, SamplingMode, Throughput};
use std::time::Duration;

/// A sample repeats work that takes less.
const SAMPLE_SECONDS: f64 = 0.01;

/// How results must agree with those of the first implementation.
#[derive(Clone, Copy, Debug)]
pub enum Agreement {
    /// No element differs by more than this part of the greatest magnitude.
    Within(f64),
    /// No more than this part of all elements differs.
    EqualBut(f64),
}

/// A group: who takes part, in what.
pub struct Comparison<'a> {
    pub name: &'a str,
    pub work: Work,
    pub agreement: Agreement,
    /// Samples of each; Criterion wants 10 at least.
    pub rounds: usize,
    /// The first is what the others are compared with.
    pub candidates: Vec<Candidate<'a>>,
}

/// All groups of one bench.
pub struct Suite {
    criterion: Criterion,
    probe: Probe,
    /// Only whether everything works: one round.
    test: bool,
}

impl Suite {
    /// As the command line says. Call it first of all in `main`.
    ///
    /// # Panics
    /// If `BSQ_CPU` names instructions that this CPU lacks.
    pub fn from_arguments() -> Suite {
        tell_everybody();
        let family = selected().unwrap_or_else(|error| panic!("{error}"));
        let arguments: Vec<String> = std::env::args().collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        if !has("--list") {
            println!("{}, {family}, {} threads", cpu_name(), threads());
        }
        Suite {
            criterion: Criterion::default().configure_from_args(),
            probe: Probe::new(family, threads()),
            test: has("--test") || !has("--bench"),
        }
    }

    /// Compares the candidates that the command line selects with the first one.
    ///
    /// # Panics
    /// If results do not agree.
    pub fn compare(&mut self, comparison: Comparison<'_>) {
        self.compare_with(comparison, None);
    }

    /// The same for work on a number of items, of which the table says how many a second are done.
    ///
    /// # Panics
    /// If results do not agree.
    pub fn compare_items(&mut self, comparison: Comparison<'_>, count: f64, unit: &'static str) {
        self.compare_with(comparison, Some(Items { count, unit }));
    }

    fn compare_with(&mut self, comparison: Comparison<'_>, items: Option<Items>) {
        let Suite {
            criterion,
            probe,
            test,
        } = self;
        let Comparison {
            name,
            work,
            agreement,
            rounds,
            candidates,
        } = comparison;
        let names: Vec<&'static str> = candidates.iter().map(|candidate| candidate.name).collect();
        let mut candidates = Some(candidates);
        let mut recorded: Vec<Vec<f64>> = Vec::new();
        let mut group = criterion.benchmark_group(name);
        // Samples are played back in no time: these only keep Criterion from asking for more.
        group
            .sample_size(rounds)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_nanos(1))
            .measurement_time(Duration::from_millis(1));
        if work.flops > 0.0 {
            group.throughput(Throughput::Elements(work.flops as u64));
        } else {
            group.throughput(Throughput::Bytes(work.bytes as u64));
        }
        for (index, &candidate) in names.iter().enumerate() {
            let mut played = 0;
            group.bench_function(candidate, |bencher| {
                if let Some(candidates) = candidates.take() {
                    let makers = candidates.into_iter().map(|candidate| candidate.make);
                    let mut implementations: Vec<_> = makers.map(|make| make()).collect();
                    agree(&names, &mut implementations, agreement);
                    let rounds = if *test { None } else { Some(rounds) };
                    recorded = take_turns(&mut implementations, probe, rounds);
                    drop(implementations);
                    print(name, (work, items), probe, &names, &rows(&recorded));
                }
                bencher.iter_custom(|iterations| {
                    let samples = &recorded[index];
                    let sample = samples[played % samples.len()];
                    played += 1;
                    Duration::from_secs_f64(sample * iterations as f64)
                });
            });
        }
        group.finish();
    }

    /// Prints Criterion's summary.
    pub fn finish(self) {
        self.criterion.final_summary();
    }
}

/// Runs everybody once and compares what they computed with the first one's.
fn agree(names: &[&str], implementations: &mut [Box<dyn Implementation>], agreement: Agreement) {
    let mut expected: Vec<f64> = Vec::new();
    for (name, implementation) in names.iter().zip(implementations) {
        implementation.run();
        let result = implementation.result();
        if expected.is_empty() {
            expected = result;
            assert!(!expected.is_empty(), "{name} computes nothing");
            continue;
        }
        assert_eq!(result.len(), expected.len(), "{name}: number of results");
        let pairs = || expected.iter().zip(&result);
        let (off, limit) = match agreement {
            Agreement::Within(limit) => {
                let greatest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
                let off = pairs().map(|(a, b)| (a - b).abs());
                // A NaN must not pass for agreement.
                let off = off.map(|off| if off.is_nan() { f64::INFINITY } else { off });
                (off.fold(0.0, f64::max) / greatest, limit)
            }
            Agreement::EqualBut(limit) => {
                let off = pairs().filter(|(a, b)| a != b).count();
                (off as f64 / expected.len() as f64, limit)
            }
        };
        assert!(
            off <= limit,
            "{name} does not compute what {} does: off by {off:e}, limit {limit:e}",
            names[0]
        );
    }
}

/// Seconds per run of each implementation in each round; without rounds, of one run.
fn take_turns(
    implementations: &mut [Box<dyn Implementation>],
    probe: &mut Probe,
    rounds: Option<usize>,
) -> Vec<Vec<f64>> {
    probe.restart();
    let once = |implementation: &mut Box<dyn Implementation>| implementation.run().as_secs_f64();
    let first: Vec<f64> = implementations.iter_mut().map(once).collect();
    let Some(rounds) = rounds else {
        probe.sample();
        return first.into_iter().map(|seconds| vec![seconds]).collect();
    };
    let repeats = |seconds: f64| ((SAMPLE_SECONDS / seconds).ceil() as usize).clamp(1, 10_000);
    let repeats: Vec<usize> = first.into_iter().map(repeats).collect();
    let mut samples = vec![Vec::with_capacity(rounds); implementations.len()];
    for round in 0..rounds {
        probe.sample();
        // Everybody comes first in turn: the probe leaves its data in the caches.
        for place in 0..implementations.len() {
            let who = (round + place) % implementations.len();
            let all = (0..repeats[who]).map(|_| once(&mut implementations[who]));
            samples[who].push(all.sum::<f64>() / repeats[who] as f64);
        }
    }
    samples
}

fn rows(recorded: &[Vec<f64>]) -> Vec<Row> {
    let row = |samples: &Vec<f64>| Row {
        median: median(samples),
        best: samples.iter().copied().fold(f64::INFINITY, f64::min),
    };
    recorded.iter().map(row).collect()
}
