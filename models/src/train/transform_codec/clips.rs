//! Training a transform codec for what frames of clips lack when they are predicted.

use super::super::task::check_freeze;
use super::super::{Progress, TrainError, TrainOptions, TrainOutcome, TrainRun};
use super::{Crops, TransformCodecTask, step_inputs, step_program};
use crate::clip_codec::ClipCodec;
use crate::config::TransformCodecConfig;
use crate::data::{PredictedBatch, PredictedError, PredictedFrames};
use crate::photo::PhotoError;
use crate::pipeline::CompileOptions;
use crate::pretrained;
use crate::transform_codec::{TransformCodec, parameter_specs};
use bsq_nn::BoxError;
use bsq_nn::data::NamedTensors;
use bsq_nn::train::train;
use bsq_runtime::HostTensor;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Coding the clips of a large folder takes minutes.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// Trains on the clips and pictures of a folder. It begins with the weights of the codec for pictures that
/// codes them; with those of the one that codes their predicted frames, if there is one; or with those of
/// another training.
///
/// # Errors
/// [`TrainError`]; what was saved before the error stays.
pub(super) fn run(
    run: &TrainRun<TransformCodecConfig>,
    options: &TrainOptions,
    progress: &mut dyn Progress,
) -> Result<TrainOutcome, TrainError> {
    let config = &run.config;
    let clips = config.clips.as_ref().expect("a training on clips");
    let folder = run.folder(options)?;
    let specs = parameter_specs(&TransformCodec::new(&config.model));
    check_freeze(&config.train, specs.iter().map(|spec| spec.name.as_str()))?;
    let compile = CompileOptions {
        threads: run.threads,
        ..CompileOptions::default()
    };
    let weights = |error| TrainError::WeightsFile(Box::new(error));
    let first = pretrained::open_codec(&clips.codec).map_err(weights)?;
    let predicted = |error: PredictedError| TrainError::Predicted(Box::new(error));
    let open = |path: &Path| pretrained::open_predicted(path, &first).map_err(weights);
    let earlier = clips.predicted.as_deref().map(open).transpose()?;
    let codec = ClipCodec::new(&first, earlier.as_ref(), compile);
    let mut codec = codec.map_err(|error| predicted(PhotoError::from(error).into()))?;
    progress.note(&format!(
        "coding the clips of {} to predict their frames",
        run.data.display()
    ));
    let mut said = Instant::now();
    let mut coded = |done: usize, of: usize| {
        if said.elapsed() >= BETWEEN_LINES {
            said = Instant::now();
            progress.note(&format!("coded {done} of {of}"));
        }
    };
    let dataset = PredictedFrames::open(&run.data, config, &mut codec, &mut coded);
    let dataset = dataset.map_err(predicted)?;
    progress.note(&format!(
        "{} predicted frames at each of {} steps",
        dataset.count(),
        clips.steps
    ));
    let start = options.init_from.as_deref().map(Path::new);
    let start = start.map(open).transpose()?.or(earlier);
    let parameters = match folder.has_checkpoint() {
        true => bsq_nn::init::init(&specs, config.train.seed)?,
        false => super::super::start::predicted(
            start.as_ref().unwrap_or(&first),
            config,
            &specs,
            progress,
        )?,
    };
    let program = step_program(config, parameters)?;
    let settings = run.loop_settings(options, &config.train, config.optimizer.max_iter);
    let task = TransformCodecTask::<PredictedFrames> {
        config,
        evaluator: None,
        without: "predicted frames are not evaluated while training",
        data: PhantomData,
    };
    Ok(train(
        &settings,
        folder,
        task,
        program,
        Arc::new(dataset),
        progress,
    )?)
}

impl Crops for PredictedBatch {
    fn inputs(
        &self,
        config: &TransformCodecConfig,
        step: u64,
        _index: u64,
    ) -> Result<NamedTensors, BoxError> {
        let mut inputs = step_inputs(config, step, (&self.shape, &self.images), &self.steps)?;
        if config.model.expected_features > 0 {
            let expected = [("expected", &self.expected), ("lacked", &self.lacked)];
            for (name, values) in expected {
                inputs.push((name, HostTensor::from_slice(self.shape, values)?));
            }
        }
        Ok(inputs)
    }
}
