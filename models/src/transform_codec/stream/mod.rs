//! Photos as streams of levels, and back.
//!
//! A picture is cut into strips of 512 rows, which are coded one after another; levels and pixels of
//! a strip are made with the rows around it, so that strips do not show. `docs/format.md` describes
//! the stream byte by byte.
//!
//! | question | file |
//! |---|---|
//! | What stands in the header? | `header` |
//! | Which rows does a strip need? | `strips` |
//! | How are strips framed and checked? | `frames` |
//! | Which decisions code a level? | [`level_coder`](super::level_coder) |
//! | Who asks the context models? | [`ContextCoder`] |
//! | What do the bits of a stream go to? | `bits` |
//!
//! ```
//! use bsq::config::TransformCodecConfig;
//! use bsq::image_io::Picture;
//! use bsq::pipeline::CompileOptions;
//! use bsq::transform_codec::TransformCodecFile;
//! use bsq::transform_codec::stream::LevelsCodec;
//!
//! let config = TransformCodecConfig::from_toml("
//!     [transform_codec]
//!     coordinates = 16
//!     base_coordinates = 8
//!     encoder_width = 8
//!     decoder_width = 8
//!     decoder_blocks = 1
//!     context_width = 8
//!     coarse_context_width = 8
//!     detail_context_width = 8
//!     [data]
//!     image_size = 32
//! ")?;
//! let file = TransformCodecFile::untrained("tiny", config)?;
//! let mut codec = LevelsCodec::new(&file, CompileOptions::default())?;
//! let photo = Picture::new(20, 10, (0..600).map(|i| (i % 251) as u8).collect());
//! let stream = codec.encode(&photo, 40.0)?;
//! let back = codec.decode(&stream)?;
//! assert_eq!((back.width, back.height), (20, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bits;
mod decode;
mod effort;
mod encode;
mod fill;
mod frames;
mod header;
mod search;
mod strips;
#[cfg(test)]
mod tests;

pub use bits::{GroupBits, StreamBits};
pub use decode::LevelsDecodeReport;
pub use effort::Effort;
pub use encode::{LevelsEncodeReport, PartReport};
pub use frames::{STRIP_FRAME_BYTES, strip_frames};
pub use header::{
    LEVELS_FORMAT_VERSION, LEVELS_HEADER_BYTES, LEVELS_NUMERICS_VERSION, LevelsHeader, is_levels,
};
pub use search::Target;
pub use strips::{STRIP, Strips};

use super::{ContextCoder, Refinement, TransformCodec, TransformCodecFile, TransformCodecSession};
use crate::codec::CodecError;
use crate::pipeline::CompileOptions;
use crate::prior::PriorSessionError;
use bsq_runtime::Precision;
use std::time::Duration;

/// A transform codec ready to code photos.
pub struct LevelsCodec {
    codec: TransformCodec,
    name: String,
    fingerprint: u64,
    session: TransformCodecSession,
    contexts: ContextCoder,
    refinement: Refinement,
    effort: Effort,
    /// The finest and the coarsest of the training.
    steps: [f32; 2],
}

impl LevelsCodec {
    /// Nothing is compiled yet.
    ///
    /// # Errors
    /// If the options are outside the promise of the same bits on every machine.
    pub fn new(
        file: &TransformCodecFile,
        options: CompileOptions,
    ) -> Result<LevelsCodec, CodecError> {
        if options.precision != Precision::F32 || options.tf32 || !options.exact {
            return Err(PriorSessionError::NotExact.into());
        }
        let (codec, parameters) = (&file.codec, &file.parameters);
        let loss = file.config.loss.clone();
        Ok(LevelsCodec {
            refinement: Refinement::new(codec.clone(), loss, parameters.clone(), options.clone()),
            effort: Effort::default(),
            session: TransformCodecSession::new(codec.clone(), parameters.clone(), options.clone()),
            contexts: ContextCoder::new(codec.clone(), parameters.clone(), options),
            steps: [file.config.loss.step_min, file.config.loss.step_max].map(|step| step as f32),
            codec: codec.clone(),
            name: file.name.clone(),
            fingerprint: file.fingerprint(),
        })
    }

    /// The codec's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        let programs = self.session.compile_time() + self.contexts.compile_time();
        programs + self.refinement.compile_time()
    }

    /// Whether a stream with this header can be decoded.
    ///
    /// # Errors
    /// If another codec has written it.
    pub fn check(&self, header: &LevelsHeader) -> Result<(), CodecError> {
        match header.codec == self.fingerprint {
            true => Ok(()),
            false => Err(CodecError::OtherCodec {
                its: header.codec,
                given: self.fingerprint,
                given_name: self.name.clone(),
            }),
        }
    }

    /// How hard the encoder searches from now on.
    pub fn set_effort(&mut self, effort: Effort) {
        self.effort = effort;
    }

    /// What an encoder's progress is counted in: strips, and rounds of the search in each.
    pub fn work(&self, size: crate::image_io::ImageSize, effort: Effort) -> usize {
        self.strips(size).count() * effort.work()
    }

    /// The strips of a picture: what a decoder's progress is counted in.
    pub fn strips(&self, size: crate::image_io::ImageSize) -> Strips {
        Strips::new(&self.codec, size)
    }
}
