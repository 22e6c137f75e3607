//! Strips in a stream: length, checksum, payload.

use super::LevelsHeader;
use super::strips::Strips;
use crate::codec::{CodecError, Damage, TileArea, crc32c, read_up_to};
use std::io::{Read, Write};

/// Bytes before a strip's payload.
pub const STRIP_FRAME_BYTES: usize = 8;
/// Pixels along a side of the patches that damage is told in.
const PATCH: usize = 8;

/// Writes a strip.
///
/// # Errors
/// If writing fails, or the payload has 4 GB.
pub fn write_strip(writer: &mut impl Write, strip: usize, payload: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(std::io::Error::other)?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(&checksum(payload, strip).to_le_bytes())?;
    writer.write_all(payload)
}

/// Reads a strip; `None` in place of a damaged one.
///
/// # Errors
/// If the stream ends in it, or reading fails.
pub fn read_strip(
    reader: &mut impl Read,
    strips: &Strips,
    strip: usize,
) -> Result<Option<Vec<u8>>, CodecError> {
    let truncated = || CodecError::Truncated {
        tile: strip + 1,
        tiles: strips.count(),
    };
    let mut start = [0; STRIP_FRAME_BYTES];
    if read_up_to(reader, &mut start)? < STRIP_FRAME_BYTES {
        return Err(truncated());
    }
    let [length, sum] = [&start[..4], &start[4..]]
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    // No level takes more than some bytes; this only keeps nonsense from being read.
    let most = 64 + 32 * strips.padded[1] * strips.rows(strip).len();
    if length as usize > most {
        return Ok(None);
    }
    let mut payload = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut payload)?;
    if payload.len() < length as usize {
        return Err(truncated());
    }
    let is_good = checksum(&payload, strip) == sum;
    Ok(is_good.then_some(payload))
}

/// The bytes of each strip with its frame, `None` for a damaged one, of what follows a header. A
/// truncated stream ends with an error.
pub fn strip_frames<R: Read>(
    mut reader: R,
    header: &LevelsHeader,
) -> impl Iterator<Item = Result<Option<usize>, CodecError>> {
    // Which rows a strip has does not depend on the codec, but for a padding of some rows.
    let strips = Strips::of_size(header.size, 32);
    let mut is_done = false;
    (0..strips.count()).map_while(move |strip| {
        if is_done {
            return None;
        }
        let payload = read_strip(&mut reader, &strips, strip);
        is_done = payload.is_err();
        Some(payload.map(|payload| payload.map(|its| STRIP_FRAME_BYTES + its.len())))
    })
}

/// Over payload, its length and the strip's number, so that no strip passes for another.
fn checksum(payload: &[u8], strip: usize) -> u32 {
    let mut all = Vec::with_capacity(payload.len() + 8);
    all.extend(payload);
    all.extend((payload.len() as u32).to_le_bytes());
    all.extend((strip as u32).to_le_bytes());
    crc32c(&all)
}

/// Where a strip lies, in the words of a message.
pub fn damage(strips: &Strips, strip: usize) -> Damage {
    let rows = strips.rows(strip);
    Damage {
        tile: strip,
        tiles: strips.count(),
        patch: PATCH,
        area: TileArea {
            left: 0,
            top: rows.start / PATCH,
            columns: strips.padded[1] / PATCH,
            rows: rows.len() / PATCH,
        },
    }
}
