//! The training loop: one compiled program per step, checkpoints, a log.
//!
//! A training is a function of its program and its batches: [`Training`] runs an optimizer's
//! [`Step`](crate::optimizer::Step) on [`Batches`](crate::data::Batches); [`train`] runs a [`Task`],
//! which has more to say. The compiled step gives the same bits on every machine and with any number
//! of threads, and a checkpoint holds everything that a step changes. So a training that was killed
//! at any moment and resumed ends with the bits of one that was not, as long as neither its settings
//! nor its data are changed in between.
//!
//! The batch of a step may be several micro-batches ([`LoopSettings::micro_batches`]), and several ranks
//! may share them ([`LoopSettings::ranks`]). The gradient is then the mean over micro-batches, summed in
//! the order of one binary tree over them whoever has computed which: a training on four ranks has the
//! bits of one on two, or on one that takes all micro-batches one after another, and goes on on any of
//! them. What a micro-batch looks at as a whole, such as the statistics of batch norms, is its own; what
//! batch norms remember is the mean.
//!
//! A checkpoint replaces the last one when all its numbers are finite, its parameters are not out
//! of all proportion, and neither is the loss of the step after it, the first to tell what they are
//! worth.
//!
//! The folder of a training holds:
//!
//! | file | |
//! |---|---|
//! | `config.toml` | the settings, if there are any |
//! | `checkpoint.safetensors` | what a training resumes from; replaced whole or not at all |
//! | `log.jsonl`, `events.out.tfevents.bsq` | the log, for scripts and for TensorBoard |
//! | `.lock` | locked while a training runs, so that there is one at a time |

mod averaged;
mod bare;
mod change;
mod checkpoint;
mod divergence;
mod error;
mod exchange;
mod folder;
mod lock;
mod parts;
mod progress;
mod resume;
mod rising;
mod run;
mod sharded;
mod share;
mod steps;
mod task;
mod timeline;
mod together;
mod training;
mod unused;

pub use bare::BareSteps;
pub use change::Change;
pub use checkpoint::{BEST_NAME, FILE_NAME, Identity, TrainingCheckpoint};
pub use divergence::{Advice, Sign};
pub use error::TrainError;
pub use folder::TrainingFolder;
pub use progress::{Notes, Progress, Silent};
pub use run::{BUCKET_BYTES, LoopSettings, TrainOutcome, train};
pub use task::{Evaluated, LoggedPicture, Part, Program, State, Task, Turn};
pub use training::Training;
pub use unused::unused_note;

#[cfg(test)]
mod over_step_tests;
#[cfg(test)]
mod ranks_tests;
