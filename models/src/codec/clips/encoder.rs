//! Tokens of frames to the bytes of a stream.

use super::super::tiles::KnownTile;
use super::super::{Codec, CodecError, INDEX, SECTION_BYTES, write_section};
use super::PLAIN;
use super::header::{ClipTokensHeader, TOKEN_CLIP_HEADER_BYTES};
use crate::pipeline::Chunks;
use crate::token_grid::TokenGrid;
use crate::video_io::ClipFormat;
use std::io::{self, Write};

/// What a clip came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClipTokensReport {
    pub frames: usize,
    pub groups: usize,
    /// Bytes of the stream.
    pub bytes: usize,
    /// Bits of all tokens as they are.
    pub raw_bits: u64,
    /// What the prior's own probabilities ask for.
    pub cross_entropy_bits: f64,
}

/// Writes the tokens of a clip; a group is written when it is complete.
pub struct ClipTokensEncoder<'c, W: Write> {
    codec: &'c mut Codec,
    writer: W,
    header: ClipTokensHeader,
    /// Frames of a group at most.
    most: u16,
    /// Payloads of the group's tiles, each behind its length.
    group: Vec<u8>,
    frames: u16,
    /// The last frame of the group.
    before: Option<TokenGrid>,
    index: Vec<u8>,
    report: ClipTokensReport,
}

impl<'c, W: Write> ClipTokensEncoder<'c, W> {
    /// Writes the header of a clip whose tokenizer sees `chunks`, from the first frame of each group on; groups have
    /// `group` frames at most.
    ///
    /// # Errors
    /// If frames or chunks are larger than a stream can hold, a group has no frames, or writing fails.
    pub fn new(
        codec: &'c mut Codec,
        mut writer: W,
        format: &ClipFormat,
        (chunks, group): (Chunks, u16),
    ) -> Result<ClipTokensEncoder<'c, W>, CodecError> {
        if group == 0 {
            return Err(CodecError::Header("groups of no frames".into()));
        }
        let frame = codec.header(format.size.width, format.size.height, None)?;
        let header = ClipTokensHeader {
            rate: format.rate,
            chunks,
            frame,
        };
        header.check()?;
        writer.write_all(&header.to_bytes())?;
        let report = ClipTokensReport {
            bytes: TOKEN_CLIP_HEADER_BYTES,
            ..ClipTokensReport::default()
        };
        Ok(ClipTokensEncoder {
            codec,
            writer,
            header,
            most: group,
            group: Vec::new(),
            frames: 0,
            before: None,
            index: Vec::new(),
            report,
        })
    }

    /// Frames that come next: those that are left of a chunk, or of the group.
    pub fn together(&self) -> usize {
        let left = usize::from(self.most - self.frames);
        self.header.chunks.left(usize::from(self.frames)).min(left)
    }

    /// Whether a group begins with the next frame.
    pub fn is_at_start(&self) -> bool {
        self.frames == 0
    }

    /// Codes frames, as many as [`together`](ClipTokensEncoder::together) says; fewer at the end of a clip.
    ///
    /// # Errors
    /// If they are not frames of this clip, or coding or writing fails.
    pub fn write(&mut self, tokens: &TokenGrid) -> Result<(), CodecError> {
        let (frame, shape) = (&self.header.frame, tokens.shape);
        let expected = frame.grid();
        let is_frame = (shape.rows, shape.columns) == (expected.rows, expected.columns)
            && tokens.words == frame.words();
        if !is_frame || !(1..=self.together()).contains(&shape.frames) {
            return Err(CodecError::Count {
                given: shape.tokens(),
                expected: self.together() * expected.tokens(),
            });
        }
        let mut tiles = Vec::new();
        for time in 0..shape.frames {
            let own = tokens.frames(time..time + 1);
            let areas = (0..frame.tiles()).map(|tile| frame.area(tile));
            tiles.extend(areas.map(|area| KnownTile {
                area,
                tokens: area.of(&own),
                before: self.before.as_ref().map(|before| area.of(before)),
            }));
            self.before = Some(own);
        }
        for batch in tiles.chunks(self.codec.batch_size(tiles.len())) {
            for (tile, report) in self.codec.encode(frame, batch)? {
                let plain = if tile.plain { PLAIN } else { 0 };
                let length = tile.payload.len() as u16 | plain;
                self.group.extend(length.to_le_bytes());
                self.group.extend(tile.payload);
                self.report.cross_entropy_bits += report.cross_entropy_bits;
            }
        }
        self.frames += shape.frames as u16;
        self.report.frames += shape.frames;
        self.report.raw_bits += (shape.tokens() * usize::from(frame.bits)) as u64;
        match self.frames == self.most {
            true => Ok(self.end_group()?),
            false => Ok(()),
        }
    }

    fn end_group(&mut self) -> io::Result<()> {
        if self.frames == 0 {
            return Ok(());
        }
        let number = self.report.groups as u32;
        write_section(&mut self.writer, number, self.frames, &self.group)?;
        let bytes = SECTION_BYTES + self.group.len();
        self.index.extend((bytes as u32).to_le_bytes());
        self.report.bytes += bytes;
        self.report.groups += 1;
        self.group.clear();
        (self.frames, self.before) = (0, None);
        Ok(())
    }

    /// Writes the last group and the index.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> Result<(W, ClipTokensReport), CodecError> {
        self.end_group()?;
        write_section(&mut self.writer, INDEX, 0, &self.index)?;
        self.report.bytes += SECTION_BYTES + self.index.len();
        self.writer.flush()?;
        Ok((self.writer, self.report))
    }
}
