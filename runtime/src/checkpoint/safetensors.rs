//! The safetensors format: a JSON header with names, types, shapes and byte ranges, then the data.
//!
//! A file is read tensor by tensor, so that loading needs no more memory than the tensors
//! themselves; the header is checked as a whole before the first of them. The same tensors always
//! give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

use super::Tensors;
use super::error::{Cause, CheckpointError, Failure};
use super::storage::StoredType;
use crate::atomic_file::write_atomically;
use crate::tensor_data::HostTensor;

/// The longest header that readers of the format accept.
const HEADER_LIMIT: u64 = 100_000_000;

/// The header's key for what is not a tensor.
const METADATA: &str = "__metadata__";

/// Writes tensors and text metadata to a file, which is replaced whole or not at all.
///
/// ```
/// use std::collections::{BTreeMap, BTreeSet};
/// use bsq_runtime::checkpoint::{Weights, load, safetensors};
/// use bsq_runtime::tensor_data::HostTensor;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.safetensors");
/// let weight = HostTensor::from_slice([2, 2], &[1.0f32, 2.0, 3.0, 4.0])?;
/// let metadata = BTreeMap::from([("step".to_string(), "1000".to_string())]);
/// safetensors::save(&path, [("head.weight", &weight)], &metadata)?;
///
/// let checkpoint = load(&path, Weights::Ema)?;
/// assert_eq!(checkpoint.tensors["head.weight"], weight);
/// assert_eq!(checkpoint.metadata["step"], "1000");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the file cannot be written, or two tensors have one name, or one has the reserved name
/// `__metadata__`.
pub fn save<'a, N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, &'a HostTensor)>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), CheckpointError> {
    let tensors = tensors.into_iter().map(|(name, t)| (name.into(), t));
    write(path, tensors.collect(), metadata).map_err(|failure| failure.at(path))
}

fn write(
    path: &Path,
    mut tensors: Vec<(String, &HostTensor)>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    // The order of the reference implementation: it keeps every tensor aligned.
    tensors.sort_by(|(a_name, a), (b_name, b)| {
        let alignment = |tensor: &HostTensor| StoredType::of(tensor.dtype()).rank();
        (alignment(b).cmp(&alignment(a))).then_with(|| a_name.cmp(b_name))
    });
    let mut names: Vec<&String> = tensors.iter().map(|(name, _)| name).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::of(pair[0], Cause::DuplicateName));
    }
    if names.iter().any(|name| *name == METADATA) {
        return Err(Failure::of(METADATA, Cause::ReservedName));
    }

    let mut header = Vec::new();
    write_header(&mut header, &tensors, metadata)
        .map_err(|error| Cause::Header(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let bytes = header.len() as u64;
    if bytes > HEADER_LIMIT {
        return Err(too_large(bytes).into());
    }
    write_atomically(path, |file| {
        file.write_all(&bytes.to_le_bytes())?;
        file.write_all(&header)?;
        tensors
            .iter()
            .try_for_each(|(_, tensor)| file.write_all(tensor.bytes()))
    })
    .map_err(|error| Cause::Write(error).into())
}

fn write_header(
    out: &mut Vec<u8>,
    tensors: &[(String, &HostTensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Serializer::new(out);
    let mut map = json.serialize_map(None)?;
    if !metadata.is_empty() {
        map.serialize_entry(METADATA, metadata)?;
    }
    let mut start = 0;
    for (name, tensor) in tensors {
        let end = start + tensor.bytes().len() as u64;
        let entry = Entry {
            dtype: StoredType::of(tensor.dtype())
                .safetensors_name()
                .to_string(),
            shape: tensor.shape().iter().map(|&extent| extent as u64).collect(),
            data_offsets: (start, end),
        };
        map.serialize_entry(name, &entry)?;
        start = end;
    }
    map.end()
}

/// Reads the tensors and the metadata; with a `key`, the tensors whose names start with it and a
/// dot, without that.
pub(super) fn read(file: &mut (impl Read + Seek), key: Option<&str>) -> Result<Contents, Failure> {
    let length = file.seek(SeekFrom::End(0)).map_err(Cause::Read)?;
    let header = read_header(file, length)?;
    let data_start = 8 + header.bytes;
    check_layout(&header.entries, length - data_start, length)?;
    let prefix = key.map(|key| format!("{key}.")).unwrap_or_default();
    let mut found = Tensors::default();
    for (name, entry) in &header.entries {
        let Some(bare) = name.strip_prefix(&prefix) else {
            continue;
        };
        let fail = |cause: Cause| Failure::of(name, cause);
        let (stored, shape) = match entry.type_and_shape() {
            Err(cause) if cause.is_unsupported() => {
                found.skipped.insert(bare.to_string(), cause.to_string());
                continue;
            }
            other => other.map_err(fail)?,
        };
        file.seek(SeekFrom::Start(data_start + entry.data_offsets.0))
            .map_err(|error| fail(Cause::Read(error)))?;
        let tensor = stored.read_dense(file, shape).map_err(fail)?;
        found.tensors.insert(bare.to_string(), tensor);
    }
    if let Some(key) = key
        && found.tensors.is_empty()
    {
        return Err(no_key(key, &header.entries).into());
    }
    Ok((found, header.metadata))
}

fn no_key(key: &str, entries: &[(String, Entry)]) -> Cause {
    let starts = entries.iter().filter_map(|(name, _)| name.split_once('.'));
    let starts: BTreeSet<&str> = starts.map(|(start, _)| start).collect();
    let starts: Vec<&str> = starts.into_iter().take(20).collect();
    Cause::Content(format!(
        "no tensor's name starts with `{key}.`; names start with {}",
        starts.join(", ")
    ))
}

/// Tensors and metadata.
pub(super) type Contents = (Tensors, BTreeMap<String, String>);

/// The header, with its tensors in the order of their data.
struct Header {
    /// Its length in the file.
    bytes: u64,
    metadata: BTreeMap<String, String>,
    entries: Vec<(String, Entry)>,
}

/// What the header says about one tensor.
#[derive(serde::Deserialize, serde::Serialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Entry {
    fn type_and_shape(&self) -> Result<(StoredType, Vec<usize>), Cause> {
        let stored = StoredType::from_safetensors_name(&self.dtype)
            .map_err(|cause| cause.with_shape(&self.shape))?;
        let shape = stored.checked_shape(&self.shape)?;
        Ok((stored, shape))
    }
}

fn read_header(file: &mut (impl Read + Seek), length: u64) -> Result<Header, Failure> {
    let truncated = |needed| Cause::Truncated {
        needed,
        available: length,
    };
    if length < 8 {
        return Err(truncated(8).into());
    }
    let mut bytes = [0; 8];
    file.rewind().map_err(Cause::Read)?;
    file.read_exact(&mut bytes).map_err(Cause::Read)?;
    let bytes = u64::from_le_bytes(bytes);
    if bytes > HEADER_LIMIT {
        return Err(too_large(bytes).into());
    }
    if bytes > length - 8 {
        return Err(truncated(8 + bytes).into());
    }
    let mut text = vec![0; bytes as usize];
    file.read_exact(&mut text).map_err(Cause::Read)?;
    let mut header: Header =
        serde_json::from_slice(&text).map_err(|error| Cause::Header(error.to_string()))?;
    header.bytes = bytes;
    header.entries.sort_by(|(a_name, a), (b_name, b)| {
        (a.data_offsets, a_name).cmp(&(b.data_offsets, b_name))
    });
    if let Some(name) = duplicate(&header.entries) {
        return Err(Failure::of(name, Cause::DuplicateName));
    }
    Ok(header)
}

fn duplicate(entries: &[(String, Entry)]) -> Option<&str> {
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let pair = names.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(pair[0])
}

/// That the tensors lie in the data one behind the other, without gap or overlap, to the end.
fn check_layout(entries: &[(String, Entry)], available: u64, length: u64) -> Result<(), Failure> {
    let mut position = 0;
    let mut previous = "";
    for (name, entry) in entries {
        let fail = |cause: Cause| Failure::of(name, cause);
        let (start, end) = entry.data_offsets;
        if start > end {
            let text = format!("its data end at {end}, before they start, at {start}");
            return Err(fail(Cause::Header(text)));
        }
        if start < position {
            let other = previous.to_string();
            return Err(fail(Cause::Overlap { start, end, other }));
        }
        if start > position {
            let bytes = start - position;
            return Err(fail(Cause::Gap { bytes }));
        }
        // How long the data of an unknown type are, nobody knows.
        match entry.type_and_shape() {
            Ok((stored, shape)) => {
                let expected = stored.byte_count(&shape);
                let found = end - start;
                if found != expected {
                    return Err(fail(Cause::DataLength { expected, found }));
                }
            }
            Err(cause) if cause.is_unsupported() => {}
            Err(cause) => return Err(fail(cause)),
        }
        if end > available {
            return Err(fail(Cause::Truncated {
                needed: (length - available).saturating_add(end),
                available: length,
            }));
        }
        (position, previous) = (end, name);
    }
    match available - position {
        0 => Ok(()),
        bytes => Err(Cause::Trailing { bytes }.into()),
    }
}

fn too_large(bytes: u64) -> Cause {
    Cause::HeaderTooLarge {
        bytes,
        limit: HEADER_LIMIT,
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an entry for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header {
            bytes: 0,
            metadata: BTreeMap::new(),
            entries: Vec::new(),
        };
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                header.metadata = map.next_value()?;
            } else {
                let entry = map
                    .next_value()
                    .map_err(|error| A::Error::custom(format_args!("tensor `{name}`: {error}")))?;
                header.entries.push((name, entry));
            }
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests;
