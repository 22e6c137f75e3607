//! The header of a stream of levels, byte by byte; `docs/format.md` has the table.

use crate::codec::{CodecError, MAGIC, crc32c, read_up_to};
use crate::image_io::ImageSize;
use std::io::Read;

/// The layout of header and strips.
pub const LEVELS_FORMAT_VERSION: u16 = 2;
/// The arithmetic between weights and decisions; see [`NUMERICS_VERSION`](crate::codec::NUMERICS_VERSION).
pub const LEVELS_NUMERICS_VERSION: u16 = 1;
/// Bytes of a header.
pub const LEVELS_HEADER_BYTES: usize = 34;
/// Parts of a pixel's level that steps are counted in.
const STEP_UNIT: f32 = 1.0 / 64.0;

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelsHeader {
    pub size: ImageSize,
    /// In 64ths of a pixel's level.
    step: u16,
    /// The codec's fingerprint.
    pub codec: u64,
}

impl LevelsHeader {
    /// The step is rounded to a 64th.
    ///
    /// # Errors
    /// If the picture is larger than a stream can hold, or the step is not from 1 to 1000.
    pub fn new(size: ImageSize, step: f32, codec: u64) -> Result<LevelsHeader, CodecError> {
        if !(1.0..=1000.0).contains(&step) {
            let what = format!("a step of {step}: it is from 1 to 1000");
            return Err(CodecError::Header(what));
        }
        let header = LevelsHeader {
            size,
            step: (step / STEP_UNIT).round() as u16,
            codec,
        };
        header.check()?;
        Ok(header)
    }

    /// The quantizer's step, in levels of a pixel's sample.
    pub fn step(&self) -> f32 {
        f32::from(self.step) * STEP_UNIT
    }

    pub fn to_bytes(&self) -> [u8; LEVELS_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(LEVELS_HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(LEVELS_FORMAT_VERSION.to_le_bytes());
        bytes.extend(LEVELS_NUMERICS_VERSION.to_le_bytes());
        bytes.extend(self.fields());
        bytes.extend(crc32c(&bytes).to_le_bytes());
        let mut header = [0; LEVELS_HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// Width, height, step and codec, as they are in a stream.
    pub(crate) fn fields(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((self.size.width as u32).to_le_bytes());
        bytes.extend((self.size.height as u32).to_le_bytes());
        bytes.extend(self.step.to_le_bytes());
        bytes.extend(self.codec.to_le_bytes());
        bytes
    }

    /// What [`fields`](LevelsHeader::fields) wrote, checked.
    pub(crate) fn of_fields(bytes: &[u8]) -> Result<LevelsHeader, CodecError> {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let header = LevelsHeader {
            size: ImageSize {
                width: word(0) as usize,
                height: word(4) as usize,
            },
            step: half(8),
            codec: u64::from(word(10)) | u64::from(word(14)) << 32,
        };
        header.check()?;
        Ok(header)
    }

    /// Reads a header and checks all of it.
    ///
    /// # Errors
    /// If these are not the first bytes of a stream that this program can read.
    pub fn read(reader: &mut impl Read) -> Result<LevelsHeader, CodecError> {
        let mut bytes = [0; LEVELS_HEADER_BYTES];
        let count = read_up_to(reader, &mut bytes)?;
        let known = count.min(MAGIC.len());
        if count == 0 || bytes[..known] != MAGIC[..known] {
            return Err(CodecError::NotAStream);
        }
        if count < LEVELS_HEADER_BYTES {
            return Err(CodecError::Truncated { tile: 0, tiles: 0 });
        }
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let newer = |what, found, known| Err(CodecError::Newer { what, found, known });
        if half(8) > LEVELS_FORMAT_VERSION {
            return newer("format", half(8), LEVELS_FORMAT_VERSION);
        }
        let sum = LEVELS_HEADER_BYTES - 4;
        if word(sum) != crc32c(&bytes[..sum]) || half(8) < LEVELS_FORMAT_VERSION {
            return Err(CodecError::DamagedHeader);
        }
        if half(10) > LEVELS_NUMERICS_VERSION {
            return newer("numerics", half(10), LEVELS_NUMERICS_VERSION);
        }
        LevelsHeader::of_fields(&bytes[12..sum])
    }

    /// Whether the picture is no larger than a reader is ready for.
    ///
    /// # Errors
    /// If it has more than `max_pixels` pixels.
    pub fn check_pixels(&self, max_pixels: u64) -> Result<(), CodecError> {
        let ImageSize { height, width } = self.size;
        match (width * height) as u64 > max_pixels {
            true => Err(CodecError::TooManyPixels {
                width: width as u32,
                height: height as u32,
                max_pixels,
            }),
            false => Ok(()),
        }
    }

    fn check(&self) -> Result<(), CodecError> {
        let ImageSize { height, width } = self.size;
        if width > 65_535 || height > 65_535 {
            return Err(CodecError::TooLarge { width, height });
        }
        if width == 0 || height == 0 {
            return Err(CodecError::Header(format!("{width}x{height} pixels")));
        }
        if !(1.0..=1000.0).contains(&self.step()) {
            return Err(CodecError::Header(format!("a step of {}", self.step())));
        }
        Ok(())
    }
}

/// Whether the first bytes of a file are those of a stream of levels.
pub fn is_levels(start: &[u8]) -> bool {
    let version = start.get(MAGIC.len()..MAGIC.len() + 2);
    start.starts_with(&MAGIC) && version == Some(&LEVELS_FORMAT_VERSION.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> LevelsHeader {
        let size = ImageSize {
            height: 512,
            width: 700,
        };
        LevelsHeader::new(size, 84.7, 0x0123_4567_89AB_CDEF).unwrap()
    }

    #[test]
    fn a_header_reads_back() {
        let header = header();
        let bytes = header.to_bytes();
        assert_eq!(LevelsHeader::read(&mut &bytes[..]).unwrap(), header);
        assert!((header.step() - 84.7).abs() <= STEP_UNIT / 2.0);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = header().to_bytes();
        for bit in 0..8 * LEVELS_HEADER_BYTES {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(LevelsHeader::read(&mut &bad[..]).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn nonsense_with_a_good_checksum_is_refused() {
        let refused = |change: &dyn Fn(&mut [u8]), words: &str| {
            let mut bytes = header().to_bytes();
            change(&mut bytes);
            let sum = crc32c(&bytes[..LEVELS_HEADER_BYTES - 4]).to_le_bytes();
            bytes[LEVELS_HEADER_BYTES - 4..].copy_from_slice(&sum);
            let error = LevelsHeader::read(&mut &bytes[..]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(&|b| b[8] = 3, "format version 3 is newer");
        refused(&|b| b[10] = 2, "numerics version 2 is newer");
        refused(&|b| b[12..16].fill(0xFF), "at most 65535 a side");
        refused(&|b| b[12..20].fill(0), "0x0 pixels");
        refused(&|b| b[20..22].fill(0), "a step of 0");
        refused(&|b| b[20..22].fill(0xFF), "a step of 1023");
    }
}
