//! Training any model: an optimizer's step on named tensors.

use super::checkpoint::Identity;
use super::folder::TrainingFolder;
use super::run::{LoopSettings, TrainOutcome, train};
use super::task::{Evaluated, Program, State, Task};
use super::{Progress, TrainError, TrainingCheckpoint};
use crate::BoxError;
use crate::data::{Batches, NamedTensors};
use crate::optimizer::Step;
use bsq_collectives::Ranks;
use bsq_runtime::CompileOptions;
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A training that is being described; [`run`](Training::run) does it. See the
/// [crate's front page](crate) for an example.
///
/// The step's program has the inputs of the batches and `lr`; every output is a scalar that is
/// logged, `loss` among them.
pub struct Training<'a> {
    program: Program,
    settings: LoopSettings,
    learning_rate: Box<dyn Fn(u64) -> f64 + 'a>,
    text: String,
    batch_size: usize,
    evaluate: Option<Evaluate<'a>>,
}

/// What says how good a model is.
type Evaluate<'a> = Box<dyn FnMut(&TrainingCheckpoint) -> Result<Evaluated, BoxError> + 'a>;

impl<'a> Training<'a> {
    /// A training in a folder, which is made if need be: 1000 steps at a learning rate of 1e-3,
    /// saved at the end.
    ///
    /// # Errors
    /// If memory runs out.
    ///
    /// # Panics
    /// If `parameters` lacks one of the model's.
    pub fn new(
        folder: impl AsRef<Path>,
        step: &Step<'_>,
        parameters: Tensors,
    ) -> Result<Training<'a>, TensorError> {
        Ok(Training {
            program: Program::new(step, parameters)?,
            settings: LoopSettings::new(folder.as_ref(), 1000),
            learning_rate: Box::new(|_| 1e-3),
            text: String::new(),
            batch_size: 1,
            evaluate: None,
        })
    }

    /// Stops when this many steps are done, counted from the very first.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.settings.steps = steps;
        self
    }

    /// The learning rate of each step, from 0 on.
    #[must_use]
    pub fn learning_rate(mut self, of_step: impl Fn(u64) -> f64 + 'a) -> Self {
        self.learning_rate = Box::new(of_step);
        self
    }

    /// Goes on with the training in the folder, instead of refusing to replace it.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.settings.resume = resume;
        self
    }

    /// Steps between checkpoints; 0 is at the end only.
    #[must_use]
    pub fn save_every(mut self, steps: u64) -> Self {
        self.settings.save_every = steps;
        self
    }

    /// Steps between lines of the log; 0 is never.
    #[must_use]
    pub fn log_every(mut self, steps: u64) -> Self {
        self.settings.log_every = steps;
        self
    }

    /// Asks how good the model is before the first step, after each so many, and at the end. What
    /// [`Evaluated::score`] names is the largest so far: that checkpoint is kept as `best.safetensors`.
    /// Of several ranks all are asked, and rank 0's answer counts.
    #[must_use]
    pub fn evaluate_every(
        mut self,
        steps: u64,
        evaluate: impl FnMut(&TrainingCheckpoint) -> Result<Evaluated, BoxError> + 'a,
    ) -> Self {
        self.settings.evaluate_every = steps;
        self.evaluate = Some(Box::new(evaluate));
        self
    }

    /// Ends the training after so many evaluations without a better score.
    #[must_use]
    pub fn patience(mut self, evaluations: u64) -> Self {
        self.settings.patience = evaluations;
        self
    }

    /// Where and how steps run.
    #[must_use]
    pub fn compile_options(mut self, options: CompileOptions) -> Self {
        self.settings.compile = options;
        self
    }

    /// When this becomes true, the training finishes its step, saves, and returns.
    #[must_use]
    pub fn stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.settings.stop = stop;
        self
    }

    /// What the training is, for its folder and its checkpoints; a change of it is said when the
    /// training is resumed.
    #[must_use]
    pub fn described_by(mut self, settings: impl Into<String>) -> Self {
        self.text = settings.into();
        self
    }

    /// Takes the mean gradient of so many batches at each step, instead of the gradient of one.
    #[must_use]
    pub fn micro_batches(mut self, batches: usize) -> Self {
        self.settings.micro_batches = batches;
        self
    }

    /// Trains together with others, each of which takes its share of the batches of a step. All of them
    /// are told the same but for the rank. Only rank 0 writes into the folder.
    #[must_use]
    pub fn ranks(mut self, ranks: Ranks) -> Self {
        self.settings.ranks = ranks;
        self
    }

    /// Has each of several ranks keep a share of the optimizer's state instead of all of it. The bits are
    /// the same.
    #[must_use]
    pub fn shard_optimizer(mut self, shards: bool) -> Self {
        self.settings.shard_optimizer = shards;
        self
    }

    /// Bytes of gradients that ranks exchange together: see [`LoopSettings::bucket_bytes`].
    #[must_use]
    pub fn bucket_bytes(mut self, bytes: usize) -> Self {
        self.settings.bucket_bytes = bytes;
        self
    }

    /// Writes a Chrome trace of the first steps of all ranks.
    #[must_use]
    pub fn timeline(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.timeline = Some(path.into());
        self
    }

    /// Samples of a batch, for the speed in the log.
    #[must_use]
    pub fn batch_size(mut self, samples: usize) -> Self {
        self.batch_size = samples;
        self
    }

    /// Trains.
    ///
    /// # Errors
    /// [`TrainError`]; what was saved before the error stays.
    pub fn run<B>(self, batches: B, progress: &mut dyn Progress) -> Result<TrainOutcome, TrainError>
    where
        B: Batches<Batch = NamedTensors>,
    {
        let folder = TrainingFolder::of_ranks(
            &self.settings.folder,
            self.settings.resume,
            &self.settings.ranks,
        )?;
        let task = NamedTask::<B> {
            learning_rate: self.learning_rate,
            text: self.text,
            batch_size: self.batch_size,
            evaluate: self.evaluate,
            data: PhantomData,
        };
        let data = Arc::new(batches);
        train(&self.settings, folder, task, self.program, data, progress)
    }
}

/// A task whose batches are the program's inputs already.
struct NamedTask<'a, B> {
    learning_rate: Box<dyn Fn(u64) -> f64 + 'a>,
    text: String,
    batch_size: usize,
    evaluate: Option<Evaluate<'a>>,
    data: PhantomData<B>,
}

impl<B: Batches<Batch = NamedTensors>> Task for NamedTask<'_, B> {
    type Data = B;

    fn identity(&self) -> Identity {
        Identity {
            settings: self.text.clone(),
            ..Identity::default()
        }
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn learning_rate(&self, step: u64) -> f64 {
        (self.learning_rate)(step)
    }

    fn inputs(
        &self,
        _step: u64,
        _index: u64,
        batch: NamedTensors,
    ) -> Result<NamedTensors, BoxError> {
        Ok(batch)
    }

    fn evaluate(&mut self, state: State<'_>) -> Result<Option<Evaluated>, BoxError> {
        match &mut self.evaluate {
            Some(evaluate) => evaluate(&state()?).map(Some),
            None => Ok(None),
        }
    }
}
