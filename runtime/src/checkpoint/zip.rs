//! The part of the zip format that PyTorch writes: entries stored without compression, and the
//! 64-bit fields of archives beyond 4 GB.
//!
//! Only the table of contents is read; the caller reads the entries where they lie.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::error::Cause;

/// What every zip file starts with.
pub(super) const MAGIC: &[u8; 4] = b"PK\x03\x04";

const END: u32 = 0x0605_4b50;
const END_LENGTH: usize = 22;
const END_64: u32 = 0x0606_4b50;
const END_64_LENGTH: usize = 56;
const LOCATOR_64: u32 = 0x0706_4b50;
const LOCATOR_64_LENGTH: usize = 20;
const CENTRAL: u32 = 0x0201_4b50;
const CENTRAL_LENGTH: usize = 46;
const LOCAL: u32 = 0x0403_4b50;
const LOCAL_LENGTH: usize = 30;

/// The longest comment behind the end record.
const COMMENT_LIMIT: u64 = 0xffff;

/// The longest table of contents: a few hundred thousand entries.
const CENTRAL_LIMIT: u64 = 64 << 20;

/// The number of the extra field with 64-bit lengths and offsets.
const EXTRA_64: u16 = 1;

/// The entries of an archive, by name.
pub(super) struct Archive {
    pub(super) entries: BTreeMap<String, Entry>,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where its local header is.
    header: u64,
    /// Length of its data.
    pub(super) size: u64,
    /// CRC-32 of its data; 0 where the writer left it out.
    pub(super) crc: u32,
    stored: bool,
}

/// Where the table of contents is.
struct Directory {
    start: u64,
    size: u64,
}

impl Archive {
    /// Reads the table of contents.
    pub(super) fn open(file: &mut (impl Read + Seek)) -> Result<Self, Cause> {
        let length = file.seek(SeekFrom::End(0)).map_err(Cause::Read)?;
        let directory = find_directory(file, length)?;
        if directory.size > CENTRAL_LIMIT {
            return Err(damaged("its table of contents is too long"));
        }
        match directory.start.checked_add(directory.size) {
            Some(end) if end <= length => {}
            _ => return Err(damaged("its table of contents lies outside of the file")),
        }
        let bytes = read_at(file, directory.start, directory.size as usize)?;
        let mut entries = BTreeMap::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (name, entry, after) =
                parse_entry(rest).ok_or_else(|| damaged("its table of contents is malformed"))?;
            if entry.header.saturating_add(entry.size) > length {
                return Err(damaged("an entry lies outside of the file"));
            }
            if entries.insert(name, entry).is_some() {
                return Err(damaged("two entries have the same name"));
            }
            rest = after;
        }
        Ok(Archive { entries })
    }
}

impl Entry {
    /// Where its data start, once they are known to lie inside the file.
    pub(super) fn data_start(self, file: &mut (impl Read + Seek)) -> Result<u64, Cause> {
        if !self.stored {
            return Err(damaged(
                "an entry is compressed or encrypted, which PyTorch never does; unpack the archive and zip it again without compression",
            ));
        }
        let length = file.seek(SeekFrom::End(0)).map_err(Cause::Read)?;
        if self.header.saturating_add(LOCAL_LENGTH as u64) > length {
            return Err(damaged("an entry lies outside of the file"));
        }
        let header = read_at(file, self.header, LOCAL_LENGTH)?;
        let (name, extra) = match (u32_at(&header, 0), u16_at(&header, 26), u16_at(&header, 28)) {
            (Some(LOCAL), Some(name), Some(extra)) => (name, extra),
            _ => return Err(damaged("an entry does not start where the table says")),
        };
        let start = self.header + LOCAL_LENGTH as u64 + u64::from(name) + u64::from(extra);
        match start.checked_add(self.size) {
            Some(end) if end <= length => Ok(start),
            _ => Err(damaged("an entry lies outside of the file")),
        }
    }
}

/// Finds the table of contents through the records at the end of the file.
fn find_directory(file: &mut (impl Read + Seek), length: u64) -> Result<Directory, Cause> {
    let tail_length = length.min(COMMENT_LIMIT + (END_LENGTH + LOCATOR_64_LENGTH) as u64);
    let tail = read_at(file, length - tail_length, tail_length as usize)?;
    let is_end = |&position: &usize| {
        let comment = u16_at(&tail, position + 20).map(usize::from);
        u32_at(&tail, position) == Some(END)
            && comment.map(|length| position + END_LENGTH + length) == Some(tail.len())
    };
    let end = (0..=tail.len().saturating_sub(END_LENGTH))
        .rev()
        .find(is_end);
    let end = end.ok_or_else(|| damaged("its end is missing, so the file is truncated"))?;

    let field = |offset| u32_at(&tail, end + offset).map(u64::from);
    let (Some(size), Some(start)) = (field(12), field(16)) else {
        return Err(damaged("its end record is malformed"));
    };
    let entries = u16_at(&tail, end + 10);
    let saturated = |field: u64| field == u64::from(u32::MAX);
    if !saturated(size) && !saturated(start) && entries != Some(u16::MAX) {
        return Ok(Directory { start, size });
    }
    let malformed = || damaged("its 64-bit end record is malformed");
    let locator = end.checked_sub(LOCATOR_64_LENGTH);
    let locator = locator.filter(|&position| u32_at(&tail, position) == Some(LOCATOR_64));
    let position = locator.and_then(|position| u64_at(&tail, position + 8));
    let position = position.ok_or_else(malformed)?;
    if position.saturating_add(END_64_LENGTH as u64) > length {
        return Err(malformed());
    }
    let record = read_at(file, position, END_64_LENGTH)?;
    match (u32_at(&record, 0), u64_at(&record, 40), u64_at(&record, 48)) {
        (Some(END_64), Some(size), Some(start)) => Ok(Directory { start, size }),
        _ => Err(malformed()),
    }
}

/// The first entry of a table of contents, and what follows it.
fn parse_entry(table: &[u8]) -> Option<(String, Entry, &[u8])> {
    if u32_at(table, 0)? != CENTRAL {
        return None;
    }
    let (flags, method) = (u16_at(table, 8)?, u16_at(table, 10)?);
    let (name_length, extra_length, comment_length) =
        (u16_at(table, 28)?, u16_at(table, 30)?, u16_at(table, 32)?);
    let rest = table.get(CENTRAL_LENGTH..)?;
    let (name, rest) = rest.split_at_checked(usize::from(name_length))?;
    let (extra, rest) = rest.split_at_checked(usize::from(extra_length))?;
    let (_comment, rest) = rest.split_at_checked(usize::from(comment_length))?;

    // A 32-bit field with all bits set stands for the next number in the 64-bit extra field.
    let mut wide = extra_field(extra, EXTRA_64).unwrap_or_default();
    let mut field = |offset| match u32_at(table, offset)? {
        u32::MAX => {
            let value = u64_at(wide, 0)?;
            wide = &wide[8..];
            Some(value)
        }
        value => Some(u64::from(value)),
    };
    let (size, packed, header) = (field(24)?, field(20)?, field(42)?);
    let encrypted = flags & 1 != 0;
    let entry = Entry {
        header,
        size,
        crc: u32_at(table, 16)?,
        stored: method == 0 && size == packed && !encrypted,
    };
    let name = String::from_utf8_lossy(name).into_owned();
    Some((name, entry, rest))
}

/// The content of an extra field.
fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (number, length) = (u16_at(extra, 0)?, u16_at(extra, 2)?);
        let (content, rest) = extra.get(4..)?.split_at_checked(usize::from(length))?;
        if number == wanted {
            return Some(content);
        }
        extra = rest;
    }
}

/// Reads bytes that are known to be in the file.
fn read_at(file: &mut (impl Read + Seek), start: u64, count: usize) -> Result<Vec<u8>, Cause> {
    let mut bytes = vec![0; count];
    file.seek(SeekFrom::Start(start)).map_err(Cause::Read)?;
    file.read_exact(&mut bytes).map_err(Cause::Read)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], position: usize) -> Option<u16> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], position: usize) -> Option<u32> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], position: usize) -> Option<u64> {
    let bytes = bytes.get(position..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

fn damaged(what: &str) -> Cause {
    Cause::Archive(what.to_string())
}
