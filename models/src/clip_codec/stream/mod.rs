//! Streams of clips: a header, groups of frames, and an index. `docs/format.md` describes them byte by
//! byte.

mod decode;
mod encode;
mod header;
pub(super) mod steps;

pub use decode::ClipDecoder;
pub use encode::{ClipEncoder, ClipReport, ClipSettings};
pub use header::{CLIP_FORMAT_VERSION, CLIP_HEADER_BYTES, ClipHeader, is_clip_stream};
