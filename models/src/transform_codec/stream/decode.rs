//! The bytes of a stream to pixels.

use super::encode::program;
use super::fill::{Neighbour, filled};
use super::frames::{damage, read_strip};
use super::{LevelsCodec, LevelsHeader, Strips};
use crate::codec::{CodecError, Damage, SymbolDecoder, read_up_to};
use crate::image_io::{ImageSize, Picture};
use crate::photo::{PhotoError, WriteRow};
use crate::transform_codec::level_coder::{Accounting, Event};
use crate::transform_codec::{Part, PartLevels};
use std::io::Read;

/// What a stream came to.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelsDecodeReport {
    pub size: ImageSize,
    /// The quantizer's, in levels of a pixel's sample.
    pub step: f32,
    /// Strips that were damaged, and are filled in.
    pub damage: Vec<Damage>,
}

impl LevelsCodec {
    /// The picture of a stream.
    ///
    /// # Errors
    /// If this is no whole stream of this codec, or a program cannot be compiled.
    pub fn decode(&mut self, stream: &[u8]) -> Result<Picture, PhotoError> {
        let mut reader = stream;
        let header = LevelsHeader::read(&mut reader)?;
        let ImageSize { height, width } = header.size;
        let mut rgb = Vec::new();
        let mut write = |row: &[u8]| {
            rgb.extend_from_slice(row);
            Ok(())
        };
        self.decode_rows(&header, reader, false, &mut write, &mut |_| {})?;
        Ok(Picture::new(width, height, rgb))
    }

    /// Reads what follows a header strip by strip, and gives the picture row by row. Held are the
    /// levels of some strips and the pixels of one. With `recover`, damaged strips are filled in
    /// instead of being errors. `progress` hears how many strips are done.
    ///
    /// # Errors
    /// As those of [`decode`](LevelsCodec::decode), and if reading or writing fails. Some rows may
    /// have been given by then.
    pub fn decode_rows<R: Read>(
        &mut self,
        header: &LevelsHeader,
        mut reader: R,
        recover: bool,
        write: &mut WriteRow,
        progress: &mut dyn FnMut(usize),
    ) -> Result<LevelsDecodeReport, PhotoError> {
        self.check(header)?;
        let strips = self.strips(header.size);
        let parts = self.codec.parts();
        let mut report = LevelsDecodeReport {
            size: header.size,
            step: header.step(),
            damage: Vec::new(),
        };
        let mut held = HeldLevels::new(&parts, self.no_levels(&strips));
        let mut written = 0;
        // The last row that is good, and lost strips above the first of them.
        let (mut above, mut waiting) = (None, 0);
        for strip in 0..strips.count() {
            let levels = match read_strip(&mut reader, &strips, strip) {
                Ok(Some(payload)) => self.strip((&strips, strip), &payload, header.step(), None)?,
                Ok(None) => None,
                // What is missing is damaged, too.
                Err(CodecError::Truncated { .. }) if recover => None,
                Err(error) => return Err(error.into()),
            };
            match levels {
                Some(levels) => {
                    let below = Neighbour::first_of(&levels);
                    for lost in strip - waiting..strip {
                        held.append(filled(&parts, &strips, lost, Some(&below)));
                    }
                    (above, waiting) = (Some(Neighbour::last_of(&levels)), 0);
                    held.append(levels);
                }
                None if recover => {
                    report.damage.push(damage(&strips, strip));
                    if above.is_none() && strip + 1 < strips.count() {
                        waiting += 1;
                        continue;
                    }
                    for lost in strip - waiting..=strip {
                        held.append(filled(&parts, &strips, lost, above.as_ref()));
                    }
                }
                None => return Err(CodecError::DamagedTile(damage(&strips, strip)).into()),
            }
            // All strips that this one was waited for.
            while written <= strip
                && (strip + 1 == strips.count()
                    || strips.seen_by_pixels(written).end <= strips.rows(strip).end)
            {
                self.write_strip(&mut held, &strips, written, header.step(), write)?;
                written += 1;
                progress(written);
            }
        }
        let mut byte = [0];
        match !recover && read_up_to(&mut reader, &mut byte).map_err(CodecError::from)? > 0 {
            true => Err(CodecError::Trailing.into()),
            false => Ok(report),
        }
    }

    /// Gives the picture of levels row by row: that of the stream that has them. `progress` hears how many strips
    /// are done.
    ///
    /// # Errors
    /// If another codec has made the levels, they are not those of a picture of its size, a program cannot be
    /// compiled, or writing fails.
    pub fn write_levels(
        &mut self,
        header: &LevelsHeader,
        levels: &[PartLevels],
        write: &mut WriteRow,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), PhotoError> {
        self.check(header)?;
        let strips = self.strips(header.size);
        let shape = |part: &PartLevels| [part.rows, part.columns, part.coordinates];
        let expected = self.codec.parts().into_iter();
        let expected = expected.map(|part| part.grid(strips.padded));
        if !levels.iter().map(shape).eq(expected) {
            let what = "levels of a picture of another size".to_string();
            return Err(CodecError::Header(what).into());
        }
        let mut held = HeldLevels::new(&self.codec.parts(), levels.to_vec());
        for strip in 0..strips.count() {
            self.write_strip(&mut held, &strips, strip, header.step(), write)?;
            progress(strip + 1);
        }
        Ok(())
    }

    /// Levels of no rows.
    pub(super) fn no_levels(&self, strips: &Strips) -> Vec<PartLevels> {
        let parts = self.codec.parts().into_iter();
        let none = parts.map(|part| {
            let [_, columns, coordinates] = part.grid(strips.padded);
            PartLevels::zeros(0, columns, coordinates)
        });
        none.collect()
    }

    /// The levels of a strip; `None` if no encoder has written its payload. `account` hears what its bits go to.
    pub(super) fn strip(
        &mut self,
        (strips, strip): (&Strips, usize),
        payload: &[u8],
        step: f32,
        account: Option<&mut dyn FnMut(Event)>,
    ) -> Result<Option<Vec<PartLevels>>, PhotoError> {
        let parts = self.codec.parts();
        let Some((groups, coded)) = payload.split_at_checked(parts.len()) else {
            return Ok(None);
        };
        let mut coder = SymbolDecoder::new(coded);
        let mut levels = filled(&parts, strips, strip, None);
        let (known, decoder) = ((&mut levels[..], step), &mut coder);
        let read = match account {
            None => self.contexts.read(groups, known, None, decoder),
            Some(account) => {
                let mut accounting = Accounting { decoder, account };
                self.contexts.read(groups, known, None, &mut accounting)
            }
        };
        let is_good = read.map_err(program)? && coder.is_exhausted();
        Ok(is_good.then_some(levels))
    }

    fn write_strip(
        &mut self,
        held: &mut HeldLevels,
        strips: &Strips,
        strip: usize,
        step: f32,
        write: &mut WriteRow,
    ) -> Result<(), PhotoError> {
        let window = strips.seen_by_pixels(strip);
        let levels = held.rows(window.clone());
        let pixels = self.session.pixels(&levels, step, None).map_err(program)?;
        let (columns, width) = (strips.padded[1], strips.size.width);
        let plane = window.len() * columns;
        let mut row = vec![0; 3 * width];
        let rows = strips.rows(strip);
        for y in rows.start..rows.end.min(strips.size.height) {
            let start = (y - window.start) * columns;
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                for (channel, sample) in pixel.iter_mut().enumerate() {
                    // `as` saturates and sends what is not a number to zero.
                    *sample = pixels[channel * plane + start + x].round() as u8;
                }
            }
            write(&row)?;
        }
        Ok(())
    }
}

/// Levels of rows that are still needed.
struct HeldLevels {
    /// The first row of pixels.
    first: usize,
    patches: Vec<usize>,
    parts: Vec<PartLevels>,
}

impl HeldLevels {
    /// Levels from the first row on.
    fn new(parts: &[Part], levels: Vec<PartLevels>) -> HeldLevels {
        HeldLevels {
            first: 0,
            patches: parts.iter().map(|part| part.kind.patch()).collect(),
            parts: levels,
        }
    }

    fn append(&mut self, levels: Vec<PartLevels>) {
        for (held, levels) in self.parts.iter_mut().zip(levels) {
            held.append(levels);
        }
    }

    /// The levels of rows of pixels, of which none is before one that was asked for earlier.
    fn rows(&mut self, wanted: std::ops::Range<usize>) -> Vec<PartLevels> {
        let dropped = wanted.start - self.first;
        self.first = wanted.start;
        let parts = self.parts.iter_mut().zip(&self.patches);
        let rows = parts.map(|(held, patch)| {
            held.drop_rows(dropped / patch);
            held.rows_range(0..wanted.len() / patch)
        });
        rows.collect()
    }
}
