//! Clips as streams: each frame is what its motion makes of the one before, and what that lacks as
//! levels of a [transform codec](crate::transform_codec).
//!
//! ```text
//! P = predict(frame before, motion)     [`motion`]: blocks of 16x16, quarters of a pixel, overlapping
//! q = levels((x - P) / 127.5)           a transform codec's encoder, at the frame's step
//! frame = P + pixels(q)                 rounded to 8 bits: what the next frame is predicted from
//! ```
//!
//! The first frame of a group has no P and is coded as a picture is, by a codec for pictures; one that
//! was trained for it codes what others lack. A group is decoded without any
//! other, so that a player can begin there, and damage ends with it. Encoder and decoder keep one frame,
//! whatever a clip's length. Everything that a decoder computes is integers, or programs whose bits are
//! the same on every machine.
//!
//! ```
//! use bsq::clip_codec::{ClipCodec, ClipDecoder, ClipEncoder, ClipSettings};
//! use bsq::image_io::{ImageSize, Picture};
//! use bsq::pipeline::CompileOptions;
//! use bsq::pretrained;
//! use bsq::video_io::{ClipFormat, FrameRate};
//!
//! let model = pretrained::open_codec("default")?;
//! let mut codec = ClipCodec::new(&model, None, CompileOptions::default())?;
//! let size = ImageSize { height: 32, width: 32 };
//! let format = ClipFormat { size, rate: FrameRate::default(), frames: None };
//! let mut encoder = ClipEncoder::new(&mut codec, Vec::new(), &format, ClipSettings::default())?;
//! for level in [100, 101] {
//!     encoder.write(&Picture::new(32, 32, vec![level; 3072]))?;
//! }
//! let (stream, report) = encoder.finish()?;
//! assert_eq!((report.frames, report.bytes), (2, stream.len()));
//!
//! let mut decoder = ClipDecoder::new(&mut codec, &stream[..], Default::default())?;
//! let mut frames = 0;
//! while let Some(frame) = decoder.next_frame()? {
//!     assert!(frame.rgb[0].abs_diff(100 + frames) <= 3);
//!     frames += 1;
//! }
//! assert_eq!(frames, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod frame;
mod levels;
pub mod motion;
mod stream;
#[cfg(test)]
mod tests;
mod tokens;

pub use crate::codec::{DamagedGroup, Section, Sections};
pub use frame::{ClipCodec, FrameReport, PredictedFrame};
pub use stream::{
    CLIP_FORMAT_VERSION, CLIP_HEADER_BYTES, ClipDecoder, ClipEncoder, ClipHeader, ClipReport,
    ClipSettings, is_clip_stream,
};
pub use tokens::{TokenClipCodec, TokenClipDecoder, TokenClipEncoder};
