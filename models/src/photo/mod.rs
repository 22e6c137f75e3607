//! One photo, one call: a picture to the bytes of its stream, and back.
//!
//! A [`PhotoCodec`] holds a tokenizer and its priors, compiled and bound. [`PhotoCodec::encode`] and
//! [`PhotoCodec::decode`] take and give whole pictures. What they are made of works row by row:
//! [`encode_rows`](PhotoCodec::encode_rows) takes pixels from anything that is
//! [`PixelRows`] and writes tiles as they are complete, [`decode_rows`](PhotoCodec::decode_rows)
//! reads tiles as they are needed and gives pixels. Both hold a few rows of windows at a time,
//! however high the picture is.
//!
//! ```
//! use bsq::image_io::Picture;
//! use bsq::photo::{EncodeOptions, PhotoCodec};
//! use bsq::pipeline::{ModelFile, CompileOptions};
//!
//! # let config = bsq::config::Config::from_toml(include_str!("../../tests/tiny.toml"))?;
//! let model = ModelFile::untrained("tiny", config, 7)?;
//! let mut codec = PhotoCodec::new(&model, None, CompileOptions::default())?;
//! let photo = Picture::new(20, 10, (0..600).map(|i| (i % 251) as u8).collect());
//! let stream = codec.encode(&photo, EncodeOptions::default(), &mut |_| {})?;
//! let back = codec.decode(&stream, &mut |_| {})?;
//! assert_eq!((back.width, back.height), (20, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::{DecodeReport, WriteRow};
pub use encode::{EncodeOptions, EncodeReport};

use crate::codec::{Codec, CodecError, Coding, Header};
use crate::image_io::{ImageError, ImageSize};
use crate::pipeline::{CompileOptions, ModelFile, PipelineError, TokenizerSession};
use crate::prior::PriorFile;
use std::collections::BTreeMap;

#[cfg(doc)]
use crate::image_io::PixelRows;

/// A tokenizer and priors, ready to code photos.
pub struct PhotoCodec {
    tokenizer: ModelFile,
    options: CompileOptions,
    session: TokenizerSession,
    /// By the fingerprint of the prior; raw without one.
    codecs: BTreeMap<Option<u64>, Codec>,
    /// The one that encodes, and that says what is wrong with streams of a prior that is not there.
    main: Option<u64>,
}

/// Why a photo cannot be coded. The text of a stream's error names no file: whoever opened it knows.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// The picture cannot be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The tokenizer failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The stream is wrong, or belongs to other models.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl PhotoCodec {
    /// A codec that encodes with `prior`, or raw without one: every bit of every token as it is. Raw
    /// streams and those of the prior are decoded.
    ///
    /// Nothing is compiled yet.
    ///
    /// # Errors
    /// If the prior is for the tokens of another tokenizer.
    pub fn new(
        tokenizer: &ModelFile,
        prior: Option<&PriorFile>,
        options: CompileOptions,
    ) -> Result<PhotoCodec, PhotoError> {
        let raw = Codec::new(tokenizer, None, &options)?;
        let mut codec = PhotoCodec {
            session: TokenizerSession::new(tokenizer, options.clone()),
            tokenizer: tokenizer.clone(),
            options,
            codecs: BTreeMap::from([(None, raw)]),
            main: None,
        };
        prior.map_or(Ok(()), |prior| codec.add_prior(prior))?;
        Ok(codec)
    }

    /// Adds a prior: streams that name it are decoded with it. The first one also encodes.
    ///
    /// # Errors
    /// If it is for the tokens of another tokenizer.
    pub fn add_prior(&mut self, prior: &PriorFile) -> Result<(), PhotoError> {
        let codec = Codec::new(&self.tokenizer, Some(prior), &self.options)?;
        let fingerprint = Some(prior.fingerprint());
        self.codecs.insert(fingerprint, codec);
        self.main = self.main.or(fingerprint);
        Ok(())
    }

    /// Whether there is what a stream was coded with, as far as its header says.
    pub fn has_prior_of(&self, header: &Header) -> bool {
        self.codecs.contains_key(&prior_of(header))
    }

    /// The tokenizer.
    pub fn tokenizer(&mut self) -> &mut TokenizerSession {
        &mut self.session
    }

    /// Windows of a picture: what progress is counted in.
    pub fn windows(&self, size: ImageSize) -> usize {
        self.session.windows(size).count()
    }

    /// Sub-tokens of a token: those that can be kept. None without a prior.
    pub fn sub_tokens(&self) -> Option<usize> {
        self.codecs[&self.main].sub_tokens()
    }

    /// The codec of a stream. Without its prior it is one that says what is missing.
    fn codec_of(&mut self, header: &Header) -> (&mut TokenizerSession, &mut Codec) {
        let its = prior_of(header);
        let known = match self.codecs.contains_key(&its) {
            true => its,
            false => self.main,
        };
        let codec = self.codecs.get_mut(&known);
        (
            &mut self.session,
            codec.expect("one of those that are there"),
        )
    }
}

/// The fingerprint of the prior that a stream was coded with.
pub fn prior_of(header: &Header) -> Option<u64> {
    match header.coding {
        Coding::Raw => None,
        Coding::Prior { fingerprint, .. } => Some(fingerprint),
    }
}
