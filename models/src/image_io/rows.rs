//! Rows of samples as a file has them, made rows of red, green and blue in sRGB, 16 bits each.

use super::color::ToSrgb;
use image::ColorType;

/// Converts the rows of one file.
pub(super) struct RowConverter {
    color: ColorType,
    to_srgb: Option<ToSrgb>,
    bytes: Scratch<u8>,
    words: Scratch<u16>,
    /// The row as numbers of 16 bits.
    samples: Vec<u16>,
    /// Whether any pixel so far let something through.
    pub any_transparent: bool,
}

/// What a row is on its way.
#[derive(Default)]
struct Scratch<S> {
    expanded: Vec<S>,
    converted: Vec<S>,
}

impl RowConverter {
    pub fn new(color: ColorType, to_srgb: Option<ToSrgb>) -> RowConverter {
        RowConverter {
            color,
            to_srgb,
            bytes: Scratch::default(),
            words: Scratch::default(),
            samples: Vec::new(),
            any_transparent: false,
        }
    }

    /// Whether rows of 8-bit red, green and blue come out as they go in.
    pub fn changes_nothing(&self) -> bool {
        self.color == ColorType::Rgb8 && self.to_srgb.is_none()
    }

    /// `raw` is a row of the file's samples, those of 16 bits in the machine's order of bytes; `row`
    /// gets three for every pixel.
    ///
    /// # Errors
    /// If the samples are of a type that is not read, or colours cannot be converted.
    pub fn convert(&mut self, raw: &[u8], row: &mut [u16]) -> Result<(), String> {
        let (to_srgb, channels) = (self.to_srgb.as_ref(), self.color.channel_count());
        let result = match self.color {
            ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
                self.bytes.convert(raw, channels, to_srgb, row)
            }
            ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
                let words = raw.as_chunks::<2>().0.iter();
                self.samples.clear();
                self.samples
                    .extend(words.map(|&pair| u16::from_ne_bytes(pair)));
                self.words.convert(&self.samples, channels, to_srgb, row)
            }
            other => return Err(format!("{other:?} samples, which are not read")),
        };
        let transparent = result.ok_or("its colours cannot be converted")?;
        self.any_transparent |= transparent;
        Ok(())
    }
}

/// A sample of 8 or of 16 bits.
trait Sample: Copy + Default + PartialEq {
    const FULL: Self;

    fn wide(self) -> u16;

    /// What is seen where a sample of this alpha lies over white.
    ///
    /// Dropping alpha instead would show whatever colours a drawing program left under it.
    fn over_white(self, alpha: Self) -> Self;

    fn run(to_srgb: &ToSrgb, row: &[Self], result: &mut [Self]) -> Option<()>;
}

impl Sample for u8 {
    const FULL: u8 = u8::MAX;

    fn wide(self) -> u16 {
        257 * u16::from(self)
    }

    fn over_white(self, alpha: u8) -> u8 {
        let alpha = u32::from(alpha);
        ((u32::from(self) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    }

    fn run(to_srgb: &ToSrgb, row: &[u8], result: &mut [u8]) -> Option<()> {
        to_srgb.eight(row, result)
    }
}

impl Sample for u16 {
    const FULL: u16 = u16::MAX;

    fn wide(self) -> u16 {
        self
    }

    fn over_white(self, alpha: u16) -> u16 {
        let alpha = u64::from(alpha);
        ((u64::from(self) * alpha + 65_535 * (65_535 - alpha) + 32_767) / 65_535) as u16
    }

    fn run(to_srgb: &ToSrgb, row: &[u16], result: &mut [u16]) -> Option<()> {
        to_srgb.sixteen(row, result)
    }
}

impl<S: Sample> Scratch<S> {
    /// Whether any pixel is not opaque; `None` if colours cannot be converted.
    fn convert<'a>(
        &'a mut self,
        mut samples: &'a [S],
        mut channels: u8,
        to_srgb: Option<&ToSrgb>,
        row: &mut [u16],
    ) -> Option<bool> {
        let takes_grey = to_srgb.is_some_and(|its| its.takes_grey);
        if channels < 3 && !takes_grey {
            self.expanded.clear();
            for pixel in samples.chunks_exact(usize::from(channels)) {
                self.expanded.extend([pixel[0]; 3]);
                self.expanded.extend(&pixel[1..]);
            }
            (samples, channels) = (&self.expanded, channels + 2);
        }
        if let Some(to_srgb) = to_srgb {
            self.converted
                .resize(row.len() / 3 * to_srgb.channels, S::default());
            S::run(to_srgb, samples, &mut self.converted)?;
            (samples, channels) = (&self.converted, to_srgb.channels as u8);
        }
        if channels == 3 {
            for (wide, sample) in row.iter_mut().zip(samples) {
                *wide = sample.wide();
            }
            return Some(false);
        }
        let mut any_transparent = false;
        for (wide, pixel) in row.chunks_exact_mut(3).zip(samples.chunks_exact(4)) {
            let alpha = pixel[3];
            any_transparent |= alpha != S::FULL;
            for (wide, sample) in wide.iter_mut().zip(&pixel[..3]) {
                *wide = sample.over_white(alpha).wide();
            }
        }
        Some(any_transparent)
    }
}
