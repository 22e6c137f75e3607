//! One frame to the bytes of its payload, and back.

use super::motion::{MotionCoder, MotionField, predict, search};
use crate::codec::{CodecError, SymbolDecoder};
use crate::image_io::{ImageSize, Picture};
use crate::photo::PhotoError;
use crate::pipeline::CompileOptions;
use crate::prior::PriorSessionError;
use crate::transform_codec::level_coder::LevelEncoder;
use crate::transform_codec::{
    ContextCoder, PIXEL_SCALE, PartLevels, TransformCodec, TransformCodecFile,
    TransformCodecSession,
};
use bsq_runtime::{Precision, ProgramError};
use std::time::Duration;

/// What a bit of motion is worth: so many times the step, in absolute differences of luma.
const MOTION_BIT: f32 = 0.35;
/// The step of predicted frames, times: what a group begins with is seen in all its frames.
const PREDICTED_STEP: f32 = 1.15;

/// A transform codec ready to code clips.
pub struct ClipCodec {
    codec: TransformCodec,
    name: String,
    fingerprint: u64,
    session: TransformCodecSession,
    contexts: ContextCoder,
    /// The finest and the coarsest step of the training.
    steps: [f32; 2],
}

/// What a frame came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameReport {
    pub is_predicted: bool,
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
    /// Nothing is compiled yet.
    ///
    /// # Errors
    /// If the options are outside the promise of the same bits on every machine.
    pub fn new(
        file: &TransformCodecFile,
        options: CompileOptions,
    ) -> Result<ClipCodec, CodecError> {
        if options.precision != Precision::F32 || options.tf32 || !options.exact {
            return Err(PriorSessionError::NotExact.into());
        }
        let (codec, parameters) = (&file.codec, &file.parameters);
        let loss = &file.config.loss;
        Ok(ClipCodec {
            codec: codec.clone(),
            name: file.name.clone(),
            fingerprint: file.fingerprint(),
            session: TransformCodecSession::new(codec.clone(), parameters.clone(), options.clone()),
            contexts: ContextCoder::new(codec.clone(), parameters.clone(), options),
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
        self.session.compile_time() + self.contexts.compile_time()
    }

    /// The payload of a frame, which the state then has as the frame before.
    pub(super) fn encode(
        &mut self,
        frame: &Picture,
        step: f32,
        state: &mut FrameState,
    ) -> Result<(Vec<u8>, FrameReport), PhotoError> {
        let size = frame.size();
        let mut coder = LevelEncoder::default();
        let mut report = FrameReport::default();
        let (prediction, step) = match &state.before {
            None => (None, step),
            Some(before) => {
                let still = MotionField::still(size);
                let last = state.last.as_ref().unwrap_or(&still);
                let bit = (MOTION_BIT * step).round().max(1.0) as i64;
                let motion = search(before, frame, last, bit);
                let coded = state.coder.code(&mut coder, size, &motion);
                coded.expect("any field can be coded");
                report.is_predicted = true;
                report.motion_bits = coder.bits;
                let prediction = predict(before, &motion);
                state.last = Some(motion);
                (Some(prediction), PREDICTED_STEP * step)
            }
        };
        let padded = self.padded(size);
        let image = planes(frame, prediction.as_ref(), padded);
        let mut levels = self.session.levels(&image, padded, step).map_err(program)?;
        let parts = self
            .contexts
            .write(&mut levels, step, &mut coder)
            .map_err(program)?;
        report.level_bits = parts.iter().map(|(_, bits)| bits).sum();
        let mut payload: Vec<u8> = parts.iter().map(|(groups, _)| *groups).collect();
        payload.extend(coder.coder.finish());
        state.before = Some(self.picture(&levels, prediction, size, step)?);
        Ok((payload, report))
    }

    /// The frame of a payload, which the state then has, too. `None` if no encoder has written it.
    pub(super) fn decode(
        &mut self,
        payload: &[u8],
        (size, step): (ImageSize, f32),
        state: &mut FrameState,
    ) -> Result<Option<Picture>, PhotoError> {
        let parts = self.codec.parts();
        let Some((groups, coded)) = payload.split_at_checked(parts.len()) else {
            return Ok(None);
        };
        let mut coder = SymbolDecoder::new(coded);
        let (prediction, step) = match &state.before {
            None => (None, step),
            Some(before) => {
                let still = MotionField::still(size);
                let Some(motion) = state.coder.code(&mut coder, size, &still) else {
                    return Ok(None);
                };
                (Some(predict(before, &motion)), PREDICTED_STEP * step)
            }
        };
        let padded = self.padded(size);
        let empty = |part: &crate::transform_codec::Part| {
            let [rows, columns] = padded.map(|side| side / part.kind.patch());
            PartLevels::zeros(rows, columns, part.context.coordinates)
        };
        let mut levels: Vec<PartLevels> = parts.iter().map(empty).collect();
        let read = self.contexts.read(groups, &mut levels, step, &mut coder);
        if !read.map_err(program)? || !coder.is_exhausted() {
            return Ok(None);
        }
        let picture = self.picture(&levels, prediction, size, step)?;
        state.before = Some(picture.clone());
        Ok(Some(picture))
    }

    fn padded(&self, size: ImageSize) -> [usize; 2] {
        let alignment = self.codec.config().alignment();
        [size.height, size.width].map(|side| side.next_multiple_of(alignment))
    }

    /// The frame that a decoder makes of levels.
    fn picture(
        &mut self,
        levels: &[PartLevels],
        prediction: Option<Picture>,
        size: ImageSize,
        step: f32,
    ) -> Result<Picture, PhotoError> {
        let pixels = self.session.pixels(levels, step).map_err(program)?;
        let padded = self.padded(size);
        let (plane, ImageSize { height, width }) = (padded[0] * padded[1], size);
        let mut rgb = Vec::with_capacity(3 * height * width);
        for y in 0..height {
            for x in 0..width {
                for channel in 0..3 {
                    let found = pixels[channel * plane + y * padded[1] + x];
                    // `as` saturates and sends what is not a number to zero.
                    rgb.push(match &prediction {
                        None => found.round() as u8,
                        Some(prediction) => {
                            let expected = prediction.rgb[3 * (y * width + x) + channel];
                            (f32::from(expected) + (found - PIXEL_SCALE as f32)).round() as u8
                        }
                    });
                }
            }
        }
        Ok(Picture::new(width, height, rgb))
    }
}

/// Planes of a frame in -1..1, or of what a prediction lacks in the same unit; rows and columns outside
/// are as the nearest inside.
fn planes(frame: &Picture, prediction: Option<&Picture>, [rows, columns]: [usize; 2]) -> Vec<f32> {
    let scale = 1.0 / PIXEL_SCALE as f32;
    let mut planes = Vec::with_capacity(3 * rows * columns);
    for channel in 0..3 {
        for y in 0..rows {
            let row = y.min(frame.height - 1) * frame.width;
            for x in 0..columns {
                let at = 3 * (row + x.min(frame.width - 1)) + channel;
                let sample = f32::from(frame.rgb[at]);
                let zero =
                    prediction.map_or(PIXEL_SCALE as f32, |picture| f32::from(picture.rgb[at]));
                planes.push((sample - zero) * scale);
            }
        }
    }
    planes
}

pub(super) fn program(error: ProgramError) -> PhotoError {
    PhotoError::Pipeline(error.into())
}
