//! Training a tokenizer on a folder of pictures.

use super::checkpoint::Identity;
use super::run::{Evaluated, Program, State, Task, checkpoint_of, train};
use super::{
    Evaluator, Progress, StepProgram, TrainError, TrainOutcome, TrainRun, transform_coding,
};
use crate::config::{Config, Initialisation, TrainConfig};
use crate::data::{Batch, Dataset};
use crate::losses::left_out;
use crate::tokenizer::Tokenizer;
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::Weights;
use std::sync::Arc;

/// Trains a tokenizer.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run(run: &TrainRun, progress: &mut dyn Progress) -> Result<TrainOutcome, TrainError> {
    let config = &run.config;
    let missing = left_out(&config.loss);
    if !missing.is_empty() {
        let what = missing.join(" or ");
        return Err(TrainError::NotSupported { what });
    }
    checkpoint_of(run)?;
    let tokenizer = Tokenizer::new(&config.model)?;
    let (size, seed) = (config.model.encoder.image_size, config.train.seed);
    let dataset = Arc::new(Dataset::open(&run.data, &config.data, size, seed)?);
    let mut parameters = tokenizer.init(seed)?;
    if config.train.init == Initialisation::TransformCoder && !run.resume {
        transform_coding::start(config, &dataset, &mut parameters)?;
    }
    let program = StepProgram::new(config, &tokenizer, parameters)?;
    let evaluator = match (&config.data.val_root, config.train.eval_freq) {
        (None, _) | (_, 0) => None,
        (Some(folder), _) => {
            let evaluator = Evaluator::new(&config.model, folder, run.threads, run.device)?;
            Some(evaluator)
        }
    };
    let task = TokenizerTask {
        config,
        has_codebook_weight: program.has_codebook_weight,
        evaluator,
    };
    let program = Program {
        function: program.function,
        start: program.start,
        scalars: program.scalars,
    };
    train(run, task, program, dataset, progress)
}

struct TokenizerTask<'a> {
    config: &'a Config,
    has_codebook_weight: bool,
    evaluator: Option<Evaluator>,
}

impl Task for TokenizerTask<'_> {
    type Data = Dataset;

    fn identity(&self) -> Identity {
        Identity {
            config_text: self.config.to_toml(),
            seed: self.config.train.seed,
            metadata: Vec::new(),
        }
    }

    fn settings(&self) -> &TrainConfig {
        &self.config.train
    }

    fn steps(&self) -> u64 {
        self.config.optimizer.max_iter
    }

    fn batch_size(&self) -> usize {
        self.config.data.batch_size
    }

    fn learning_rate(&self, step: u64) -> f64 {
        self.config.learning_rate(step)
    }

    fn inputs(
        &self,
        step: u64,
        batch: Batch,
    ) -> Result<Vec<(&'static str, HostTensor)>, TrainError> {
        let image = HostTensor::from_slice(batch.shape, &batch.images)?;
        let mut inputs = vec![("image", image)];
        if self.has_codebook_weight {
            let weight = self.config.loss.codebook_weight_at(step) as f32;
            inputs.push(("codebook_weight", HostTensor::scalar(weight)?));
        }
        Ok(inputs)
    }

    fn evaluate(&mut self, state: State<'_>) -> Result<Option<Evaluated>, TrainError> {
        let Some(evaluator) = &mut self.evaluator else {
            return Ok(None);
        };
        let psnr = evaluator
            .evaluate(&state()?.parameters(Weights::Ema))?
            .psnr();
        Ok(Some(Evaluated {
            line: format!("{psnr:.3} dB"),
            scalars: vec![("eval/psnr", psnr)],
        }))
    }
}
