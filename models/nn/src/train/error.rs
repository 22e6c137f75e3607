//! What can end a training early.

use super::Change;
use super::divergence::{Advice, Message, Sign};
use crate::BoxError;
use crate::train_log::LogError;
use bsq_collectives::CollectiveError;
use bsq_runtime::ProgramError;
use bsq_runtime::checkpoint::CheckpointError;
use bsq_runtime::tensor_data::TensorError;
use std::io;
use std::path::PathBuf;

/// Why a training cannot start or go on. What was saved before stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// There is no batch for a step.
    #[error("{0}")]
    Data(#[source] BoxError),
    /// The task could not make a step's inputs, or could not evaluate.
    #[error("{0}")]
    Task(#[source] BoxError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Settings that make another model of it, or other optimizer state.
    #[error(
        "{path}: cannot be resumed: {change}: this makes another model or other optimizer state of it; a new training may begin with its weights",
        path = path.display()
    )]
    AnotherModel { path: PathBuf, change: Change },
    /// A checkpoint that this training did not write.
    #[error("{path}: cannot be resumed: {reason}", path = path.display())]
    Foreign { path: PathBuf, reason: String },
    /// The data is not what the training has seen so far.
    #[error(
        "{path}: cannot be resumed: it was trained on other data ({before} samples; here are {now}, or files of other names or sizes): give the data that it was trained on, or allow that it goes on with these",
        path = path.display()
    )]
    OtherData {
        path: PathBuf,
        /// Samples that it was trained on, and that there are now.
        before: usize,
        now: usize,
    },
    /// A folder with a training, and no word on whether to go on with it.
    #[error(
        "{path}: there is a training here already: resume it, or name another folder",
        path = path.display()
    )]
    Exists { path: PathBuf },
    /// Another process trains in the folder.
    #[error(
        "{path}: another training is running in this folder: wait for its end, or name another folder",
        path = path.display()
    )]
    Busy { path: PathBuf },
    /// Something to resume was asked for.
    #[error("{path}: no such checkpoint, so there is nothing to resume", path = path.display())]
    NothingToResume { path: PathBuf },
    /// Micro-batches that ranks cannot share.
    #[error(
        "{micro_batches} micro-batches cannot be shared by {ranks} ranks: each takes 1, 2, 4, 8, ... of them"
    )]
    Shares { micro_batches: usize, ranks: usize },
    /// The programs of a step need more memory than they are given, whatever is computed again.
    #[error(
        "a step needs more than {:.1} MB of memory: the smallest budget that can be met is {:.1} MB",
        *budget as f64 / 1e6,
        (*smallest as f64 / 1e5).ceil() / 10.0
    )]
    Memory {
        /// In bytes, as the next.
        budget: usize,
        smallest: usize,
    },
    /// Ranks that do not have what the others have.
    #[error(
        "step {step}: {what} of rank {} {} not that of the other ranks: the training stops here",
        ranks.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
        if ranks.len() == 1 { "is" } else { "are" }
    )]
    RanksDiffer {
        what: &'static str,
        step: u64,
        /// Those that most others differ from.
        ranks: Vec<usize>,
    },
    /// Another rank has no batch for a step.
    #[error("rank {rank} has no data for step {step}")]
    NoDataElsewhere { rank: usize, step: u64 },
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// What the training would start from is no start.
    #[error("before the first step {what}: there is nothing to train from")]
    NotFinite { what: String },
    #[error("{path}: cannot be written: {reason}", path = path.display())]
    Unwritable { path: PathBuf, reason: io::Error },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The loss overflowed or is not a number, or something that a step has updated is.
    #[error("{}", Message { step: *step, sign, saved: *saved, has_checkpoint: *has_checkpoint, advice: *advice })]
    Diverged {
        /// Steps count from 0.
        step: u64,
        sign: Sign,
        /// Steps that the checkpoint has seen; 0 if there is none.
        saved: u64,
        /// Whether there is one: a training that begins with given weights saves them at step 0.
        has_checkpoint: bool,
        advice: Advice,
    },
}
