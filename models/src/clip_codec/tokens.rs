//! Clips as streams of a tokenizer's tokens: the frames that it sees together, and a prior that knows the
//! frame before.

use crate::codec::{
    ClipTokensDecoder, ClipTokensEncoder, ClipTokensHeader, ClipTokensReport, Codec, CodecError,
    DamagedGroup, FrameTokens,
};
use crate::image_io::{ImageSize, Picture};
use crate::photo::{DecodeOptions, PhotoError};
use crate::pipeline::{
    ChunkDecoder, ChunkEncoder, Chunks, ClipTokens, CompileOptions, ModelFile, TokenizerSession,
};
use crate::prior::PriorFile;
use crate::token_grid::TokenGrid;
use crate::video_io::ClipFormat;
use std::collections::VecDeque;
use std::io::{Read, Write};

/// A tokenizer and what its tokens are coded with.
pub struct TokenClipCodec {
    session: TokenizerSession,
    codec: Codec,
}

impl TokenClipCodec {
    /// Without a prior tokens are stored as they are. Nothing is compiled yet.
    ///
    /// # Errors
    /// As those of [`Codec::new`].
    pub fn new(
        tokenizer: &ModelFile,
        prior: Option<&PriorFile>,
        options: CompileOptions,
    ) -> Result<TokenClipCodec, PhotoError> {
        Ok(TokenClipCodec {
            codec: Codec::new(tokenizer, prior, &options)?,
            session: TokenizerSession::new(tokenizer, options),
        })
    }
}

/// Writes a clip, frame by frame; a group is written when it is complete.
pub struct TokenClipEncoder<'c, W: Write> {
    session: &'c mut TokenizerSession,
    encoder: ClipTokensEncoder<'c, W>,
    chunks: Chunks,
    /// The group under way.
    group: ChunkEncoder,
    /// Frames that wait for those that are seen together with them.
    waiting: Vec<Picture>,
}

impl<'c, W: Write> TokenClipEncoder<'c, W> {
    /// Writes the header; groups have `group` frames at most, and their chunks but the first begin with the last
    /// `overlap` frames before them.
    ///
    /// # Errors
    /// If chunks had no new frames, and as those of [`ClipTokensEncoder::new`].
    pub fn new(
        codec: &'c mut TokenClipCodec,
        writer: W,
        format: &ClipFormat,
        (overlap, group): (usize, u16),
    ) -> Result<TokenClipEncoder<'c, W>, PhotoError> {
        let TokenClipCodec { session, codec } = codec;
        let chunks = session.chunks(overlap)?;
        Ok(TokenClipEncoder {
            encoder: ClipTokensEncoder::new(codec, writer, format, (chunks, group))?,
            group: ChunkEncoder::new(chunks),
            chunks,
            session,
            waiting: Vec::new(),
        })
    }

    /// Codes the next frame, when those are there that are seen together with it.
    ///
    /// # Errors
    /// If a program cannot be compiled or run, or writing fails.
    ///
    /// # Panics
    /// If the frame has another size.
    pub fn write(&mut self, frame: Picture) -> Result<(), PhotoError> {
        self.waiting.push(frame);
        match self.waiting.len() == self.encoder.together() {
            true => self.code(),
            false => Ok(()),
        }
    }

    fn code(&mut self) -> Result<(), PhotoError> {
        if !self.waiting.is_empty() {
            if self.encoder.is_at_start() {
                self.group = ChunkEncoder::new(self.chunks);
            }
            let frames = std::mem::take(&mut self.waiting);
            let tokens = self.group.encode(self.session, frames)?;
            self.encoder.write(&tokens.grid)?;
        }
        Ok(())
    }

    /// Writes what waits, the last group and the index.
    ///
    /// # Errors
    /// As those of [`write`](TokenClipEncoder::write).
    pub fn finish(mut self) -> Result<(W, ClipTokensReport), PhotoError> {
        self.code()?;
        Ok(self.encoder.finish()?)
    }
}

/// Reads a clip, frame by frame.
pub struct TokenClipDecoder<'c, R> {
    session: &'c mut TokenizerSession,
    decoder: ClipTokensDecoder<'c, R>,
    /// The group under way.
    group: ChunkDecoder,
    /// Frames, each with its tokens.
    ready: VecDeque<(Picture, TokenGrid)>,
    /// Tokens of the frame that was given last.
    tokens: Option<TokenGrid>,
    /// Lost frames behind those that are ready.
    lost: usize,
    last: Option<Picture>,
}

impl<'c, R: Read> TokenClipDecoder<'c, R> {
    /// Reads the header.
    ///
    /// # Errors
    /// As those of [`ClipTokensDecoder::new`], or if chunks are not those of the tokenizer.
    pub fn new(
        codec: &'c mut TokenClipCodec,
        reader: R,
        options: DecodeOptions,
    ) -> Result<TokenClipDecoder<'c, R>, PhotoError> {
        let TokenClipCodec { session, codec } = codec;
        let how = (options.recover, options.max_pixels);
        let decoder = ClipTokensDecoder::new(codec, reader, how)?;
        let chunks = decoder.header().chunks;
        if chunks.frames() > session.frames() {
            let (its, own) = (chunks.frames(), session.frames());
            let what = format!("chunks of {its} frames, where its tokenizer has {own}");
            return Err(CodecError::Header(what).into());
        }
        session.chunks(chunks.overlap())?;
        Ok(TokenClipDecoder {
            decoder,
            group: ChunkDecoder::new(chunks),
            session,
            ready: VecDeque::new(),
            tokens: None,
            lost: 0,
            last: None,
        })
    }

    pub fn header(&self) -> &ClipTokensHeader {
        self.decoder.header()
    }

    /// The groups so far that were damaged; their frames are the last that there was, or grey.
    pub fn damage(&self) -> &[DamagedGroup] {
        self.decoder.damage()
    }

    /// The tokens of the frame that was given last; `None` of a lost one.
    pub fn tokens(&self) -> Option<&TokenGrid> {
        self.tokens.as_ref()
    }

    /// The next frame; `None` behind the last.
    ///
    /// # Errors
    /// If the stream is cut off or damaged and not to be recovered, or a program cannot be run.
    pub fn next_frame(&mut self) -> Result<Option<Picture>, PhotoError> {
        self.tokens = None;
        if self.ready.is_empty() && self.lost == 0 {
            self.decode()?;
        }
        if let Some((next, tokens)) = self.ready.pop_front() {
            self.tokens = Some(tokens);
            self.last = Some(next.clone());
            return Ok(Some(next));
        }
        if self.lost == 0 {
            return Ok(None);
        }
        self.lost -= 1;
        let ImageSize { height, width } = self.header().frame.size();
        let grey = || Picture::new(width, height, vec![128; 3 * width * height]);
        Ok(Some(self.last.get_or_insert_with(grey).clone()))
    }

    /// Frames that are seen together.
    fn decode(&mut self) -> Result<(), PhotoError> {
        let size = self.header().frame.size();
        let mut together = Vec::new();
        while let Some(frame) = self.decoder.next_frame()? {
            let FrameTokens {
                tokens,
                is_at_start,
                left_together,
            } = frame;
            if is_at_start {
                self.group = ChunkDecoder::new(self.header().chunks);
            }
            match tokens {
                Some(tokens) => together.push(tokens),
                None => self.lost += 1,
            }
            if left_together == 0 {
                break;
            }
        }
        if !together.is_empty() {
            let grid = TokenGrid::join(&together);
            let frames = self.group.decode(self.session, ClipTokens { size, grid })?;
            self.ready = frames.into_iter().zip(together).collect();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{moving, tiny_clips};

    fn encoded(codec: &mut TokenClipCodec, frames: &[Picture], how: (usize, u16)) -> Vec<u8> {
        let format = ClipFormat {
            size: frames[0].size(),
            rate: "25".parse().unwrap(),
            frames: None,
        };
        let mut encoder = TokenClipEncoder::new(codec, Vec::new(), &format, how).unwrap();
        for frame in frames {
            encoder.write(frame.clone()).unwrap();
        }
        let (stream, report) = encoder.finish().unwrap();
        assert_eq!((report.frames, report.groups), (7, 2));
        stream
    }

    fn decoded(
        codec: &mut TokenClipCodec,
        stream: &[u8],
        recover: bool,
    ) -> (Vec<Picture>, Vec<DamagedGroup>) {
        let options = DecodeOptions {
            recover,
            ..DecodeOptions::default()
        };
        let mut decoder = TokenClipDecoder::new(codec, stream, options).unwrap();
        let next = || decoder.next_frame().unwrap();
        let frames = std::iter::from_fn(next).collect();
        (frames, decoder.damage().to_vec())
    }

    /// Pixels are those of the tokenizer, group by group and chunk by chunk.
    #[test]
    fn clips_come_back_as_their_tokens_say() {
        let model = tiny_clips(3);
        let mut codec = TokenClipCodec::new(&model, None, CompileOptions::default()).unwrap();
        let frames: Vec<Picture> = (0..7).map(moving).collect();
        for overlap in 0..3 {
            let stream = encoded(&mut codec, &frames, (overlap, 5));
            let mut session = TokenizerSession::new(&model, CompileOptions::default());
            let chunks = session.chunks(overlap).unwrap();
            let mut expected = Vec::new();
            for group in [&frames[..5], &frames[5..]] {
                let (mut encoder, mut decoder) =
                    (ChunkEncoder::new(chunks), ChunkDecoder::new(chunks));
                let mut done = 0;
                while done < group.len() {
                    let end = group.len().min(done + encoder.wanted());
                    let tokens = encoder.encode(&mut session, group[done..end].to_vec());
                    expected.extend(decoder.decode(&mut session, tokens.unwrap()).unwrap());
                    done = end;
                }
            }
            assert_eq!(decoded(&mut codec, &stream, false).0, expected, "{overlap}");

            // A damaged first group is grey; frames keep their number.
            let mut bad = stream.clone();
            bad[90] ^= 1;
            let (found, damage) = decoded(&mut codec, &bad, true);
            assert_eq!(damage[0].frames, 0..5);
            assert!(found.len() == 7 && found[0].rgb.iter().all(|&x| x == 128));
            assert_eq!(found[5..], expected[5..]);
        }
    }

    /// Chunks of a model that sees more frames are not this one's.
    #[test]
    fn longer_chunks_than_the_models_are_refused() {
        let mut codec = TokenClipCodec::new(&tiny_clips(3), None, CompileOptions::default());
        let codec = codec.as_mut().unwrap();
        let frames: Vec<Picture> = (0..7).map(moving).collect();
        let mut stream = encoded(codec, &frames, (0, 5));
        stream[56] = 4;
        let sum = crate::codec::crc32c(&stream[..60]).to_le_bytes();
        stream[60..64].copy_from_slice(&sum);
        let error = TokenClipDecoder::new(codec, &stream[..], DecodeOptions::default());
        let error = error.err().unwrap().to_string();
        assert!(error.contains("chunks of 4 frames"), "{error}");
    }
}
