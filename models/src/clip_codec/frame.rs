//! One frame to the bytes of its payload, and back.

use super::levels::{Differences, Levels};
use super::motion::{MotionCoder, MotionField, predict, search};
use crate::codec::{CodecError, SymbolDecoder};
use crate::image_io::{ImageSize, Picture};
use crate::photo::PhotoError;
use crate::pipeline::{CompileOptions, Fnv};
use crate::prior::PriorSessionError;
use crate::transform_codec::TransformCodecFile;
use crate::transform_codec::level_coder::LevelEncoder;
use bsq_runtime::{Precision, ProgramError};
use std::time::Duration;

/// What a bit of motion is worth: so many times the step, in absolute differences of luma.
const MOTION_BIT: f32 = 0.35;
/// The step of predicted frames, times: what a group begins with is seen in all its frames.
const PREDICTED_STEP: f32 = 1.15;

/// Transform codecs ready to code clips: one for the first frames of groups, and one for what predicted
/// frames lack.
pub struct ClipCodec {
    first: Levels,
    /// None if the first codes these, too.
    predicted: Option<Levels>,
    name: String,
    /// Of both together.
    fingerprint: u64,
    /// Of the first alone: streams that were written without the other are decoded so.
    first_fingerprint: u64,
    uses_predicted: bool,
    /// The finest and the coarsest step of the training.
    steps: [f32; 2],
}

/// What a frame came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameReport {
    /// What the probabilities ask for.
    pub motion_bits: f64,
    pub level_bits: f64,
}

/// What coding a frame depends on, and leaves for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameState {
    /// The frame before, as a decoder has it; none at the beginning of a group.
    before: Option<Picture>,
    coder: MotionCoder,
    /// Where an encoder's search begins.
    last: Option<MotionField>,
}

impl ClipCodec {
    /// `file` codes pictures, `predicted` what frames lack that are predicted; without one `file` codes
    /// that, too. Nothing is compiled yet.
    ///
    /// # Errors
    /// If the options are outside the promise of the same bits on every machine.
    pub fn new(
        file: &TransformCodecFile,
        predicted: Option<&TransformCodecFile>,
        options: CompileOptions,
    ) -> Result<ClipCodec, CodecError> {
        if options.precision != Precision::F32 || options.tf32 || !options.exact {
            return Err(PriorSessionError::NotExact.into());
        }
        let loss = &file.config.loss;
        Ok(ClipCodec {
            first: Levels::new(file, &options),
            predicted: predicted.map(|file| Levels::new(file, &options)),
            name: file.name.clone(),
            fingerprint: fingerprint(file, predicted),
            first_fingerprint: file.fingerprint(),
            uses_predicted: true,
            steps: [loss.step_min, loss.step_max].map(|step| step as f32),
        })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What streams name the model by.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The step of a quality from 0 to 100.
    pub fn step_of_quality(&self, quality: f32) -> f32 {
        let [fine, coarse] = self.steps.map(libm::logf);
        libm::expf(coarse + (fine - coarse) * quality / 100.0)
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        let levels = [Some(&self.first), self.predicted.as_ref()];
        levels.into_iter().flatten().map(Levels::compile_time).sum()
    }

    /// Makes ready for a stream that names the codec so; false if it is another's.
    pub(super) fn select(&mut self, fingerprint: u64) -> bool {
        self.uses_predicted = fingerprint == self.fingerprint;
        self.uses_predicted || fingerprint == self.first_fingerprint
    }

    /// The payload of a frame, which the state then has as the frame before.
    pub(super) fn encode(
        &mut self,
        frame: &Picture,
        step: f32,
        state: &mut FrameState,
    ) -> Result<(Vec<u8>, FrameReport), PhotoError> {
        let mut coder = LevelEncoder::default();
        let mut report = FrameReport::default();
        let expected = Expected::search(frame, step, state);
        if let Some(Expected { motion, .. }) = &expected {
            let coded = state.coder.code(&mut coder, frame.size(), motion);
            coded.expect("any field can be coded");
            report.motion_bits = coder.bits;
        }
        let (levels, step) = self.levels_of(expected.is_some(), step);
        let lacking = Differences::of(frame, expected.as_ref().map(|its| &its.picture));
        let (groups, found) = levels.write(&lacking, step, &mut coder).map_err(program)?;
        report.level_bits = coder.bits - report.motion_bits;
        let mut payload = groups;
        payload.extend(coder.coder.finish());
        state.follow(&found, expected);
        Ok((payload, report))
    }

    /// The frame of a payload, which the state then has, too. `None` if no encoder has written it.
    pub(super) fn decode(
        &mut self,
        payload: &[u8],
        (size, step): (ImageSize, f32),
        state: &mut FrameState,
    ) -> Result<Option<Picture>, PhotoError> {
        let (levels, step) = self.levels_of(state.before.is_some(), step);
        let Some((groups, coded)) = payload.split_at_checked(levels.parts()) else {
            return Ok(None);
        };
        let mut coder = SymbolDecoder::new(coded);
        let expected = match &state.before {
            None => None,
            Some(before) => {
                let still = MotionField::still(size);
                let Some(motion) = state.coder.code(&mut coder, size, &still) else {
                    return Ok(None);
                };
                let picture = predict(before, &motion);
                Some(Expected { picture, motion })
            }
        };
        let found = levels
            .read(groups, size, step, &mut coder)
            .map_err(program)?;
        let Some(found) = found.filter(|_| coder.is_exhausted()) else {
            return Ok(None);
        };
        let picture = state.follow(&found, expected);
        Ok(Some(picture.clone()))
    }

    /// What frames lack that are predicted from those before, as this codec has them at a step:
    /// differences `[height, width, 3]` of all frames but the first.
    ///
    /// # Errors
    /// If a program cannot be compiled or run.
    pub fn lacking(&mut self, frames: &[Picture], step: f32) -> Result<Vec<Vec<i16>>, PhotoError> {
        let (mut state, mut all) = (FrameState::default(), Vec::new());
        for frame in frames {
            let expected = Expected::search(frame, step, &state);
            let lacking = Differences::of(frame, expected.as_ref().map(|its| &its.picture));
            if expected.is_some() {
                all.push(lacking.values.iter().map(|&x| x as i16).collect());
            }
            let (levels, step) = self.levels_of(expected.is_some(), step);
            let found = levels.decoded(&lacking, step).map_err(program)?;
            state.follow(&found, expected);
        }
        Ok(all)
    }

    /// What codes a frame's levels, and the step that they have.
    fn levels_of(&mut self, is_predicted: bool, step: f32) -> (&mut Levels, f32) {
        let predicted = self.predicted.as_mut().filter(|_| self.uses_predicted);
        match (is_predicted, predicted) {
            (false, _) => (&mut self.first, step),
            (true, None) => (&mut self.first, PREDICTED_STEP * step),
            (true, Some(levels)) => (levels, PREDICTED_STEP * step),
        }
    }
}

/// What a frame is expected to be.
struct Expected {
    picture: Picture,
    motion: MotionField,
}

impl Expected {
    /// By the motion that an encoder finds; nothing is expected of the first frame of a group.
    fn search(frame: &Picture, step: f32, state: &FrameState) -> Option<Expected> {
        let before = state.before.as_ref()?;
        let still = MotionField::still(frame.size());
        let last = state.last.as_ref().unwrap_or(&still);
        let bit = (MOTION_BIT * step).round().max(1.0) as i64;
        let motion = search(before, frame, last, bit);
        let picture = predict(before, &motion);
        Some(Expected { picture, motion })
    }
}

impl FrameState {
    pub fn before(&self) -> Option<&Picture> {
        self.before.as_ref()
    }

    pub fn into_frame(self) -> Option<Picture> {
        self.before
    }

    /// The frame that differs by `found` from what was expected: the one before the next.
    fn follow(&mut self, found: &Differences, expected: Option<Expected>) -> &Picture {
        let picture = expected.as_ref().map(|expected| &expected.picture);
        let frame = found.frame(picture);
        self.last = expected.map(|expected| expected.motion);
        self.before.insert(frame)
    }
}

/// What streams name a codec by: the picture codec's own fingerprint, or one of both.
fn fingerprint(file: &TransformCodecFile, predicted: Option<&TransformCodecFile>) -> u64 {
    let Some(predicted) = predicted else {
        return file.fingerprint();
    };
    let mut hash = Fnv::default();
    hash.bytes(b"clip codec");
    hash.number(file.fingerprint());
    hash.number(predicted.fingerprint());
    hash.0
}

pub(super) fn program(error: ProgramError) -> PhotoError {
    PhotoError::Pipeline(error.into())
}
