//! `bsq reconstruct`: photo to tokens to photo.

use super::device::{DeviceArgument, Tf32Argument};
use super::error::CliError;
use super::failures::Failures;
use super::interrupt::uninterrupted;
use super::limits::LimitArgument;
use super::model::ModelArgument;
use super::output::Output;
use super::precision::PrecisionArgument;
use super::progress::Progress;
use super::{Verdict, paths};
use bsq::image_io::{self, ImageError, Loaded, Picture, Range, save_png, to_planar};
use bsq::metrics::{bits_per_pixel, psnr, ssim};
use bsq::pipeline::{SessionOptions, TokenizerSession};
use bsq_runtime::Precision;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Photo to tokens to photo: writes what is left of it, and says how near it is.
#[derive(Args)]
#[command(long_about = "\
Photo to tokens to photo: writes what is left of it, and says how near it is.

Each picture is cut into windows of the model's size, encoded to bits, decoded again and written \
as PNG, beside the input as NAME.bsq.png unless -o says otherwise. Printed are the peak \
signal-to-noise ratio (PSNR, higher is nearer), structural similarity (SSIM, 1 is equal), bits of \
tokens per pixel, and the seconds that encoding and decoding took. Both figures compare the \
original with the PNG as written.

With --precision bf16, f16 or int8, -v computes in f32 too, and says how many bits of tokens differ and \
how PSNR changes.")]
#[command(after_long_help = "\
Examples:
  bsq reconstruct photo.jpg                       writes photo.bsq.png
  bsq reconstruct photo.jpg -o out.png --side-by-side
  bsq reconstruct *.jpg -o folder --json          figures of many, for a program
  bsq reconstruct photo.jpg --model my.safetensors
  bsq reconstruct photo.jpg --precision int8 -v   faster; and how far from f32
  bsq reconstruct photo.jpg --device cuda         on a GPU")]
pub struct Arguments {
    /// PNG, JPEG, WebP, TIFF or GIF pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The PNG file to write, or a folder
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    precision: PrecisionArgument,
    #[command(flatten)]
    device: DeviceArgument,
    #[command(flatten)]
    limits: LimitArgument,
    #[command(flatten)]
    tf32: Tf32Argument,
    /// Write original, reconstruction and difference (four times as strong) in one picture
    #[arg(long)]
    side_by_side: bool,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let kind = match arguments.side_by_side {
        true => paths::Kind::SideBySide,
        false => paths::Kind::Picture,
    };
    let outputs = paths::outputs(&arguments.images, arguments.output.as_deref(), kind)?;
    let mut failures = Failures::default();
    let pairs = readable(&arguments.images, &outputs, arguments.limits, &mut failures)?;
    if pairs.is_empty() {
        return failures.finish(output, json!({}), Verdict::Good);
    }
    let device = arguments.device.open(output)?;
    let model = arguments.model.open(output)?;
    let bits = model.config.model.quantizer.bits_per_token();
    let session = |precision, tf32| {
        let options = SessionOptions {
            threads: output.threads,
            precision,
            device,
            tf32,
            ..SessionOptions::default()
        };
        TokenizerSession::new(&model, options)
    };
    let (precision, tf32) = (arguments.precision.get(), arguments.tf32.tf32);
    let compares = output.is_verbose() && (precision != Precision::F32 || tf32);
    let mut reference = compares.then(|| session(Precision::F32, false));
    let mut session = session(precision, tf32);
    let mut results = Vec::new();
    let mut one = |input: &Path, path: &Path| {
        let original = load(input, arguments.limits, output)?;
        let (reconstruction, indices, times) = round_trip(&mut session, input, &original)?;
        let written = match arguments.side_by_side {
            true => side_by_side(&original, &reconstruction),
            false => reconstruction.clone(),
        };
        paths::make_folder(path)?;
        uninterrupted(|| save_png(&written, path))?;
        let figures = Figures::new(&original, &reconstruction, (indices.len() * bits) as u64);
        output.say(format_args!(
            "{} -> {}: {figures}, {:.2} s",
            input.display(),
            path.display(),
            times.iter().sum::<Duration>().as_secs_f64()
        ))?;
        let mut result = figures.to_json(input, path, &original, times);
        if let Some(reference) = &mut reference {
            let (picture, wanted, _) = round_trip(reference, input, &original)?;
            let flipped: u32 = indices
                .iter()
                .zip(&wanted)
                .map(|(index, wanted)| (index ^ wanted).count_ones())
                .sum();
            let change = figures.psnr - Figures::new(&original, &picture, figures.bits).psnr;
            output.detail(format_args!(
                "against f32: {flipped} of {} bits differ, PSNR {change:+.4} dB",
                figures.bits
            ));
            result["against_f32"] = json!({ "flipped_bits": flipped, "psnr_change": change });
        }
        Ok(result)
    };
    for (input, path) in pairs {
        let result = one(input, path);
        results.extend(failures.keep(input, result)?);
    }
    output.detail(format_args!(
        "compiled in {:.2} s",
        session.compile_time().as_secs_f64()
    ));
    let value = json!({
        "model": model.name,
        "precision": arguments.precision.name(),
        "tf32": tf32,
        "device": device.to_string(),
        "compile_seconds": session.compile_time().as_secs_f64(),
        "images": results,
    });
    failures.finish(output, value, Verdict::Good)
}

/// The pictures that can be read, each with what belongs to it: found before a model is read.
pub fn readable<'a, T: ?Sized, O: AsRef<T>>(
    images: &'a [PathBuf],
    outputs: &'a [O],
    limits: LimitArgument,
    failures: &mut Failures,
) -> Result<Vec<(&'a Path, &'a T)>, CliError> {
    let mut good = Vec::new();
    for (image, output) in images.iter().zip(outputs) {
        let loaded = read(image, limits).map(drop);
        if failures.keep(image, loaded)?.is_some() {
            good.push((image.as_path(), output.as_ref()));
        }
    }
    Ok(good)
}

/// A picture; what was changed to make it plain RGB is noted.
pub fn load(path: &Path, limits: LimitArgument, output: &Output) -> Result<Picture, CliError> {
    let Loaded { picture, notices } = read(path, limits)?;
    for notice in notices {
        output.note(format_args!("{}: {notice}", path.display()));
    }
    Ok(picture)
}

fn read(path: &Path, limits: LimitArgument) -> Result<Loaded, CliError> {
    image_io::load_within(path, limits.load()).map_err(|error| match error {
        ImageError::TooLarge {
            width,
            height,
            max_side,
            ..
        } if width <= max_side && height <= max_side => {
            CliError::new(format_args!("{error}, or allow more with --max-pixels"))
        }
        _ => error.into(),
    })
}

/// The reconstruction, the tokens' indices, and the times of encoding and decoding without
/// compiling.
fn round_trip(
    session: &mut TokenizerSession,
    path: &Path,
    picture: &Picture,
) -> Result<(Picture, Vec<u64>, [Duration; 2]), CliError> {
    let windows = session.windows(picture.width, picture.height).count();
    let progress = Progress::new(&path.display().to_string(), "windows", 2 * windows);
    let (start, compiled) = (Instant::now(), session.compile_time());
    let tokens = session.encode_picture(picture, &mut |done| progress.set(done))?;
    let encoding = start.elapsed() - (session.compile_time() - compiled);
    let (start, compiled) = (Instant::now(), session.compile_time());
    let result = session.decode_picture(&tokens, &mut |done| progress.set(windows + done))?;
    let decoding = start.elapsed() - (session.compile_time() - compiled);
    Ok((result, tokens.indices, [encoding, decoding]))
}

/// How near a reconstruction is, and what it costs.
struct Figures {
    psnr: f64,
    ssim: f64,
    bits: u64,
    bits_per_pixel: f64,
}

impl Figures {
    fn new(original: &Picture, reconstruction: &Picture, bits: u64) -> Self {
        let (width, height) = (original.width, original.height);
        let [a, b] = [original, reconstruction].map(|p| to_planar(p, Range::MinusOneToOne));
        Figures {
            psnr: psnr(&a, &b),
            ssim: ssim(&a, &b, [3, height, width]),
            bits,
            bits_per_pixel: bits_per_pixel(bits, width, height),
        }
    }

    fn to_json(&self, input: &Path, path: &Path, picture: &Picture, times: [Duration; 2]) -> Value {
        let [encoding, decoding] = times.map(|time| time.as_secs_f64());
        json!({
            "input": input.display().to_string(),
            "output": path.display().to_string(),
            "width": picture.width,
            "height": picture.height,
            "psnr": self.psnr,
            "ssim": self.ssim,
            "bits": self.bits,
            "bits_per_pixel": self.bits_per_pixel,
            "encode_seconds": encoding,
            "decode_seconds": decoding,
        })
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PSNR {:.2} dB, SSIM {:.4}, {:.4} bits per pixel",
            self.psnr, self.ssim, self.bits_per_pixel
        )
    }
}

/// Original, reconstruction, and four times their absolute difference, from left to right.
fn side_by_side(original: &Picture, reconstruction: &Picture) -> Picture {
    let mut rgb = Vec::with_capacity(3 * original.rgb.len());
    for y in 0..original.height {
        let (a, b) = (original.row(y), reconstruction.row(y));
        let difference = a
            .iter()
            .zip(b)
            .map(|(a, b)| a.abs_diff(*b).saturating_mul(4));
        rgb.extend_from_slice(a);
        rgb.extend_from_slice(b);
        rgb.extend(difference);
    }
    Picture::new(3 * original.width, original.height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_pictures_stand_side_by_side() {
        let a = Picture::new(1, 2, vec![10, 20, 30, 40, 50, 60]);
        let b = Picture::new(1, 2, vec![11, 18, 30, 240, 50, 60]);
        let all = side_by_side(&a, &b);
        assert_eq!((all.width, all.height), (3, 2));
        assert_eq!(all.row(0), [10, 20, 30, 11, 18, 30, 4, 8, 0]);
        assert_eq!(all.row(1), [40, 50, 60, 240, 50, 60, 255, 0, 0]);
    }
}
