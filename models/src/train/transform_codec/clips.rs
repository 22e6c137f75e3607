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
use std::marker::PhantomData;
use std::sync::Arc;

/// Trains on the clips and pictures of a folder. It begins with the weights of the codec that codes
/// them, or with those of another training.
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
    let codec = pretrained::open_codec(&clips.codec);
    let codec = codec.map_err(|error| TrainError::WeightsFile(Box::new(error)))?;
    let predicted = |error: PredictedError| TrainError::Predicted(Box::new(error));
    let codec = ClipCodec::new(&codec, None, compile);
    let mut codec = codec.map_err(|error| predicted(PhotoError::from(error).into()))?;
    progress.note(&format!(
        "coding the clips of {} to predict their frames",
        run.data.display()
    ));
    let dataset =
        PredictedFrames::open(&run.data, config, &mut codec, &mut |_, _| {}).map_err(predicted)?;
    progress.note(&format!(
        "{} predicted frames at each of {} steps",
        dataset.count(),
        clips.steps
    ));
    let start = options.init_from.as_deref().unwrap_or(&clips.codec);
    let parameters = match folder.has_checkpoint() {
        true => bsq_nn::init::init(&specs, config.train.seed)?,
        false => super::super::start::transform_codec(start, config)?,
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
        step_inputs(config, step, (&self.shape, &self.images), &self.steps)
    }
}
