//! Where the table of contents is: the records at the end of an archive.
//!
//! An archive may have bytes behind it, so its end is looked for from the end of the file
//! backwards, and a record is believed only if a table lies where it says.

use std::io::{Read, Seek};

use super::{CENTRAL, damaged, read_at, u16_at, u32_at, u64_at};
use crate::checkpoint::error::Cause;

const END: u32 = 0x0605_4b50;
const END_LENGTH: usize = 22;
const END_64: u32 = 0x0606_4b50;
const END_64_LENGTH: usize = 56;
const LOCATOR_64: u32 = 0x0706_4b50;
const LOCATOR_64_LENGTH: u64 = 20;

/// Bytes that are searched at a time.
const BLOCK: u64 = 1 << 16;

/// How many records without a table are looked at.
const TRIED: usize = 64;

/// Where the table of contents is.
pub(super) struct Directory {
    pub(super) start: u64,
    pub(super) size: u64,
}

/// Finds the table of contents.
pub(super) fn find_directory(
    file: &mut (impl Read + Seek),
    length: u64,
) -> Result<Directory, Cause> {
    let mut refused = Vec::new();
    let mut block_end = length;
    while block_end > 0 {
        let start = block_end.saturating_sub(BLOCK);
        // A record may begin in this block and end in the one behind it.
        let end = length.min(block_end + END_LENGTH as u64 - 1);
        let bytes = read_at(file, start, (end - start) as usize)?;
        for position in (0..(block_end - start) as usize).rev() {
            let Some(record) = bytes.get(position..position + END_LENGTH) else {
                continue;
            };
            if u32_at(record, 0) != Some(END) {
                continue;
            }
            match directory(file, start + position as u64, record)? {
                Ok(directory) => return Ok(directory),
                // What follows an archive is ignored; an archive that follows something is not
                // to be mistaken for one that comes first.
                Err(cause @ Cause::Content(_)) => return Err(cause),
                Err(cause) => refused.push(cause),
            }
            if refused.len() == TRIED {
                return Err(damaged("its end record is malformed"));
            }
        }
        block_end = start;
    }
    let first = refused.into_iter().next();
    Err(first.unwrap_or_else(|| damaged("its end is missing, so the file is truncated")))
}

/// The table of contents that the record at `position` tells of, if it is there.
fn directory(
    file: &mut (impl Read + Seek),
    position: u64,
    record: &[u8],
) -> Result<Result<Directory, Cause>, Cause> {
    let field = |offset| u32_at(record, offset).unwrap_or(u32::MAX);
    let (size, start) = (field(12), field(16));
    let narrow = size != u32::MAX && start != u32::MAX && u16_at(record, 10) != Some(u16::MAX);
    let (directory, end) = match narrow {
        true => {
            let (start, size) = (u64::from(start), u64::from(size));
            (Directory { start, size }, position)
        }
        false => match directory_64(file, position)? {
            Some(found) => found,
            None => return Ok(Err(damaged("its 64-bit end record is malformed"))),
        },
    };
    let Some(front) = (directory.start.checked_add(directory.size))
        .and_then(|directory_end| end.checked_sub(directory_end))
    else {
        let text = "its table of contents lies outside of the file";
        return Ok(Err(damaged(text)));
    };
    if is_table(file, directory.start)? {
        return Ok(Ok(directory));
    }
    if front > 0 && is_table(file, directory.start + front)? {
        let text = format!(
            "{front} bytes lie before the zip archive, so nothing is where its table says: \
             remove them"
        );
        return Ok(Err(Cause::Content(text)));
    }
    Ok(Err(damaged("its table of contents is malformed")))
}

/// What the 64-bit record before a record at `position` says, and where that record is.
fn directory_64(
    file: &mut (impl Read + Seek),
    position: u64,
) -> Result<Option<(Directory, u64)>, Cause> {
    let Some(locator) = position.checked_sub(LOCATOR_64_LENGTH) else {
        return Ok(None);
    };
    let locator_bytes = read_at(file, locator, LOCATOR_64_LENGTH as usize)?;
    let (Some(LOCATOR_64), Some(at)) = (u32_at(&locator_bytes, 0), u64_at(&locator_bytes, 8))
    else {
        return Ok(None);
    };
    if at.saturating_add(END_64_LENGTH as u64) > locator {
        return Ok(None);
    }
    let record = read_at(file, at, END_64_LENGTH)?;
    Ok(
        match (u32_at(&record, 0), u64_at(&record, 40), u64_at(&record, 48)) {
            (Some(END_64), Some(size), Some(start)) => Some((Directory { start, size }, at)),
            _ => None,
        },
    )
}

/// Whether a table of contents starts at a place before an end record.
fn is_table(file: &mut (impl Read + Seek), start: u64) -> Result<bool, Cause> {
    Ok(u32_at(&read_at(file, start, 4)?, 0) == Some(CENTRAL))
}
