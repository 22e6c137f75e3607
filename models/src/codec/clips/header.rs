//! The header of a stream of a clip's tokens.

use super::super::header::{FIELDS_BYTES, checked_header, read_up_to};
use super::super::{CodecError, Header, MAGIC, NUMERICS_VERSION, crc32c};
use crate::pipeline::Chunks;
use crate::video_io::FrameRate;
use std::io::Read;

/// The layout of header, groups and index.
pub const TOKEN_CLIP_FORMAT_VERSION: u16 = 6;
/// The same of tokens that have more bits than an index.
pub const LONG_TOKEN_CLIP_FORMAT_VERSION: u16 = 8;
/// Bytes of a header.
pub const TOKEN_CLIP_HEADER_BYTES: usize = FIELDS_BYTES + 28;
/// The version without an overlap of chunks, and its bytes.
const WITHOUT_OVERLAP: u16 = 5;
const BYTES_WITHOUT_OVERLAP: usize = TOKEN_CLIP_HEADER_BYTES - 2;
/// All of them.
const VERSIONS: [u16; 3] = [
    WITHOUT_OVERLAP,
    TOKEN_CLIP_FORMAT_VERSION,
    LONG_TOKEN_CLIP_FORMAT_VERSION,
];

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipTokensHeader {
    pub rate: FrameRate,
    /// What the tokenizer has seen together, from the first frame of each group on.
    pub chunks: Chunks,
    /// What is said of each frame, as a picture's stream says it.
    pub frame: Header,
}

impl ClipTokensHeader {
    /// Whether a stream can say what the chunks are.
    pub(super) fn check(&self) -> Result<(), CodecError> {
        match u16::try_from(self.chunks.frames()) {
            Ok(_) => Ok(()),
            Err(_) => Err(CodecError::Header("too many frames together".into())),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TOKEN_CLIP_HEADER_BYTES);
        bytes.extend(MAGIC);
        let version = match self.frame.has_long_tokens() {
            true => LONG_TOKEN_CLIP_FORMAT_VERSION,
            false => TOKEN_CLIP_FORMAT_VERSION,
        };
        bytes.extend(version.to_le_bytes());
        bytes.extend(NUMERICS_VERSION.to_le_bytes());
        bytes.extend(self.rate.numerator().to_le_bytes());
        bytes.extend(self.rate.denominator().to_le_bytes());
        bytes.extend(self.frame.fields());
        bytes.extend((self.chunks.frames() as u16).to_le_bytes());
        bytes.extend((self.chunks.overlap() as u16).to_le_bytes());
        bytes.extend(crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads a header and checks all of it.
    ///
    /// # Errors
    /// If these are not the first bytes of such a stream that this program can read.
    pub fn read(reader: &mut impl Read) -> Result<ClipTokensHeader, CodecError> {
        let mut start = [0; MAGIC.len() + 2];
        let count = read_up_to(reader, &mut start)?;
        let (is_earlier, mut reader) = (
            version(&start) == WITHOUT_OVERLAP,
            start[..count].chain(reader),
        );
        let mut bytes = [0; TOKEN_CLIP_HEADER_BYTES];
        if is_earlier {
            let earlier: [u8; BYTES_WITHOUT_OVERLAP] = checked_header(&mut reader, &VERSIONS)?;
            bytes[..BYTES_WITHOUT_OVERLAP - 4]
                .copy_from_slice(&earlier[..BYTES_WITHOUT_OVERLAP - 4]);
        } else {
            bytes = checked_header(&mut reader, &VERSIONS)?;
        }
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let wrong = |what: String| Err(CodecError::Header(what));
        let Some(rate) = FrameRate::new(word(12), word(16)) else {
            return wrong(format!("{}/{} frames a second", word(12), word(16)));
        };
        let frame = Header::of_fields(
            &bytes[20..20 + FIELDS_BYTES],
            half(8) == LONG_TOKEN_CLIP_FORMAT_VERSION,
        )?;
        frame.check_numerics(half(10))?;
        let [frames, overlap] = [0, 2].map(|at| usize::from(half(20 + FIELDS_BYTES + at)));
        let chunks = Chunks::new(frames, overlap);
        let chunks = chunks.map_err(|error| CodecError::Header(error.to_string()))?;
        Ok(ClipTokensHeader {
            rate,
            chunks,
            frame,
        })
    }
}

/// Whether the first bytes of a file are those of a stream of a clip's tokens.
pub fn is_token_clip(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
        && start.len() >= MAGIC.len() + 2
        && VERSIONS.contains(&version(start))
}

/// Of a stream's first bytes.
fn version(start: &[u8]) -> u16 {
    u16::from_le_bytes([start[MAGIC.len()], start[MAGIC.len() + 1]])
}
