//! What the loop does not know of what it trains.

use super::checkpoint::Identity;
use super::{Advice, Change, TrainError, TrainingCheckpoint};
use crate::BoxError;
use crate::data::{Batches, NamedTensors};
use crate::optimizer::{Halves, Step};
use bsq_ir::Function;
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;

/// A step's program and its state before the first step.
#[derive(Clone, Debug)]
pub struct Program {
    /// Inputs: `lr` (`f32[]`) and those of [`Task::inputs`]. Outputs: `loss` and the other scalars.
    /// Parameters and optimizer state are updated in place.
    pub function: Function,
    /// The same for a step of several micro-batches.
    pub halves: Halves,
    /// Parameters and optimizer state.
    pub start: Tensors,
    /// Names of the scalar outputs (`f32[]`), in the order in which they are logged; those of other
    /// parts, too.
    pub scalars: Vec<String>,
    /// More programs of a step, over the same state.
    pub parts: Vec<Part>,
    /// Parameters that nothing changes, of networks that are only looked at: no checkpoint holds
    /// them.
    pub fixed: Tensors,
}

/// A program that is run in a step beside the first, after it and in order, those of
/// [`Turn::First`] before it. An input that is named as an output of a program before it in the step
/// is that output.
#[derive(Clone, Debug)]
pub struct Part {
    pub function: Function,
    /// The same for a step of several micro-batches.
    pub halves: Halves,
    pub turn: Turn,
}

/// At which steps, counted from 0, a part is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Always,
    /// At the very first, before all others.
    First,
    /// At the last of each so many steps.
    Every(u64),
    /// At the others.
    NotEvery(u64),
}

impl Turn {
    /// Whether it is this part's turn.
    pub fn is_at(self, step: u64) -> bool {
        let is_last = |period: u64| period != 0 && (step + 1).is_multiple_of(period);
        match self {
            Turn::Always => true,
            Turn::First => step == 0,
            Turn::Every(period) => is_last(period),
            Turn::NotEvery(period) => !is_last(period),
        }
    }
}

impl Turn {
    /// At what share of many steps it is this part's turn.
    pub fn share_of_steps(self) -> f64 {
        let once_in = |period: u64| {
            if period == 0 {
                0.0
            } else {
                1.0 / period as f64
            }
        };
        match self {
            Turn::Always => 1.0,
            Turn::First => 0.0,
            Turn::Every(period) => once_in(period),
            Turn::NotEvery(period) => 1.0 - once_in(period),
        }
    }
}

impl Program {
    /// The program of an optimizer's step, of which every output is a scalar, for a model that
    /// starts with `parameters`.
    ///
    /// # Errors
    /// If memory runs out.
    ///
    /// # Panics
    /// If `parameters` lacks one of the model's.
    pub fn new(step: &Step<'_>, parameters: Tensors) -> Result<Program, TensorError> {
        let mut start = parameters;
        start.extend(step.initial_state(&start)?);
        Ok(Program {
            function: step.function(),
            halves: step.halves(),
            start,
            scalars: step.output_names().map(String::from).collect(),
            parts: Vec::new(),
            fixed: Tensors::new(),
        })
    }
}

/// What an evaluation says.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// To the user.
    pub line: String,
    /// To the log.
    pub scalars: Vec<(&'static str, f64)>,
    /// To the log and the page.
    pub pictures: Vec<LoggedPicture>,
    /// Which of the scalars says how good the model is, if one does: larger is better. The best
    /// checkpoint is kept beside the last one.
    pub score: Option<&'static str>,
}

/// A picture for the log.
#[derive(Clone, Debug)]
pub struct LoggedPicture {
    /// What it shows: a part of a file's name.
    pub tag: String,
    pub width: usize,
    pub height: usize,
    /// The PNG file.
    pub png: Vec<u8>,
}

/// Where a training stands; read from its device when it is asked for.
pub type State<'a> = &'a dyn Fn() -> Result<TrainingCheckpoint, TrainError>;

/// What is trained: where its inputs come from, what may change when it is resumed, how it is
/// evaluated.
pub trait Task {
    type Data: Batches;

    /// What tells this training from others, but for the data.
    fn identity(&self) -> Identity;

    /// Samples of a batch, for the speed in the log.
    fn batch_size(&self) -> usize;

    /// The learning rate of a step.
    fn learning_rate(&self, step: u64) -> f64;

    /// The program's inputs at a step, but for the learning rate. `index` is which batch of the training
    /// it is, which is the step unless a step has several. What is `f32[]` is the same for all of a step.
    ///
    /// # Errors
    /// If they cannot be made of the batch.
    fn inputs(
        &self,
        step: u64,
        index: u64,
        batch: <Self::Data as Batches>::Batch,
    ) -> Result<NamedTensors, BoxError>;

    /// What has changed from the settings of a checkpoint, as [`Identity::settings`] was then.
    ///
    /// # Errors
    /// If they cannot be read.
    fn changes(&self, old: &str) -> Result<Vec<Change>, BoxError> {
        let new = self.identity().settings;
        let change = |new: String| Change {
            key: "settings".to_string(),
            old: Some(old.to_string()),
            new: Some(new),
            is_another_model: false,
        };
        Ok((old != new).then(|| change(new)).into_iter().collect())
    }

    /// What a user may have expected otherwise of steps `done` to `last`, a line each.
    fn hints(&self, done: u64, last: u64) -> Vec<String> {
        match done == last {
            true => vec![format!("all {done} steps are done")],
            false => Vec::new(),
        }
    }

    /// What to do about a training that has diverged.
    fn advice(&self) -> Advice {
        Advice::default()
    }

    /// How good the model is now; nothing where there is nothing to evaluate on. Ranks that train together
    /// all evaluate, and may share the work; what rank 0 finds counts. All of
    /// them or none ask for the state.
    ///
    /// # Errors
    /// If the model cannot be run.
    fn evaluate(&mut self, _state: State<'_>) -> Result<Option<Evaluated>, BoxError> {
        Ok(None)
    }
}
