//! Several processes that do one command's work together: found in the environment, joined by MPI or by TCP.

use super::error::CliError;
use super::output::Output;
use super::{Verdict, interrupt, progress};
use bsq_collectives::{Meeting, Ranks, Tcp};
use bsq_runtime::Device;
use std::time::Duration;

/// What tells a process how many of it there are, and which one it is: of Open MPI, of MPICH and Intel
/// MPI, of Slurm, and of torchrun.
const VARIABLES: [[&str; 2]; 4] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    ["PMI_SIZE", "PMI_RANK"],
    ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"],
    ["WORLD_SIZE", "RANK"],
];

/// Where rank 0 waits for the others, as torchrun says it and as scripts for Slurm do.
const MASTER: [&str; 2] = ["MASTER_ADDR", "MASTER_PORT"];

/// How long ranks wait for one another at the start: machines of a cluster do not start together.
const PATIENCE: Duration = Duration::from_secs(300);

/// What ranks do together, for what is said when they cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A training, which can go on.
    Training,
    Files,
}

/// Processes that whoever started this one says there are.
struct Announced {
    /// The variables that say so.
    names: [&'static str; 2],
    size: usize,
    /// None where only the size is said.
    rank: Option<usize>,
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.trim().parse().ok()
}

fn announced() -> Option<Announced> {
    let found = |names: &[&'static str; 2]| {
        Some(Announced {
            names: *names,
            size: number(names[0])?,
            rank: number(names[1]),
        })
    };
    let found = VARIABLES.iter().filter_map(found);
    let mut found = found.filter(|announced| announced.size > 1);
    // torchrun may itself be one of several, started by one of the others.
    match std::env::var_os("TORCHELASTIC_RUN_ID") {
        Some(_) => found.next_back(),
        None => found.next(),
    }
}

/// Does a command's work on all its ranks: on a rank alone unless it was started as one of several. A rank
/// that cannot go on ends the others.
///
/// # Errors
/// If there should be several, and they cannot be joined; otherwise those of `run`.
pub fn together(
    work: Work,
    output: &Output,
    run: impl FnOnce(&Ranks, &Output) -> Result<Verdict, CliError>,
) -> Result<Verdict, CliError> {
    let ranks = join(work)?;
    if !ranks.is_first() {
        progress::hide();
    }
    let output = self::output(&ranks, output);
    run(&ranks, &output).map_err(|error| fail(&ranks, work, error, &output))
}

fn join(work: Work) -> Result<Ranks, CliError> {
    let Some(announced) = announced() else {
        return Ok(Ranks::default());
    };
    let ranks = match meeting(&announced)? {
        Some(meeting) => Ranks::new(Tcp::join(&meeting)?),
        None => of_mpi(&announced)?,
    };
    signals::listen(work, ranks.is_first())?;
    Ok(ranks)
}

/// Where the ranks meet over TCP; none where MPI joins them.
fn meeting(announced: &Announced) -> Result<Option<Meeting>, CliError> {
    let [host, port] = MASTER.map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let is_of_mpi = cfg!(feature = "mpi") && announced.names[0] != "WORLD_SIZE";
    let (Some(host), Some(port), false) = (host, port, is_of_mpi) else {
        return Ok(None);
    };
    let (size, [size_name, rank_name]) = (announced.size, announced.names);
    let rank = announced.rank.filter(|&rank| rank < size).ok_or_else(|| {
        CliError::new(format_args!(
            "{size_name} says that there are {size} processes, and {rank_name} does not say which of them this is"
        ))
    })?;
    let port: u16 = port
        .trim()
        .parse()
        .map_err(|_| CliError::new(format_args!("MASTER_PORT is \"{port}\", which is no port")))?;
    // The agent of torchrun listens at the port itself.
    let is_taken = std::env::var("TORCHELASTIC_USE_AGENT_STORE").is_ok_and(|said| said == "True");
    Ok(Some(Meeting {
        rank,
        size,
        host,
        port: port.wrapping_add(u16::from(is_taken)),
        patience: PATIENCE,
    }))
}

#[cfg(not(feature = "mpi"))]
fn of_mpi(Announced { names, size, .. }: &Announced) -> Result<Ranks, CliError> {
    let name = names[0];
    Err(CliError::new(format_args!(
        "{name} says that {size} processes work together, and this build has no MPI: set MASTER_ADDR and MASTER_PORT to where rank 0 can be reached, or build it with --features mpi, or unset {name}"
    )))
}

#[cfg(feature = "mpi")]
fn of_mpi(Announced { names, size, .. }: &Announced) -> Result<Ranks, CliError> {
    let name = names[0];
    let ranks = Ranks::new(bsq_collectives::Mpi::start()?);
    match ranks.size() == *size {
        true => Ok(ranks),
        false => Err(CliError::new(format_args!(
            "{name} says that {size} processes work together, but MPI knows of {}: start them with mpirun -n {size} or srun --mpi=pmix -n {size}, or set MASTER_ADDR and MASTER_PORT",
            ranks.size()
        ))),
    }
}

/// The same ranks, with NCCL between their GPUs where this build has it and programs run on GPUs.
#[cfg(feature = "nccl")]
pub fn on_device(ranks: &Ranks, device: Device, output: &Output) -> Ranks {
    let Device::Cuda { ordinal } = device else {
        return ranks.clone();
    };
    if !ranks.are_several() {
        return ranks.clone();
    }
    // All ranks join, or none.
    match bsq_collectives::Nccl::join(ranks.clone(), ordinal) {
        Ok(joined) => Ranks::new(joined),
        Err(error) => {
            output.note(format_args!(
                "without NCCL, gradients go by way of the host: {error}"
            ));
            ranks.clone()
        }
    }
}

#[cfg(not(feature = "nccl"))]
pub fn on_device(ranks: &Ranks, _device: Device, _output: &Output) -> Ranks {
    ranks.clone()
}

/// What whoever has started the ranks tells them.
#[cfg(unix)]
mod signals {
    use super::{Work, interrupt};
    use signal_hook::consts::{SIGTERM, SIGUSR1};
    use signal_hook::iterator::Signals;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// This rank ends the others: what comes of that is no news.
    static ENDS_OTHERS: AtomicBool = AtomicBool::new(false);

    /// Ends this process when a rank has ended, which rank 0 says; a training finishes the step first when
    /// that is asked for (`kill -USR1` of `mpirun`, which passes it on).
    pub fn listen(work: Work, is_first: bool) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGUSR1])?;
        std::thread::spawn(move || {
            for signal in &mut signals {
                if signal == SIGUSR1 {
                    if work == Work::Training {
                        interrupt::finish_first().store(true, Ordering::Relaxed);
                    }
                    continue;
                }
                if is_first && !ENDS_OTHERS.load(Ordering::Relaxed) {
                    let so = super::so_ends(work);
                    eprintln!("bsq: another rank has ended, or all were stopped: {so}");
                }
                interrupt::leave(2);
            }
        });
        Ok(())
    }

    pub fn ends_others() {
        ENDS_OTHERS.store(true, Ordering::Relaxed);
    }
}

#[cfg(not(unix))]
mod signals {
    pub fn listen(_work: super::Work, _is_first: bool) -> std::io::Result<()> {
        Ok(())
    }

    pub fn ends_others() {}
}

fn so_ends(work: Work) -> &'static str {
    match work {
        Work::Training => "so ends the training; --resume goes on from its last checkpoint",
        Work::Files => "so ends the work; what is written is whole",
    }
}

/// The output of a rank. Unless the user says how many, its threads are its share of the CPUs that it may
/// run on: with ranks bound to CPUs of their own all of those.
fn output(ranks: &Ranks, output: &Output) -> Output {
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
/// rank 0; that a rank has ended is said by the first that is left.
fn fail(ranks: &Ranks, work: Work, error: CliError, output: &Output) -> CliError {
    if !ranks.are_several() {
        return error;
    }
    let lost = ranks.ended();
    let message = match (error, lost) {
        (CliError::Message(_), Some(rank)) => format!("rank {rank} has ended: {}", so_ends(work)),
        (CliError::Message(message) | CliError::Output(message), _) => message,
        (CliError::BrokenPipe | CliError::Reported, _) => String::new(),
    };
    let speaks_first = ranks.is_first() || lost == Some(0) && ranks.rank() == 1;
    if !speaks_first {
        // If another rank has the same to say, it ends this one meanwhile.
        std::thread::sleep(Duration::from_secs(2));
    }
    match ranks.is_first() {
        _ if message.is_empty() => {}
        true => output.error(&message),
        // Whoever waits for a rank that has ended has nothing to add.
        false if lost.is_some() && !speaks_first => {}
        false => output.failure(&format!("rank {}: {message}", ranks.rank())),
    }
    signals::ends_others();
    ranks.abort(2);
    CliError::Reported
}
