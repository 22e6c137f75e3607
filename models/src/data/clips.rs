//! Clips as an endless sequence of batches: windows of real clips, and pans and zooms over pictures.
//!
//! Batch number `step` is a pure function of the files, the configuration, the seed and `step`, as that
//! of pictures is. Of clips and pictures both, half the samples are of either.

use super::clip_windows::{Sources, Window, files_of, picture_of};
use super::left_out::LeftOut;
use super::{Batch, DataError, Dataset, Draw, Purpose, fingerprint};
use crate::config::{DataConfig, ImageSize};
use crate::image_io::{Picture, PixelRange, append_planar};
use bsq_nn::BoxError;
use bsq_nn::data::{Batches, DataFingerprint};
use std::path::Path;

/// The clips and pictures of a folder.
pub struct ClipDataset {
    windows: Vec<Window>,
    pictures: Vec<Picture>,
    sources: Sources,
    size: ImageSize,
    batch_size: usize,
    range: PixelRange,
    uses_flips: bool,
    fingerprint: DataFingerprint,
    left_out: LeftOut,
}

impl ClipDataset {
    /// Reads a folder for clips of `frames` frames of a size.
    ///
    /// # Errors
    /// If the folder cannot be read, or has nothing as large as that.
    pub fn open(
        folder: &Path,
        config: &DataConfig,
        (size, frames): (ImageSize, usize),
        seed: u64,
    ) -> Result<ClipDataset, DataError> {
        let sources = Sources {
            side: size.height.max(size.width),
            frames,
            windows: config.clip_windows,
            motion: config.clip_motion,
            seed,
        };
        let ([clips, paths], notices) = files_of(folder)?;
        let names = clips.iter().chain(&paths).map(|path| {
            let length = std::fs::metadata(path).map_or(0, |file| file.len());
            (path.strip_prefix(folder).unwrap_or(path), length)
        });
        let mut data = ClipDataset {
            fingerprint: fingerprint::of_files(names),
            windows: Vec::new(),
            pictures: Vec::new(),
            size,
            batch_size: config.batch_size,
            range: config.pixel_range(),
            uses_flips: config.use_hflip,
            left_out: LeftOut::of_listing(notices),
            sources,
        };
        for (number, path) in clips.iter().enumerate() {
            match data.sources.of_clip(path, number as u64) {
                Ok(windows) => data.windows.extend(windows),
                Err(error) => data.left_out.add(&error),
            }
        }
        for path in paths {
            match picture_of(&path) {
                Ok(picture) if data.sources.suits(&picture) => data.pictures.push(picture),
                Ok(_) => {}
                Err(error) => data.left_out.add(&error),
            }
        }
        match data.windows.is_empty() && data.pictures.is_empty() {
            false => Ok(data),
            true => Err(DataError::NoClips {
                path: folder.into(),
                side: data.sources.side,
                frames,
            }),
        }
    }

    /// The frames of a sample, and whether they are mirrored.
    fn sample(&self, sample: u64) -> (Window, bool) {
        let mut draw = Draw::new(self.sources.seed, Purpose::Crop, sample);
        let flips = self.uses_flips && draw.below(2) == 1;
        let is_real = match (self.windows.is_empty(), self.pictures.is_empty()) {
            (true, _) => false,
            (_, true) => true,
            _ => draw.below(2) == 1,
        };
        let window = match is_real {
            true => self.windows[draw.below(self.windows.len())].clone(),
            false => {
                let picture = &self.pictures[draw.below(self.pictures.len())];
                let pan = self.sources.of_picture(picture, sample);
                pan.expect("small pictures are left out")
            }
        };
        (window, flips)
    }
}

impl Batches for ClipDataset {
    type Batch = Batch;

    /// `[batch, 3, frames, height, width]`.
    fn batch(&self, step: u64) -> Result<Batch, BoxError> {
        let (ImageSize { height, width }, frames) = (self.size, self.sources.frames);
        let plane = height * width;
        let mut images = vec![0.0; self.batch_size * 3 * frames * plane];
        for (number, clip) in images.chunks_exact_mut(3 * frames * plane).enumerate() {
            let sample = step * self.batch_size as u64 + number as u64;
            let (window, flips) = self.sample(sample);
            for (time, frame) in window.iter().enumerate() {
                let mut frame = crate::image_io::crop(frame, 0, 0, width, height);
                if flips {
                    let pixels = frame.rgb.chunks_exact(3 * width);
                    frame.rgb = pixels
                        .flat_map(|row| row.chunks_exact(3).rev().flatten().copied())
                        .collect();
                }
                let mut planes = Vec::with_capacity(3 * plane);
                append_planar(&frame, self.range, &mut planes);
                for (channel, values) in planes.chunks_exact(plane).enumerate() {
                    let at = (channel * frames + time) * plane;
                    clip[at..at + plane].copy_from_slice(values);
                }
            }
        }
        Ok(Batch {
            images,
            shape: vec![self.batch_size, 3, frames, height, width],
        })
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

/// What tokenizers are trained on.
pub enum TrainingData {
    Pictures(Dataset),
    Clips(ClipDataset),
}

impl Batches for TrainingData {
    type Batch = Batch;

    fn batch(&self, step: u64) -> Result<Batch, BoxError> {
        match self {
            TrainingData::Pictures(data) => Batches::batch(data, step),
            TrainingData::Clips(data) => data.batch(step),
        }
    }

    fn fingerprint(&self) -> DataFingerprint {
        match self {
            TrainingData::Pictures(data) => data.fingerprint(),
            TrainingData::Clips(data) => data.fingerprint(),
        }
    }

    fn notices(&self) -> Vec<String> {
        match self {
            TrainingData::Pictures(data) => Batches::notices(data),
            TrainingData::Clips(data) => data.notices(),
        }
    }

    fn broken(&self) -> usize {
        match self {
            TrainingData::Pictures(data) => data.broken(),
            TrainingData::Clips(data) => data.broken(),
        }
    }
}
