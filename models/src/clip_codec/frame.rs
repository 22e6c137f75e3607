//! One frame to the bytes of its payload, and back.

use super::levels::{Differences, Expected, Levels, NOTHING};
use super::motion::{MotionCoder, MotionField, predict, search};
use super::stream::steps::{step_byte, step_of_byte};
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
const MOTION_BIT: f32 = 0.3;

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

/// A predicted frame with what is expected of it: what a codec for predicted frames is trained on.
#[derive(Clone, Debug)]
pub struct PredictedFrame {
    pub frame: Picture,
    /// What motion makes of the frame before.
    pub expected: Picture,
    /// What the frame before lacked, moved likewise: differences of samples, and 128.
    pub lacked: Picture,
    /// The step that it is coded at.
    pub step: f32,
}

/// What coding a frame depends on, and leaves for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameState {
    /// The frame before, as a decoder has it; none at the beginning of a group.
    before: Option<Picture>,
    /// What that frame lacked of what was expected, as [`Expected::lacked`]; none where nothing was.
    lacked: Option<Picture>,
    coder: MotionCoder,
    /// Where an encoder's search begins.
    last: Option<MotionField>,
    /// Frames before in the group.
    index: usize,
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

    /// The payload of a frame of a step, which the state then has as the frame before.
    pub(super) fn encode(
        &mut self,
        frame: &Picture,
        step: f32,
        state: &mut FrameState,
    ) -> Result<(Vec<u8>, FrameReport), PhotoError> {
        let mut coder = LevelEncoder::default();
        let mut report = FrameReport::default();
        let moved = state.search(frame, step);
        if let Some((motion, _)) = &moved {
            let coded = state.coder.code(&mut coder, frame.size(), motion);
            coded.expect("any field can be coded");
            report.motion_bits = coder.bits;
        }
        let expected = moved.as_ref().map(|(_, expected)| expected);
        let levels = self.levels_of(state.index);
        let lacking = Differences::of(frame, expected.map(|expected| &expected.picture));
        let (groups, found) = levels
            .write(&lacking, expected, step, &mut coder)
            .map_err(program)?;
        report.level_bits = coder.bits - report.motion_bits;
        let mut payload = groups;
        payload.extend(coder.coder.finish());
        state.follow(&found, moved);
        Ok((payload, report))
    }

    /// The frame of a payload, which the state then has, too. `None` if no encoder has written it.
    pub(super) fn decode(
        &mut self,
        payload: &[u8],
        (size, step): (ImageSize, f32),
        state: &mut FrameState,
    ) -> Result<Option<Picture>, PhotoError> {
        let levels = self.levels_of(state.index);
        let Some((groups, coded)) = payload.split_at_checked(levels.parts()) else {
            return Ok(None);
        };
        let mut coder = SymbolDecoder::new(coded);
        let motion = match state.before {
            None => None,
            Some(_) => {
                let still = MotionField::still(size);
                let Some(motion) = state.coder.code(&mut coder, size, &still) else {
                    return Ok(None);
                };
                Some(motion)
            }
        };
        let moved = motion.and_then(|motion| state.moved(motion));
        let expected = moved.as_ref().map(|(_, expected)| expected);
        let found = levels
            .read(groups, (size, step), expected, &mut coder)
            .map_err(program)?;
        let Some(found) = found.filter(|_| coder.is_exhausted()) else {
            return Ok(None);
        };
        let picture = state.follow(&found, moved);
        Ok(Some(picture.clone()))
    }

    /// All frames but the first as this codec codes them in a clip of a step, each with what it is expected
    /// to be.
    ///
    /// # Errors
    /// If a program cannot be compiled or run.
    pub fn predicted(
        &mut self,
        frames: &[Picture],
        step: f32,
    ) -> Result<Vec<PredictedFrame>, PhotoError> {
        let (mut state, mut all) = (FrameState::default(), Vec::new());
        for frame in frames {
            let step = step_of_byte(step_byte(state.index), step);
            let moved = state.search(frame, step);
            let expected = moved.as_ref().map(|(_, expected)| expected);
            let levels = self.levels_of(state.index);
            let lacking = Differences::of(frame, expected.map(|expected| &expected.picture));
            let found = levels.decoded(&lacking, expected, step).map_err(program)?;
            all.extend(expected.map(|expected| PredictedFrame {
                frame: frame.clone(),
                expected: expected.picture.clone(),
                lacked: expected.lacked.clone(),
                step,
            }));
            state.follow(&found, moved);
        }
        Ok(all)
    }

    /// What codes the levels of frame `index` of a group.
    fn levels_of(&mut self, index: usize) -> &mut Levels {
        let predicted = self.predicted.as_mut().filter(|_| self.uses_predicted);
        match predicted {
            Some(levels) if index > 0 => levels,
            _ => &mut self.first,
        }
    }
}

impl FrameState {
    pub fn before(&self) -> Option<&Picture> {
        self.before.as_ref()
    }

    /// Frames before in the group.
    pub fn index(&self) -> usize {
        self.index
    }

    pub fn into_frame(self) -> Option<Picture> {
        self.before
    }

    /// The motion that an encoder finds, and what it makes a frame expected to be; nothing is expected of
    /// the first frame of a group.
    fn search(&self, frame: &Picture, step: f32) -> Option<(MotionField, Expected)> {
        let before = self.before.as_ref()?;
        let still = MotionField::still(frame.size());
        let last = self.last.as_ref().unwrap_or(&still);
        let bit = (MOTION_BIT * step).round().max(1.0) as i64;
        self.moved(search(before, frame, last, bit))
    }

    /// What is expected of a frame, by its motion.
    fn moved(&self, motion: MotionField) -> Option<(MotionField, Expected)> {
        let before = self.before.as_ref()?;
        let expected = Expected {
            picture: predict(before, &motion),
            lacked: match &self.lacked {
                Some(lacked) => predict(lacked, &motion),
                None => {
                    let nothing = vec![NOTHING; before.rgb.len()];
                    Picture::new(before.width, before.height, nothing)
                }
            },
        };
        Some((motion, expected))
    }

    /// The frame that differs by `found` from what was expected: the one before the next.
    fn follow(&mut self, found: &Differences, moved: Option<(MotionField, Expected)>) -> &Picture {
        let picture = moved.as_ref().map(|(_, expected)| &expected.picture);
        let frame = found.frame(picture);
        self.lacked = picture.map(|picture| differences(&frame, picture));
        self.last = moved.map(|(motion, _)| motion);
        self.index += 1;
        self.before.insert(frame)
    }
}

/// What a frame lacked of what was expected, as [`Expected::lacked`].
fn differences(frame: &Picture, expected: &Picture) -> Picture {
    let difference = |(&a, &b): (&u8, &u8)| {
        let difference = i16::from(a) - i16::from(b) + i16::from(NOTHING);
        difference.clamp(0, 255) as u8
    };
    let samples = frame.rgb.iter().zip(&expected.rgb).map(difference);
    Picture::new(frame.width, frame.height, samples.collect())
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
