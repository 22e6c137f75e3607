//! Pictures to our streams and back, in memory.

use super::RateDistortionError;
use bsq::image_io::Picture;
use bsq::photo::tokens::TokensCodec;
use bsq::photo::{EncodeOptions, PhotoCodec, PhotoError};
use bsq::pipeline::{CompileOptions, ModelFile};
use bsq::prior::PriorFile;
use bsq::transform_codec::TransformCodecFile;
use bsq::transform_codec::stream::{Effort, LevelsCodec, Target};
use std::time::Instant;

/// Qualities of a transform codec that are measured unless others are asked for.
const QUALITIES: [usize; 9] = [100, 88, 75, 62, 50, 38, 25, 12, 0];

/// Our codec, ready to code.
pub struct Ours {
    codec: PhotoCodec,
    knob: Knob,
    description: String,
}

/// What is turned for smaller files.
enum Knob {
    /// The quality, at some effort.
    Quality(Effort),
    /// How many of a token's sub-tokens are kept.
    SubTokens(usize),
}

impl Ours {
    /// A transform codec, whose knob is the quality, that searches with some effort.
    ///
    /// # Errors
    /// If the options are outside the promise of the same bits on every machine.
    pub fn levels(
        file: &TransformCodecFile,
        effort: Effort,
        options: &CompileOptions,
    ) -> Result<Ours, RateDistortionError> {
        let codec = LevelsCodec::new(file, options.clone()).map_err(PhotoError::from)?;
        Ok(Ours {
            codec: codec.into(),
            knob: Knob::Quality(effort),
            description: format!(
                "bsq {}, codec {} ({:016x}), effort {effort}",
                env!("CARGO_PKG_VERSION"),
                file.name,
                file.fingerprint()
            ),
        })
    }

    /// A tokenizer and a prior, whose knob is the number of sub-tokens that are kept.
    ///
    /// # Errors
    /// If the prior is for the tokens of another tokenizer.
    pub fn tokens(
        tokenizer: &ModelFile,
        prior: &PriorFile,
        options: &CompileOptions,
    ) -> Result<Ours, RateDistortionError> {
        let codec = TokensCodec::new(tokenizer, Some(prior), options.clone())?;
        Ok(Ours {
            codec: codec.into(),
            knob: Knob::SubTokens(prior.config.prior.sub_tokens()),
            description: format!(
                "bsq {}, tokenizer {}, prior {} ({:016x})",
                env!("CARGO_PKG_VERSION"),
                tokenizer.name,
                prior.name,
                prior.fingerprint()
            ),
        })
    }

    /// What settings are called.
    pub fn knob(&self) -> &'static str {
        match self.knob {
            Knob::Quality(_) => "quality",
            Knob::SubTokens(_) => "sub-tokens",
        }
    }

    /// The settings that there are.
    pub fn settings(&self) -> std::ops::RangeInclusive<usize> {
        match self.knob {
            Knob::Quality(_) => 0..=100,
            Knob::SubTokens(sub_tokens) => 1..=sub_tokens,
        }
    }

    /// The rate ladder unless another is asked for, the largest files first.
    pub fn rungs(&self) -> Vec<usize> {
        match self.knob {
            Knob::Quality(_) => QUALITIES.to_vec(),
            Knob::SubTokens(_) => self.settings().rev().collect(),
        }
    }

    /// The models and their versions.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The stream of a picture at a setting, and the seconds that it took.
    ///
    /// # Errors
    /// If the picture is too large, or a program cannot be compiled or run.
    pub fn encode(
        &mut self,
        picture: &Picture,
        setting: usize,
    ) -> Result<(Vec<u8>, f64), RateDistortionError> {
        let start = Instant::now();
        let mut options = EncodeOptions::default();
        match self.knob {
            Knob::Quality(effort) => {
                options.target = Some(Target::Quality(setting as f32));
                options.effort = effort;
            }
            Knob::SubTokens(_) => options.keep = Some(setting),
        }
        let bytes = self.codec.encode(picture, &options, &mut |_| {})?;
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
