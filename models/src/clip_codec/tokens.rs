//! Clips as streams of a tokenizer's tokens: the frames that it sees together, and a prior that knows the
//! frame before.

use crate::codec::{
    ClipTokensDecoder, ClipTokensEncoder, ClipTokensHeader, ClipTokensReport, Codec, DamagedGroup,
    FrameTokens,
};
use crate::image_io::Picture;
use crate::photo::{DecodeOptions, PhotoError};
use crate::pipeline::{ClipTokens, CompileOptions, ModelFile, TokenizerSession};
use crate::prior::PriorFile;
use crate::token_grid::{GridShape, TokenGrid};
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
    /// Frames that wait for those that are seen together with them.
    waiting: Vec<Picture>,
}

impl<'c, W: Write> TokenClipEncoder<'c, W> {
    /// Writes the header; groups have `group` frames at most.
    ///
    /// # Errors
    /// As those of [`ClipTokensEncoder::new`].
    pub fn new(
        codec: &'c mut TokenClipCodec,
        writer: W,
        format: &ClipFormat,
        group: u16,
    ) -> Result<TokenClipEncoder<'c, W>, PhotoError> {
        let TokenClipCodec { session, codec } = codec;
        let together = session.frames().min(usize::from(u16::MAX)) as u16;
        Ok(TokenClipEncoder {
            encoder: ClipTokensEncoder::new(codec, writer, format, (together, group))?,
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
            let tokens = self.session.encode_clip(&self.waiting)?;
            self.encoder.write(&tokens.grid)?;
            self.waiting.clear();
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
    ready: VecDeque<Picture>,
    last: Option<Picture>,
}

impl<'c, R: Read> TokenClipDecoder<'c, R> {
    /// Reads the header.
    ///
    /// # Errors
    /// As those of [`ClipTokensDecoder::new`].
    pub fn new(
        codec: &'c mut TokenClipCodec,
        reader: R,
        options: DecodeOptions,
    ) -> Result<TokenClipDecoder<'c, R>, PhotoError> {
        let TokenClipCodec { session, codec } = codec;
        let how = (options.recover, options.max_pixels);
        Ok(TokenClipDecoder {
            decoder: ClipTokensDecoder::new(codec, reader, how)?,
            session,
            ready: VecDeque::new(),
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

    /// The next frame; `None` behind the last.
    ///
    /// # Errors
    /// If the stream is cut off or damaged and not to be recovered, or a program cannot be run.
    pub fn next_frame(&mut self) -> Result<Option<Picture>, PhotoError> {
        if self.ready.is_empty() {
            self.decode()?;
        }
        let next = self.ready.pop_front();
        if next.is_some() {
            self.last.clone_from(&next);
        }
        Ok(next)
    }

    /// Frames that are seen together.
    fn decode(&mut self) -> Result<(), PhotoError> {
        let size = self.header().frame.size();
        let (mut together, mut lost) = (Vec::new(), 0);
        while let Some(frame) = self.decoder.next_frame()? {
            let FrameTokens {
                tokens,
                left_together,
            } = frame;
            match tokens {
                Some(tokens) => together.push(tokens),
                None => lost += 1,
            }
            if left_together == 0 {
                break;
            }
        }
        if let Some(first) = together.first() {
            let shape = GridShape {
                frames: together.len(),
                ..first.shape
            };
            let indices = together.into_iter().flat_map(|frame| frame.indices);
            let grid = TokenGrid::new(shape, indices.collect());
            self.ready = self.session.decode_clip(&ClipTokens { size, grid })?.into();
        }
        let last = self.ready.back().cloned().or_else(|| self.last.clone());
        let filled = last.unwrap_or_else(|| {
            Picture::new(
                size.width,
                size.height,
                vec![128; 3 * size.width * size.height],
            )
        });
        self.ready.extend(std::iter::repeat_n(filled, lost));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::ImageSize;
    use crate::pipeline::tests::{picture, tiny_clips};

    fn frame(time: usize) -> Picture {
        let mut frame = picture(37, 21);
        frame
            .rgb
            .iter_mut()
            .for_each(|x| *x = x.wrapping_add(5 * time as u8));
        frame
    }

    /// Pixels are those of the tokenizer, group by group and chunk by chunk.
    #[test]
    fn clips_come_back_as_their_tokens_say() {
        let model = tiny_clips(3);
        let mut codec = TokenClipCodec::new(&model, None, CompileOptions::default()).unwrap();
        let format = ClipFormat {
            size: ImageSize {
                height: 21,
                width: 37,
            },
            rate: "25".parse().unwrap(),
            frames: None,
        };
        let frames: Vec<Picture> = (0..7).map(frame).collect();
        let mut encoder = TokenClipEncoder::new(&mut codec, Vec::new(), &format, 5).unwrap();
        for frame in &frames {
            encoder.write(frame.clone()).unwrap();
        }
        let (stream, report) = encoder.finish().unwrap();
        assert_eq!((report.frames, report.groups), (7, 2));
        let mut expected = Vec::new();
        let mut session = TokenizerSession::new(&model, CompileOptions::default());
        for chunk in [&frames[..3], &frames[3..5], &frames[5..]] {
            let tokens = session.encode_clip(chunk).unwrap();
            expected.extend(session.decode_clip(&tokens).unwrap());
        }
        let options = DecodeOptions::default();
        let mut decoder = TokenClipDecoder::new(&mut codec, &stream[..], options).unwrap();
        let mut found = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            found.push(frame);
        }
        assert_eq!(found, expected);

        // A damaged first group is grey; frames keep their number.
        let mut bad = stream.clone();
        bad[90] ^= 1;
        let options = DecodeOptions {
            recover: true,
            ..options
        };
        let mut decoder = TokenClipDecoder::new(&mut codec, &bad[..], options).unwrap();
        let mut found = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            found.push(frame);
        }
        assert_eq!(decoder.damage()[0].frames, 0..5);
        assert!(found.len() == 7 && found[0].rgb.iter().all(|&x| x == 128));
        assert_eq!(found[5..], expected[5..]);
    }
}
