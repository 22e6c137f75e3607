//! The learned codec: a photo's tokens as a small file that decodes bit for bit everywhere.
//!
//! A [`Codec`] holds the models that both sides have; an [`Encoder`] takes tokens and writes a
//! stream to anything that is [`Write`](std::io::Write), a [`Decoder`] reads one from anything that
//! is [`Read`](std::io::Read). `docs/format.md` describes the stream byte by byte.
//!
//! | question | file |
//! |---|---|
//! | What stands in the header? | `header` |
//! | How are tiles framed, checked, found again after damage? | `frames` |
//! | How do probabilities become integers? | `quantized_cdf` |
//! | Which bytes does the coder write? | `range_coder` |
//! | What must both sides have in common? | `models` |
//! | How are tiles coded, and who asks the prior? | `tiles` |
//! | Where do a tile's tokens go, and what fills a lost one? | `tile_rows` |
//! | How do the tokens of a clip's frames become a stream? | `clips`, on the groups of `sections` |
//!
//! Probabilities come from programs compiled in exact mode, so they are equal on every machine;
//! see [`prior`](crate::prior). Everything after them is integer arithmetic.
//!
//! ```
//! use bsq::codec::{Codec, Decoder, Encoder};
//! use bsq::config::PriorConfig;
//! use bsq::pipeline::{CompileOptions, fingerprint};
//! use bsq::pretrained;
//! use bsq::prior::PriorFile;
//! use bsq_runtime::checkpoint::Weights;
//!
//! let tokenizer = pretrained::open("default", Weights::Ema)?;
//! let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
//! let config = PriorConfig::from_toml("
//!     [prior]
//!     bits = 36
//!     side = 8
//!     width = 16
//!     layers = 1
//!     heads = 2
//!     head_width = 8
//! ")?;
//! let prior = PriorFile::untrained("untrained", config, &own)?;
//! let mut codec = Codec::new(&tokenizer, Some(&prior), &CompileOptions::default())?;
//!
//! // A picture of 100x60 pixels has 2 windows of 8x8 tokens: 8 rows of 16.
//! let tokens: Vec<u64> = (0..128).map(|i| i * 0x1234_567 % (1 << 36)).collect();
//! let mut encoder = Encoder::new(&mut codec, Vec::new(), 100, 60, None)?;
//! for row in tokens.chunks(16) {
//!     encoder.write(row)?;
//! }
//! let (stream, report) = encoder.finish()?;
//! assert_eq!(stream.len(), report.bytes);
//!
//! let mut decoder = Decoder::new(&mut codec, &stream[..], false)?;
//! let mut decoded = Vec::new();
//! while let Some(rows) = decoder.next_rows()? {
//!     decoded.extend(rows);
//! }
//! assert_eq!(decoded, tokens);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clips;
mod decoder;
mod encoder;
mod error;
mod frames;
mod header;
mod models;
mod quantized_cdf;
mod range_coder;
mod sections;
mod tile_rows;
mod tiles;
mod together;

pub use clips::{
    ClipTokensDecoder, ClipTokensEncoder, ClipTokensHeader, ClipTokensReport, FrameTokens,
    LONG_TOKEN_CLIP_FORMAT_VERSION, TOKEN_CLIP_FORMAT_VERSION, TOKEN_CLIP_HEADER_BYTES,
    is_token_clip,
};
pub use crc32c::crc32c;
pub use decoder::Decoder;
pub use encoder::{Encoder, StreamReport};
pub use error::CodecError;
pub use frames::{Damage, FRAME_BYTES, Frame, FrameReader, most_bytes};
pub use header::{
    Coding, FORMAT_VERSION, HEADER_BYTES, Header, LONG_FORMAT_VERSION, LONG_RAW_SIDE, MAGIC,
    MAX_PAYLOAD, NUMERICS_VERSION, RAW_SIDE, TileArea, is_tokens,
};
pub(crate) use header::{MAX_PIXELS, checked_header, read_up_to};
pub use models::Codec;
pub use quantized_cdf::{PRECISION, QuantizedCdf};
pub use range_coder::{SymbolDecoder, SymbolEncoder};
pub use sections::{DamagedGroup, Section, Sections};
pub(crate) use sections::{INDEX, SECTION_BYTES, write_section};
pub use tiles::TileReport;
pub use together::{DecodedStream, decode_together};
