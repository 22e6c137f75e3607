//! What can end a training early.

use crate::config::ConfigError;
use crate::data::DataError;
use crate::pipeline::TokenFileError;
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
    #[error("training does not have {what} yet: set the weight to 0 or loss.skip_disc to true")]
    NotSupported { what: String },
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
    /// A checkpoint that this training did not write, or of another configuration.
    #[error("{path}: cannot be resumed: {reason}", path = path.display())]
    Foreign { path: PathBuf, reason: String },
    /// A folder with a training, and no word on whether to go on with it.
    #[error(
        "{path}: there is a training here already: go on with it by --resume, or name another folder",
        path = path.display()
    )]
    Exists { path: PathBuf },
    /// Something to resume was asked for.
    #[error("{path}: no such checkpoint, so there is nothing to resume", path = path.display())]
    NothingToResume { path: PathBuf },
    #[error("{path}: cannot be written: {reason}", path = path.display())]
    Unwritable { path: PathBuf, reason: io::Error },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The loss overflowed or is not a number.
    #[error(
        "the loss of step {step} is {loss}: training has diverged, and the checkpoint of step {saved} was kept; lower optimizer.lr (or base_lr) or clip gradients (optimizer.grad_clip_norm)"
    )]
    Diverged { step: u64, loss: f32, saved: u64 },
}
