//! The figures of a clip: means over its frames.

use super::super::{Measured, RateDistortionError};
use bsq::image_io::{ImageSize, Picture, PixelRange, to_planar};
use bsq::metrics::Lpips;

/// The PSNR of a frame without any error, in decibels.
const EXACT: f64 = 100.0;

/// Sums over frames.
pub(super) struct FrameMeans {
    size: ImageSize,
    frames: usize,
    psnr: f64,
    /// `None` once a frame has none.
    ms_ssim: Option<f64>,
    lpips: Option<f64>,
}

impl FrameMeans {
    pub fn new(size: ImageSize) -> FrameMeans {
        FrameMeans {
            size,
            frames: 0,
            psnr: 0.0,
            ms_ssim: Some(0.0),
            lpips: Some(0.0),
        }
    }

    pub fn push(
        &mut self,
        frame: &Picture,
        found: &Picture,
        lpips: Option<&mut Lpips>,
    ) -> Result<(), RateDistortionError> {
        let of_frame = Measured::of(frame, found, 0);
        let distance = match lpips {
            None => None,
            Some(lpips) => {
                let planes = |picture| to_planar(picture, PixelRange::MinusOneToOne);
                let size = [self.size.height, self.size.width];
                lpips.distance(&planes(frame), &planes(found), size)?
            }
        };
        let sum = |all: Option<f64>, one: Option<f64>| Some(all? + one?);
        self.frames += 1;
        self.psnr += of_frame.psnr.min(EXACT);
        self.ms_ssim = sum(self.ms_ssim, of_frame.ms_ssim);
        self.lpips = sum(self.lpips, distance);
        Ok(())
    }

    /// The figures of a stream; seconds are those of the whole clip, in both directions.
    pub fn measured(&self, bytes: usize, [encoding, decoding]: [f64; 2]) -> Measured {
        let count = self.frames as f64;
        let pixels = (self.size.height * self.size.width) as f64 * count;
        Measured {
            bytes,
            bits_per_pixel: 8.0 * bytes as f64 / pixels,
            psnr: self.psnr / count,
            ms_ssim: self.ms_ssim.map(|sum| sum / count),
            lpips: self.lpips.map(|sum| sum / count),
            encoding_seconds: encoding,
            decoding_seconds: decoding,
        }
    }
}
