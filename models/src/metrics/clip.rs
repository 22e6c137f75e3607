//! How near a clip is to another.

use super::RowMetrics;
use crate::image_io::{ImageSize, Picture};

/// Compares two clips frame by frame: means over frames, as video coding has them.
pub struct ClipMetrics {
    size: ImageSize,
    frames: usize,
    psnr: f64,
    ssim: f64,
    /// Errors of the last frame, and the sum of squares of their changes.
    errors: Vec<i16>,
    changes: f64,
}

impl ClipMetrics {
    pub fn new(size: ImageSize) -> ClipMetrics {
        ClipMetrics {
            size,
            frames: 0,
            psnr: 0.0,
            ssim: 0.0,
            errors: Vec::new(),
            changes: 0.0,
        }
    }

    /// The next frame of both.
    ///
    /// # Panics
    /// If a frame has another size.
    pub fn push(&mut self, original: &Picture, found: &Picture) {
        assert!(
            original.size() == self.size && found.size() == self.size,
            "frames of one size"
        );
        let mut rows = RowMetrics::new(self.size);
        let width = 3 * self.size.width;
        for (a, b) in original
            .rgb
            .chunks_exact(width)
            .zip(found.rgb.chunks_exact(width))
        {
            rows.push(a, b);
        }
        self.frames += 1;
        // A frame without any error counts as one of 100 dB.
        self.psnr += rows.psnr().min(100.0);
        self.ssim += rows.ssim();
        let pairs = original.rgb.iter().zip(&found.rgb);
        let errors: Vec<i16> = pairs.map(|(&a, &b)| i16::from(b) - i16::from(a)).collect();
        let pairs = errors.iter().zip(&self.errors);
        let squares = pairs.map(|(&now, &before)| f64::from(now - before).powi(2));
        self.changes += squares.sum::<f64>() / errors.len() as f64;
        self.errors = errors;
    }

    /// How many frames were compared.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The mean over frames of their PSNR, in decibels.
    pub fn psnr(&self) -> f64 {
        self.psnr / self.frames as f64
    }

    /// The mean over frames of their SSIM.
    pub fn ssim(&self) -> f64 {
        self.ssim / self.frames as f64
    }

    /// The root mean square of how errors change from a frame to the next, in levels of a sample: an
    /// error that stays is not seen as one that comes and goes. 0 of a single frame.
    pub fn flicker(&self) -> f64 {
        let pairs = self.frames.saturating_sub(1).max(1);
        (self.changes / pairs as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_stay_do_not_flicker() {
        let size = ImageSize {
            height: 11,
            width: 12,
        };
        let flat = |level: u8| Picture::new(12, 11, vec![level; 3 * 132]);
        let of = |found: [u8; 3]| {
            let mut metrics = ClipMetrics::new(size);
            for level in found {
                metrics.push(&flat(100), &flat(level));
            }
            assert_eq!(metrics.frames(), 3);
            (metrics.psnr(), metrics.flicker())
        };
        let (staying, none) = of([104, 104, 104]);
        let (coming, some) = of([104, 96, 104]);
        assert!(
            (staying - coming).abs() < 1e-9 && (staying - 36.09).abs() < 0.01,
            "{staying}"
        );
        assert_eq!((none, some), (0.0, 8.0));
        assert_eq!(of([100; 3]).0, 100.0);
    }
}
