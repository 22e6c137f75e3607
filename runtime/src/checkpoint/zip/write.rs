//! Archives of stored entries, as PyTorch writes them.

use super::{CENTRAL, LOCAL, STORED};
use std::io::{self, Write};

/// A file in an archive that is to be written.
pub(in super::super) struct Entry<'a> {
    name: String,
    data: &'a [u8],
    crc: u32,
}

impl<'a> Entry<'a> {
    pub(in super::super) fn new(name: String, data: &'a [u8]) -> Self {
        let crc = crc32fast::hash(data);
        Entry { name, data, crc }
    }

    /// What the local header and the table of contents say alike: from the version that a reader
    /// needs to the length of what follows the name.
    fn facts(&self) -> io::Result<Vec<u8>> {
        let size = small(self.data.len())?;
        let mut facts = Vec::new();
        // Version 2.0, no flags, stored, the earliest time that the format can say.
        for field in [20, 0, STORED, 0, 33] {
            facts.extend(field.to_le_bytes());
        }
        for field in [self.crc, size, size] {
            facts.extend(field.to_le_bytes());
        }
        facts.extend((self.name.len() as u16).to_le_bytes());
        facts.extend(0u16.to_le_bytes());
        Ok(facts)
    }
}

/// Data start at multiples of this, as in PyTorch's files, so that they can be mapped.
const ALIGNMENT: usize = 64;

/// Writes an archive.
///
/// # Errors
/// If it cannot be written, or would have 4 GiB or more.
pub(in super::super) fn write_archive(out: &mut impl Write, entries: &[Entry]) -> io::Result<()> {
    let (mut offset, mut contents) = (0, Vec::new());
    for entry in entries {
        let facts = entry.facts()?;
        contents.extend(CENTRAL.to_le_bytes());
        contents.extend(20u16.to_le_bytes());
        contents.extend(&facts);
        // No comment, first disk, no attributes.
        contents.extend([0; 10]);
        contents.extend(small(offset)?.to_le_bytes());
        contents.extend(entry.name.as_bytes());

        let mut header = LOCAL.to_le_bytes().to_vec();
        header.extend(&facts);
        header.extend(entry.name.as_bytes());
        // An extra field that readers pass over fills the place up to where data may start.
        let end = offset + header.len() + 4;
        let fill = end.next_multiple_of(ALIGNMENT) - end;
        let length = (header.len() - entry.name.len() - 2)..(header.len() - entry.name.len());
        header[length].copy_from_slice(&(4 + fill as u16).to_le_bytes());
        header.extend(b"FB");
        header.extend((fill as u16).to_le_bytes());
        header.resize(header.len() + fill, b'Z');
        out.write_all(&header)?;
        out.write_all(entry.data)?;
        offset += header.len() + entry.data.len();
    }
    out.write_all(&contents)?;
    let count = u16::try_from(entries.len()).map_err(|_| too_large())?;
    out.write_all(b"PK\x05\x06\0\0\0\0")?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&small(contents.len())?.to_le_bytes())?;
    out.write_all(&small(offset)?.to_le_bytes())?;
    out.write_all(&[0; 2])
}

fn small(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::other("an archive of 4 GiB or more: write safetensors")
}
