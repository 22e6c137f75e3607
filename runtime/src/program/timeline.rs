//! When each launch of a profiled run began and ended, on each thread.

use bsq_codegen::program::Launch;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A launch of a profiled run.
#[derive(Clone, Debug)]
pub struct LaunchTime {
    pub label: String,
    /// A position in the program's launches.
    pub launch: usize,
    /// A position in the program's kernels.
    pub kernel: usize,
    pub flops: u64,
    /// From the moment the threads were called until all were done.
    pub span: Span,
    /// What each thread did of it, by the thread's index; `None` where it came too late to do
    /// anything. Thread 0 is the caller.
    pub threads: Vec<Option<Span>>,
}

/// A stretch of time within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Since the run began.
    pub start: Duration,
    pub end: Duration,
}

impl Span {
    pub fn time(self) -> Duration {
        self.end - self.start
    }
}

/// Collects the launches of one run.
pub(super) struct Timeline {
    origin: Instant,
    begun: Duration,
    threads: Vec<Thread>,
    launches: Vec<LaunchTime>,
}

/// First start and last end of a thread's chunks, in nanoseconds since the origin. A cache line
/// each, as threads write while others do.
#[repr(align(64))]
struct Thread {
    start: AtomicU64,
    end: AtomicU64,
}

impl Timeline {
    pub(super) fn new(threads: usize) -> Timeline {
        let idle = || Thread {
            start: AtomicU64::new(u64::MAX),
            end: AtomicU64::new(0),
        };
        Timeline {
            origin: Instant::now(),
            begun: Duration::ZERO,
            threads: (0..threads).map(|_| idle()).collect(),
            launches: Vec::new(),
        }
    }

    /// A launch begins.
    pub(super) fn begin(&mut self) {
        for thread in &mut self.threads {
            *thread.start.get_mut() = u64::MAX;
            *thread.end.get_mut() = 0;
        }
        self.begun = self.origin.elapsed();
    }

    /// A thread begins a part of the launch, which ends when the result is dropped.
    pub(super) fn enter(&self, thread: usize) -> Part<'_> {
        let part = Part {
            timeline: self,
            thread: &self.threads[thread],
        };
        // Only this thread writes here; the pool orders its writes before `end`.
        let start = part.thread.start.load(Ordering::Relaxed);
        let start = start.min(self.nanoseconds());
        part.thread.start.store(start, Ordering::Relaxed);
        part
    }

    /// The launch that began last has ended.
    pub(super) fn end(&mut self, index: usize, launch: &Launch) {
        let span = Span {
            start: self.begun,
            end: self.origin.elapsed(),
        };
        let threads = self.threads.iter_mut().map(|thread| {
            let (start, end) = (*thread.start.get_mut(), *thread.end.get_mut());
            let [from, to] = [start, end].map(Duration::from_nanos);
            (start != u64::MAX).then_some(Span {
                start: from,
                end: to,
            })
        });
        let threads = threads.collect();
        self.launches.push(LaunchTime {
            label: launch.label.clone(),
            launch: index,
            kernel: launch.kernel,
            flops: launch.flops,
            span,
            threads,
        });
    }

    pub(super) fn into_launches(self) -> Vec<LaunchTime> {
        self.launches
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A part of a launch that a thread is busy with.
pub(super) struct Part<'a> {
    timeline: &'a Timeline,
    thread: &'a Thread,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let now = self.timeline.nanoseconds();
        self.thread.end.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use crate::{CompileOptions, HostTensor, compile};
    use bsq_ir::{DType, Graph};

    #[test]
    fn launches_follow_one_another_and_threads_stay_inside() {
        let g = Graph::new();
        let x = g.input("x", DType::F32, [64, 256]);
        let w = g.parameter("w", DType::F32, [256, 256]);
        let function = g.function([("y", x.matmul(w).exp().matmul(w).id())], []);
        let options = CompileOptions {
            threads: 2,
            ..Default::default()
        };
        let executable = compile(&function, &options).unwrap();
        let w = HostTensor::zeros(DType::F32, [256, 256]).unwrap();
        let mut session = executable.bind([("w".to_string(), w)].into()).unwrap();
        let x = HostTensor::zeros(DType::F32, [64, 256]).unwrap();
        for first in [true, false] {
            let (outputs, launches) = session.profile(&[("x", &x)]).unwrap();
            assert_eq!(outputs, session.run(&[("x", &x)]).unwrap());
            let program = executable.program().launches.iter().enumerate();
            let expected: Vec<_> = program
                .filter(|(_, launch)| first || !launch.invariant)
                .map(|(index, launch)| (index, launch.kernel))
                .collect();
            let seen: Vec<_> = launches.iter().map(|l| (l.launch, l.kernel)).collect();
            assert_eq!(seen, expected);
            let spans: Vec<_> = launches.iter().map(|launch| launch.span).collect();
            assert!(spans.is_sorted_by(|a, b| a.end <= b.start), "{spans:?}");
            for launch in &launches {
                assert_eq!(launch.threads.len(), 2);
                let busy: Vec<_> = launch.threads.iter().flatten().collect();
                assert!(!busy.is_empty(), "{launch:?}");
                assert!(busy.iter().all(|span| span.start <= span.end
                    && launch.span.start <= span.start
                    && span.end <= launch.span.end));
            }
        }
    }
}
