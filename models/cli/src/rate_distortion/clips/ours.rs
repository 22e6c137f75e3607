//! Clips to our streams and back, in memory.

use super::super::RateDistortionError;
use super::Clip;
use super::tokens::{Tally, TokenRates};
use bsq::clip_codec::{
    ClipCodec, ClipDecoder, ClipEncoder, ClipSettings, TokenClipCodec, TokenClipDecoder,
    TokenClipEncoder,
};
use bsq::image_io::Picture;
use bsq::photo::{DecodeOptions, PhotoError};
use bsq::pipeline::{CompileOptions, ModelFile};
use bsq::prior::PriorFile;
use bsq::transform_codec::stream::Target;
use std::time::Instant;

/// Qualities of a codec of levels that are measured unless others are asked for.
pub const QUALITIES: [usize; 5] = [88, 69, 50, 31, 12];

/// Our codec for clips, ready to code.
pub struct OurClips {
    model: Model,
    description: String,
}

enum Model {
    /// Whose knob is the quality.
    Levels(Box<ClipCodec>),
    /// Which has none.
    Tokens {
        codec: Box<TokenClipCodec>,
        overlap: usize,
        tally: Tally,
    },
}

/// A stream on its way back to frames.
pub(super) enum Decoder<'m> {
    Levels(Box<ClipDecoder<'m, &'m [u8]>>),
    Tokens(Box<TokenClipDecoder<'m, &'m [u8]>>, &'m mut Tally),
}

impl OurClips {
    pub fn levels(codec: ClipCodec) -> OurClips {
        let (name, fingerprint) = (codec.name(), codec.fingerprint());
        OurClips {
            description: format!("codec {name} ({fingerprint:016x})"),
            model: Model::Levels(Box::new(codec)),
        }
    }

    /// A tokenizer, with a prior or storing tokens as they are; chunks of clips begin with the last `overlap`
    /// frames before them.
    ///
    /// # Errors
    /// If the prior is for the tokens of another tokenizer.
    pub fn tokens(
        tokenizer: &ModelFile,
        prior: Option<&PriorFile>,
        overlap: usize,
        options: CompileOptions,
    ) -> Result<OurClips, RateDistortionError> {
        let prior_name = prior.map_or("no prior".to_string(), |prior| {
            format!("prior {} ({:016x})", prior.name, prior.fingerprint())
        });
        let bits = tokenizer.config.model.quantizer.bits_per_token();
        let codec = TokenClipCodec::new(tokenizer, prior, options)?;
        Ok(OurClips {
            description: format!("tokenizer {}, {prior_name}", tokenizer.name),
            model: Model::Tokens {
                codec: Box::new(codec),
                overlap,
                tally: Tally::new(bits, prior.is_some()),
            },
        })
    }

    /// The models and their versions.
    pub(super) fn description(&self, group: u16) -> String {
        let (version, own) = (env!("CARGO_PKG_VERSION"), &self.description);
        format!("bsq {version}, {own}, groups of {group} frames")
    }

    /// What settings are called.
    pub fn knob(&self) -> &'static str {
        match self.model {
            Model::Levels(_) => "quality",
            Model::Tokens { .. } => "tokens",
        }
    }

    /// The stream of a clip at a setting, and the seconds that coding it took: without reading.
    pub(super) fn encode(
        &mut self,
        clip: &Clip,
        setting: usize,
        group: u16,
    ) -> Result<(Vec<u8>, f64), RateDistortionError> {
        let mut frames = clip.open()?;
        let mut seconds = 0.0;
        let mut timed = |work: &mut dyn FnMut() -> Result<(), PhotoError>| {
            let start = Instant::now();
            let result = work();
            seconds += start.elapsed().as_secs_f64();
            result
        };
        let mut stream = Vec::new();
        match &mut self.model {
            Model::Levels(codec) => {
                let settings = ClipSettings {
                    target: Target::Quality(setting as f32),
                    group,
                };
                let mut encoder = ClipEncoder::new(codec, &mut stream, clip.format(), settings)?;
                while let Some(frame) = frames.next()? {
                    timed(&mut || encoder.write(&frame).map(|_| ()))?;
                }
                encoder.finish()?;
            }
            Model::Tokens { codec, overlap, .. } => {
                let how = (*overlap, group);
                let mut encoder = TokenClipEncoder::new(codec, &mut stream, clip.format(), how)?;
                while let Some(frame) = frames.next()? {
                    let mut frame = Some(frame);
                    timed(&mut || encoder.write(frame.take().expect("it runs once")))?;
                }
                let mut encoder = Some(encoder);
                timed(&mut || {
                    let encoder = encoder.take().expect("it runs once");
                    encoder.finish().map(|_| ())
                })?;
            }
        }
        Ok((stream, seconds))
    }

    pub(super) fn decoder<'m>(
        &'m mut self,
        stream: &'m [u8],
    ) -> Result<Decoder<'m>, RateDistortionError> {
        let options = DecodeOptions::default();
        Ok(match &mut self.model {
            Model::Levels(codec) => {
                Decoder::Levels(Box::new(ClipDecoder::new(codec, stream, options)?))
            }
            Model::Tokens { codec, tally, .. } => {
                let decoder = TokenClipDecoder::new(codec, stream, options)?;
                Decoder::Tokens(Box::new(decoder), tally)
            }
        })
    }

    /// All of a clip was measured; or it is to be forgotten.
    pub(super) fn end_clip(&mut self, pixels: Option<usize>) {
        if let Model::Tokens { tally, .. } = &mut self.model {
            tally.end_clip(pixels);
        }
    }

    /// Rates of tokens, over all clips.
    pub(super) fn token_rates(&self) -> Option<TokenRates> {
        match &self.model {
            Model::Levels(_) => None,
            Model::Tokens { tally, .. } => tally.rates(),
        }
    }
}

impl Decoder<'_> {
    /// The next frame; `None` behind the last.
    pub fn next_frame(&mut self) -> Result<Option<Picture>, PhotoError> {
        match self {
            Decoder::Levels(decoder) => decoder.next_frame(),
            Decoder::Tokens(decoder, tally) => {
                let frame = decoder.next_frame()?;
                if let (Some(_), Some(tokens)) = (&frame, decoder.tokens()) {
                    tally.push(&tokens.indices);
                }
                Ok(frame)
            }
        }
    }
}
