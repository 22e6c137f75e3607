//! Training a tokenizer on a folder of pictures.

use super::adversary::FACTOR;
use super::assembled::Assembled;
use super::rate::Rate;
use super::samples_shown::logged;
use super::suits::check_supported;
use super::task::{
    ADVICE, changed, check_freeze, check_readable, evaluator, hints, refuse_split, without_effect,
};
use super::{
    Evaluator, Progress, TrainError, TrainOptions, TrainOutcome, TrainRun, start, transform_coding,
    transform_path,
};
use crate::config::{Config, ConfigError, Initialisation};
use crate::data::{Batch, ClipDataset, Dataset, TrainingData};
use crate::lpips::{Backbone, Network};
use crate::metrics::Lpips;
use crate::pipeline::fingerprint;
use crate::tokenizer::Tokenizer;
use bsq_nn::BoxError;
use bsq_nn::data::NamedTensors;
use bsq_nn::train::{Advice, Change, Evaluated, Identity, State, Task, train};
use bsq_runtime::checkpoint::Weights;
use bsq_runtime::{CompileOptions, HostTensor};
use std::path::{Path, PathBuf};
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
    let folder = run.folder(options)?;
    let tokenizer = Tokenizer::new(&config.model);
    let specs = tokenizer.parameters();
    let names = specs.iter().map(|spec| spec.name.as_str());
    check_freeze(&config.train, names)?;
    let (size, seed) = (config.model.encoder.image_size, config.train.seed);
    let dataset = match tokenizer.frames() {
        1 => TrainingData::Pictures(Dataset::open(&run.data, &config.data, size, seed)?),
        frames => {
            refuse_split(&config.data, "of clips")?;
            let window = (size, frames);
            TrainingData::Clips(ClipDataset::open(&run.data, &config.data, window, seed)?)
        }
    };
    let mut parameters = tokenizer.init(seed)?;
    match &options.init_from {
        _ if folder.has_checkpoint() => {}
        Some(name) => parameters = start::tokenizer(name, config, &tokenizer, progress)?,
        None if config.train.init == Initialisation::TransformCoder => {
            let TrainingData::Pictures(dataset) = &dataset else {
                let reason = "is for tokenizers of pictures: one of clips begins with one of those (--init-from)";
                return Err(ConfigError::invalid("train.init", reason).into());
            };
            match tokenizer.transform_path() {
                None => transform_coding::start(config, dataset, &mut parameters)?,
                Some(path) => {
                    let suited =
                        transform_path::start(config, &tokenizer, &path, dataset, &mut parameters)?;
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
    let begun = fingerprint(&config.model, &parameters);
    let files = (&options.lpips[..], options.rate_prior.as_deref());
    let made = Assembled::new(config, &tokenizer, parameters, files, progress)?;
    if let (Some(rate), false) = (&made.rate, folder.has_checkpoint()) {
        rate.say_other(&begun, progress);
    }
    let evaluator = evaluator((&config.data, &config.train), &run.data, |pictures| {
        let evaluator =
            Evaluator::new(config, pictures, (run.threads, run.device), &options.ranks)?;
        measuring_lpips(evaluator, run, &options.lpips)
    })?;
    if evaluator.is_none() && made.lpips.is_none() && !options.lpips.is_empty() {
        let line = "the weights of LPIPS are of no use: loss.perceptual_weight is 0, and there are no pictures to evaluate on";
        progress.note(line);
    }
    let notices = evaluator.iter().flat_map(Evaluator::notices);
    notices.for_each(|line| progress.note(line));
    let unused = without_effect(&config.train);
    unused.iter().for_each(|line| progress.note(line));
    check_readable(options, evaluator.as_ref().map_or(0, Evaluator::broken))?;
    let task = TokenizerTask {
        config,
        has_codebook_weight: made.has_codebook_weight,
        has_adversary: made.has_adversary,
        lpips: made.lpips,
        rate_prior: made.rate.as_ref().map(Rate::fingerprint),
        evaluator,
    };
    let program = made.program;
    let settings = run.loop_settings(options, &config.train, config.optimizer.max_iter);
    Ok(train(
        &settings,
        folder,
        task,
        program,
        Arc::new(dataset),
        progress,
    )?)
}

struct TokenizerTask<'a> {
    config: &'a Config,
    has_codebook_weight: bool,
    has_adversary: bool,
    /// Of the weights of the perceptual loss.
    lpips: Option<String>,
    /// Of the prior of the rate.
    rate_prior: Option<String>,
    evaluator: Option<Evaluator>,
}

/// An evaluator that measures LPIPS, too, where there are weights: those of VGG16, as in the loss.
fn measuring_lpips(
    evaluator: Evaluator,
    run: &TrainRun,
    files: &[PathBuf],
) -> Result<Evaluator, TrainError> {
    if files.is_empty() {
        return Ok(evaluator);
    }
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let options = CompileOptions {
        threads: run.threads,
        device: run.device,
        ..CompileOptions::default()
    };
    let lpips = Lpips::with(Network::new(Backbone::Vgg16), &files, &options)?;
    Ok(evaluator.with_lpips(lpips))
}

impl Task for TokenizerTask<'_> {
    type Data = TrainingData;

    fn identity(&self) -> Identity {
        Identity {
            settings: self.config.to_toml(),
            seed: self.config.train.seed,
            metadata: [("lpips", &self.lpips), ("rate_prior", &self.rate_prior)]
                .into_iter()
                .filter_map(|(name, sum)| Some((name, sum.clone()?)))
                .collect(),
        }
    }

    fn batch_size(&self) -> usize {
        self.config.data.batch_size
    }

    fn learning_rate(&self, step: u64) -> f64 {
        self.config.learning_rate(step)
    }

    fn inputs(&self, step: u64, _index: u64, batch: Batch) -> Result<NamedTensors, BoxError> {
        let image = HostTensor::from_slice(batch.shape, &batch.images)?;
        let mut inputs = vec![("image", image)];
        if self.has_codebook_weight {
            let weight = self.config.loss.codebook_weight_at(step) as f32;
            inputs.push(("codebook_weight", HostTensor::scalar(weight)?));
        }
        if self.has_adversary {
            let begun = step >= self.config.loss.disc_start;
            let factor = if begun { 1.0_f32 } else { 0.0 };
            inputs.push((FACTOR, HostTensor::scalar(factor)?));
        }
        Ok(inputs)
    }

    fn changes(&self, old: &str) -> Result<Vec<Change>, BoxError> {
        changed(old, &self.identity())
    }

    fn hints(&self, done: u64, last: u64) -> Vec<String> {
        let why = "there are no pictures to evaluate on (--val, --val-fraction)";
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
        let evaluation = evaluator.evaluate(&state()?.parameters(Weights::Ema))?;
        let (psnr, ssim) = (evaluation.psnr(), evaluation.ssim());
        let mut line = format!("{psnr:.3} dB, SSIM {ssim:.4}");
        let mut scalars = vec![("eval/psnr", psnr), ("eval/ssim", ssim)];
        if let Some(lpips) = evaluation.lpips() {
            line += &format!(", LPIPS {lpips:.4}");
            scalars.push(("eval/lpips", lpips));
        }
        if let Some(share) = evaluation.codes_used {
            line += &format!(", {:.1}% of codes used", 100.0 * share);
            scalars.push(("eval/codes_used", share));
        }
        Ok(Some(Evaluated {
            line,
            scalars,
            pictures: logged(evaluation.samples),
            score: Some("eval/psnr"),
        }))
    }
}
