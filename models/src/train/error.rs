//! What can end a training early.

use super::divergence::{Message, Sign};
use crate::config::ConfigError;
use crate::data::DataError;
use crate::pipeline::TokenFileError;
use crate::prior::PriorError;
use crate::tokenizer::LoadError;
use crate::train_log::LogError;
use bsq_runtime::ProgramError;
use bsq_runtime::checkpoint::CheckpointError;
use bsq_runtime::tensor_data::TensorError;
use std::io;
use std::path::PathBuf;

/// Why a training cannot start or go on. What was saved before stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration asks for something that this version does not have.
    #[error("training does not have {what} yet: set {remedy}")]
    NotSupported { what: String, remedy: String },
    #[error(transparent)]
    Data(#[from] DataError),
    /// A prior is for other tokens than the tokenizer's.
    #[error(transparent)]
    Fit(#[from] crate::prior::OtherBits),
    /// A token file is not one of this tokenizer.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint that this training did not write, or of another model.
    #[error("{path}: cannot be resumed: {reason}", path = path.display())]
    Foreign { path: PathBuf, reason: String },
    /// The pictures or tokens are not those that the training has seen so far.
    #[error(
        "{path}: cannot be resumed: it was trained on other data ({before} samples; here are {now}, or files of other names or sizes): give the data that it was trained on, or --other-data to go on with these",
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
        "{path}: there is a training here already: go on with it by --resume, or name another folder",
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
    /// The weights to start from are not this model's.
    #[error("{path}: cannot be started from: {error}", path = path.display())]
    Start {
        path: PathBuf,
        error: Box<LoadError>,
    },
    /// The file to start from is of something else.
    #[error("{path}: cannot be started from: {reason}", path = path.display())]
    StartFile { path: PathBuf, reason: String },
    #[error(transparent)]
    Prior(Box<PriorError>),
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
    #[error("{}", Message { step: *step, sign, saved: *saved, has_checkpoint: *has_checkpoint })]
    Diverged {
        /// Steps count from 0.
        step: u64,
        sign: Sign,
        /// Steps that the checkpoint has seen; 0 if there is none.
        saved: u64,
        /// Whether there is one: a training that begins with given weights saves them at step 0.
        has_checkpoint: bool,
    },
}
