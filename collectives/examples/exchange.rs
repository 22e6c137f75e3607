//! What the fixed order costs beside the engine's own all-reduce, over MPI or, with torchrun's variables, TCP:
//!
//!     cargo build --release -p bsq-collectives --features mpi --example exchange
//!     mpirun -n 4 target/release/examples/exchange

use bsq_collectives::{Meeting, Order, Ranks, Tcp, mean};
use std::env::var;
use std::time::{Duration, Instant};

/// The best of so many.
const REPEATS: usize = 20;

type Failure = Box<dyn std::error::Error>;

fn join() -> Result<Ranks, Failure> {
    #[cfg(feature = "mpi")]
    if var("MASTER_PORT").is_err() {
        return Ok(Ranks::new(bsq_collectives::Mpi::start()?));
    }
    Ok(Ranks::new(Tcp::join(&Meeting {
        rank: var("RANK")?.parse()?,
        size: var("WORLD_SIZE")?.parse()?,
        host: var("MASTER_ADDR")?,
        port: var("MASTER_PORT")?.parse()?,
        patience: Duration::from_secs(60),
    })?))
}

fn main() -> Result<(), Failure> {
    let ranks = join()?;
    for length in [1 << 10, 1 << 16, 1 << 20, 1 << 24] {
        let mut best = [f64::INFINITY; 2];
        for _ in 0..REPEATS {
            for (best, order) in best.iter_mut().zip([Order::Fixed, Order::Engine]) {
                let own = vec![ranks.rank() as f32; length];
                ranks.gather_words(0)?;
                let start = Instant::now();
                mean(&*ranks, own, ranks.size(), order)?;
                ranks.gather_words(0)?;
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
        if ranks.is_first() {
            let [fixed, engine] = best.map(|seconds| seconds * 1e3);
            let megabytes = length as f64 * 4.0 / 1e6;
            println!("{megabytes:9.3} MB: {fixed:8.3} ms fixed, {engine:8.3} ms the engine's");
        }
    }
    Ok(())
}
