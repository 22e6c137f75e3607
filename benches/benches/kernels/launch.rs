//! What starting and ending a launch costs: regions that do nothing, and chains of kernels that do
//! next to nothing. All times are those of one launch.

use bsq_benches::{Agreement, Candidate, Comparison, Implementation, Suite, Work, data, threads};
use bsq_ir::{DType, Graph, Tensor};
use bsq_runtime::threads::WorkerPool;
use bsq_runtime::{CompileOptions, HostTensor, Outputs, Session, compile};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Launches that the time of a run is divided by: few, as samples repeat what takes so little.
const LAUNCHES: usize = 64;
/// Widths of a row times a matrix: one work item, two, and sixteen.
const WIDTHS: [usize; 3] = [16, 96, 768];

pub fn compare(suite: &mut Suite) {
    suite.compare(Comparison {
        name: "launch: nothing at all",
        work: Work {
            flops: 0.0,
            bytes: 0.0,
        },
        agreement: Agreement::EqualBut(0.0),
        rounds: 10,
        candidates: vec![
            Candidate::new("all threads", || Region::new(threads())),
            Candidate::new("one thread", || Region::new(1)),
        ],
    });
    for width in WIDTHS {
        let weights = (width * width) as f64;
        suite.compare(Comparison {
            name: &format!("launch: 1x{width} times {width}x{width}"),
            work: Work {
                flops: 2.0 * weights,
                bytes: 4.0 * weights,
            },
            agreement: Agreement::EqualBut(0.0),
            rounds: 10,
            candidates: vec![
                Candidate::new("all threads", move || Chain::new(width, threads())),
                Candidate::new("one thread", move || Chain::new(width, 1)),
            ],
        });
    }
}

/// Regions of as many empty items as there are threads.
struct Region {
    pool: WorkerPool,
    done: AtomicUsize,
}

impl Region {
    fn new(threads: usize) -> Region {
        let pool = WorkerPool::new(threads).expect("threads start");
        let done = AtomicUsize::new(0);
        Region { pool, done }
    }
}

impl Implementation for Region {
    fn run(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..LAUNCHES {
            self.pool.run(threads(), &|_, items| {
                self.done.fetch_add(items.len(), Ordering::Relaxed);
            });
        }
        start.elapsed() / LAUNCHES as u32
    }

    /// Items of a run.
    fn result(&mut self) -> Vec<f64> {
        let before = self.done.load(Ordering::Relaxed);
        self.run();
        vec![(self.done.load(Ordering::Relaxed) - before) as f64]
    }
}

/// A row that goes through the same matrix again and again.
struct Chain {
    session: Session,
    x: HostTensor,
    outputs: Outputs,
}

impl Chain {
    fn new(width: usize, threads: usize) -> Chain {
        let g = Graph::new();
        let weight = g.parameter("w", DType::F32, [width, width]);
        let first = g.input("x", DType::F32, [1, width]);
        let step = |x: Tensor<'_>, _| Tensor::new(&g, x.matmul(weight).id());
        let last = (0..LAUNCHES).fold(first, step);
        let function = g.function([("y", last.id())], []);
        let options = CompileOptions {
            threads,
            ..CompileOptions::default()
        };
        let executable = compile(&function, &options).expect("the program compiles");
        let launches = executable.program().launches.iter();
        assert_eq!(
            launches.filter(|launch| !launch.invariant).count(),
            LAUNCHES
        );
        // So large that results keep their magnitude over the chain.
        let scale = (3.0 / width as f32).sqrt();
        let w = data::tensor(1, &[width, width], scale);
        let parameters = [("w".to_string(), w)].into();
        Chain {
            session: executable.bind(parameters).expect("parameters fit"),
            x: data::tensor(2, &[1, width], 1.0),
            outputs: Outputs::new(),
        }
    }
}

impl Implementation for Chain {
    fn run(&mut self) -> Duration {
        let start = Instant::now();
        self.outputs = self.session.run(&[("x", &self.x)]).expect("the input fits");
        start.elapsed() / LAUNCHES as u32
    }

    fn result(&mut self) -> Vec<f64> {
        let elements = self.outputs["y"].as_slice::<f32>().expect("f32");
        elements.iter().map(|&x| f64::from(x)).collect()
    }
}
