//! The part of the zip format that PyTorch checkpoints need: entries that are stored or deflated,
//! and the 64-bit fields of archives beyond 4 GB.
//!
//! PyTorch stores its entries; other tools that write an archive again compress them. Only the
//! table of contents is read; the caller reads the entries where they lie.

mod end;
pub(super) mod write;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::blob::Blob;
use super::error::Cause;

/// What every zip file starts with.
pub(super) const MAGIC: &[u8; 4] = b"PK\x03\x04";

const CENTRAL: u32 = 0x0201_4b50;
const CENTRAL_LENGTH: usize = 46;
const LOCAL: u32 = 0x0403_4b50;
const LOCAL_LENGTH: usize = 30;

/// The longest table of contents: a few hundred thousand entries.
const CENTRAL_LIMIT: u64 = 64 << 20;

/// The number of the extra field with 64-bit lengths and offsets.
const EXTRA_64: u16 = 1;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The most bytes that a byte of deflated data can stand for.
const DEFLATE_RATIO: u64 = 1032;

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
    /// Length of its data in the file.
    packed: u64,
    /// CRC-32 of its data; 0 where the writer left it out.
    crc: u32,
    method: u16,
    encrypted: bool,
}

impl Archive {
    /// Reads the table of contents.
    pub(super) fn open(file: &mut (impl Read + Seek)) -> Result<Self, Cause> {
        let length = file.seek(SeekFrom::End(0)).map_err(Cause::Read)?;
        let directory = end::find_directory(file, length)?;
        if directory.size > CENTRAL_LIMIT {
            return Err(damaged("its table of contents is too long"));
        }
        let bytes = read_at(file, directory.start, directory.size as usize)?;
        let mut entries = BTreeMap::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (name, entry, after) =
                parse_entry(rest).ok_or_else(|| damaged("its table of contents is malformed"))?;
            if entry.header.saturating_add(entry.packed) > length {
                return Err(damaged("an entry lies outside of the file"));
            }
            if entries.insert(name, entry).is_some() {
                return Err(damaged("two entries have the same name"));
            }
            rest = after;
        }
        Ok(Archive { entries })
    }

    /// Whether anything in it is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.entries.values().any(|entry| entry.method != STORED)
    }
}

impl Entry {
    /// Where its data are, once they are known to lie inside the file.
    pub(super) fn blob(self, file: &mut (impl Read + Seek)) -> Result<Blob, Cause> {
        if self.encrypted {
            return Err(unsupported("encrypted, which PyTorch never does"));
        }
        let deflated = match self.method {
            STORED => None,
            DEFLATED => Some(self.packed),
            other => {
                let what = format!("compressed by {}, not by deflate", method_name(other));
                return Err(unsupported(&what));
            }
        };
        let fits = match deflated {
            None => self.size == self.packed,
            Some(packed) => self.size <= packed.saturating_mul(DEFLATE_RATIO),
        };
        if !fits {
            return Err(damaged("an entry has another length than its data"));
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
        match start.checked_add(self.packed) {
            Some(end) if end <= length => Ok(Blob {
                start,
                size: self.size,
                crc: self.crc,
                deflated,
            }),
            _ => Err(damaged("an entry lies outside of the file")),
        }
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
    let entry = Entry {
        header,
        size,
        packed,
        crc: u32_at(table, 16)?,
        method,
        encrypted: flags & 1 != 0,
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

fn method_name(method: u16) -> String {
    let known = [
        (9, "Deflate64"),
        (12, "bzip2"),
        (14, "LZMA"),
        (93, "Zstandard"),
        (95, "XZ"),
    ];
    let name = known.iter().find(|(number, _)| *number == method);
    name.map_or_else(|| format!("method {method}"), |(_, name)| name.to_string())
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

fn unsupported(how: &str) -> Cause {
    Cause::Content(format!(
        "an entry of the zip archive is {how}: unpack the archive and zip it again without compression"
    ))
}
