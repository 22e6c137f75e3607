//! Files from PyTorch before version 1.6: pickles one behind the other, then the storages.
//!
//! The pickles are a magic number, the version of the format, facts about the machine, the saved
//! object, and the names of the storages. Each storage follows as the number of its elements and
//! the elements.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::PICKLE_LIMIT;
use super::rebuild::{PROTOCOL_0, StorageName};
use crate::checkpoint::blob::Blob;
use crate::checkpoint::error::Cause;
use crate::checkpoint::pickle::{Kind, Pickle, PickleError, Problem};
use crate::checkpoint::storage::StoredType;

/// How much of a file tells whether it is one of these.
pub(in crate::checkpoint) const START: usize = 32;

/// The magic number as protocols 2 and up write it, and as protocols 0 and 1 do.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n.";

/// The one version of the format that there was.
const VERSION: i64 = 1001;

/// How many bytes are read at first; pickles that are longer take more.
const FIRST_READ: u64 = 1 << 16;

/// Whether a file that starts so is one of these.
pub(in crate::checkpoint) fn is_legacy(start: &[u8]) -> bool {
    let binary = start.first() == Some(&0x80);
    let mut places = start.windows(MAGIC.len());
    start.starts_with(MAGIC_TEXT) || binary && places.any(|place| place == MAGIC)
}

/// The saved object, and where the storages are that it names.
pub(super) fn open(
    file: &mut (impl Read + Seek),
    length: u64,
) -> Result<(Pickle, BTreeMap<String, Blob>), Cause> {
    let mut count = FIRST_READ.min(length);
    let (pickles, end) = loop {
        file.rewind().map_err(Cause::Read)?;
        let mut bytes = vec![0; count as usize];
        file.read_exact(&mut bytes).map_err(Cause::Read)?;
        match pickles(&bytes) {
            Ok(found) => break found,
            // The storages may be long, so the file is not read to its end for the pickles alone.
            Err(error) if error.problem == Problem::Truncated && count < length => {
                if count >= PICKLE_LIMIT {
                    let text = format!("its objects take more than {PICKLE_LIMIT} bytes");
                    return Err(Cause::Content(text));
                }
                count = (4 * count).min(length).min(PICKLE_LIMIT);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let [_magic, version, machine, object, keys] = pickles;
    if version.root().as_int() != Some(VERSION) {
        let text = format!(
            "it is of version {} of PyTorch's old format: only {VERSION} is known",
            version.root()
        );
        return Err(Cause::Content(text));
    }
    let little = machine.root().get("little_endian").map(|node| node.kind());
    if little == Some(Kind::Bool(false)) {
        let text = "its byte order is \"big\": only \"little\" is supported";
        return Err(Cause::Content(text.to_string()));
    }
    let storages = storages(file, length, end, &object, &keys)?;
    Ok((object, storages))
}

/// The five pickles, and where the last one ends.
fn pickles(bytes: &[u8]) -> Result<([Pickle; 5], u64), PickleError> {
    let mut position = 0;
    let mut next = || {
        let (pickle, count) = Pickle::parse_first(&bytes[position..]).map_err(|error| {
            let position = position + error.position;
            PickleError { position, ..error }
        })?;
        position += count;
        Ok(pickle)
    };
    let pickles = [next()?, next()?, next()?, next()?, next()?];
    Ok((pickles, position as u64))
}

/// Where each storage is. Their lengths are in elements, whose type the saved object knows.
fn storages(
    file: &mut (impl Read + Seek),
    length: u64,
    mut position: u64,
    object: &Pickle,
    keys: &Pickle,
) -> Result<BTreeMap<String, Blob>, Cause> {
    if object.persistent().any(|id| id.as_str().is_some()) {
        return Err(Cause::Content(PROTOCOL_0.to_string()));
    }
    let mut classes = BTreeMap::new();
    for name in object.persistent().filter_map(StorageName::read) {
        classes.insert(name.key, name.class);
    }
    let mut storages = BTreeMap::new();
    for key in keys.root().items() {
        let unknown = |what: &str| Cause::Content(format!("the storage {key} {what}"));
        let key = key.as_str().ok_or_else(|| unknown("has no name"))?;
        let class = *classes
            .get(key)
            .ok_or_else(|| unknown("belongs to nothing in the file"))?;
        let size = StoredType::torch_storage_size(class)
            .ok_or_else(|| unknown(&format!("is a {class}, of elements of unknown size")))?;
        let truncated = |needed| Cause::Truncated {
            needed,
            available: length,
        };
        let start = position + 8;
        if start > length {
            return Err(truncated(start));
        }
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(position)).map_err(Cause::Read)?;
        file.read_exact(&mut count).map_err(Cause::Read)?;
        let size = u64::from_le_bytes(count).saturating_mul(size);
        match start.checked_add(size) {
            Some(end) if end <= length => position = end,
            _ => return Err(truncated(start.saturating_add(size))),
        }
        let blob = Blob {
            start,
            size,
            crc: 0,
            deflated: None,
        };
        storages.insert(key.to_string(), blob);
    }
    Ok(storages)
}
