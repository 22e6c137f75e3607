//! The bytes of a stream to tokens of frames.

use super::super::{Codec, CodecError, DamagedGroup, Frame, Section, Sections};
use super::PLAIN;
use super::header::ClipTokensHeader;
use crate::token_grid::TokenGrid;
use std::io::Read;

/// Reads the tokens of a clip, frame by frame.
pub struct ClipTokensDecoder<'c, R> {
    codec: &'c mut Codec,
    header: ClipTokensHeader,
    sections: Sections<R>,
    recover: bool,
    payload: std::vec::IntoIter<u8>,
    /// Frames of the group, and how many of them are left; those of a damaged one are lost.
    frames: u16,
    left: u16,
    is_lost: bool,
    group: usize,
    before: Option<TokenGrid>,
    count: usize,
    damage: Vec<DamagedGroup>,
}

/// The tokens of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameTokens {
    /// `None` of a frame in a damaged group.
    pub tokens: Option<TokenGrid>,
    /// Whether a group begins with it.
    pub is_at_start: bool,
    /// Frames behind it that are of its chunk, or lost ones behind a lost one.
    pub left_together: usize,
}

impl<'c, R: Read> ClipTokensDecoder<'c, R> {
    /// Reads the header, and holds it against the models.
    ///
    /// # Errors
    /// If this is no stream of a clip's tokens of these models, or frames have more than `max_pixels` pixels.
    pub fn new(
        codec: &'c mut Codec,
        mut reader: R,
        (recover, max_pixels): (bool, u64),
    ) -> Result<ClipTokensDecoder<'c, R>, CodecError> {
        let header = ClipTokensHeader::read(&mut reader)?;
        header.frame.check_pixels(max_pixels)?;
        codec.check(&header.frame)?;
        Ok(ClipTokensDecoder {
            codec,
            header,
            sections: Sections::new(reader, recover),
            recover,
            payload: Vec::new().into_iter(),
            frames: 0,
            left: 0,
            is_lost: false,
            group: 0,
            before: None,
            count: 0,
            damage: Vec::new(),
        })
    }

    pub fn header(&self) -> &ClipTokensHeader {
        &self.header
    }

    /// The groups so far that were damaged.
    pub fn damage(&self) -> &[DamagedGroup] {
        &self.damage
    }

    /// The next frame; `None` behind the last.
    ///
    /// # Errors
    /// If the stream is cut off or damaged and not to be recovered, or a program cannot be run.
    pub fn next_frame(&mut self) -> Result<Option<FrameTokens>, CodecError> {
        if self.left == 0 && !self.next_group()? {
            return Ok(None);
        }
        if !self.is_lost {
            let tokens = self.tokens()?;
            if tokens.is_none() {
                self.lose()?;
            }
            self.before = tokens;
        }
        let done = usize::from(self.frames - self.left);
        self.left -= 1;
        self.count += 1;
        // An encoder leaves nothing behind the last frame of a group.
        if self.left == 0 && !self.is_lost && self.payload.len() > 0 && !self.recover {
            return Err(self.damaged());
        }
        let left = usize::from(self.left);
        Ok(Some(FrameTokens {
            tokens: self.before.clone().filter(|_| !self.is_lost),
            is_at_start: done == 0,
            left_together: match self.is_lost {
                true => left,
                false => left.min(self.header.chunks.left(done) - 1),
            },
        }))
    }

    /// Goes to the next group with frames; whether there is one.
    fn next_group(&mut self) -> Result<bool, CodecError> {
        while self.left == 0 {
            let Some(section) = self.sections.next_group()? else {
                return Ok(false);
            };
            let Section {
                number,
                frames,
                payload,
            } = section;
            self.group = number as usize;
            (self.frames, self.left, self.before) = (frames, frames, None);
            self.is_lost = false;
            match payload {
                Some(payload) => self.payload = payload.into_iter(),
                None => self.lose()?,
            }
        }
        Ok(true)
    }

    /// The tokens of the next frame; `None` if no encoder has written them.
    fn tokens(&mut self) -> Result<Option<TokenGrid>, CodecError> {
        let frame = &self.header.frame;
        let mut tiles = Vec::new();
        for tile in 0..frame.tiles() {
            let Some(payload) = next_tile(&mut self.payload) else {
                return Ok(None);
            };
            tiles.push((frame.area(tile), Some(payload)));
        }
        let before = self.before.as_ref();
        let decoded = self.codec.decode(frame, &tiles, before, &mut |_| {})?;
        let (shape, words) = (frame.grid(), frame.words());
        let mut indices = vec![0; shape.tokens() * words];
        for ((area, _), tokens) in tiles.iter().zip(decoded) {
            let Some(tokens) = tokens else {
                return Ok(None);
            };
            area.place(&tokens, (shape.columns, words), &mut indices);
        }
        Ok(Some(TokenGrid::of_words(shape, words, indices)))
    }

    fn damaged(&self) -> CodecError {
        CodecError::DamagedGroup {
            group: self.group + 1,
        }
    }

    fn lose(&mut self) -> Result<(), CodecError> {
        if !self.recover {
            return Err(self.damaged());
        }
        self.is_lost = true;
        self.damage.push(DamagedGroup {
            group: self.group,
            frames: self.count..self.count + usize::from(self.left),
        });
        Ok(())
    }
}

fn next_tile(payload: &mut std::vec::IntoIter<u8>) -> Option<Frame> {
    let bytes = payload.as_slice();
    let (field, rest) = bytes.split_first_chunk()?;
    let field = u16::from_le_bytes(*field);
    let own = rest.get(..usize::from(field & !PLAIN))?.to_vec();
    payload.nth(own.len() + 1);
    Some(Frame {
        plain: field & PLAIN != 0,
        payload: own,
    })
}
