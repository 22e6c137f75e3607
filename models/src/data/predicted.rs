//! What frames of clips lack when they are predicted from the frame before: what a transform codec
//! for predicted frames is trained on.
//!
//! Clips are coded once, when the data is opened, at a few steps, by the codec that is there: so a frame
//! is predicted from what a decoder has, with its errors, and by motion that was searched. A crop is
//! trained at steps near the one that its clip was coded at.

use super::clip_windows::{Sources, Window, files_of, picture_of};
use super::left_out::LeftOut;
use super::{DataError, Draw, Purpose};
use crate::clip_codec::{ClipCodec, PredictedFrame};
use crate::config::TransformCodecConfig;
use crate::image_io::Picture;
use crate::photo::PhotoError;
use bsq_nn::BoxError;
use bsq_nn::data::{Batches, DataFingerprint};
use std::path::Path;

/// How far a crop's step may be from that of its frame: the logarithm of their quotient.
const NEAR: f64 = 0.2;

/// Crops for one step.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedBatch {
    /// What predictions lack, `[batch, 3, height, width]`: differences of samples over 127.5.
    pub images: Vec<f32>,
    /// What the frames are expected to be, in -1..1, of the same shape.
    pub expected: Vec<f32>,
    /// What the frames before lacked, moved likewise, as `images`.
    pub lacked: Vec<f32>,
    pub shape: [usize; 4],
    /// The step of each crop, in levels of a sample.
    pub steps: Vec<f32>,
}

/// What frames lack, at each of some steps.
pub struct PredictedFrames {
    /// By step, ascending: of `side` squared.
    frames: Vec<Vec<PredictedFrame>>,
    side: usize,
    crop: usize,
    batch_size: usize,
    /// The smallest and the largest step.
    range: [f64; 2],
    seed: u64,
    fingerprint: DataFingerprint,
    left_out: LeftOut,
}

impl PredictedFrames {
    /// Codes the clips and pictures of a folder. `progress` hears how many of them are done, of how
    /// many.
    ///
    /// # Errors
    /// If the configuration is not one of clips, or the folder cannot be read, or has neither.
    pub fn open(
        folder: &Path,
        config: &TransformCodecConfig,
        codec: &mut ClipCodec,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<PredictedFrames, PredictedError> {
        let clips_config = config.clips.as_ref().ok_or(PredictedError::NoClips)?;
        let seed = config.train.seed;
        let sources = Sources {
            side: clips_config.side,
            frames: clips_config.frames,
            windows: config.data.clip_windows,
            motion: config.data.clip_motion,
            seed,
        };
        let ([clips, pictures], notices) = files_of(folder)?;
        let range = [config.loss.step_min, config.loss.step_max];
        let mut data = PredictedFrames {
            frames: vec![Vec::new(); clips_config.steps],
            side: clips_config.side,
            crop: config.crop().width,
            batch_size: config.data.batch_size,
            range,
            seed,
            fingerprint: super::fingerprint::of_files(clips.iter().chain(&pictures).map(|path| {
                let length = std::fs::metadata(path).map_or(0, |file| file.len());
                (path.strip_prefix(folder).unwrap_or(path), length)
            })),
            left_out: LeftOut::of_listing(notices),
        };
        let all = clips.len() + pictures.len();
        for (number, path) in clips.iter().chain(&pictures).enumerate() {
            let windows = match number < clips.len() {
                true => sources
                    .of_clip(path, number as u64)
                    .map_err(|error| error.to_string()),
                false => picture_of(path)
                    .map(|picture| {
                        sources
                            .of_picture(&picture, number as u64)
                            .into_iter()
                            .collect()
                    })
                    .map_err(|error| error.to_string()),
            };
            match windows {
                Ok(windows) => windows
                    .iter()
                    .try_for_each(|window| data.add(window, codec))?,
                Err(error) => data.left_out.add(&error),
            }
            progress(number + 1, all);
        }
        match data.frames.iter().any(Vec::is_empty) {
            true => Err(PredictedError::Small { side: data.side }),
            false => Ok(data),
        }
    }

    /// Codes a window at every step.
    fn add(&mut self, window: &Window, codec: &mut ClipCodec) -> Result<(), PhotoError> {
        for part in 0..self.frames.len() {
            let step = self.step((part as f64 + 0.5) / self.frames.len() as f64);
            self.frames[part].extend(codec.predicted(window, step)?);
        }
        Ok(())
    }

    /// The step at a place from 0 to 1 in their range.
    fn step(&self, place: f64) -> f32 {
        let [low, high] = self.range;
        (low * libm::exp(libm::log(high / low) * place)) as f32
    }

    /// How many frames there are at each step.
    pub fn count(&self) -> usize {
        self.frames[0].len()
    }

    /// A crop: a part of the range of steps in turn, then one of its frames, a place in it, and a
    /// step near the one that it was coded at.
    fn crop(&self, sample: u64, batch: &mut PredictedBatch) {
        let mut draw = Draw::new(self.seed, Purpose::Crop, sample);
        let parts = self.frames.len();
        let part = (sample % parts as u64) as usize;
        let frames = &self.frames[part];
        let frame = &frames[draw.below(frames.len())];
        let [top, left] = [(); 2].map(|()| draw.between(0, self.side - self.crop));
        let flips = draw.below(2) == 1;
        for channel in 0..3 {
            for y in 0..self.crop {
                for x in 0..self.crop {
                    let x = if flips { self.crop - 1 - x } else { x };
                    let at = 3 * ((top + y) * self.side + left + x) + channel;
                    let of = |picture: &Picture| f32::from(picture.rgb[at]);
                    let expected = of(&frame.expected);
                    batch.images.push((of(&frame.frame) - expected) / 127.5);
                    batch.expected.push(expected / 127.5 - 1.0);
                    batch.lacked.push((of(&frame.lacked) - 128.0) / 127.5);
                }
            }
        }
        let near = libm::exp(draw.uniform(-NEAR, NEAR));
        batch.steps.push(frame.step * near as f32);
    }
}

impl Batches for PredictedFrames {
    type Batch = PredictedBatch;

    fn batch(&self, step: u64) -> Result<PredictedBatch, BoxError> {
        let shape = [self.batch_size, 3, self.crop, self.crop];
        let pixels = || Vec::with_capacity(shape.iter().product());
        let mut batch = PredictedBatch {
            images: pixels(),
            expected: pixels(),
            lacked: pixels(),
            shape,
            steps: Vec::new(),
        };
        let first = step * self.batch_size as u64;
        (first..first + self.batch_size as u64).for_each(|sample| self.crop(sample, &mut batch));
        Ok(batch)
    }

    fn fingerprint(&self) -> DataFingerprint {
        self.fingerprint
    }

    fn notices(&self) -> Vec<String> {
        self.left_out.take_lines()
    }

    fn broken(&self) -> usize {
        self.left_out.broken()
    }
}

/// Why there is nothing to train on.
#[derive(Debug, thiserror::Error)]
pub enum PredictedError {
    /// The folder cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The configuration is that of a codec of pictures.
    #[error("the configuration has no section [clips]: it is not one of predicted frames")]
    NoClips,
    /// Clips cannot be coded.
    #[error(transparent)]
    Codec(#[from] PhotoError),
    /// Nothing is large enough.
    #[error(
        "no clip and no picture of the folder is as large as clips.side, {side} pixels, and has two frames or more"
    )]
    Small { side: usize },
}
