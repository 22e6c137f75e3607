//! Checkpoints that PyTorch's `torch.save` wrote.
//!
//! Since version 1.6 such a file is a zip archive of `NAME/data.pkl`, a pickle of the saved object,
//! and `NAME/data/0`, `NAME/data/1`, ... with the bytes of the storages; before, it was the pickle
//! and the storages one behind the other (`legacy`). A tensor is pickled as the call of a
//! function with a storage, an offset, a shape and strides; several tensors can be views of one
//! storage. The pickle is read as data and nothing in it is run.

pub(super) mod legacy;
mod rebuild;
mod save;
mod state_dict;

pub use save::save;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::blob::Blob;
use super::error::{Cause, CheckpointError, Failure};
use super::pickle::{Node, Pickle};
use super::zip::{self, Archive};
use super::{Selection, Tensors, view};
use crate::tensor_data::{HostTensor, TensorError};
use bsq_ir::DType;
use half::{bf16, f16};
use rebuild::rebuilt;

/// The longest `data.pkl`; that of a checkpoint has some hundred bytes for each tensor.
const PICKLE_LIMIT: u64 = 64 << 20;

/// A compressed pickle may take this many times the bytes that it has in the file.
const PICKLE_RATIO: u64 = 128;

/// All tensors together may take this many times the bytes of the file: views of one storage are
/// legitimate, but not without end.
const INFLATION_LIMIT: u64 = 16;

/// The same where storages are compressed, and what they may take in any case: weights hardly
/// shrink, but those before a training may be all zeros.
const UNPACKED_LIMIT: u64 = 64;
const UNPACKED_FLOOR: u64 = 4 << 20;

/// An open PyTorch checkpoint. Tensors are read when they are asked for.
///
/// [`load`](super::load) takes the weights of a model from it; this type gives access to
/// everything else.
///
/// ```no_run
/// use bsq_runtime::checkpoint::pytorch::TorchFile;
///
/// let file = TorchFile::open("checkpoint.pt")?;
/// for (key, value) in file.root().entries() {
///     println!("{key}: {value}");
/// }
/// let generator = file.root().get("state_dict").expect("a training checkpoint");
/// let (_name, node) = generator.entries().next().expect("a tensor");
/// let tensor = file.tensor(node)?;
/// # Ok::<(), bsq_runtime::checkpoint::CheckpointError>(())
/// ```
pub struct TorchFile<R> {
    path: PathBuf,
    file: RefCell<R>,
    length: u64,
    storages: Storages,
    pickle: Pickle,
    /// The compressed storage that was read last: several tensors may be views of it.
    unpacked: RefCell<Option<(Blob, Rc<[u8]>)>>,
}

/// Where the storages are, by name.
enum Storages {
    Zip {
        archive: Archive,
        /// What the names of all entries start with, up to a slash.
        folder: String,
    },
    Legacy(BTreeMap<String, Blob>),
}

impl TorchFile<BufReader<File>> {
    /// Opens a file and reads its objects, without the tensors' data.
    ///
    /// # Errors
    /// When the file cannot be read or is not a PyTorch checkpoint.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Failure::from(Cause::Read(error)).at(path))?;
        Self::new(BufReader::new(file), path)
    }
}

impl<R: Read + Seek> TorchFile<R> {
    /// Like [`open`](TorchFile::open), from any source of bytes; `name` is for the error messages.
    ///
    /// # Errors
    /// As for `open`.
    pub fn new(file: R, name: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let path = name.into();
        match Self::parse(file, path.clone()) {
            Ok(torch) => Ok(torch),
            Err(cause) => Err(Failure::from(cause).at(&path)),
        }
    }

    fn parse(mut file: R, path: PathBuf) -> Result<Self, Cause> {
        let length = file.seek(SeekFrom::End(0)).map_err(Cause::Read)?;
        let mut start = [0; legacy::START];
        file.rewind().map_err(Cause::Read)?;
        let count = super::read_start(&mut file, &mut start).map_err(Cause::Read)?;
        let (pickle, storages) = if start[..count].starts_with(zip::MAGIC) {
            open_zip(&mut file)?
        } else if legacy::is_legacy(&start[..count]) {
            let (pickle, storages) = legacy::open(&mut file, length)?;
            (pickle, Storages::Legacy(storages))
        } else {
            return Err(Cause::UnknownFormat);
        };
        Ok(TorchFile {
            path,
            file: RefCell::new(file),
            length,
            storages,
            pickle,
            unpacked: RefCell::new(None),
        })
    }

    /// The saved object.
    pub fn root(&self) -> Node<'_> {
        self.pickle.root()
    }

    /// Reads the tensor or parameter that a node of [`root`](Self::root) is.
    ///
    /// # Errors
    /// When it is something else, or its data are damaged or of an unsupported type.
    pub fn tensor(&self, node: Node<'_>) -> Result<HostTensor, CheckpointError> {
        self.read_tensor(node)
            .map_err(|cause| Failure::from(cause).at(&self.path))
    }

    fn read_tensor(&self, node: Node<'_>) -> Result<HostTensor, Cause> {
        self.read_located(&self.locate(node)?)
    }

    /// The tensors of the state dict that is asked for, and the keys that lead to it, where it is
    /// not the saved object itself.
    pub(super) fn read_weights(
        &self,
        selection: Selection<'_>,
    ) -> Result<(Option<String>, Tensors), Failure> {
        let found = state_dict::state_dict(self.root(), selection)?;
        let mut tensors = Tensors::default();
        let mut located = BTreeMap::new();
        for (name, node) in found.dict.entries() {
            let Some(name) = name.as_str() else {
                let reason = "its name is not a text".to_string();
                tensors.skipped.insert(name.to_string(), reason);
                continue;
            };
            let Some(name) = name.strip_prefix(&found.prefix) else {
                continue;
            };
            // Of two entries with one name the last counts, as in Python.
            tensors.skipped.remove(name);
            located.remove(name);
            match self.locate(node) {
                Ok(place) => drop(located.insert(name, place)),
                Err(cause) if cause.is_unsupported() => {
                    tensors.skipped.insert(name.to_string(), cause.to_string());
                }
                Err(cause) => return Err(Failure::of(name, cause)),
            }
        }
        // In the order of the file, so that a compressed storage is unpacked once.
        let mut located: Vec<(&str, Located)> = located.into_iter().collect();
        located.sort_by_key(|(_, place)| place.blob.start);
        let (mut bytes, mut unpacked, mut last) = (0u64, 0u64, None);
        for (name, place) in located {
            let fail = |cause| Failure::of(name, cause);
            let available = self.length;
            bytes = bytes.saturating_add(place.view.byte_count());
            if bytes > self.limit() {
                return Err(fail(Cause::Inflated { bytes, available }));
            }
            if place.blob.deflated.is_some() && last != Some(place.blob) {
                unpacked = unpacked.saturating_add(place.blob.size);
                last = Some(place.blob);
            }
            if unpacked > self.limit() {
                let bytes = unpacked;
                return Err(fail(Cause::Unpacked { bytes, available }));
            }
            let tensor = self.read_located(&place).map_err(fail)?;
            tensors.tensors.insert(name.to_string(), tensor);
        }
        Ok(((!found.path.is_empty()).then_some(found.path), tensors))
    }

    /// The most bytes that are believed.
    fn limit(&self) -> u64 {
        match &self.storages {
            Storages::Zip { archive, .. } if archive.is_compressed() => {
                (self.length.saturating_mul(UNPACKED_LIMIT)).max(UNPACKED_FLOOR)
            }
            _ => self.length.saturating_mul(INFLATION_LIMIT),
        }
    }

    /// Where the tensor is that a node says.
    fn locate(&self, node: Node<'_>) -> Result<Located, Cause> {
        let tensor = rebuilt(node)?;
        let blob = self.storage(tensor.key)?;
        let (shape, strides) = (&tensor.shape, tensor.strides);
        let view = view::View::new(tensor.stored, tensor.offset, shape, strides, blob.size)?;
        let negative = tensor.negative;
        Ok(Located {
            blob,
            view,
            negative,
        })
    }

    fn storage(&self, key: &str) -> Result<Blob, Cause> {
        let missing = |what: String| Cause::Archive(format!("{what} is missing"));
        match &self.storages {
            Storages::Zip { archive, folder } => {
                let entry = format!("{folder}data/{key}");
                match archive.entries.get(&entry) {
                    Some(entry) => entry.blob(&mut *self.file.borrow_mut()),
                    None => Err(missing(format!("the entry {entry}"))),
                }
            }
            Storages::Legacy(storages) => match storages.get(key) {
                Some(&blob) => Ok(blob),
                None => Err(Cause::Content(format!("its storage {key} is missing"))),
            },
        }
    }

    fn read_located(&self, place: &Located) -> Result<HostTensor, Cause> {
        let Blob {
            start, size, crc, ..
        } = place.blob;
        let mut tensor = match place.blob.deflated {
            None => {
                let file = &mut *self.file.borrow_mut();
                place.view.read(file, (start, size, crc))?
            }
            Some(_) => {
                let storage = self.unpack(place.blob)?;
                place.view.read(&mut Cursor::new(storage), (0, size, 0))?
            }
        };
        if place.negative {
            negate(&mut tensor)?;
        }
        Ok(tensor)
    }

    /// The bytes of a compressed storage.
    fn unpack(&self, blob: Blob) -> Result<Rc<[u8]>, Cause> {
        let mut unpacked = self.unpacked.borrow_mut();
        if let Some((last, bytes)) = &*unpacked
            && *last == blob
        {
            return Ok(bytes.clone());
        }
        *unpacked = None;
        if blob.size > self.limit() {
            let (bytes, available) = (blob.size, self.length);
            return Err(Cause::Unpacked { bytes, available });
        }
        let bytes: Rc<[u8]> = blob.read(&mut *self.file.borrow_mut())?.into();
        *unpacked = Some((blob, bytes.clone()));
        Ok(bytes)
    }
}

/// Where a tensor's data are.
struct Located {
    blob: Blob,
    view: view::View,
    negative: bool,
}

/// The saved object of a zip archive, and its storages.
fn open_zip(file: &mut (impl Read + Seek)) -> Result<(Pickle, Storages), Cause> {
    let archive = Archive::open(file)?;
    let mut names = archive.entries.keys();
    let folder = names.find_map(|name| {
        let folder = name.strip_suffix("data.pkl")?;
        (folder.is_empty() || folder.ends_with('/')).then(|| folder.to_string())
    });
    let Some(folder) = folder else {
        let text = "a zip archive without data.pkl: not a PyTorch checkpoint";
        return Err(Cause::Content(text.to_string()));
    };
    let entry = |name: &str| archive.entries.get(&format!("{folder}{name}"));
    if entry("constants.pkl").is_some() {
        let text = "a TorchScript program, not a checkpoint: save its state_dict() instead";
        return Err(Cause::Content(text.to_string()));
    }
    if let Some(order) = entry("byteorder") {
        let order = order.blob(file)?;
        let order = read_small(file, order, 16)?;
        if order != b"little" {
            let order = String::from_utf8_lossy(&order).into_owned();
            let text = format!("its byte order is {order:?}: only \"little\" is supported");
            return Err(Cause::Content(text));
        }
    }
    let pickle = entry("data.pkl").expect("found above").blob(file)?;
    if let Some(packed) = pickle.deflated
        && pickle.size > packed.saturating_mul(PICKLE_RATIO)
    {
        return Err(Cause::Unpacked {
            bytes: pickle.size,
            available: packed,
        });
    }
    let pickle = Pickle::parse(&read_small(file, pickle, PICKLE_LIMIT)?)?;
    Ok((pickle, Storages::Zip { archive, folder }))
}

/// The data of an entry of at most `limit` bytes.
fn read_small(file: &mut (impl Read + Seek), blob: Blob, limit: u64) -> Result<Vec<u8>, Cause> {
    if blob.size > limit {
        let text = format!(
            "an entry has {} bytes, more than the {limit} expected",
            blob.size
        );
        return Err(Cause::Archive(text));
    }
    blob.read(file)
}

/// Changes every sign, as PyTorch does where a tensor has its negative bit.
fn negate(tensor: &mut HostTensor) -> Result<(), TensorError> {
    match tensor.dtype() {
        DType::F32 => each(tensor.as_mut_slice::<f32>()?, |x| -x),
        DType::F16 => each(tensor.as_mut_slice::<f16>()?, |x| -x),
        DType::BF16 => each(tensor.as_mut_slice::<bf16>()?, |x| -x),
        DType::I32 => each(tensor.as_mut_slice::<i32>()?, i32::wrapping_neg),
        DType::I64 => each(tensor.as_mut_slice::<i64>()?, i64::wrapping_neg),
        DType::U8 => each(tensor.as_mut_slice::<u8>()?, u8::wrapping_neg),
        DType::U32 => each(tensor.as_mut_slice::<u32>()?, u32::wrapping_neg),
        DType::U64 => each(tensor.as_mut_slice::<u64>()?, u64::wrapping_neg),
        // PyTorch has no such tensors: it cannot negate what is true or false.
        DType::Bool => {}
    }
    Ok(())
}

fn each<T: Copy>(elements: &mut [T], change: impl Fn(T) -> T) {
    elements.iter_mut().for_each(|x| *x = change(*x));
}
