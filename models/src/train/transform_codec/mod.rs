//! Training a transform codec on a folder of pictures: transform, networks and context model in one.
//!
//! A first stage (`configs/default.toml`) begins with the transform of the pictures and minimises
//! squared error and bits. A second (`configs/default_ms_ssim.toml`) begins with the averaged
//! weights of the first (`--init-from`) and has MS-SSIM in its loss; its steps count from 0, its
//! optimizer is fresh, and its encoder waits for its own `encoder_start`.

mod clips;
mod evaluate;
mod start;

pub use evaluate::{RatePoint, TransformCodecEvaluator};

use super::task::{
    ADVICE, changed, check_freeze, check_readable, evaluator, hints, refuse_split, trained,
    without_effect,
};
use super::{Progress, TrainError, TrainOptions, TrainOutcome, TrainRun};
use crate::config::TransformCodecConfig;
use crate::data::{Batch, Dataset, Draw, Purpose};
use crate::transform_codec::{
    Expected, TransformCodec, is_of_encoder, parameter_specs, rate_distortion,
};
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::BoxError;
use bsq_nn::data::{Batches, NamedTensors};
use bsq_nn::optimizer::{Step, minimize_with_gradients};
use bsq_nn::train::{Advice, Change, Evaluated, Identity, Program, State, Task, train};
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::Weights;
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::TensorError;
use std::marker::PhantomData;
use std::sync::Arc;

/// Trains a transform codec. It begins with the transform of the training's own pictures, or with the
/// weights of another training of the same model.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub fn run_transform_codec(
    run: &TrainRun<TransformCodecConfig>,
    options: &TrainOptions,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let config = &run.config;
    if config.clips.is_some() {
        refuse_split(&config.data, "of predicted frames")?;
        return clips::run(run, options, progress);
    }
    let folder = run.folder(options)?;
    let codec = TransformCodec::new(&config.model);
    let dataset = Dataset::open(&run.data, &config.data, config.crop(), config.train.seed)?;
    let dataset = Arc::new(dataset);
    let specs = parameter_specs(&codec);
    let names = specs.iter().map(|spec| spec.name.as_str());
    check_freeze(&config.train, names)?;
    let mut parameters = bsq_nn::init::init(&specs, config.train.seed)?;
    match &options.init_from {
        _ if folder.has_checkpoint() => {}
        Some(name) => parameters = super::start::transform_codec(name, config)?,
        None => start::transform(config, &codec, &dataset, &mut parameters)?,
    }
    let program = step_program(config, parameters)?;
    let evaluator = evaluator((&config.data, &config.train), &run.data, |pictures| {
        TransformCodecEvaluator::new(config, pictures, (run.threads, run.device), &options.ranks)
    })?;
    let notices = evaluator.iter().flat_map(TransformCodecEvaluator::notices);
    notices.for_each(|line| progress.note(line));
    let unused = without_effect(&config.train);
    unused.iter().for_each(|line| progress.note(line));
    check_readable(
        options,
        evaluator
            .as_ref()
            .map_or(0, TransformCodecEvaluator::broken),
    )?;
    let settings = run.loop_settings(options, &config.train, config.optimizer.max_iter);
    let task = TransformCodecTask {
        config,
        evaluator,
        without: "there are no pictures to evaluate on (--val, --val-fraction)",
        data: PhantomData,
    };
    Ok(train(&settings, folder, task, program, dataset, progress)?)
}

/// A whole training step: forward, loss, backward, optimizer and the moving average.
///
/// Inputs: `image` (`f32[batch, 3, height, width]` in -1..1), `step` (`f32[batch]`, in levels of a
/// sample), `train_encoder` (`f32[]`, 0 or 1) and `lr`; of predicted frames also `expected` and `lacked`, as
/// [`Expected`] has them. Outputs: `loss`, and of each crop `bits_per_pixel.I` and `psnr.I` (of
/// unrounded pixels); crop I's step is from part I of the range of steps.
///
/// # Errors
/// If memory runs out.
///
/// # Panics
/// If `parameters` lacks one of the model's.
pub fn step_program(
    config: &TransformCodecConfig,
    parameters: Tensors,
) -> Result<Program, TensorError> {
    let graph = Graph::new();
    Program::new(&build(&graph, config), parameters)
}

fn build<'g>(graph: &'g Graph, config: &TransformCodecConfig) -> Step<'g> {
    let scope = Scope::root(graph);
    let (crop, batch) = (config.crop(), config.data.batch_size);
    let picture = |name| graph.input(name, DType::F32, [batch, 3, crop.height, crop.width]);
    let image = picture("image");
    let size = graph.input("step", DType::F32, [batch]);
    let expected = (config.model.expected_features > 0).then(|| Expected {
        picture: picture("expected"),
        lacked: picture("lacked"),
    });
    let forward = TransformCodec::new(&config.model).forward(&scope, image, size, expected);
    let figures = rate_distortion(&config.loss, &forward, image, size);
    let rule = config.optimizer.rule(graph.scalar("lr"), "");
    let trained = trained(&scope, &config.train).into_iter();
    let (names, trained): (Vec<String>, Vec<Tensor<'g>>) = trained.unzip();
    // Multiplied by zero as long as the encoder is not trained: the optimizer's state stays zero, too.
    let gate = graph.scalar("train_encoder");
    let gated = |(name, gradient): (&String, Tensor<'g>)| match is_of_encoder(name) {
        true => gradient * gate,
        false => gradient,
    };
    let found = gradients(figures.loss, &trained);
    let found: Vec<_> = names.iter().zip(found).map(gated).collect();
    let mut step = minimize_with_gradients(&trained, &found, &*rule).output("loss", figures.loss);
    if config.train.logs_gradient_norm(&config.optimizer) {
        step = step.with_gradient_norm();
    }
    if config.train.use_ema {
        step = step.with_average(config.train.ema_decay);
    }
    // 10 log10(255^2 / error).
    let decibels = |error: Tensor<'g>| {
        let scale = 10.0 * std::f64::consts::LOG10_E;
        (error.log() - 2.0 * libm::log(255.0)) * -scale
    };
    for crop in 0..batch {
        let of = |figure: Tensor<'g>| figure.slice(0, crop..crop + 1).squeeze(0);
        let psnr = decibels(of(figures.mean_squared_error));
        step = step
            .output(
                &format!("bits_per_pixel.{crop}"),
                of(figures.bits_per_pixel),
            )
            .output(&format!("psnr.{crop}"), psnr);
    }
    step
}

/// What a step takes: images, and the quantizer step of each.
fn step_inputs(
    config: &TransformCodecConfig,
    step: u64,
    (shape, images): (&[usize], &[f32]),
    steps: &[f32],
) -> Result<NamedTensors, BoxError> {
    let trains_encoder = step >= config.loss.encoder_start;
    Ok(vec![
        ("image", HostTensor::from_slice(shape.to_vec(), images)?),
        ("step", HostTensor::from_slice([steps.len()], steps)?),
        (
            "train_encoder",
            HostTensor::scalar(f32::from(trains_encoder))?,
        ),
    ])
}

/// What a step is made of: crops of pictures, or of what predicted frames lack.
trait Crops {
    /// The inputs of a step's batch, which is number `index` of the training.
    fn inputs(
        &self,
        config: &TransformCodecConfig,
        step: u64,
        index: u64,
    ) -> Result<NamedTensors, BoxError>;
}

impl Crops for Batch {
    fn inputs(
        &self,
        config: &TransformCodecConfig,
        step: u64,
        index: u64,
    ) -> Result<NamedTensors, BoxError> {
        let steps = quantizer_steps(config, index);
        step_inputs(config, step, (&self.shape, &self.images), &steps)
    }
}

/// The quantizer step of each crop of a batch: one log-uniformly from each of as many equal parts of the
/// range as there are crops.
fn quantizer_steps(config: &TransformCodecConfig, index: u64) -> Vec<f32> {
    let (batch, loss) = (config.data.batch_size, &config.loss);
    let ratio = libm::log(loss.step_max / loss.step_min);
    let of_crop = |crop: usize| {
        let sample = index * batch as u64 + crop as u64;
        let mut draw = Draw::new(config.train.seed, Purpose::QuantizerStep, sample);
        let place = (crop as f64 + draw.uniform(0.0, 1.0)) / batch as f64;
        (loss.step_min * libm::exp(ratio * place)) as f32
    };
    (0..batch).map(of_crop).collect()
}

struct TransformCodecTask<'a, D> {
    config: &'a TransformCodecConfig,
    evaluator: Option<TransformCodecEvaluator>,
    /// Why there is no evaluation, where there is none.
    without: &'static str,
    data: PhantomData<D>,
}

impl<D: Batches> Task for TransformCodecTask<'_, D>
where
    D::Batch: Crops,
{
    type Data = D;

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

    fn inputs(&self, step: u64, index: u64, batch: D::Batch) -> Result<NamedTensors, BoxError> {
        batch.inputs(self.config, step, index)
    }

    fn changes(&self, old: &str) -> Result<Vec<Change>, BoxError> {
        changed(old, &self.identity())
    }

    fn hints(&self, done: u64, last: u64) -> Vec<String> {
        let why = self.evaluator.is_none().then_some(self.without);
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
        let points = evaluator.evaluate(&state()?.parameters(Weights::Ema))?;
        Ok(Some(evaluate::evaluated(&points, evaluator.take_samples())))
    }
}
