//! Encoding with a transform codec.

use super::{Encoded, PhotoEncoder};
use crate::command::error::CliError;
use bsq::image_io::{ImageSize, PixelRows};
use bsq::photo::PhotoError;
use bsq::transform_codec::stream::{LevelsCodec, LevelsEncodeReport, Target};
use bsq_runtime::atomic_file::AtomicFile;
use clap::Args;
use serde_json::json;

/// The quality of a photo.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub struct QualityArguments {
    /// From 0 (small) to 100 (like the original) [default: 50]
    #[arg(short, long, value_name = "Q", value_parser = in_range::<0, 100>)]
    quality: Option<f32>,
    /// The largest quality whose file has at most so many bits for a pixel
    #[arg(long, value_name = "BITS")]
    bpp: Option<f64>,
    /// The smallest file with a PSNR of so many decibels
    #[arg(long, value_name = "DB")]
    psnr: Option<f64>,
    /// The quantizer's step itself, in levels of a pixel (0 to 255)
    #[arg(long, value_name = "S", value_parser = in_range::<1, 1000>)]
    step: Option<f32>,
}

fn in_range<const LOW: u16, const HIGH: u16>(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_string())?;
    match (f32::from(LOW)..=f32::from(HIGH)).contains(&value) {
        true => Ok(value),
        false => Err(format!("it is from {LOW} to {HIGH}")),
    }
}

impl QualityArguments {
    pub fn is_given(&self) -> bool {
        let searched = self.bpp.is_some() || self.psnr.is_some();
        searched || self.quality.is_some() || self.step.is_some()
    }

    pub fn target(&self) -> Target {
        match self {
            QualityArguments { bpp: Some(bpp), .. } => Target::BitsPerPixel(*bpp),
            QualityArguments {
                psnr: Some(decibels),
                ..
            } => Target::Psnr(*decibels),
            QualityArguments {
                step: Some(step), ..
            } => Target::Step(*step),
            QualityArguments { quality, .. } => Target::Quality(quality.unwrap_or(50.0)),
        }
    }
}

pub struct Levels {
    pub codec: LevelsCodec,
    pub target: Target,
    pub name: String,
}

impl PhotoEncoder for Levels {
    fn models(&self) -> serde_json::Value {
        json!({ "model": self.name })
    }

    fn units(&self, size: ImageSize) -> (&'static str, usize) {
        ("strips", self.codec.strips(size).count())
    }

    fn encode(
        &mut self,
        picture: &mut dyn PixelRows,
        file: AtomicFile,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(AtomicFile, Encoded), PhotoError> {
        let (file, report) = self.codec.encode_to(picture, file, self.target, progress)?;
        let LevelsEncodeReport { step, strips, .. } = report;
        let parts = report.parts.iter().map(|part| {
            json!({
                "part": part.kind.to_string(),
                "levels": part.levels,
                "nonzero": part.nonzero,
                "bits": part.bits,
            })
        });
        let details = report.parts.iter().map(|part| {
            let share = 100.0 * part.nonzero as f64 / part.levels as f64;
            let (kind, bytes) = (part.kind, part.bits / 8.0);
            format!("{kind}: {bytes:.0} bytes, {share:.1}% of its levels are not zero")
        });
        let encoded = Encoded {
            bytes: report.bytes,
            bits_per_pixel: report.bits_per_pixel(),
            said: format!("step {step:.1}"),
            details: details.collect(),
            value: json!({
                "step": step,
                "strips": strips,
                "parts": parts.collect::<Vec<_>>(),
            }),
        };
        Ok((file, encoded))
    }

    fn check(&self) -> Result<(), CliError> {
        Ok(())
    }
}
