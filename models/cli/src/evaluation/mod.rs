//! How well a tokenizer reconstructs the pictures of a folder: figures of each and of all.
//!
//! Pictures are prepared as the reference does: the shorter side resized to the model's, the middle
//! cut out. Figures compare the original with the reconstruction as it is, not rounded to 8 bits.

mod clips;
mod i3d;
mod page;
mod samples;
mod seen;
mod sets;
mod worst;

pub use clips::{ClipEvaluation, ClipFigures, Logits};
pub use i3d::{I3dLogits, fvd};
pub(crate) use page::columns;
pub use page::html_page;
pub use samples::compare_samples;
pub use seen::Seen;
pub use sets::{SetFigures, Sets};
pub use worst::Worst;

use bsq::image_io::resize::{Filter, resize_and_center_crop};
use bsq::image_io::{Picture, PixelRange, encode_png, from_planar, load, to_planar};
use bsq::lpips::{Backbone, Network};
use bsq::metrics::{Lpips, LpipsError, ms_ssim, psnr, ssim};
use bsq::pipeline::{CompileOptions, ModelFile, PipelineError, TokenizerSession};
use std::path::{Path, PathBuf};

/// Why a picture could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    #[error(transparent)]
    Image(#[from] bsq::image_io::ImageError),
    #[error(transparent)]
    Video(#[from] bsq::video_io::VideoError),
    #[error("{path}: has {found} frames, and {wanted} are measured (--frames)", path = path.display())]
    ShortClip {
        path: PathBuf,
        found: usize,
        wanted: usize,
    },
    #[error(transparent)]
    I3d(#[from] bsq::i3d::I3dError),
    #[error(transparent)]
    Model(#[from] PipelineError),
    #[error(transparent)]
    Lpips(#[from] LpipsError),
    #[error(transparent)]
    Inception(#[from] bsq::inception::InceptionError),
    #[error(transparent)]
    Program(#[from] bsq_runtime::ProgramError),
    #[error(transparent)]
    Tensor(#[from] bsq_runtime::tensor_data::TensorError),
    #[error(transparent)]
    Statistics(#[from] bsq::metrics::sets::NpzError),
}

/// The figures of a picture.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct PictureFigures {
    /// Its file, as it is shown: not every path is UTF-8.
    pub path: String,
    pub psnr: f64,
    pub ssim: f64,
    /// None of pictures below 256 pixels.
    pub ms_ssim: Option<f64>,
    /// None without weights.
    pub lpips: Option<f64>,
}

/// A picture as the model sees it, and what it makes of it.
pub struct Pair {
    pub original: Picture,
    pub reconstruction: Picture,
    /// `[3, side, side]` in -1..1.
    pub planes: [Vec<f32>; 2],
}

impl Pair {
    /// Both as PNG files, the original first.
    pub fn to_png(&self) -> [Vec<u8>; 2] {
        [&self.original, &self.reconstruction].map(encode_png)
    }
}

/// A tokenizer and what it is measured with.
pub struct Evaluation {
    session: TokenizerSession,
    side: usize,
    range: PixelRange,
    filter: Filter,
    lpips: Option<Lpips>,
}

impl Evaluation {
    /// # Errors
    /// If weights of LPIPS are given and cannot be read.
    pub fn new(
        model: &ModelFile,
        (lpips, network): (&[PathBuf], Backbone),
        options: CompileOptions,
    ) -> Result<Evaluation, EvaluationError> {
        let files: Vec<&Path> = lpips.iter().map(PathBuf::as_path).collect();
        let network = Network::new(network);
        let lpips = (!files.is_empty()).then(|| Lpips::with(network, &files, &options));
        let size = model.config.model.encoder.image_size;
        Ok(Evaluation {
            lpips: lpips.transpose()?,
            session: TokenizerSession::new(model, options),
            side: size.height.min(size.width),
            range: model.config.data.pixel_range(),
            filter: model.config.evaluation.interpolation,
        })
    }

    pub fn side(&self) -> usize {
        self.side
    }

    /// Reconstructs and measures a picture.
    ///
    /// # Errors
    /// If it cannot be read, or the model cannot be run.
    pub fn measure(&mut self, path: &Path) -> Result<(PictureFigures, Pair), EvaluationError> {
        let picture = load(path)?.picture;
        let original = resize_and_center_crop(&picture, self.side, self.filter);
        let tokens = self.session.encode(&to_planar(&original, self.range))?;
        let mut planes = self.session.decode(&tokens)?;
        if self.range == PixelRange::ZeroToOne {
            planes.iter_mut().for_each(|x| *x = *x * 2.0 - 1.0);
        }
        let wanted = to_planar(&original, PixelRange::MinusOneToOne);
        let shape = [3, self.side, self.side];
        let lpips = match &mut self.lpips {
            Some(lpips) => lpips.distance(&wanted, &planes, [self.side; 2])?,
            None => None,
        };
        let figures = PictureFigures {
            path: path.display().to_string(),
            psnr: psnr(&wanted, &planes),
            ssim: ssim(&wanted, &planes, shape),
            ms_ssim: ms_ssim(&wanted, &planes, shape),
            lpips,
        };
        let reconstruction = from_planar(&planes, self.side, self.side, PixelRange::MinusOneToOne);
        let planes = [wanted, planes];
        Ok((
            figures,
            Pair {
                original,
                reconstruction,
                planes,
            },
        ))
    }
}

/// Mean and deviation (divisor n) of figures; none if there are none.
pub fn spread(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let count = values.clone().count() as f64;
    if count == 0.0 {
        return None;
    }
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|x| (x - mean) * (x - mean)).sum();
    Some((mean, (squares / count).sqrt()))
}
