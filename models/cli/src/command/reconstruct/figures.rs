//! How near a reconstruction is, and how visible its patches are.

use bsq::image_io::ImageSize;
use bsq::metrics::{BorderSteps, RowMetrics, bits_per_pixel};
use bsq::pipeline::RunTimes;
use serde_json::{Value, json};
use std::path::Path;

/// Figures of a picture and its reconstruction, as their rows come.
pub struct PictureMetrics {
    pub likeness: RowMetrics,
    /// Of the original and of the reconstruction.
    borders: [BorderSteps; 2],
}

impl PictureMetrics {
    /// `patch` is a side of the model's patches.
    pub fn new(size: ImageSize, patch: usize) -> PictureMetrics {
        PictureMetrics {
            likeness: RowMetrics::new(size),
            borders: [(); 2].map(|()| BorderSteps::new(patch)),
        }
    }

    pub fn push(&mut self, original: &[u8], reconstruction: &[u8]) {
        self.likeness.push(original, reconstruction);
        let [of_original, of_reconstruction] = &mut self.borders;
        of_original.push(original);
        of_reconstruction.push(reconstruction);
    }
}

/// How near a reconstruction is, and what it costs.
pub struct Figures {
    size: ImageSize,
    pub psnr: f64,
    ssim: f64,
    /// Of the original and of the reconstruction.
    border_ratios: [Option<f64>; 2],
    pub bits: u64,
    bits_per_pixel: f64,
}

impl Figures {
    pub fn new(size: ImageSize, metrics: &PictureMetrics, bits: u64) -> Self {
        Figures {
            size,
            psnr: metrics.likeness.psnr(),
            ssim: metrics.likeness.ssim(),
            border_ratios: metrics.borders.each_ref().map(BorderSteps::ratio),
            bits,
            bits_per_pixel: bits_per_pixel(bits, size.width, size.height),
        }
    }

    /// How visible the borders of patches are.
    pub fn borders(&self) -> String {
        let [original, own] = self.border_ratios.map(|ratio| match ratio {
            Some(ratio) => format!("{ratio:.3}"),
            None => "none".to_string(),
        });
        format!(
            "steps across borders of patches over those inside: {own} (of the original {original})"
        )
    }

    pub fn to_json(&self, (input, path): (&Path, &Path), times: RunTimes) -> Value {
        json!({
            "input": input.display().to_string(),
            "output": path.display().to_string(),
            "width": self.size.width,
            "height": self.size.height,
            "psnr": self.psnr,
            "ssim": self.ssim,
            "border_ratio_original": self.border_ratios[0],
            "border_ratio": self.border_ratios[1],
            "bits": self.bits,
            "bits_per_pixel": self.bits_per_pixel,
            "encode_seconds": times.encoding.as_secs_f64(),
            "decode_seconds": times.decoding.as_secs_f64(),
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
