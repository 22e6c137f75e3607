//! What can end a training early.

use crate::config::ConfigError;
use crate::data::DataError;
use crate::metrics::LpipsError;
use crate::pipeline::TokenFileError;
use crate::tokenizer::LoadError;
use crate::weights_file::WeightsFileError;
use bsq_nn::BoxError;
use bsq_runtime::ProgramError;
use bsq_runtime::checkpoint::CheckpointError;
use bsq_runtime::tensor_data::TensorError;
use std::path::PathBuf;

/// Why a training cannot start or go on. What was saved before stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights of the perceptual loss cannot be read.
    #[error(transparent)]
    Lpips(#[from] crate::lpips::WeightsError),
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
    /// The weights to start from are not this model's.
    #[error("{path}: cannot be started from: {error}", path = path.display())]
    Start {
        path: PathBuf,
        error: Box<LoadError>,
    },
    /// The file to start from is of something else.
    #[error("{path}: cannot be started from: {reason}", path = path.display())]
    StartFile { path: PathBuf, reason: String },
    /// There are no predicted frames to train on.
    #[error(transparent)]
    Predicted(Box<crate::data::PredictedError>),
    #[error(transparent)]
    WeightsFile(Box<WeightsFileError>),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// What the loop found; what it was told by this crate is one of the others.
    #[error(transparent)]
    Loop(bsq_nn::train::TrainError),
}

impl From<LpipsError> for TrainError {
    fn from(error: LpipsError) -> TrainError {
        match error {
            LpipsError::Weights(error) => error.into(),
            LpipsError::Program(error) => error.into(),
            LpipsError::Tensor(error) => error.into(),
        }
    }
}

impl From<bsq_nn::train::TrainError> for TrainError {
    fn from(error: bsq_nn::train::TrainError) -> TrainError {
        use bsq_nn::train::TrainError as Loop;
        let told = |error: BoxError| match error.downcast::<DataError>() {
            Ok(data) => Ok(TrainError::Data(*data)),
            Err(error) => error.downcast::<TrainError>().map(|error| *error),
        };
        match error {
            Loop::Data(error) => {
                told(error).unwrap_or_else(|error| TrainError::Loop(Loop::Data(error)))
            }
            Loop::Task(error) => {
                told(error).unwrap_or_else(|error| TrainError::Loop(Loop::Task(error)))
            }
            error => TrainError::Loop(error),
        }
    }
}
