//! How well a tokenizer reconstructs clips: figures of each, and what I3D sees in them.
//!
//! A frame's shorter side is resized to the model's and its middle cut out. Of a clip the middle frames are
//! measured, or all there are room for. A model sees as many frames at once as it has; one of pictures sees them
//! one by one.

use super::EvaluationError;
use bsq::i3d::{CLASSES, I3d};
use bsq::image_io::resize::{Filter, resize_and_center_crop};
use bsq::image_io::{PixelRange, to_planar};
use bsq::lpips::{Backbone, Network};
use bsq::metrics::sets::{FeatureStatistics, frechet_distance};
use bsq::metrics::{Lpips, psnr, ssim};
use bsq::nn::layers::Interpolation;
use bsq::pipeline::{CompileOptions, ModelFile, TokenizerSession};
use bsq::video_io::{ClipOptions, open};
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::{HostTensor, Session, compile};
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
    i3d: Option<Session>,
}

impl ClipEvaluation {
    /// For clips of so many frames; weights that are not given leave their figure out.
    ///
    /// # Errors
    /// If weights are given and cannot be read.
    pub fn new(
        model: &ModelFile,
        frames: usize,
        (lpips, i3d): (&[PathBuf], Option<&Path>),
        options: &CompileOptions,
    ) -> Result<ClipEvaluation, EvaluationError> {
        let files: Vec<&Path> = lpips.iter().map(PathBuf::as_path).collect();
        let network = Network::new(Backbone::AlexNet);
        let lpips = (!files.is_empty()).then(|| Lpips::with(network, &files, options));
        let size = model.config.model.encoder.image_size;
        let side = size.height.min(size.width);
        let i3d = i3d.map(|weights| i3d_session(weights, frames, side, options));
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
        let logits = match self.i3d {
            Some(_) => Some([self.logits(wanted)?, self.logits(found)?]),
            None => None,
        };
        Ok((figures, logits))
    }

    fn logits(&mut self, frames: &[Vec<f32>]) -> Result<Vec<f32>, EvaluationError> {
        let Some(session) = &mut self.i3d else {
            return Ok(Vec::new());
        };
        let clip = by_colour(frames, self.side * self.side);
        let clip = HostTensor::from_slice([1, 3, self.frames, self.side, self.side], &clip)?;
        let outputs = session.run(&[("clip", &clip)])?;
        Ok(outputs["logits"].as_slice::<f32>()?.to_vec())
    }
}

/// Frames `[3, area]` as I3D takes them, `[3, frames, area]`.
fn by_colour(frames: &[Vec<f32>], area: usize) -> Vec<f32> {
    let plane = |colour: usize| {
        let own = move |frame: &Vec<f32>| frame[colour * area..][..area].to_vec();
        frames.iter().flat_map(own)
    };
    (0..3).flat_map(plane).collect()
}

/// From a clip `[1, 3, frames, side, side]` to its logits.
fn i3d_session(
    weights: &Path,
    frames: usize,
    side: usize,
    options: &CompileOptions,
) -> Result<Session, EvaluationError> {
    let graph = Graph::new();
    let clip = graph.input("clip", DType::F32, [1, 3, frames, side, side]);
    let logits = I3d.logits(&Scope::root(&graph), clip, Interpolation::Linear);
    let function = graph.function([("logits", logits.id())], []);
    Ok(compile(&function, options)?.bind(I3d.load(weights)?)?)
}

/// FVD: the distance of Frechet between I3D's logits of clips and of reconstructions; none of fewer than two.
pub fn fvd(logits: &[Logits]) -> Option<f64> {
    let [originals, found] = [0, 1].map(|side| {
        let rows: Vec<f32> = logits.iter().flat_map(|own| own[side].clone()).collect();
        (logits.len() >= 2).then(|| FeatureStatistics::of(&rows, CLASSES))
    });
    Some(frechet_distance(&originals?, &found?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_before_frames() {
        let frames = [
            vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            vec![7.0, 8.0, 9.0, 10.0, 11.0, 12.0],
        ];
        let expected = [1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12].map(|x| x as f32);
        assert_eq!(by_colour(&frames, 2), expected);
    }

    /// The distance of means that are `shift` apart in every class, with equal covariances.
    #[test]
    fn fvd_is_of_originals_and_reconstructions() {
        let own = |number: usize, shift: f32| {
            let logit = |class: usize| (number * class % 7) as f32 + shift;
            (0..CLASSES).map(logit).collect::<Vec<f32>>()
        };
        let clips = |shift| {
            (0..4)
                .map(|i| [own(i, 0.0), own(i, shift)])
                .collect::<Vec<Logits>>()
        };
        assert!(fvd(&clips(0.0)).unwrap().abs() < 1e-3);
        let found = fvd(&clips(0.5)).unwrap();
        assert!((found - 0.25 * CLASSES as f64).abs() < 1e-2, "{found}");
        assert!(fvd(&clips(0.5)[..1]).is_none());
    }
}
