//! Pictures to our streams and back, in memory.

use super::RateDistortionError;
use bsq::image_io::Picture;
use bsq::photo::{EncodeOptions, PhotoCodec};
use bsq::pipeline::{CompileOptions, ModelFile};
use bsq::prior::PriorFile;
use std::time::Instant;

/// A tokenizer and a prior, ready to code.
pub struct Ours {
    codec: PhotoCodec,
    sub_tokens: usize,
    description: String,
}

impl Ours {
    /// # Errors
    /// If the prior is for the tokens of another tokenizer.
    pub fn new(
        tokenizer: &ModelFile,
        prior: &PriorFile,
        options: &CompileOptions,
    ) -> Result<Ours, RateDistortionError> {
        Ok(Ours {
            codec: PhotoCodec::new(tokenizer, Some(prior), options.clone())?,
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
        let start = Instant::now();
        let options = EncodeOptions { keep: Some(kept) };
        let bytes = self.codec.encode(picture, options, &mut |_| {})?;
        Ok((bytes, start.elapsed().as_secs_f64()))
    }

    /// The picture of a stream, and the seconds that it took.
    ///
    /// # Errors
    /// If it is no stream of these models, or a program cannot be compiled or run.
    pub fn decode(&mut self, stream: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        let start = Instant::now();
        let picture = self.codec.decode(stream, &mut |_| {})?;
        Ok((picture, start.elapsed().as_secs_f64()))
    }
}
