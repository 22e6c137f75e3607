//! Training a tokenizer or a prior: one compiled program per step, checkpoints, a log.
//!
//! A training is a function of its configuration and of the pictures. Batches, learning rates and
//! starting values are pure functions of the seed and the step, the compiled step gives the same
//! bits on every machine and with any number of threads, and a checkpoint holds everything that a
//! step changes. So a training that was killed at any moment and resumed ends with the bits of
//! one that was not, as long as neither its settings nor its data are changed in between; what has
//! changed is said, and data that has changed is refused unless [`TrainOptions`] allow it.
//!
//! A checkpoint replaces the last one when all its numbers are finite, its parameters are not out
//! of all proportion, and neither is the loss of the step after it, the first to tell what they are
//! worth.
//!
//! The folder of a training holds:
//!
//! | file | |
//! |---|---|
//! | `config.toml` | the complete configuration |
//! | `checkpoint.safetensors` | what [`run`] resumes from; replaced whole or not at all |
//! | `log.jsonl`, `events.out.tfevents.bsq` | the log, for scripts and for TensorBoard |
//! | `.lock` | locked while a training runs, so that there is one at a time |

mod changes;
mod checkpoint;
mod divergence;
mod error;
mod evaluate;
mod export;
mod lock;
mod place;
mod prior;
mod program;
mod progress;
mod resume;
mod rising;
mod run;
mod start;
mod steps;
mod tokenizer;
mod transform_coding;
mod unused;

pub use checkpoint::{FILE_NAME, TrainingCheckpoint};
pub use divergence::Sign;
pub use error::TrainError;
pub use evaluate::{Evaluation, Evaluator, PictureScore};
pub use export::export_model;
pub use prior::{TokenSource, prior_step_function, prior_step_program, run_prior, run_prior_with};
pub use program::{AVERAGE_PREFIX, StepProgram};
pub use progress::{Bar, Notes, Progress, Silent};
pub use run::{TrainOptions, TrainOutcome, TrainRun};
pub use tokenizer::{check_supported, run, run_with};
pub use unused::unused_note;
