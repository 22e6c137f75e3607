//! One photo, one call: a picture to the bytes of its stream, and back.
//!
//! A [`PhotoCodec`] is a codec of either kind, compiled and bound: the learned transform codec, whose
//! streams are levels, or a tokenizer with its priors, whose streams are tokens.
//! [`PhotoCodec::encode`] and [`PhotoCodec::decode`] take and give whole pictures;
//! [`encode_rows`](PhotoCodec::encode_rows) and [`decode_rows`](PhotoCodec::decode_rows) work row by
//! row and hold a part of the picture, however high it is.
//!
//! ```
//! use bsq::image_io::Picture;
//! use bsq::photo::{EncodeOptions, PhotoCodec};
//! use bsq::pipeline::CompileOptions;
//!
//! let mut codec = PhotoCodec::open("default", CompileOptions::default())?;
//! let photo = Picture::new(20, 10, (0..600).map(|i| (i % 251) as u8).collect());
//! let stream = codec.encode(&photo, &EncodeOptions::default(), &mut |_| {})?;
//! let back = codec.decode(&stream, &mut |_| {})?;
//! assert_eq!((back.width, back.height), (20, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod options;
#[cfg(test)]
mod tests;
pub mod tokens;

pub use error::PhotoError;
pub use options::{DecodeOptions, EncodeOptions};

use crate::codec::{CodecError, Damage, FrameReader, is_tokens};
use crate::image_io::{ImageError, ImageSize, Picture, PixelRows};
use crate::pipeline::CompileOptions;
use crate::transform_codec::stream::{
    LEVELS_HEADER_BYTES, LevelsCodec, LevelsEncodeReport, LevelsHeader, Target, is_levels,
};
use crate::{pipeline, pretrained};
use bsq_runtime::checkpoint::Weights;
use std::io::{Read, Write};
use tokens::{TokensCodec, TokensEncodeReport};

/// What makes photos streams, and streams photos.
pub enum PhotoCodec {
    /// A transform codec.
    Levels(Box<LevelsCodec>),
    /// A tokenizer, and priors or none.
    Tokens(Box<TokensCodec>),
}

/// What a picture came to.
#[derive(Clone, Debug, PartialEq)]
pub enum EncodeReport {
    /// By a transform codec.
    Levels(LevelsEncodeReport),
    /// By a tokenizer.
    Tokens(TokensEncodeReport),
}

/// What a stream came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeReport {
    /// The picture's size.
    pub size: ImageSize,
    /// Strips or tiles that were damaged, and are filled in.
    pub damage: Vec<Damage>,
}

/// Takes the rows of a picture: red, green and blue of every pixel, 8 bits each.
pub type WriteRow<'a> = dyn FnMut(&[u8]) -> Result<(), ImageError> + 'a;

impl From<LevelsCodec> for PhotoCodec {
    fn from(codec: LevelsCodec) -> PhotoCodec {
        PhotoCodec::Levels(Box::new(codec))
    }
}

impl From<TokensCodec> for PhotoCodec {
    fn from(codec: TokensCodec) -> PhotoCodec {
        PhotoCodec::Tokens(Box::new(codec))
    }
}

impl EncodeReport {
    /// Bytes of the stream.
    pub fn bytes(&self) -> usize {
        match self {
            EncodeReport::Levels(report) => report.bytes,
            EncodeReport::Tokens(report) => report.stream.bytes,
        }
    }

    /// Bits of the stream for a pixel.
    pub fn bits_per_pixel(&self) -> f64 {
        match self {
            EncodeReport::Levels(report) => report.bits_per_pixel(),
            EncodeReport::Tokens(report) => report.bits_per_pixel(),
        }
    }
}

impl PhotoCodec {
    /// The codec of a name that ships or of a path: a transform codec, or a tokenizer with the prior
    /// that ships for it. Without one, streams have every bit of every token as it is. Nothing is
    /// compiled yet.
    ///
    /// # Errors
    /// If there is no such model, or the options are outside the promise of the same bits on every
    /// machine.
    pub fn open(name: &str, options: CompileOptions) -> Result<PhotoCodec, PhotoError> {
        if pretrained::is_codec(name) {
            let file = pretrained::open_codec(name)?;
            return Ok(LevelsCodec::new(&file, options)?.into());
        }
        let tokenizer = pretrained::open(name, Weights::Ema)?;
        let its = pipeline::fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
        let prior = pretrained::prior_for(&its)?;
        Ok(TokensCodec::new(&tokenizer, prior.as_ref(), options)?.into())
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        match self {
            PhotoCodec::Levels(codec) => codec.name(),
            PhotoCodec::Tokens(codec) => codec.name(),
        }
    }

    /// What an encoder's progress is counted in, and how much of it a picture has.
    pub fn work(&self, size: ImageSize, options: &EncodeOptions) -> (&'static str, usize) {
        match self {
            PhotoCodec::Levels(codec) => ("rounds", codec.work(size, options.effort)),
            PhotoCodec::Tokens(codec) => ("windows", codec.windows(size)),
        }
    }

    /// Whether pictures can be encoded like this.
    ///
    /// # Errors
    /// If an option is for codecs of the other kind, or a token has fewer sub-tokens.
    pub fn check(&self, options: &EncodeOptions) -> Result<(), PhotoError> {
        options.check(self)
    }

    /// The stream of a picture. `progress` hears how much of the [`work`](PhotoCodec::work) is done.
    ///
    /// # Errors
    /// As those of [`check`](PhotoCodec::check); if the picture is larger than a stream can hold, no
    /// quality gives what is asked for, or a program cannot be compiled.
    pub fn encode(
        &mut self,
        picture: &Picture,
        options: &EncodeOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<u8>, PhotoError> {
        let (stream, _) = self.encode_rows(&mut picture.rows(), Vec::new(), options, progress)?;
        Ok(stream)
    }

    /// Writes the stream of a picture that comes row by row, and gives the writer back.
    ///
    /// # Errors
    /// As those of [`encode`](PhotoCodec::encode), and if reading or writing fails.
    pub fn encode_rows<W: Write>(
        &mut self,
        rows: &mut dyn PixelRows,
        writer: W,
        options: &EncodeOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(W, EncodeReport), PhotoError> {
        self.check(options)?;
        match self {
            PhotoCodec::Levels(codec) => {
                codec.set_effort(options.effort);
                let target = options.target.unwrap_or(Target::DEFAULT);
                let (writer, report) = codec.encode_to(rows, writer, target, progress)?;
                Ok((writer, EncodeReport::Levels(report)))
            }
            PhotoCodec::Tokens(codec) => {
                let keep = options.keep;
                let (writer, report) = codec.encode_rows(rows, writer, keep, progress)?;
                Ok((writer, EncodeReport::Tokens(report)))
            }
        }
    }

    /// The picture of a stream. `progress` hears how many of its strips or windows are done.
    ///
    /// # Errors
    /// If this is no whole stream of this codec, has more pixels than [`DecodeOptions`] allow by
    /// default, or a program cannot be compiled.
    pub fn decode(
        &mut self,
        stream: &[u8],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Picture, PhotoError> {
        let mut rgb = Vec::new();
        let mut write = |row: &[u8]| {
            rgb.extend_from_slice(row);
            Ok(())
        };
        let options = DecodeOptions::default();
        let ImageSize { height, width } = self
            .decode_rows(stream, options, &mut write, progress)?
            .size;
        Ok(Picture::new(width, height, rgb))
    }

    /// Reads a stream part by part, and gives its picture row by row.
    ///
    /// # Errors
    /// As those of [`decode`](PhotoCodec::decode), and if reading or writing fails. Some rows may
    /// have been given by then.
    pub fn decode_rows<R: Read>(
        &mut self,
        mut reader: R,
        options: DecodeOptions,
        write: &mut WriteRow,
        progress: &mut dyn FnMut(usize),
    ) -> Result<DecodeReport, PhotoError> {
        let DecodeOptions {
            recover,
            max_pixels,
        } = options;
        let mut start = Vec::new();
        let mut header = reader.by_ref().take(LEVELS_HEADER_BYTES as u64);
        header.read_to_end(&mut start).map_err(CodecError::from)?;
        let is_levels = is_levels(&start);
        let mut reader = (&start[..]).chain(reader);
        match self {
            PhotoCodec::Levels(codec) => {
                if !is_levels && is_tokens(&start) {
                    return Err(self.other_kind("tokens"));
                }
                let header = LevelsHeader::read(&mut reader)?;
                header.check_pixels(max_pixels)?;
                let report = codec.decode_rows(&header, reader, recover, write, progress)?;
                Ok(DecodeReport {
                    size: report.size,
                    damage: report.damage,
                })
            }
            PhotoCodec::Tokens(_) if is_levels => Err(self.other_kind("levels")),
            PhotoCodec::Tokens(codec) => {
                let frames = FrameReader::within(reader, recover, max_pixels)?;
                let report = codec.decode_rows(frames, write, progress)?;
                Ok(DecodeReport {
                    size: report.size,
                    damage: report.damage,
                })
            }
        }
    }

    fn other_kind(&self, stream: &'static str) -> PhotoError {
        let name = self.name().to_string();
        PhotoError::OtherKind { stream, name }
    }
}
