//! Size, frame rate and length of clips, and how they are read.

use super::color::{Matrix, Range};
use crate::image_io::{ImageSize, LoadLimits};
use std::fmt;
use std::str::FromStr;

/// Frames per second, as a fraction in its lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// `None` if a part is zero or the rate is beyond 1 to 1000 frames in that time: less than one
    /// in 1000 seconds, or more than 1000 in one.
    pub fn new(numerator: u32, denominator: u32) -> Option<FrameRate> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        let (mut a, mut b) = (numerator, denominator);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        let rate = FrameRate {
            numerator: numerator / a,
            denominator: denominator / a,
        };
        (0.001..=1000.0)
            .contains(&rate.per_second())
            .then_some(rate)
    }

    pub fn numerator(self) -> u32 {
        self.numerator
    }

    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Frames per second.
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

impl Default for FrameRate {
    /// 25 frames per second.
    fn default() -> FrameRate {
        FrameRate {
            numerator: 25,
            denominator: 1,
        }
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => self.numerator.fmt(f),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

impl FromStr for FrameRate {
    type Err = String;

    /// `25`, `30000/1001` or `29.97`.
    fn from_str(text: &str) -> Result<FrameRate, String> {
        let parsed = match text.split_once('/') {
            Some((above, below)) => above.parse().ok().zip(below.parse().ok()),
            None => text.parse().ok().map(fraction),
        };
        let rate = parsed.and_then(|(above, below)| FrameRate::new(above, below));
        rate.ok_or_else(|| format!("`{text}` is no frame rate, such as 25 or 30000/1001"))
    }
}

/// Frames per second as a fraction: 29.97 and its kin are multiples of 1000/1001.
fn fraction(rate: f64) -> (u32, u32) {
    let near = (rate * 1.001).round();
    match rate.fract() == 0.0 {
        true => (rate as u32, 1),
        false if (near / 1.001 - rate).abs() < 0.005 => (near as u32 * 1000, 1001),
        false => ((rate * 1000.0).round() as u32, 1000),
    }
}

/// What a clip is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipFormat {
    pub size: ImageSize,
    pub rate: FrameRate,
    /// How many frames there are, where that is known before they are read. Files may be wrong about it.
    pub frames: Option<usize>,
}

/// How a clip is read. What is `None` comes from the file.
#[derive(Clone, Copy, Debug)]
pub struct ClipOptions {
    /// Whatever the file says; of folders and of planes in a file, which say nothing, 25 if `None`.
    pub rate: Option<FrameRate>,
    /// Of planes in a file.
    pub size: Option<ImageSize>,
    /// How colours are coded.
    pub matrix: Option<Matrix>,
    /// What black and white are.
    pub range: Option<Range>,
    /// Frames with more pixels are refused.
    pub max_pixels: u64,
}

impl Default for ClipOptions {
    fn default() -> ClipOptions {
        ClipOptions {
            rate: None,
            size: None,
            matrix: None,
            range: None,
            max_pixels: LoadLimits::default().max_pixels,
        }
    }
}

impl ClipOptions {
    /// That frames are not too large.
    pub(super) fn check(&self, size: ImageSize) -> Result<(), String> {
        let ImageSize { height, width } = size;
        if width == 0 || height == 0 {
            return Err(format!("frames of {width}x{height} pixels"));
        }
        match (width as u64).saturating_mul(height as u64) > self.max_pixels {
            true => Err(format!(
                "frames of {width}x{height} pixels: at most {} are read unless --max-pixels allows more",
                self.max_pixels
            )),
            false => Ok(()),
        }
    }
}
