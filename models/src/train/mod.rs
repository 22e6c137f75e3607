//! Training a tokenizer, a prior or a transform codec: the loop of [`bsq_nn::train`], and what it is told of pictures,
//! tokens and configurations.
//!
//! A training is a function of its configuration and of the pictures. Batches, learning rates and
//! starting values are pure functions of the seed and the step. So a training that was killed at any
//! moment and resumed ends with the bits of one that was not, as long as neither its settings nor its
//! data are changed in between; what has changed is said, and data that has changed is refused unless
//! [`TrainOptions`] allow it.

mod adversary;
mod assembled;
mod changes;
mod code_use;
mod error;
mod evaluate;
mod held_out;
mod masked_lm;
mod perceptual;
mod prior;
mod program;
mod rate;
mod run;
mod samples;
mod samples_shown;
mod shared;
mod start;
mod step_parts;
mod suits;
mod task;
mod tokenizer;
mod transform_codec;
mod transform_coding;
mod transform_path;

pub use assembled::step_programs;
pub use bsq_nn::optimizer::AVERAGE_PREFIX;
pub use bsq_nn::train::{
    FILE_NAME, Notes, Progress, Sign, Silent, TrainOutcome, TrainingCheckpoint, unused_note,
};
pub use error::TrainError;
pub use evaluate::{Evaluation, Evaluator, PictureScore};
pub use masked_lm::{
    masked_lm_step_function, masked_lm_step_halves, masked_lm_step_program, run_masked_lm,
};
pub use prior::{
    TokenSource, prior_step_function, prior_step_halves, prior_step_program, run_prior,
    run_prior_with,
};
pub use program::StepProgram;
pub use run::{TrainOptions, TrainRun, micro_batches};
pub use step_parts::{StepPart, step_parts};
pub use suits::check_supported;
pub use tokenizer::{run, run_with};
pub use transform_codec::{
    RatePoint, TransformCodecEvaluator, run_transform_codec,
    step_program as transform_codec_step_program,
};
