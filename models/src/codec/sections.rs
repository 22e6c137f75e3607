//! Sections of a clip's stream: groups of frames one after another, and an index behind them.
//!
//! A section is its number, frames, bytes and checksums, then a payload. What comes before the payload
//! has a checksum of its own, so that a damaged payload can be passed over; where that is damaged, too,
//! the next section is looked for byte by byte.

use super::{CodecError, crc32c, read_up_to};
use std::io::{self, Read, Write};
use std::ops::Range;

/// Bytes before a payload.
pub(crate) const SECTION_BYTES: usize = 18;
/// The index in place of a group's number.
pub(crate) const INDEX: u32 = u32::MAX;
/// Larger payloads are nonsense.
const MOST_BYTES: u32 = 1 << 30;

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    number: u32,
    frames: u16,
    bytes: u32,
    /// Of the payload.
    checksum: u32,
}

impl Head {
    fn to_bytes(self) -> [u8; SECTION_BYTES] {
        let mut bytes = Vec::with_capacity(SECTION_BYTES);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.frames.to_le_bytes());
        bytes.extend(self.bytes.to_le_bytes());
        bytes.extend(self.checksum.to_le_bytes());
        bytes.extend(crc32c(&bytes).to_le_bytes());
        bytes.try_into().expect("the fields add up")
    }

    fn of(bytes: &[u8]) -> Option<Head> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let head = Head {
            number: word(0),
            frames: u16::from_le_bytes([bytes[4], bytes[5]]),
            bytes: word(6),
            checksum: word(10),
        };
        (word(14) == crc32c(&bytes[..14]) && head.bytes <= MOST_BYTES).then_some(head)
    }
}

/// Writes a section.
pub(crate) fn write_section(
    writer: &mut impl Write,
    number: u32,
    frames: u16,
    payload: &[u8],
) -> io::Result<()> {
    let head = Head {
        number,
        frames,
        bytes: u32::try_from(payload.len()).map_err(io::Error::other)?,
        checksum: crc32c(payload),
    };
    writer.write_all(&head.to_bytes())?;
    writer.write_all(payload)
}

/// A section as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub number: u32,
    /// Frames of the group.
    pub frames: u16,
    /// `None` if it is damaged.
    pub payload: Option<Vec<u8>>,
}

/// A group whose frames were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedGroup {
    /// Counted from 0.
    pub group: usize,
    /// Of the clip, as far as it is decoded.
    pub frames: Range<usize>,
}

/// The groups of a stream behind its header, up to the index.
pub struct Sections<R> {
    reader: R,
    /// Whether what is damaged is passed over.
    recover: bool,
    /// The number of the next group.
    next: u32,
    is_done: bool,
    /// Whether the index behind the last group was there, and good.
    has_index: bool,
}

impl<R: Read> Sections<R> {
    /// Those that `reader` has; with `recover`, damage is no error.
    pub fn new(reader: R, recover: bool) -> Sections<R> {
        Sections {
            reader,
            recover,
            next: 0,
            is_done: false,
            has_index: false,
        }
    }

    /// Whether the stream is whole: known behind the last group.
    pub fn has_index(&self) -> bool {
        self.has_index
    }

    /// The next group; `None` behind the last.
    ///
    /// # Errors
    /// If the stream is cut off, a group is missing or damaged, or something follows the index; of
    /// a stream that is to be recovered only if reading fails.
    pub fn next_group(&mut self) -> Result<Option<Section>, CodecError> {
        if self.is_done {
            return Ok(None);
        }
        let Some(head) = self.head()? else {
            self.is_done = true;
            return match self.recover {
                true => Ok(None),
                false => Err(self.cut()),
            };
        };
        let mut payload = Vec::new();
        self.reader
            .by_ref()
            .take(u64::from(head.bytes))
            .read_to_end(&mut payload)?;
        let is_whole = payload.len() == head.bytes as usize;
        if !is_whole && !self.recover {
            return Err(self.cut());
        }
        let is_good = is_whole && crc32c(&payload) == head.checksum;
        if head.number == INDEX {
            self.is_done = true;
            return self.end(is_good, &payload);
        }
        let is_wrong = !is_good || head.number != self.next;
        if is_wrong && !self.recover {
            return Err(CodecError::DamagedGroup {
                group: self.next as usize + 1,
            });
        }
        self.next = head.number + 1;
        Ok(Some(Section {
            number: head.number,
            frames: head.frames,
            payload: is_good.then_some(payload),
        }))
    }

    /// What the index says, and that nothing follows it.
    fn end(&mut self, is_good: bool, index: &[u8]) -> Result<Option<Section>, CodecError> {
        self.has_index = is_good && index.len() / 4 == self.next as usize;
        if self.recover {
            return Ok(None);
        }
        if !self.has_index {
            return Err(self.cut());
        }
        match read_up_to(&mut self.reader, &mut [0])? {
            0 => Ok(None),
            _ => Err(CodecError::Trailing),
        }
    }

    fn cut(&self) -> CodecError {
        CodecError::CutClip {
            group: self.next as usize + 1,
        }
    }

    /// The next head; `None` at the end.
    fn head(&mut self) -> Result<Option<Head>, CodecError> {
        let mut bytes = [0; SECTION_BYTES];
        if read_up_to(&mut self.reader, &mut bytes)? < SECTION_BYTES {
            return Ok(None);
        }
        loop {
            match Head::of(&bytes) {
                Some(head) if head.number == INDEX || head.number >= self.next => {
                    return Ok(Some(head));
                }
                _ if !self.recover => {
                    return Err(CodecError::DamagedGroup {
                        group: self.next as usize + 1,
                    });
                }
                _ => {}
            }
            bytes.rotate_left(1);
            if read_up_to(&mut self.reader, &mut bytes[SECTION_BYTES - 1..])? == 0 {
                return Ok(None);
            }
        }
    }
}
