//! Training a tokenizer or a prior: one compiled program per step, checkpoints, a log.
//!
//! A training is a function of its configuration and of the pictures. Batches, learning rates and
//! starting values are pure functions of the seed and the step, the compiled step gives the same
//! bits on every machine and with any number of threads, and a checkpoint holds everything that a
//! step changes. So a training that was killed at any moment and resumed ends with the bits of
//! one that was not.
//!
//! The folder of a training holds:
//!
//! | file | |
//! |---|---|
//! | `config.toml` | the complete configuration |
//! | `checkpoint.safetensors` | what [`run`] resumes from; replaced whole or not at all |
//! | `log.jsonl`, `events.out.tfevents.bsq` | the log, for scripts and for TensorBoard |

mod checkpoint;
mod error;
mod evaluate;
mod export;
mod prior;
mod program;
mod progress;
mod run;
mod tokenizer;
mod transform_coding;

pub use checkpoint::{FILE_NAME, TrainingCheckpoint};
pub use error::TrainError;
pub use evaluate::{Evaluation, Evaluator, PictureScore};
pub use export::export_model;
pub use prior::{TokenSource, prior_step_function, prior_step_program, run_prior};
pub use program::{AVERAGE_PREFIX, StepProgram};
pub use progress::{Bar, Progress, Silent};
pub use run::{TrainOutcome, TrainRun};
pub use tokenizer::run;
