//! The bytes of a stream to pixels.

use super::{TokensCodec, prior_of};
use crate::codec::{CodecError, Damage, DecodedStream, Decoder, FrameReader, decode_together};
use crate::image_io::{ImageSize, Picture};
use crate::photo::{PhotoError, WriteRow};
use crate::pipeline::PictureTokens;
use std::io::Read;

/// What a stream came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokensDecodeReport {
    /// The picture's size.
    pub size: ImageSize,
    /// Tokens of the picture.
    pub tokens: usize,
    /// Tiles that were damaged, and are filled in.
    pub damage: Vec<Damage>,
}

impl TokensCodec {
    /// The picture of a stream. `progress` hears how many of its [`windows`](TokensCodec::windows) are
    /// done.
    ///
    /// # Errors
    /// If this is no whole stream of these models, has more pixels than
    /// [`FrameReader::new`] allows, or a program cannot be compiled.
    pub fn decode(
        &mut self,
        stream: &[u8],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Picture, PhotoError> {
        let frames = FrameReader::new(stream, false)?;
        let ImageSize { height, width } = frames.header().size();
        let mut rgb = Vec::with_capacity(3 * height * width);
        let mut write = |row: &[u8]| {
            rgb.extend_from_slice(row);
            Ok(())
        };
        self.decode_rows(frames, &mut write, progress)?;
        Ok(Picture::new(width, height, rgb))
    }

    /// Reads a stream tile by tile, and gives its picture row by row. Held are a row of
    /// windows, and as many rows of tiles as are decoded together; where damage is filled in,
    /// the bytes of the stream too.
    ///
    /// # Errors
    /// As those of [`decode`](TokensCodec::decode), and if reading or writing fails. Some rows may
    /// have been given by then.
    pub fn decode_rows<R: Read>(
        &mut self,
        frames: FrameReader<R>,
        write: &mut WriteRow,
        progress: &mut dyn FnMut(usize),
    ) -> Result<TokensDecodeReport, PhotoError> {
        let (session, codec) = self.codec_of(frames.header());
        let mut decoder = Decoder::of_frames(codec, frames)?;
        let (size, grid) = (decoder.header().size(), decoder.header().grid());
        let (mut tokens, mut used) = (Vec::new(), 0);
        let mut read = |row: &mut [u64]| {
            while tokens.len() - used < row.len() {
                let more = decoder.next_rows()?.ok_or(CodecError::Count {
                    given: tokens.len() - used,
                    expected: row.len(),
                })?;
                tokens.drain(..used);
                tokens.extend(more);
                used = 0;
            }
            row.copy_from_slice(&tokens[used..used + row.len()]);
            used += row.len();
            Ok(())
        };
        let mut write = |row: &[u8]| Ok(write(row)?);
        session.decode_rows::<PhotoError>(size, &mut read, &mut write, progress)?;
        // Nothing may follow the last tile.
        decoder.next_rows()?;
        Ok(TokensDecodeReport {
            size,
            tokens: grid.tokens(),
            damage: decoder.damage().to_vec(),
        })
    }

    /// The tokens of several streams of one prior, decoded together: see [`decode_together`].
    /// [`write_rows`](TokensCodec::write_rows) makes pictures of them.
    ///
    /// # Errors
    /// If the prior cannot be run; what is wrong with a stream is in its own result.
    ///
    /// # Panics
    /// If the streams name different priors.
    pub fn decode_tokens<R: Read>(
        &mut self,
        streams: Vec<FrameReader<R>>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Result<DecodedStream, CodecError>>, PhotoError> {
        let Some(first) = streams.first() else {
            return Ok(Vec::new());
        };
        let header = first.header().clone();
        let its = prior_of(&header);
        assert!(streams.iter().all(|s| prior_of(s.header()) == its));
        let (_, codec) = self.codec_of(&header);
        Ok(decode_together(codec, streams, progress)?)
    }

    /// The picture of a decoded stream, row by row.
    ///
    /// # Errors
    /// If a program cannot be compiled, or writing fails.
    pub fn write_rows(
        &mut self,
        stream: DecodedStream,
        write: &mut WriteRow,
        progress: &mut dyn FnMut(usize),
    ) -> Result<TokensDecodeReport, PhotoError> {
        let tokens = PictureTokens {
            size: stream.header.size(),
            grid: stream.tokens,
        };
        let mut write = |row: &[u8]| Ok(write(row)?);
        self.session
            .decode_grid::<PhotoError>(&tokens, &mut write, progress)?;
        Ok(TokensDecodeReport {
            size: tokens.size,
            tokens: tokens.grid.shape.tokens(),
            damage: stream.damage,
        })
    }
}
