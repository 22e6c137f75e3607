//! Pixels to the bytes of a stream.

use super::TokensCodec;
use crate::codec::{CodecError, Encoder, StreamReport};
use crate::image_io::{ImageSize, Picture, PixelRows};
use crate::metrics::bits_per_pixel;
use crate::photo::PhotoError;
use std::io::Write;

/// What a picture came to.
#[derive(Clone, Debug, PartialEq)]
pub struct TokensEncodeReport {
    /// The picture's size.
    pub size: ImageSize,
    /// Tokens of the picture.
    pub tokens: usize,
    /// Bits of a token.
    pub bits_per_token: usize,
    /// The stream, and what its tiles came to.
    pub stream: StreamReport,
}

impl TokensEncodeReport {
    /// Bits of the stream for a pixel.
    pub fn bits_per_pixel(&self) -> f64 {
        self.rate(8 * self.stream.bytes)
    }

    /// Bits of the tokens for a pixel, before coding.
    pub fn raw_bits_per_pixel(&self) -> f64 {
        self.rate(self.tokens * self.bits_per_token)
    }

    fn rate(&self, bits: usize) -> f64 {
        bits_per_pixel(bits as u64, self.size.width, self.size.height)
    }
}

impl TokensCodec {
    /// The stream of a picture, with all sub-tokens of every token or with the first `keep`: a decoder
    /// makes up the others. `progress` hears how many of its [`windows`](TokensCodec::windows) are
    /// done.
    ///
    /// # Errors
    /// If the picture is larger than a stream can hold, a token has fewer sub-tokens than are to be
    /// kept, or a program cannot be compiled.
    pub fn encode(
        &mut self,
        picture: &Picture,
        keep: Option<usize>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<u8>, PhotoError> {
        let (stream, _) = self.encode_rows(&mut picture.rows(), Vec::new(), keep, progress)?;
        Ok(stream)
    }

    /// Writes the stream of a picture that comes row by row, tile by tile, and gives the
    /// writer back. Held are a row of windows, and as many rows of tiles as are coded together.
    ///
    /// # Errors
    /// As those of [`encode`](TokensCodec::encode), and if reading or writing fails.
    pub fn encode_rows<W: Write>(
        &mut self,
        rows: &mut dyn PixelRows,
        writer: W,
        keep: Option<usize>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(W, TokensEncodeReport), PhotoError> {
        let size = rows.size();
        let (session, codec) = self.main();
        let mut encoder = Encoder::new(codec, writer, size.width, size.height, keep)?;
        let (grid, bits) = (encoder.header().grid(), encoder.header().bits);
        let mut read = |row: &mut [u16]| Ok(rows.read_row(row)?);
        let mut write = |tokens: &[u64]| Ok(encoder.write(tokens)?);
        session.encode_rows::<PhotoError>(size, &mut read, &mut write, progress)?;
        let (writer, stream) = encoder.finish()?;
        let report = TokensEncodeReport {
            size,
            tokens: grid.tokens(),
            bits_per_token: usize::from(bits),
            stream,
        };
        Ok((writer, report))
    }

    /// Whether pictures can be encoded with so many sub-tokens of every token.
    ///
    /// # Errors
    /// If a token has fewer sub-tokens.
    pub fn check(&self, keep: Option<usize>) -> Result<(), CodecError> {
        self.codecs[&self.main].header(1, 1, keep).map(drop)
    }
}
