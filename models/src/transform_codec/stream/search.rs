//! The step that gives a picture a size or a fidelity.

use super::encode::io;
use super::{LevelsCodec, LevelsEncodeReport};
use crate::image_io::{Picture, PixelRows};
use crate::photo::PhotoError;
use std::io::Write;

/// How a picture is to come out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The quantizer's step, from 1 to 1000.
    Step(f32),
    /// From 0 to 100: the steps of the codec's training, evenly in their logarithms.
    Quality(f32),
    /// The finest step whose stream has at most so many bits for a pixel.
    BitsPerPixel(f64),
    /// The coarsest step with a PSNR of at least so many decibels.
    Psnr(f64),
}

impl Target {
    /// Half way between the smallest files and the largest.
    pub const DEFAULT: Target = Target::Quality(50.0);
}

/// Steps that are searched.
const STEPS: [f32; 2] = [1.0, 1000.0];
/// Halvings of their range: the last difference is 0.3%.
const ROUNDS: usize = 11;

impl LevelsCodec {
    /// The step of a quality from 0 to 100.
    pub fn step_of_quality(&self, quality: f32) -> f32 {
        let [fine, coarse] = self.steps.map(libm::logf);
        libm::expf(coarse + (fine - coarse) * quality / 100.0)
    }

    /// [`encode_rows`](LevelsCodec::encode_rows) with the step that gives what is asked for. A search
    /// holds the whole picture in memory, rounded to 8 bits.
    ///
    /// # Errors
    /// As those of [`encode_rows`](LevelsCodec::encode_rows); if no step gives it.
    pub fn encode_to<W: Write>(
        &mut self,
        rows: &mut dyn PixelRows,
        mut writer: W,
        target: Target,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(W, LevelsEncodeReport), PhotoError> {
        let step = match target {
            Target::Step(step) => Some(step),
            Target::Quality(quality) => Some(self.step_of_quality(quality)),
            Target::BitsPerPixel(_) | Target::Psnr(_) => None,
        };
        if let Some(step) = step {
            return self.encode_rows(rows, writer, step, progress);
        }
        let picture = whole(rows)?;
        let [mut fine, mut coarse] = STEPS.map(libm::logf);
        let mut best = None;
        for _ in 0..ROUNDS {
            let middle = fine.midpoint(coarse);
            let mut rows = picture.rows();
            let step = libm::expf(middle);
            let (stream, report) = self.encode_rows(&mut rows, Vec::new(), step, &mut |_| {})?;
            // Whether this one is good, and whether better ones are coarser.
            let (is_good, is_coarser) = match target {
                Target::Psnr(decibels) => {
                    let found = decibels_of(&picture, &self.decode(&stream)?);
                    (found >= decibels, found >= decibels)
                }
                Target::BitsPerPixel(bits) => {
                    let found = report.bits_per_pixel();
                    (found <= bits, found > bits)
                }
                Target::Step(_) | Target::Quality(_) => unreachable!("nothing is searched"),
            };
            if is_good {
                best = Some((stream, report));
            }
            match is_coarser {
                true => fine = middle,
                false => coarse = middle,
            }
        }
        let Some((stream, report)) = best else {
            let what = match target {
                Target::Psnr(decibels) => format!("{decibels} dB"),
                Target::BitsPerPixel(bits) => format!("{bits} bits per pixel"),
                Target::Step(_) | Target::Quality(_) => unreachable!("nothing is searched"),
            };
            let error = crate::codec::CodecError::Unreachable { what };
            return Err(error.into());
        };
        writer.write_all(&stream).map_err(io)?;
        writer.flush().map_err(io)?;
        progress(report.strips * self.effort.work());
        Ok((writer, report))
    }
}

fn whole(rows: &mut dyn PixelRows) -> Result<Picture, PhotoError> {
    let size = rows.size();
    let mut row = vec![0; 3 * size.width];
    let mut rgb = Vec::with_capacity(row.len() * size.height);
    for _ in 0..size.height {
        rows.read_row(&mut row)?;
        rgb.extend(
            row.iter()
                .map(|&sample| ((u32::from(sample) + 128) / 257) as u8),
        );
    }
    Ok(Picture::new(size.width, size.height, rgb))
}

fn decibels_of(original: &Picture, other: &Picture) -> f64 {
    let pairs = original.rgb.iter().zip(&other.rgb);
    let squares = pairs.map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2));
    let count = original.rgb.len() as f64;
    10.0 * libm::log10(255.0 * 255.0 * count / squares.sum::<u64>() as f64)
}
