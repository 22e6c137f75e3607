//! Pixels to the bytes of a stream.

use super::frames::{STRIP_FRAME_BYTES, write_strip};
use super::{LEVELS_HEADER_BYTES, LevelsCodec, LevelsHeader, Strips};
use crate::image_io::{ImageError, ImageSize, Picture, PixelRange, PixelRows};
use crate::photo::PhotoError;
use crate::transform_codec::level_coder::LevelEncoder;
use crate::transform_codec::{PartKind, PartLevels};
use std::io::Write;

/// What a picture came to.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelsEncodeReport {
    pub size: ImageSize,
    /// The quantizer's, in levels of a pixel's sample.
    pub step: f32,
    /// Bytes of the stream.
    pub bytes: usize,
    pub strips: usize,
    pub parts: Vec<PartReport>,
}

/// What a part came to, over all strips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartReport {
    pub kind: PartKind,
    /// Levels, and those that are not zero.
    pub levels: usize,
    pub nonzero: usize,
    /// What the context model's probabilities ask for.
    pub bits: f64,
}

impl LevelsEncodeReport {
    /// Bits of the stream for a pixel.
    pub fn bits_per_pixel(&self) -> f64 {
        let pixels = self.size.width * self.size.height;
        8.0 * self.bytes as f64 / pixels as f64
    }
}

impl LevelsCodec {
    /// The stream of a picture at a step of the quantizer, from 1 to 1000.
    ///
    /// # Errors
    /// If the picture is larger than a stream can hold, or a program cannot be compiled.
    pub fn encode(&mut self, picture: &Picture, step: f32) -> Result<Vec<u8>, PhotoError> {
        let mut rows = picture.rows();
        let (stream, _) = self.encode_rows(&mut rows, Vec::new(), step, &mut |_| {})?;
        Ok(stream)
    }

    /// Writes the stream of a picture that comes row by row, strip by strip, and gives the writer
    /// back. Held are the rows that a strip depends on. `progress` hears how much of the
    /// [`work`](LevelsCodec::work) is done.
    ///
    /// # Errors
    /// As those of [`encode`](LevelsCodec::encode), and if reading or writing fails.
    pub fn encode_rows<W: Write>(
        &mut self,
        rows: &mut dyn PixelRows,
        mut writer: W,
        step: f32,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(W, LevelsEncodeReport), PhotoError> {
        let size = rows.size();
        let header = LevelsHeader::new(size, step, self.fingerprint)?;
        let strips = self.strips(size);
        writer.write_all(&header.to_bytes()).map_err(io)?;
        let part = |kind| PartReport {
            kind,
            levels: 0,
            nonzero: 0,
            bits: 0.0,
        };
        let parts = self.codec.parts();
        let mut report = LevelsEncodeReport {
            size,
            step: header.step(),
            bytes: LEVELS_HEADER_BYTES,
            strips: strips.count(),
            parts: parts.iter().map(|its| part(its.kind)).collect(),
        };
        let mut held = HeldRows::new(rows, &strips);
        for strip in 0..strips.count() {
            let levels = self.strip_levels(&mut held, strip, header.step(), progress)?;
            let payload = self.payload(levels, header.step(), &mut report)?;
            write_strip(&mut writer, strip, &payload).map_err(io)?;
            report.bytes += STRIP_FRAME_BYTES + payload.len();
            progress((strip + 1) * self.effort.work());
        }
        writer.flush().map_err(io)?;
        Ok((writer, report))
    }

    /// The levels of a picture that comes row by row, as its stream has them, and their header. `progress` hears how
    /// much of the [`work`](LevelsCodec::work) is done.
    ///
    /// # Errors
    /// As those of [`encode_rows`](LevelsCodec::encode_rows).
    pub fn levels_of(
        &mut self,
        rows: &mut dyn PixelRows,
        step: f32,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(LevelsHeader, Vec<PartLevels>), PhotoError> {
        let size = rows.size();
        let header = LevelsHeader::new(size, step, self.fingerprint)?;
        let strips = self.strips(size);
        let mut held = HeldRows::new(rows, &strips);
        let mut all = self.no_levels(&strips);
        for strip in 0..strips.count() {
            let levels = self.strip_levels(&mut held, strip, header.step(), progress)?;
            all.iter_mut()
                .zip(levels)
                .for_each(|(all, own)| all.append(own));
            progress((strip + 1) * self.effort.work());
        }
        Ok((header, all))
    }

    /// The levels of a strip.
    fn strip_levels(
        &mut self,
        held: &mut HeldRows,
        strip: usize,
        step: f32,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<PartLevels>, PhotoError> {
        let strips = held.strips;
        let window = strips.seen_by_levels(strip);
        let image = held.planes(window.clone())?;
        let window_size = [window.len(), strips.padded[1]];
        let levels = match self.effort.rounds() {
            0 => self.session.levels(&image, window_size, step),
            rounds => {
                let before = strip * self.effort.work();
                let progress = &mut |round| progress(before + round);
                self.refinement
                    .levels(&image, window_size, step, rounds, progress)
            }
        };
        let own = strips.rows(strip);
        let own = own.start - window.start..own.end - window.start;
        let parts = self.codec.parts();
        let levels = levels.map_err(program)?.into_iter().zip(&parts);
        let levels = levels.map(|(levels, part)| {
            let patch = part.kind.patch();
            levels.rows_range(own.start / patch..own.end / patch)
        });
        Ok(levels.collect())
    }

    /// The payload of a strip: how many groups of each part are coded, and the coded levels.
    fn payload(
        &mut self,
        mut levels: Vec<PartLevels>,
        step: f32,
        report: &mut LevelsEncodeReport,
    ) -> Result<Vec<u8>, PhotoError> {
        let mut coder = LevelEncoder::default();
        let parts = self.contexts.write((&mut levels, step), None, &mut coder);
        let parts = parts.map_err(program)?;
        let mut payload: Vec<u8> = parts.iter().map(|(groups, _)| *groups).collect();
        for ((its, levels), (_, bits)) in report.parts.iter_mut().zip(&levels).zip(parts) {
            its.levels += levels.levels.len();
            its.nonzero += levels.levels.iter().filter(|&&q| q != 0).count();
            its.bits += bits;
        }
        payload.extend(coder.coder.finish());
        Ok(payload)
    }
}

/// Rows of a picture that are still needed.
struct HeldRows<'r> {
    rows: &'r mut dyn PixelRows,
    strips: Strips,
    /// The first row that is held, and all from there on: for each, three planes' rows.
    first: usize,
    values: Vec<f32>,
    row: Vec<u16>,
}

impl<'r> HeldRows<'r> {
    fn new(rows: &'r mut dyn PixelRows, strips: &Strips) -> HeldRows<'r> {
        HeldRows {
            row: vec![0; 3 * strips.size.width],
            rows,
            strips: *strips,
            first: 0,
            values: Vec::new(),
        }
    }

    /// Planes of rows, of which none is before one that was asked for earlier. Rows and columns
    /// outside are as the nearest inside.
    fn planes(&mut self, wanted: std::ops::Range<usize>) -> Result<Vec<f32>, ImageError> {
        let columns = self.strips.padded[1];
        let each = 3 * columns;
        self.values.drain(..(wanted.start - self.first) * each);
        self.first = wanted.start;
        for row in self.first + self.values.len() / each..wanted.end {
            if row >= self.strips.size.height {
                let last = self.values.len() - each;
                self.values.extend_from_within(last..);
                continue;
            }
            self.rows.read_row(&mut self.row)?;
            for channel in 0..3 {
                let samples = self.row.iter().skip(channel).step_by(3);
                let values = samples.map(|&sample| PixelRange::MinusOneToOne.value(sample));
                let start = self.values.len();
                self.values.extend(values);
                let last = self.values[self.values.len() - 1];
                self.values.resize(start + columns, last);
            }
        }
        let mut planes = Vec::with_capacity(wanted.len() * each);
        for channel in 0..3 {
            let rows = self.values.chunks_exact(each).take(wanted.len());
            let rows = rows.map(|row| &row[channel * columns..(channel + 1) * columns]);
            rows.for_each(|row| planes.extend_from_slice(row));
        }
        Ok(planes)
    }
}

pub(super) fn program(error: bsq_runtime::ProgramError) -> PhotoError {
    PhotoError::Pipeline(error.into())
}

pub(super) fn io(error: std::io::Error) -> PhotoError {
    PhotoError::Codec(error.into())
}
