//! Photos as streams of tokens, and back: a tokenizer and its priors.
//!
//! [`encode_rows`](TokensCodec::encode_rows) takes pixels from anything that is [`PixelRows`] and
//! writes tiles as they are complete, [`decode_rows`](TokensCodec::decode_rows) reads tiles as they
//! are needed and gives pixels. Both hold a few rows of windows at a time, however high the picture is.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::TokensDecodeReport;
pub use encode::TokensEncodeReport;

use crate::codec::{Codec, Coding, Header};
use crate::image_io::ImageSize;
use crate::photo::PhotoError;
use crate::pipeline::{CompileOptions, ModelFile, TokenizerSession};
use crate::prior::PriorFile;
use std::collections::BTreeMap;

#[cfg(doc)]
use crate::image_io::PixelRows;

/// A tokenizer and priors, ready to code photos.
pub struct TokensCodec {
    tokenizer: ModelFile,
    options: CompileOptions,
    session: TokenizerSession,
    /// By the fingerprint of the prior; raw without one.
    codecs: BTreeMap<Option<u64>, Codec>,
    /// The one that encodes, and that says what is wrong with streams of a prior that is not there.
    main: Option<u64>,
}

impl TokensCodec {
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
    ) -> Result<TokensCodec, PhotoError> {
        let raw = Codec::new(tokenizer, None, &options)?;
        let mut codec = TokensCodec {
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

    /// The tokenizer's name.
    pub fn name(&self) -> &str {
        &self.tokenizer.name
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
        self.codec_with(known)
    }

    /// The codec that pictures are coded with.
    fn main(&mut self) -> (&mut TokenizerSession, &mut Codec) {
        self.codec_with(self.main)
    }

    /// That with a prior that is there.
    fn codec_with(&mut self, prior: Option<u64>) -> (&mut TokenizerSession, &mut Codec) {
        let codec = self.codecs.get_mut(&prior);
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
