//! What every engine must do, asked of MPI:
//!
//!     cargo build -p bsq-collectives --features mpi,conformance --example conformance
//!     mpirun -n 3 target/debug/examples/conformance

use bsq_collectives::{CollectiveError, Communicator, Mpi, conformance};

fn main() -> Result<(), CollectiveError> {
    let ranks = Mpi::start()?;
    conformance::check(&ranks);
    if ranks.rank() == 0 {
        println!("{} ranks of MPI do what they must", ranks.size());
    }
    Ok(())
}
