//! Rate and distortion of a transform codec on whole pictures.

use super::super::TrainError;
use super::super::held_out::HeldOut;
use super::super::samples_shown::{SAMPLES, Sample, beside, logged};
use crate::config::TransformCodecConfig;
use crate::data::Listing;
use crate::image_io::{Picture, PixelRange, from_planar, pad_by_replication, to_planar};
use crate::metrics::{ms_ssim, psnr};
use crate::transform_codec::{PIXEL_SCALE, TransformCodec};
use bsq_collectives::Ranks;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_nn::train::Evaluated;
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, Device, Executable, HostTensor, Session, compile};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A quantizer step that is evaluated, and the names of its figures in the log.
macro_rules! step {
    ($step:literal) => {
        (
            $step as f32,
            concat!("eval/bits_per_pixel.", $step),
            concat!("eval/psnr.", $step),
            concat!("eval/ms_ssim.", $step),
        )
    };
}

const STEPS: [(f32, &str, &str, &str); 5] =
    [step!(42), step!(60), step!(85), step!(120), step!(170)];

/// Means over pictures at one step of the quantizer.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RatePoint {
    pub step: f32,
    /// The context model's cross-entropy; a file has a header beside it.
    pub bits_per_pixel: f64,
    /// Decibels, of pixels rounded to 8 bits.
    pub psnr: f64,
    /// Of the same pixels; nothing if a picture is too small for it.
    pub ms_ssim: Option<f64>,
}

/// Codes the pictures of a folder at several steps.
pub struct TransformCodecEvaluator {
    codec: TransformCodec,
    pictures: HeldOut,
    options: CompileOptions,
    /// By rows and columns of the padded picture.
    executables: BTreeMap<[usize; 2], Executable>,
    /// Of the last evaluation: the middles of the first pictures, each beside what comes back of it at
    /// the middle one of the steps.
    samples: Vec<Picture>,
}

impl TransformCodecEvaluator {
    /// Reads the pictures of a listing; of several ranks each its own, and all evaluate together.
    /// Those that cannot be read are left out and named.
    ///
    /// # Errors
    /// If no picture can be read.
    pub fn new(
        config: &TransformCodecConfig,
        pictures: Listing,
        (threads, device): (usize, Device),
        ranks: &Ranks,
    ) -> Result<TransformCodecEvaluator, TrainError> {
        Ok(TransformCodecEvaluator {
            codec: TransformCodec::new(&config.model),
            pictures: HeldOut::read(pictures, ranks)?,
            options: CompileOptions {
                threads,
                device,
                ..CompileOptions::default()
            },
            executables: BTreeMap::new(),
            samples: Vec::new(),
        })
    }

    /// What the last evaluation shows.
    pub(super) fn take_samples(&mut self) -> Vec<Picture> {
        std::mem::take(&mut self.samples)
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
    pub fn evaluate(&mut self, parameters: &Tensors) -> Result<Vec<RatePoint>, TrainError> {
        let mut points = STEPS.map(|(step, ..)| RatePoint {
            step,
            bits_per_pixel: 0.0,
            psnr: 0.0,
            ms_ssim: Some(0.0),
        });
        let alignment = self.codec.config().alignment();
        let (codec, options, executables) = (&self.codec, &self.options, &mut self.executables);
        let coded = self.pictures.each(|index, picture| {
            let [height, width] =
                [picture.height, picture.width].map(|side| side.next_multiple_of(alignment));
            if let Entry::Vacant(entry) = executables.entry([height, width]) {
                entry.insert(compile(&function(codec, height, width), options)?);
            }
            let mut session = executables[&[height, width]].bind(parameters.clone())?;
            let (mut of_picture, mut sample) = (Vec::new(), None);
            for (number, (step, ..)) in STEPS.iter().enumerate() {
                let (found, planes) = code(&mut session, picture, [height, width], *step)?;
                of_picture.push(found);
                if number == STEPS.len() / 2 && index < SAMPLES {
                    let (width, height) = (picture.width, picture.height);
                    let back = from_planar(&planes, width, height, PixelRange::MinusOneToOne);
                    sample = Some(Sample::from(beside(picture, &back)));
                }
            }
            Ok((of_picture, sample))
        })?;
        let count = coded.len() as f64;
        self.samples.clear();
        for (_, (of_picture, sample)) in coded {
            self.samples.extend(sample.map(Picture::from));
            for (point, found) in points.iter_mut().zip(of_picture) {
                point.bits_per_pixel += found.bits_per_pixel / count;
                point.psnr += found.psnr / count;
                let sum = point.ms_ssim.zip(found.ms_ssim);
                point.ms_ssim = sum.map(|(sum, found)| sum + found / count);
            }
        }
        Ok(points.to_vec())
    }
}

/// A pass over one picture: inputs `image` and `step`, outputs `pixels` and `bits`.
fn function(codec: &TransformCodec, height: usize, width: usize) -> Function {
    let graph = Graph::new();
    let image = graph.input("image", DType::F32, [1, 3, height, width]);
    let step = graph.input("step", DType::F32, [1]);
    let forward = codec.forward(&Scope::root(&graph), image, step, None);
    let outputs = [("pixels", forward.pixels.id()), ("bits", forward.bits.id())];
    graph.function(outputs, [])
}

/// The figures of one picture, and the planes that come back.
fn code(
    session: &mut Session,
    picture: &Picture,
    [height, width]: [usize; 2],
    step: f32,
) -> Result<(RatePoint, Vec<f32>), TrainError> {
    let padded = to_planar(
        &pad_by_replication(picture, width, height),
        PixelRange::MinusOneToOne,
    );
    let image = HostTensor::from_slice([1, 3, height, width], &padded)?;
    let size = HostTensor::from_slice([1], &[step])?;
    let outputs = session.run(&[("image", &image), ("step", &size)])?;
    let pixels = outputs["pixels"].as_slice::<f32>()?;
    let rows = pixels.chunks_exact(height * width).flat_map(|plane| {
        let rows = plane.chunks_exact(width).take(picture.height);
        rows.map(|row| &row[..picture.width])
    });
    let scale = PIXEL_SCALE as f32;
    let rounded = |x: &f32| ((x + scale).round().clamp(0.0, 255.0) - scale) / scale;
    let found: Vec<f32> = rows.flatten().map(rounded).collect();
    let original = to_planar(picture, PixelRange::MinusOneToOne);
    let bits = outputs["bits"].as_slice::<f32>()?[0];
    let point = RatePoint {
        step,
        bits_per_pixel: f64::from(bits) / (picture.width * picture.height) as f64,
        psnr: psnr(&original, &found),
        ms_ssim: ms_ssim(&original, &found, [3, picture.height, picture.width]),
    };
    Ok((point, found))
}

/// Points as the loop wants them.
pub(super) fn evaluated(points: &[RatePoint], samples: Vec<Picture>) -> Evaluated {
    let line = |point: &RatePoint| {
        let RatePoint {
            step,
            bits_per_pixel,
            psnr,
            ms_ssim,
        } = point;
        let similarity = ms_ssim.map(|found| format!(", MS-SSIM {found:.4}"));
        let similarity = similarity.unwrap_or_default();
        format!("step {step}: {bits_per_pixel:.4} bpp, {psnr:.2} dB{similarity}")
    };
    let lines: Vec<String> = points.iter().map(line).collect();
    let mut scalars = Vec::new();
    for ((_, rate, quality, similarity), point) in STEPS.iter().zip(points) {
        scalars.extend([(*rate, point.bits_per_pixel), (*quality, point.psnr)]);
        scalars.extend(point.ms_ssim.map(|found| (*similarity, found)));
    }
    Evaluated {
        line: lines.join("; "),
        scalars,
        pictures: logged(samples),
        score: None,
    }
}
