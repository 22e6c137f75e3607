//! How well a model reconstructs the pictures of a folder, at their own size.

use super::TrainError;
use super::code_use::CodeUse;
use super::held_out::HeldOut;
use super::samples_shown::{SAMPLES, Sample, beside};
use crate::config::Config;
use crate::data::Listing;
use crate::image_io::{ImageSize, Picture, PixelRange, Windows, from_planar, to_planar};
use crate::metrics::{Lpips, psnr, ssim};
use crate::tokenizer::Tokenizer;
use bsq_collectives::Ranks;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, Device, Executable, HostTensor, Session, compile};
use std::path::PathBuf;

/// Windows that are reconstructed at once.
const BATCH: usize = 64;

/// Reconstructs the pictures of a folder, cut into windows of the model's size.
pub struct Evaluator {
    pictures: HeldOut,
    ranks: Ranks,
    executable: Executable,
    session: Option<Session>,
    lpips: Option<Lpips>,
    range: PixelRange,
    window: ImageSize,
    /// Without any that were seen.
    code_use: Option<CodeUse>,
}

/// One picture's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureScore {
    pub path: PathBuf,
    /// Decibels, unrounded reconstruction.
    pub psnr: f64,
    /// Structural similarity.
    pub ssim: f64,
    /// Perceptual distance, where there are weights for it and the picture is large enough.
    pub lpips: Option<f64>,
}

/// The figures of all pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub pictures: Vec<PictureScore>,
    /// The middles of the first pictures, each beside its reconstruction, to look at.
    pub samples: Vec<Picture>,
    /// The share of codes that occur, from 0 to 1: the mean over groups of bits, or over tables. None of a
    /// quantizer with more than 2^20 codes.
    pub codes_used: Option<f64>,
}

impl Evaluation {
    /// The mean of the pictures' PSNR.
    pub fn psnr(&self) -> f64 {
        self.mean(|picture| Some(picture.psnr)).unwrap_or(f64::NAN)
    }

    /// The mean of the pictures' SSIM.
    pub fn ssim(&self) -> f64 {
        self.mean(|picture| Some(picture.ssim)).unwrap_or(f64::NAN)
    }

    /// The mean of the pictures' LPIPS, of those that have one.
    pub fn lpips(&self) -> Option<f64> {
        self.mean(|picture| picture.lpips)
    }

    fn mean(&self, figure: impl Fn(&PictureScore) -> Option<f64>) -> Option<f64> {
        let figures: Vec<f64> = self.pictures.iter().filter_map(figure).collect();
        (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
    }
}

impl Evaluator {
    /// Compiles the model, and reads the pictures of a listing; of several ranks each reads its own, and
    /// all evaluate together. Those that cannot be read are left out and named.
    ///
    /// # Errors
    /// If no picture can be read.
    pub fn new(
        config: &Config,
        pictures: Listing,
        (threads, device): (usize, Device),
        ranks: &Ranks,
    ) -> Result<Evaluator, TrainError> {
        let tokenizer = Tokenizer::new(&config.model);
        let graph = Graph::new();
        let image = graph.input("image", DType::F32, tokenizer.image_shape(BATCH));
        let forward = tokenizer.forward(&Scope::root(&graph), image);
        let outputs = [
            ("reconstruction", forward.decoded.reconstruction.id()),
            ("indices", forward.encoded.indices.id()),
        ];
        let options = CompileOptions {
            threads,
            device,
            ..CompileOptions::default()
        };
        let executable = compile(&graph.function(outputs, []), &options)?;
        Ok(Evaluator {
            pictures: HeldOut::read(pictures, ranks)?,
            ranks: ranks.clone(),
            executable,
            session: None,
            lpips: None,
            range: config.data.pixel_range(),
            window: config.model.encoder.image_size,
            code_use: CodeUse::of(&config.model.quantizer),
        })
    }

    /// Measures LPIPS, too.
    #[must_use]
    pub fn with_lpips(self, lpips: Lpips) -> Evaluator {
        Evaluator {
            lpips: Some(lpips),
            ..self
        }
    }

    /// What was left out of the folder, a line each.
    pub fn notices(&self) -> &[String] {
        self.pictures.notices()
    }

    /// Pictures that could not be read.
    pub fn broken(&self) -> usize {
        self.pictures.broken()
    }

    /// The figures of a model with these parameters, of all pictures; all ranks call it together.
    ///
    /// # Errors
    /// If the parameters are not the model's.
    pub fn evaluate(&mut self, parameters: &Tensors) -> Result<Evaluation, TrainError> {
        let session = match &mut self.session {
            None => self
                .session
                .insert(self.executable.bind(parameters.clone())?),
            Some(session) => {
                for (name, value) in parameters {
                    session.set_parameter(name, value)?;
                }
                session
            }
        };
        let (lpips, mut code_use) = (&mut self.lpips, self.code_use.clone());
        let (window, range) = (self.window, self.range);
        let measured = self.pictures.each(|index, picture| {
            let mut see = |indices: &[u64]| {
                code_use
                    .iter_mut()
                    .for_each(|code_use| code_use.see(indices));
            };
            let planes = reconstruct(session, picture, (window, range), &mut see)?;
            let original = to_planar(picture, PixelRange::MinusOneToOne);
            let shape = [3, picture.height, picture.width];
            let lpips = match lpips {
                Some(lpips) => lpips.distance(&original, &planes, [shape[1], shape[2]])?,
                None => None,
            };
            let (psnr, ssim) = (psnr(&original, &planes), ssim(&original, &planes, shape));
            let sample = (index < SAMPLES).then(|| {
                let (width, height) = (picture.width, picture.height);
                let found = from_planar(&planes, width, height, PixelRange::MinusOneToOne);
                Sample::from(beside(picture, &found))
            });
            Ok(((psnr, ssim, lpips), sample))
        })?;
        let (mut pictures, mut samples) = (Vec::new(), Vec::new());
        for (path, ((psnr, ssim, lpips), sample)) in measured {
            pictures.push(PictureScore {
                path: path.clone(),
                psnr,
                ssim,
                lpips,
            });
            samples.extend(sample.map(Picture::from));
        }
        let codes_used = code_use.map(|code_use| code_use.share(&self.ranks));
        Ok(Evaluation {
            pictures,
            samples,
            codes_used: codes_used.transpose()?,
        })
    }
}

/// The unrounded planes `[3, height, width]` of a picture's reconstruction, in -1..1 as metrics take
/// them, whatever the model's range. Tells of the indices of its tokens.
fn reconstruct(
    session: &mut Session,
    picture: &Picture,
    (window, range): (ImageSize, PixelRange),
    see: &mut dyn FnMut(&[u64]),
) -> Result<Vec<f32>, TrainError> {
    let windows = Windows::over(picture.size(), window);
    let ImageSize { height, width } = window;
    let values = 3 * height * width;
    let mut cut = windows.cut(picture, range);
    let kept = cut.len();
    // The last batch is filled up with grey.
    cut.resize(kept.next_multiple_of(BATCH * values), 0.0);
    let mut planes = Vec::with_capacity(cut.len());
    for (number, batch) in cut.chunks_exact(BATCH * values).enumerate() {
        let own = (kept / values - number * BATCH).min(BATCH);
        let image = HostTensor::from_slice([BATCH, 3, height, width], batch)?;
        let outputs = session.run(&[("image", &image)])?;
        planes.extend_from_slice(outputs["reconstruction"].as_slice::<f32>()?);
        let indices = outputs["indices"].as_slice::<u64>()?;
        see(&indices[..own * indices.len() / BATCH]);
    }
    planes.truncate(kept);
    let mut planes = windows.assemble_planes(&planes);
    if range == PixelRange::ZeroToOne {
        planes
            .iter_mut()
            .for_each(|value| *value = *value * 2.0 - 1.0);
    }
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::list_folder;
    use crate::image_io::save_png;
    use crate::pipeline::{CompileOptions, ModelFile, TokenizerSession};

    /// Whatever black and white are to the model, and whatever its values are clamped to.
    #[test]
    fn figures_are_those_of_the_pictures_that_the_model_makes() {
        let folder = tempfile::tempdir().unwrap();
        let rgb = (0..3 * 40 * 30).map(|i| (i * 7 % 256) as u8).collect();
        let picture = Picture::new(40, 30, rgb);
        save_png(&picture, folder.path().join("a.png")).unwrap();
        let tiny = include_str!("../../tests/tiny.toml");
        for (zero_mean, clamp_range) in [
            (true, "[-1.0, 1.0]"),
            (true, "[0.0, 1.0]"),
            (false, "[0.0, 1.0]"),
            (false, "[-0.1, 1.1]"),
        ] {
            let model = format!("[model]\nclamp_range = {clamp_range}\n");
            let text = tiny.replacen("[model]\n", &model, 1);
            let text = format!("{text}\n[data]\nzero_mean = {zero_mean}\n");
            let config = Config::from_toml(&text).unwrap();
            let model = ModelFile::untrained("tiny", config, 3).unwrap();

            let mut session = TokenizerSession::new(&model, CompileOptions::default());
            let windows = session.windows(picture.size());
            let range = model.config.data.pixel_range();
            let tokens = session.encode(&windows.cut(&picture, range)).unwrap();
            let planes = windows.assemble_planes(&session.decode(&tokens).unwrap());
            let original = to_planar(&picture, range);
            // On the scale of 0 to 255, of which a range is 2 or 1.
            let scale = if zero_mean { 127.5 } else { 255.0 };
            let squares = original.iter().zip(&planes).map(|(a, b)| {
                let difference = scale * (f64::from(*a) - f64::from(*b));
                difference * difference
            });
            let mean = squares.sum::<f64>() / planes.len() as f64;
            let expected = 20.0 * (255.0 / mean.sqrt()).log10();

            let mut evaluator = Evaluator::new(
                &model.config,
                list_folder(folder.path()).unwrap(),
                (1, Device::Cpu),
                &Ranks::default(),
            )
            .unwrap();
            let found = evaluator.evaluate(&model.parameters).unwrap().psnr();
            assert!(
                (found - expected).abs() < 1e-4,
                "{clamp_range}: {found}, not {expected}"
            );
        }
    }
}
