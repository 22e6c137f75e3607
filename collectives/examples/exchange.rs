//! What the fixed order costs beside the engine's own all-reduce:
//!
//!     cargo build --release -p bsq-collectives --features mpi --example exchange
//!     mpirun -n 4 target/release/examples/exchange

use bsq_collectives::{Mpi, Order, Ranks, mean};
use std::time::Instant;

/// The best of so many.
const REPEATS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ranks = Ranks::new(Mpi::start()?);
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
