//! Training a tokenizer on a folder of pictures.

use super::task::{ADVICE, changed, check_freeze, evaluator, hints};
use super::{
    Evaluator, Progress, StepProgram, TrainError, TrainOptions, TrainOutcome, TrainRun, start,
    transform_coding, transform_path,
};
use crate::config::{Config, Initialisation};
use crate::data::{Batch, Dataset};
use crate::losses::left_out;
use crate::tokenizer::Tokenizer;
use bsq_nn::BoxError;
use bsq_nn::data::NamedTensors;
use bsq_nn::train::{
    Advice, Change, Evaluated, Identity, Program, State, Task, TrainingFolder, train,
};
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::Weights;
use std::sync::Arc;

/// Trains a tokenizer.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run(run: &TrainRun, progress: &mut dyn Progress) -> Result<TrainOutcome, TrainError> {
    run_with(run, &TrainOptions::default(), progress)
}

/// [`run`] with options.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run_with(
    run: &TrainRun,
    options: &TrainOptions,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let config = &run.config;
    check_supported(config)?;
    let folder = TrainingFolder::of(&run.out, run.resume)?;
    let tokenizer = Tokenizer::new(&config.model)?;
    let specs = tokenizer.parameters();
    let names = specs.iter().map(|spec| spec.name.as_str());
    check_freeze(&config.train, names)?;
    let (size, seed) = (config.model.encoder.image_size, config.train.seed);
    let dataset = Arc::new(Dataset::open(&run.data, &config.data, size, seed)?);
    let mut parameters = tokenizer.init(seed)?;
    match &options.init_from {
        _ if folder.has_checkpoint() => {}
        Some(name) => parameters = start::tokenizer(name, config, &tokenizer, progress)?,
        None if config.train.init == Initialisation::TransformCoder => {
            match tokenizer.transform_path() {
                None => transform_coding::start(config, &dataset, &mut parameters)?,
                Some(path) => {
                    let suited = transform_path::start(
                        config,
                        &tokenizer,
                        &path,
                        &dataset,
                        &mut parameters,
                    )?;
                    if let Some(bits) = suited {
                        progress.note(&format!(
                            "these pictures' own shares were model.transform.bits = {bits:?}"
                        ));
                    }
                }
            }
        }
        None => {}
    }
    let program = StepProgram::new(config, &tokenizer, parameters)?;
    let evaluator = evaluator((&config.data, &config.train), |folder| {
        Evaluator::new(config, folder, run.threads, run.device)
    })?;
    let notices = evaluator.iter().flat_map(Evaluator::notices);
    notices.for_each(|line| progress.note(line));
    let task = TokenizerTask {
        config,
        has_codebook_weight: program.has_codebook_weight,
        evaluator,
    };
    let program = Program {
        function: program.function,
        start: program.start,
        scalars: program.scalars.into_iter().map(String::from).collect(),
    };
    let settings = run.loop_settings(options, &config.train, config.optimizer.max_iter);
    Ok(train(&settings, folder, task, program, dataset, progress)?)
}

/// That training has all that a configuration asks for.
///
/// # Errors
/// [`TrainError::NotSupported`], with what to change.
pub fn check_supported(config: &Config) -> Result<(), TrainError> {
    let missing = left_out(&config.loss);
    match missing.is_empty() {
        true => Ok(()),
        false => {
            let [what, remedy] = [
                missing.iter().map(|x| x.what).collect::<Vec<_>>(),
                missing.iter().map(|x| x.remedy).collect(),
            ];
            Err(TrainError::NotSupported {
                what: what.join(" or "),
                remedy: remedy.join(" and "),
            })
        }
    }
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
            settings: self.config.to_toml(),
            seed: self.config.train.seed,
            metadata: Vec::new(),
        }
    }

    fn batch_size(&self) -> usize {
        self.config.data.batch_size
    }

    fn learning_rate(&self, step: u64) -> f64 {
        self.config.learning_rate(step)
    }

    fn inputs(&self, step: u64, batch: Batch) -> Result<NamedTensors, BoxError> {
        let image = HostTensor::from_slice(batch.shape, &batch.images)?;
        let mut inputs = vec![("image", image)];
        if self.has_codebook_weight {
            let weight = self.config.loss.codebook_weight_at(step) as f32;
            inputs.push(("codebook_weight", HostTensor::scalar(weight)?));
        }
        Ok(inputs)
    }

    fn changes(&self, old: &str) -> Result<Vec<Change>, BoxError> {
        changed(old, &self.identity())
    }

    fn hints(&self, done: u64, last: u64) -> Vec<String> {
        let why = "data.val_root is not set (--val)";
        let why = self.evaluator.is_none().then_some(why);
        let rate = |step| self.learning_rate(step);
        hints((done, last), &self.config.train, rate, why)
    }

    fn advice(&self) -> Advice {
        ADVICE
    }

    fn evaluate(&mut self, state: State<'_>) -> Result<Option<Evaluated>, BoxError> {
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
