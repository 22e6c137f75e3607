//! Tiles in a stream: length, checksum, payload; and finding the next good one after damage.

use super::header::{MAX_PIXELS, read_up_to};
use super::{CodecError, Header, TileArea};
use crc32c::{crc32c, crc32c_append};
use std::fmt;
use std::io::{Read, Write};

/// Bytes before a tile's payload.
pub const FRAME_BYTES: usize = 6;
/// Set in the length of a tile whose tokens are stored bit by bit.
const PLAIN: u16 = 0x8000;
/// Tiles that may be missing in a row where the next good one is searched.
const GAP: usize = 256;

/// A tile as it was read; without a frame if it is damaged, and damage is skipped.
pub(super) type ReadTile = (TileArea, Option<Frame>);

/// A tile as it stands in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Tokens bit by bit instead of coded.
    pub plain: bool,
    pub payload: Vec<u8>,
}

/// A tile that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which of the tiles, counted from 0.
    pub tile: usize,
    /// Of how many.
    pub tiles: usize,
    /// Patch size in pixels.
    pub patch: usize,
    pub area: TileArea,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pixels = |start: usize, count: usize| {
            let (first, last) = (start * self.patch, (start + count) * self.patch - 1);
            format!("{first}..{last}")
        };
        write!(
            f,
            "tile {} of {} (columns {}, rows {})",
            self.tile + 1,
            self.tiles,
            pixels(self.area.left, self.area.columns),
            pixels(self.area.top, self.area.rows),
        )
    }
}

/// Longest payload of a tile: no tile takes more than its tokens' bits.
fn longest(header: &Header, tile: usize) -> usize {
    let TileArea { columns, rows, .. } = header.area(tile);
    (columns * rows * header.coded_bits()).div_ceil(8)
}

/// How many bytes behind a header may matter. Garbage between tiles may make a stream longer than
/// it was; much longer it is not.
pub fn most_bytes(header: &Header) -> u64 {
    let each = FRAME_BYTES + longest(header, 0);
    2 * header.tiles() as u64 * each as u64 + (1 << 16)
}

/// Writes one tile.
pub fn write_frame(writer: &mut impl Write, tile: usize, frame: &Frame) -> std::io::Result<()> {
    let plain = if frame.plain { PLAIN } else { 0 };
    let field = (frame.payload.len() as u16 | plain).to_le_bytes();
    let sum = checksum(&field, &frame.payload, tile);
    writer.write_all(&field)?;
    writer.write_all(&sum.to_le_bytes())?;
    writer.write_all(&frame.payload)
}

/// Over length, payload and the tile's number, so that no tile passes for another.
fn checksum(field: &[u8], payload: &[u8], tile: usize) -> u32 {
    let sum = crc32c_append(crc32c(field), payload);
    crc32c_append(sum, &(tile as u32).to_le_bytes())
}

/// Reads the tiles of a stream one after the other.
pub struct FrameReader<R> {
    reader: R,
    header: Header,
    next: usize,
    recovery: Option<Recovery>,
}

/// What is left of a stream, in memory.
#[derive(Default)]
struct Recovery {
    bytes: Vec<u8>,
    at: usize,
    /// Tiles before this one are missing.
    known: usize,
}

impl<R: Read> FrameReader<R> {
    /// Reads the header. With `recover`, damaged tiles are skipped instead of being errors.
    ///
    /// # Errors
    /// If these are not the first bytes of a stream that this program can read.
    /// If the picture has more than 2^27 pixels: see [`within`](FrameReader::within).
    pub fn new(reader: R, recover: bool) -> Result<FrameReader<R>, CodecError> {
        FrameReader::within(reader, recover, MAX_PIXELS)
    }

    /// The same for pictures of at most `max_pixels` pixels.
    ///
    /// # Errors
    /// As those of [`new`](FrameReader::new).
    pub fn within(
        mut reader: R,
        recover: bool,
        max_pixels: u64,
    ) -> Result<FrameReader<R>, CodecError> {
        let header = Header::read(&mut reader)?;
        header.check_pixels(max_pixels)?;
        let mut recovery = None;
        if recover {
            let mut bytes = Vec::new();
            let limit = most_bytes(&header);
            reader.by_ref().take(limit).read_to_end(&mut bytes)?;
            recovery = Some(Recovery {
                bytes,
                ..Recovery::default()
            });
        }
        Ok(FrameReader {
            reader,
            header,
            next: 0,
            recovery,
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether damaged tiles are skipped.
    pub fn recovers(&self) -> bool {
        self.recovery.is_some()
    }

    /// Where a tile lies, in the words of a message.
    pub fn damage(&self, tile: usize) -> Damage {
        Damage {
            tile,
            tiles: self.header.tiles(),
            patch: usize::from(self.header.patch),
            area: self.header.area(tile),
        }
    }

    /// The next tile; the inner `None` stands for a damaged one, and only where damage is
    /// skipped. The outer `None` is the end.
    ///
    /// # Errors
    /// If the tile is damaged or missing, or the stream goes on after the last.
    pub fn next_frame(&mut self) -> Result<Option<Option<Frame>>, CodecError> {
        if self.next == self.header.tiles() {
            return self.end().map(|()| None);
        }
        let tile = self.next;
        self.next += 1;
        if let Some(recovery) = &mut self.recovery {
            return Ok(Some(recovery.frame(&self.header, tile)));
        }
        self.read(tile).map(|frame| Some(Some(frame)))
    }

    fn read(&mut self, tile: usize) -> Result<Frame, CodecError> {
        let truncated = CodecError::Truncated {
            tile: tile + 1,
            tiles: self.header.tiles(),
        };
        let mut start = [0; FRAME_BYTES];
        if read_up_to(&mut self.reader, &mut start)? < FRAME_BYTES {
            return Err(truncated);
        }
        let field = u16::from_le_bytes([start[0], start[1]]);
        let length = usize::from(field & !PLAIN);
        if length > longest(&self.header, tile) {
            return Err(CodecError::DamagedTile(self.damage(tile)));
        }
        let mut payload = vec![0; length];
        if read_up_to(&mut self.reader, &mut payload)? < length {
            return Err(truncated);
        }
        let sum = checksum(&start[..2], &payload, tile);
        if start[2..] != sum.to_le_bytes() {
            return Err(CodecError::DamagedTile(self.damage(tile)));
        }
        let plain = field & PLAIN != 0;
        Ok(Frame { plain, payload })
    }

    /// Nothing may follow the last tile.
    fn end(&mut self) -> Result<(), CodecError> {
        let mut byte = [0];
        let more = self.recovery.is_none() && read_up_to(&mut self.reader, &mut byte)? > 0;
        match more {
            true => Err(CodecError::Trailing),
            false => Ok(()),
        }
    }
}

impl Recovery {
    /// The tile, if it is found at or after the place where it should be.
    fn frame(&mut self, header: &Header, tile: usize) -> Option<Frame> {
        if tile < self.known {
            return None;
        }
        let last = header.tiles().min(tile + GAP);
        for at in self.at..self.bytes.len() {
            let Some((found, frame, end)) = frame_at(&self.bytes, at, header, tile..last) else {
                continue;
            };
            if found > tile {
                // Those in between are lost; this one waits for its turn.
                (self.known, self.at) = (found, at);
                return None;
            }
            self.at = end;
            return Some(frame);
        }
        self.known = last;
        None
    }
}

/// The good tile that starts at a place, if there is one: its number, itself, its end.
fn frame_at(
    bytes: &[u8],
    at: usize,
    header: &Header,
    tiles: std::ops::Range<usize>,
) -> Option<(usize, Frame, usize)> {
    let start = bytes.get(at..at + FRAME_BYTES)?;
    let field = u16::from_le_bytes([start[0], start[1]]);
    let length = usize::from(field & !PLAIN);
    // The first tile of a row is as large as any of it.
    if length > longest(header, 0) {
        return None;
    }
    let end = at + FRAME_BYTES + length;
    let payload = bytes.get(at + FRAME_BYTES..end)?;
    let common = crc32c_append(crc32c(&start[..2]), payload);
    let is_its = |tile: &usize| {
        let sum = crc32c_append(common, &(*tile as u32).to_le_bytes());
        start[2..] == sum.to_le_bytes() && length <= longest(header, *tile)
    };
    let tile = tiles.into_iter().find(is_its)?;
    let frame = Frame {
        plain: field & PLAIN != 0,
        payload: payload.to_vec(),
    };
    Some((tile, frame, end))
}
