//! Rate and distortion of a transform codec on whole pictures.

use super::super::TrainError;
use crate::config::TransformCodecConfig;
use crate::data::{DataError, Listing, list_folder};
use crate::image_io::{Picture, Range, append_planar, load, pad_by_replication};
use crate::transform_codec::TransformCodec;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_nn::train::Evaluated;
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, Device, Executable, HostTensor, Session, compile};
use std::collections::BTreeMap;
use std::path::Path;

/// Quantizer steps that are evaluated, and their names in the log.
const STEPS: [(f32, &str, &str); 5] = [
    (42.0, "eval/bits_per_pixel.42", "eval/psnr.42"),
    (60.0, "eval/bits_per_pixel.60", "eval/psnr.60"),
    (85.0, "eval/bits_per_pixel.85", "eval/psnr.85"),
    (120.0, "eval/bits_per_pixel.120", "eval/psnr.120"),
    (170.0, "eval/bits_per_pixel.170", "eval/psnr.170"),
];

/// Means over pictures at one step of the quantizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatePoint {
    pub step: f32,
    /// The context model's cross-entropy; a file has a header beside it.
    pub bits_per_pixel: f64,
    /// Decibels, of pixels rounded to 8 bits.
    pub psnr: f64,
}

/// Codes the pictures of a folder at several steps.
pub struct TransformCodecEvaluator {
    codec: TransformCodec,
    notices: Vec<String>,
    pictures: Vec<Picture>,
    options: CompileOptions,
    /// By rows and columns of the padded picture.
    executables: BTreeMap<[usize; 2], Executable>,
}

impl TransformCodecEvaluator {
    /// Reads the pictures.
    ///
    /// # Errors
    /// If the folder has no pictures or a broken one.
    pub fn new(
        config: &TransformCodecConfig,
        folder: &Path,
        (threads, device): (usize, Device),
    ) -> Result<TransformCodecEvaluator, TrainError> {
        let Listing { paths, notices } = list_folder(folder)?;
        let load = |path| Ok(load(path).map_err(DataError::from)?.picture);
        let pictures = paths.iter().map(load);
        Ok(TransformCodecEvaluator {
            codec: TransformCodec::new(&config.model),
            notices,
            pictures: pictures.collect::<Result<_, TrainError>>()?,
            options: CompileOptions {
                threads,
                device,
                ..CompileOptions::default()
            },
            executables: BTreeMap::new(),
        })
    }

    /// What was left out of the folder, a line each.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The figures of a model with these parameters.
    ///
    /// # Errors
    /// If the parameters are not the model's.
    pub fn evaluate(&mut self, parameters: &Tensors) -> Result<Vec<RatePoint>, TrainError> {
        let mut points = STEPS.map(|(step, ..)| RatePoint {
            step,
            bits_per_pixel: 0.0,
            psnr: 0.0,
        });
        let count = self.pictures.len() as f64;
        let alignment = self.codec.config().alignment();
        for picture in &self.pictures {
            let [height, width] =
                [picture.height, picture.width].map(|side| side.next_multiple_of(alignment));
            if !self.executables.contains_key(&[height, width]) {
                let function = function(&self.codec, height, width);
                let executable = compile(&function, &self.options)?;
                self.executables.insert([height, width], executable);
            }
            let mut session = self.executables[&[height, width]].bind(parameters.clone())?;
            for point in &mut points {
                let (bits_per_pixel, psnr) =
                    code(&mut session, picture, [height, width], point.step)?;
                point.bits_per_pixel += bits_per_pixel / count;
                point.psnr += psnr / count;
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
    let forward = codec.forward(&Scope::root(&graph), image, step);
    let outputs = [("pixels", forward.pixels.id()), ("bits", forward.bits.id())];
    graph.function(outputs, [])
}

/// Bits per pixel and PSNR of a picture.
fn code(
    session: &mut Session,
    picture: &Picture,
    [height, width]: [usize; 2],
    step: f32,
) -> Result<(f64, f64), TrainError> {
    let mut planes = Vec::new();
    let padded = pad_by_replication(picture, width, height);
    append_planar(&padded, Range::MinusOneToOne, &mut planes);
    let image = HostTensor::from_slice([1, 3, height, width], &planes)?;
    let step = HostTensor::from_slice([1], &[step])?;
    let outputs = session.run(&[("image", &image), ("step", &step)])?;
    let pixels = outputs["pixels"].as_slice::<f32>()?;
    let mut squares = 0.0;
    for (channel, plane) in pixels.chunks_exact(height * width).enumerate() {
        for y in 0..picture.height {
            let row = picture.row(y).iter().skip(channel).step_by(3);
            for (&sample, x) in row.zip(&plane[y * width..]) {
                let found = (f64::from(*x) + 127.5).round().clamp(0.0, 255.0);
                squares += (found - f64::from(sample)).powi(2);
            }
        }
    }
    let count = (picture.width * picture.height) as f64;
    let error = squares / (3.0 * count);
    let bits = outputs["bits"].as_slice::<f32>()?[0];
    let psnr = 10.0 * libm::log10(255.0 * 255.0 / error);
    Ok((f64::from(bits) / count, psnr))
}

/// Points as the loop wants them.
pub(super) fn evaluated(points: &[RatePoint]) -> Evaluated {
    let point = |point: &RatePoint| {
        let RatePoint {
            step,
            bits_per_pixel,
            psnr,
        } = point;
        format!("step {step}: {bits_per_pixel:.4} bpp, {psnr:.2} dB")
    };
    let lines: Vec<String> = points.iter().map(point).collect();
    let mut scalars = Vec::new();
    for ((_, rate, quality), point) in STEPS.iter().zip(points) {
        scalars.extend([(*rate, point.bits_per_pixel), (*quality, point.psnr)]);
    }
    Evaluated {
        line: lines.join("; "),
        scalars,
    }
}
