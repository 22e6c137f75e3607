//! Huffman codes of entropy-coded segments (ITU-T T.81, annex C and F.2.2.3).

use super::JpegError;

/// Codes up to this length are found in one step.
const DIRECT_BITS: u32 = 9;

/// The codes of one table.
#[derive(Clone)]
pub(super) struct Table {
    /// For the next 9 bits: value and length of the code they begin with; length 0 if it is longer.
    direct: Box<[(u8, u8); 1 << DIRECT_BITS]>,
    /// For each length from 1: the first code that is too large for it, in 16 bits left-aligned.
    limits: [u32; 17],
    /// For each length: what to add to a code for the place of its value.
    offsets: [i32; 17],
    values: Vec<u8>,
}

impl Table {
    /// The table of `counts[n]` codes of n + 1 bits; `None` if there are no such codes.
    pub fn new(counts: &[u8; 16], values: &[u8]) -> Option<Table> {
        let mut table = Table {
            direct: Box::new([(0, 0); 1 << DIRECT_BITS]),
            limits: [0; 17],
            offsets: [0; 17],
            values: values.to_vec(),
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = usize::from(counts[length as usize - 1]);
            table.offsets[length as usize] = place as i32 - code as i32;
            for &value in values.get(place..place + count)? {
                if length <= DIRECT_BITS {
                    let spare = DIRECT_BITS - length;
                    let first = (code << spare) as usize;
                    let entries = table.direct.get_mut(first..first + (1 << spare))?;
                    entries.fill((value, length as u8));
                }
                code += 1;
            }
            place += count;
            if code > 1 << length {
                return None;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// The bits of entropy-coded data: up to the next marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, left-aligned; zeros behind them.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Bits<'a> {
        Bits {
            bytes,
            at,
            buffer: 0,
            count: 0,
        }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match self.bytes.get(self.at..) {
                // A zero is stuffed behind 0xFF; anything else makes it a marker.
                Some([0xFF, 0, ..]) => {
                    self.at += 2;
                    0xFF
                }
                None | Some([] | [0xFF, ..]) => return,
                Some([byte, ..]) => {
                    self.at += 1;
                    *byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The value of the next code.
    pub fn value(&mut self, table: &Table) -> Result<u8, JpegError> {
        if self.count < 16 {
            self.fill();
        }
        let (value, length) = table.direct[(self.buffer >> (64 - DIRECT_BITS)) as usize];
        if length > 0 {
            self.skip_held(u32::from(length))?;
            return Ok(value);
        }
        let next = (self.buffer >> 48) as u32;
        let length = (1..=16_u32).find(|&length| next < table.limits[length as usize]);
        let Some(length) = length else {
            // With fewer than 16 bits left this may be a code that is cut off.
            return Err(match self.count < 16 {
                true => JpegError::Truncated,
                false => JpegError::refused("a Huffman code that is in no table"),
            });
        };
        self.skip_held(length)?;
        let place = (next >> (16 - length)) as i32 + table.offsets[length as usize];
        Ok(table.values[place as usize])
    }

    /// The next `count` bits, at most 16, as a number.
    pub fn take(&mut self, count: u32) -> Result<u32, JpegError> {
        if count == 0 {
            return Ok(0);
        }
        if self.count < count {
            self.fill();
        }
        let bits = (self.buffer >> (64 - count)) as u32;
        self.skip_held(count)?;
        Ok(bits)
    }

    fn skip_held(&mut self, count: u32) -> Result<(), JpegError> {
        if count > self.count {
            return Err(JpegError::Truncated);
        }
        self.buffer <<= count;
        self.count -= count;
        Ok(())
    }

    /// Where the data goes on: behind the byte of the last bit that was taken.
    pub fn end(&self) -> usize {
        (0..self.count / 8).fold(self.at, |at, _| match self.bytes[..at] {
            [.., 0xFF, 0] => at - 2,
            _ => at - 1,
        })
    }
}
