//! How well a tokenizer reconstructs clips: figures of each, and what I3D sees in them.
//!
//! A frame's shorter side is resized to the model's and its middle cut out. Of a clip the middle frames are
//! measured, or all there are room for. A model sees as many frames at once as it has; one of pictures sees them
//! one by one.

use super::{EvaluationError, I3dLogits};
use bsq::image_io::resize::{Filter, resize_and_center_crop};
use bsq::image_io::{PixelRange, to_planar};
use bsq::lpips::{Backbone, Network};
use bsq::metrics::{Lpips, psnr, ssim};
use bsq::pipeline::{CompileOptions, ModelFile, TokenizerSession};
use bsq::video_io::{ClipOptions, open};
use std::path::{Path, PathBuf};

/// The figures of a clip: means over its frames.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ClipFigures {
    /// Its file, as it is shown: not every path is UTF-8.
    pub path: String,
    /// The first frame that was measured.
    pub start: usize,
    pub psnr: f64,
    pub ssim: f64,
    /// None without weights.
    pub lpips: Option<f64>,
}

/// I3D's logits of a clip and of its reconstruction.
pub type Logits = [Vec<f32>; 2];

/// A tokenizer and what it is measured with.
pub struct ClipEvaluation {
    session: TokenizerSession,
    side: usize,
    frames: usize,
    range: PixelRange,
    filter: Filter,
    lpips: Option<Lpips>,
    i3d: Option<I3dLogits>,
}

impl ClipEvaluation {
    /// For clips of so many frames; weights that are not given leave their figure out.
    ///
    /// # Errors
    /// If weights are given and cannot be read.
    pub fn new(
        model: &ModelFile,
        frames: usize,
        (lpips, network): (&[PathBuf], Backbone),
        i3d: Option<&Path>,
        options: &CompileOptions,
    ) -> Result<ClipEvaluation, EvaluationError> {
        let files: Vec<&Path> = lpips.iter().map(PathBuf::as_path).collect();
        let network = Network::new(network);
        let lpips = (!files.is_empty()).then(|| Lpips::with(network, &files, options));
        let size = model.config.model.encoder.image_size;
        let side = size.height.min(size.width);
        let i3d = i3d.map(|weights| I3dLogits::new(weights, (frames, side), options));
        Ok(ClipEvaluation {
            session: TokenizerSession::new(model, options.clone()),
            side,
            frames,
            range: model.config.data.pixel_range(),
            filter: model.config.evaluation.interpolation,
            lpips: lpips.transpose()?,
            i3d: i3d.transpose()?,
        })
    }

    pub fn side(&self) -> usize {
        self.side
    }

    /// Reconstructs and measures the middle frames of a clip; with `every` as many times as its frames
    /// suffice for, one after another from the first.
    ///
    /// # Errors
    /// If it cannot be read or has too few frames, or the model cannot be run.
    pub fn measure(
        &mut self,
        path: &Path,
        every: bool,
    ) -> Result<Vec<(ClipFigures, Option<Logits>)>, EvaluationError> {
        let mut reader = open(path, &ClipOptions::default())?;
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame()? {
            frames.push(resize_and_center_crop(&frame, self.side, self.filter));
        }
        let (found, wanted) = (frames.len(), self.frames);
        if found < wanted {
            let path = path.to_path_buf();
            return Err(EvaluationError::ShortClip {
                path,
                found,
                wanted,
            });
        }
        let starts: Vec<usize> = match every {
            true => (0..found / wanted).map(|part| part * wanted).collect(),
            false => vec![(found - wanted) / 2],
        };
        let parts = starts.into_iter().map(|start| {
            let planes = |range| -> Vec<Vec<f32>> {
                let own = frames[start..start + wanted].iter();
                own.map(|frame| to_planar(frame, range)).collect()
            };
            let found = self.reconstructed(&planes(self.range))?;
            self.figures(path, start, &planes(PixelRange::MinusOneToOne), &found)
        });
        parts.collect()
    }

    /// Frames `[3, side, side]` in the model's range to what it makes of them, in -1..1.
    fn reconstructed(&mut self, frames: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, EvaluationError> {
        let each = 3 * self.side * self.side;
        let mut found = Vec::with_capacity(frames.len());
        for together in frames.chunks(self.session.frames()) {
            let tokens = self
                .session
                .encode_clips(&together.concat(), together.len())?;
            let values = self.session.decode_clips(&tokens, together.len())?;
            found.extend(values.chunks_exact(each).map(<[f32]>::to_vec));
        }
        if self.range == PixelRange::ZeroToOne {
            found.iter_mut().flatten().for_each(|x| *x = *x * 2.0 - 1.0);
        }
        Ok(found)
    }

    fn figures(
        &mut self,
        path: &Path,
        start: usize,
        wanted: &[Vec<f32>],
        found: &[Vec<f32>],
    ) -> Result<(ClipFigures, Option<Logits>), EvaluationError> {
        let shape = [3, self.side, self.side];
        let (mut of_psnr, mut of_ssim, mut of_lpips) = (0.0, 0.0, None);
        for (a, b) in wanted.iter().zip(found) {
            of_psnr += psnr(a, b);
            of_ssim += ssim(a, b, shape);
            if let Some(lpips) = &mut self.lpips
                && let Some(distance) = lpips.distance(a, b, [self.side; 2])?
            {
                *of_lpips.get_or_insert(0.0) += distance;
            }
        }
        let count = wanted.len() as f64;
        let figures = ClipFigures {
            path: path.display().to_string(),
            start,
            psnr: of_psnr / count,
            ssim: of_ssim / count,
            lpips: of_lpips.map(|sum: f64| sum / count),
        };
        let logits = match &mut self.i3d {
            Some(i3d) => Some([i3d.of(wanted)?, i3d.of(found)?]),
            None => None,
        };
        Ok((figures, logits))
    }
}
