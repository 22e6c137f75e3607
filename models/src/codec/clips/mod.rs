//! Tokens of a clip's frames as a stream: groups of frames, each decoded without any other.
//!
//! A frame's tiles are coded as a picture's are; a prior that knows of clips sees the tokens of the frame
//! before, so that what stands still costs little. The first frame of a group has none. `docs/format.md`
//! describes the stream byte by byte.

mod decoder;
mod encoder;
mod header;
#[cfg(test)]
mod tests;

pub use decoder::{ClipTokensDecoder, FrameTokens};
pub use encoder::{ClipTokensEncoder, ClipTokensReport};
pub use header::{
    ClipTokensHeader, LONG_TOKEN_CLIP_FORMAT_VERSION, TOKEN_CLIP_FORMAT_VERSION,
    TOKEN_CLIP_HEADER_BYTES, is_token_clip,
};

/// Set in the length of a tile whose tokens are stored bit by bit.
const PLAIN: u16 = 0x8000;
