//! Several processes that do one command's work together: found in the environment, joined by MPI.

use super::error::CliError;
use super::output::Output;
use bsq_collectives::Ranks;

/// What tells a process how many of it there are: of Open MPI, of MPICH and Intel MPI, of Slurm, and of
/// torchrun.
const SIZES: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "SLURM_STEP_NUM_TASKS",
    "WORLD_SIZE",
];

/// Processes that whoever started this one says there are, and the variable that says so.
fn announced() -> Option<(&'static str, usize)> {
    let found = |name: &&'static str| {
        let size = std::env::var(name).ok()?.trim().parse().ok()?;
        Some((*name, size))
    };
    SIZES.iter().filter_map(found).find(|&(_, size)| size > 1)
}

/// The ranks of this command: a rank alone unless it was started as one of several.
///
/// # Errors
/// If there should be several, and they cannot be joined.
pub fn join() -> Result<Ranks, CliError> {
    match announced() {
        None => Ok(Ranks::default()),
        Some((name, size)) => join_all(name, size),
    }
}

#[cfg(not(feature = "mpi"))]
fn join_all(name: &str, size: usize) -> Result<Ranks, CliError> {
    Err(CliError::new(format_args!(
        "{name} says that {size} processes train together, and this build has no MPI: build it with --features mpi, or unset {name}"
    )))
}

#[cfg(feature = "mpi")]
fn join_all(name: &str, size: usize) -> Result<Ranks, CliError> {
    let ranks = Ranks::new(bsq_collectives::Mpi::start().map_err(CliError::new)?);
    match ranks.size() == size {
        true => {
            signals::listen(ranks.is_first())?;
            Ok(ranks)
        }
        false => Err(CliError::new(format_args!(
            "{name} says that {size} processes train together, but MPI knows of {}: start them with mpirun -n {size} or srun --mpi=pmix -n {size}",
            ranks.size()
        ))),
    }
}

/// What `mpirun` tells its processes.
#[cfg(feature = "mpi")]
mod signals {
    use super::super::interrupt;
    use signal_hook::consts::{SIGTERM, SIGUSR1};
    use signal_hook::iterator::Signals;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// This rank ends the others: what comes of that is no news.
    pub static ENDS_OTHERS: AtomicBool = AtomicBool::new(false);

    /// Ends this process when a rank has ended, which rank 0 says, and finishes the step first when
    /// that is asked for (`kill -USR1` of `mpirun`, which passes it on).
    pub fn listen(is_first: bool) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGUSR1])?;
        std::thread::spawn(move || {
            for signal in &mut signals {
                if signal == SIGUSR1 {
                    interrupt::finish_first().store(true, Ordering::Relaxed);
                    continue;
                }
                if is_first && !ENDS_OTHERS.load(Ordering::Relaxed) {
                    eprintln!(
                        "bsq: another rank has ended, or mpirun was stopped: so ends the training; --resume goes on from its last checkpoint"
                    );
                }
                std::process::exit(2);
            }
        });
        Ok(())
    }
}

/// The output of a rank. Unless the user says how many, its threads are its share of the CPUs that it may
/// run on: with ranks bound to CPUs of their own all of those.
pub fn output(ranks: &Ranks, output: &Output) -> Output {
    let threads = match (output.threads, ranks.local_size()) {
        (0, local) if local > 1 => {
            let own = std::thread::available_parallelism().map_or(1, usize::from);
            let all = online();
            if own < all { own } else { (all / local).max(1) }
        }
        (threads, _) => threads,
    };
    output.of_rank(ranks.is_first(), threads)
}

/// CPUs of this machine.
fn online() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()? + 1 - first.parse::<usize>().ok()?)
    };
    let ranges = text.trim().split(',').filter_map(count);
    ranges.sum::<usize>().max(1)
}

/// Says why this rank cannot go on, and ends the others. What all ranks run into alike is said once, by
/// rank 0.
pub fn fail(ranks: &Ranks, error: CliError, output: &Output) -> CliError {
    if !ranks.are_several() {
        return error;
    }
    let message = match &error {
        CliError::Message(message) | CliError::Output(message) => message.clone(),
        CliError::BrokenPipe | CliError::Reported => String::new(),
    };
    if ranks.is_first() {
        output.error(&message);
    } else {
        // If rank 0 has the same to say, it ends this one meanwhile.
        std::thread::sleep(std::time::Duration::from_secs(2));
        output.failure(&format!("rank {}: {message}", ranks.rank()));
    }
    #[cfg(feature = "mpi")]
    signals::ENDS_OTHERS.store(true, std::sync::atomic::Ordering::Relaxed);
    ranks.abort(2);
    CliError::Reported
}
