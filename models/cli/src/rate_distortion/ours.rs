//! Pictures to our streams and back, in memory.

use super::{Encoded, RateDistortionError};
use bsq::codec::{Codec, Decoder, Encoder, grid_rows, picture_tokens};
use bsq::image_io::Picture;
use bsq::pipeline::{ModelFile, SessionOptions, TokenizerSession};
use bsq::prior::PriorFile;
use std::time::Instant;

/// A tokenizer and a prior, ready to code.
pub struct Ours {
    session: TokenizerSession,
    codec: Codec,
    sub_tokens: usize,
    description: String,
}

impl Ours {
    /// # Errors
    /// If the prior is for the tokens of another tokenizer.
    pub fn new(
        tokenizer: &ModelFile,
        prior: &PriorFile,
        options: &SessionOptions,
    ) -> Result<Ours, RateDistortionError> {
        Ok(Ours {
            session: TokenizerSession::new(tokenizer, options.clone()),
            codec: Codec::new(tokenizer, Some(prior), options)?,
            sub_tokens: prior.config.prior.sub_tokens(),
            description: format!(
                "bsq {}, tokenizer {}, prior {} ({:016x})",
                env!("CARGO_PKG_VERSION"),
                tokenizer.name,
                prior.name,
                prior.identity()
            ),
        })
    }

    /// Sub-tokens of a token: as many rungs has the rate ladder.
    pub fn sub_tokens(&self) -> usize {
        self.sub_tokens
    }

    /// The models and their versions.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The stream of a picture with the first `kept` sub-tokens of every token, and the seconds
    /// that it took.
    ///
    /// # Errors
    /// If the picture is too large, or a program cannot be compiled or run.
    pub fn encode(
        &mut self,
        picture: &Picture,
        kept: usize,
    ) -> Result<(Vec<u8>, f64), RateDistortionError> {
        let Encoded { bytes, seconds } = self.encoded(picture, kept)?;
        Ok((bytes, seconds))
    }

    fn encoded(&mut self, picture: &Picture, kept: usize) -> Result<Encoded, RateDistortionError> {
        let start = Instant::now();
        let tokens = self.session.encode_picture(picture, &mut |_| {})?;
        let (width, height) = (picture.width, picture.height);
        let (columns, _) = self.codec.header(width, height, Some(kept))?.grid();
        let rows = grid_rows(&tokens, self.codec.window(), columns);
        let mut encoder = Encoder::new(&mut self.codec, Vec::new(), width, height, Some(kept))?;
        for row in rows.chunks(columns) {
            encoder.write(row)?;
        }
        let (bytes, _) = encoder.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Encoded { bytes, seconds })
    }

    /// The picture of a stream, and the seconds that it took.
    ///
    /// # Errors
    /// If it is no stream of these models, or a program cannot be compiled or run.
    pub fn decode(&mut self, stream: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        let start = Instant::now();
        let mut decoder = Decoder::new(&mut self.codec, stream, false)?;
        let header = decoder.header().clone();
        let mut rows = Vec::new();
        while let Some(more) = decoder.next_rows()? {
            rows.extend(more);
        }
        let tokens = picture_tokens(&header, &rows);
        let picture = self.session.decode_picture(&tokens, &mut |_| {})?;
        Ok((picture, start.elapsed().as_secs_f64()))
    }
}
