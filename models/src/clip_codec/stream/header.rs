//! The header of a clip's stream.

use crate::codec::{CodecError, MAGIC, checked_header, crc32c};
use crate::image_io::ImageSize;
use crate::transform_codec::stream::LevelsHeader;
use crate::video_io::FrameRate;
use std::io::Read;

/// The layout of header, groups and index.
pub const CLIP_FORMAT_VERSION: u16 = 4;
/// The version before, whose frames do not say their steps.
const UNSAID_STEPS: u16 = 3;
/// The arithmetic of prediction, and that between weights and decisions.
const CLIP_NUMERICS_VERSION: u16 = 1;
/// Bytes of a header.
pub const CLIP_HEADER_BYTES: usize = 42;

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipHeader {
    pub rate: FrameRate,
    /// Whether each frame says its step.
    pub says_steps: bool,
    /// Size, step and codec, as a picture's stream has them.
    pub frame: LevelsHeader,
}

impl ClipHeader {
    /// # Errors
    /// As those of [`LevelsHeader::new`].
    pub fn new(
        size: ImageSize,
        rate: FrameRate,
        step: f32,
        codec: u64,
    ) -> Result<ClipHeader, CodecError> {
        let frame = LevelsHeader::new(size, step, codec)?;
        Ok(ClipHeader {
            rate,
            says_steps: true,
            frame,
        })
    }

    pub fn to_bytes(&self) -> [u8; CLIP_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(CLIP_HEADER_BYTES);
        bytes.extend(MAGIC);
        let version = match self.says_steps {
            true => CLIP_FORMAT_VERSION,
            false => UNSAID_STEPS,
        };
        bytes.extend(version.to_le_bytes());
        bytes.extend(CLIP_NUMERICS_VERSION.to_le_bytes());
        bytes.extend(self.rate.numerator().to_le_bytes());
        bytes.extend(self.rate.denominator().to_le_bytes());
        bytes.extend(self.frame.fields());
        bytes.extend(crc32c(&bytes).to_le_bytes());
        let mut header = [0; CLIP_HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// Reads a header and checks all of it.
    ///
    /// # Errors
    /// If these are not the first bytes of a clip's stream that this program can read.
    pub fn read(reader: &mut impl Read) -> Result<ClipHeader, CodecError> {
        let bytes: [u8; CLIP_HEADER_BYTES] =
            checked_header(reader, &[UNSAID_STEPS, CLIP_FORMAT_VERSION])?;
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        if half(10) > CLIP_NUMERICS_VERSION {
            return Err(CodecError::Newer {
                what: "numerics",
                found: half(10),
                known: CLIP_NUMERICS_VERSION,
            });
        }
        let rate = FrameRate::new(word(12), word(16));
        let rate = rate.ok_or_else(|| {
            CodecError::Header(format!("{}/{} frames a second", word(12), word(16)))
        })?;
        let frame = LevelsHeader::of_fields(&bytes[20..CLIP_HEADER_BYTES - 4])?;
        Ok(ClipHeader {
            rate,
            says_steps: half(8) > UNSAID_STEPS,
            frame,
        })
    }
}

/// Whether the first bytes of a file are those of a clip's stream.
pub fn is_clip_stream(start: &[u8]) -> bool {
    let version = start.get(MAGIC.len()..MAGIC.len() + 2);
    let versions = [UNSAID_STEPS, CLIP_FORMAT_VERSION].map(u16::to_le_bytes);
    let is_clips = |version: &[u8]| versions.iter().any(|its| its == version);
    start.starts_with(&MAGIC) && version.is_some_and(is_clips)
}
