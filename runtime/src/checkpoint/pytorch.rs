//! Checkpoints that PyTorch's `torch.save` wrote, since version 1.6.
//!
//! Such a file is a zip archive of `NAME/data.pkl`, a pickle of the saved object, and
//! `NAME/data/0`, `NAME/data/1`, ... with the bytes of the storages. A tensor is pickled as the
//! call of a function with a storage, an offset, a shape and strides; several tensors can be
//! views of one storage. The pickle is read as data and nothing in it is run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{Cause, CheckpointError, Failure};
use super::pickle::{Kind, Node, Pickle};
use super::storage::StoredType;
use super::zip::{Archive, Entry};
use super::{Weights, view};
use crate::tensor_data::HostTensor;

/// The longest `data.pkl`; that of a checkpoint has some hundred bytes for each tensor.
const PICKLE_LIMIT: u64 = 64 << 20;

/// All tensors together may take this many times the bytes of the file: views of one storage are
/// legitimate, but not without end.
const INFLATION_LIMIT: u64 = 16;

/// What a legacy file starts with: a pickle of PyTorch's old magic number.
pub(super) const LEGACY_MAGIC: &[u8; 14] =
    b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

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
    archive: Archive,
    /// What the names of all entries start with, up to a slash.
    folder: String,
    pickle: Pickle,
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
        let archive = Archive::open(&mut file)?;
        let mut names = archive.entries.keys();
        let folder = names.find_map(|name| {
            let folder = name.strip_suffix("data.pkl")?;
            (folder.is_empty() || folder.ends_with('/')).then(|| folder.to_string())
        });
        let Some(folder) = folder else {
            let text = "a zip archive without data.pkl: not a PyTorch checkpoint";
            return Err(Cause::Content(text.to_string()));
        };
        let entry = |name: &str| archive.entries.get(&format!("{folder}{name}")).copied();
        if entry("constants.pkl").is_some() {
            let text = "a TorchScript program, not a checkpoint: save its state_dict() instead";
            return Err(Cause::Content(text.to_string()));
        }
        if let Some(order) = entry("byteorder") {
            let order = read_entry(&mut file, order, 16)?;
            if order != b"little" {
                let order = String::from_utf8_lossy(&order).into_owned();
                let text = format!("its byte order is {order:?}: only \"little\" is supported");
                return Err(Cause::Content(text));
            }
        }
        let pickle = entry("data.pkl").expect("found above");
        let pickle = Pickle::parse(&read_entry(&mut file, pickle, PICKLE_LIMIT)?)?;
        Ok(TorchFile {
            path,
            file: RefCell::new(file),
            length,
            archive,
            folder,
            pickle,
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
        let tensor = self.locate(node)?;
        tensor.view.read(&mut *self.file.borrow_mut(), tensor.entry)
    }

    /// The tensors of the state dict that `weights` asks for, and the key under which it is, where
    /// it is not the saved object itself.
    pub(super) fn read_weights(&self, weights: Weights) -> Result<StateDict, Failure> {
        let (key, dict) = self.state_dict(weights)?;
        let mut tensors = BTreeMap::new();
        let mut bytes = 0u64;
        for (name, node) in dict.entries() {
            let Some(name) = name.as_str() else {
                let text = format!("a key of the state dict is not a string but {name}");
                return Err(Cause::Content(text).into());
            };
            let fail = |cause| Failure::of(name, cause);
            let tensor = self.locate(node).map_err(fail)?;
            bytes = bytes.saturating_add(tensor.view.byte_count());
            let available = self.length;
            if bytes > available.saturating_mul(INFLATION_LIMIT) {
                return Err(fail(Cause::Inflated { bytes, available }));
            }
            let file = &mut *self.file.borrow_mut();
            let tensor = tensor.view.read(file, tensor.entry).map_err(fail)?;
            tensors.insert(name.to_string(), tensor);
        }
        Ok((key, tensors))
    }

    fn state_dict(&self, weights: Weights) -> Result<(Option<&'static str>, Node<'_>), Cause> {
        let root = self.root();
        let keys: &[&str] = match weights {
            Weights::Ema => &["ema_state_dict", "state_dict"],
            Weights::Raw => &["state_dict"],
        };
        for key in keys {
            if let Some(dict) = root.get(key).filter(|node| node.is_mapping()) {
                return Ok((Some(key), dict));
            }
        }
        if root.entries().any(|(_, value)| is_tensor(value)) {
            return Ok((None, root));
        }
        let keys: Vec<String> = (root.entries().take(20))
            .map(|(key, _)| key.to_string())
            .collect();
        Err(Cause::Content(format!(
            "it holds no {}, but {root} with the keys [{}]",
            keys_text(weights),
            keys.join(", ")
        )))
    }

    /// What the call that makes a tensor says about it.
    fn locate(&self, node: Node<'_>) -> Result<Located, Cause> {
        let not_a_tensor = || Cause::Content(format!("it is not a tensor but {node}"));
        let arguments = rebuild_arguments(node).ok_or_else(not_a_tensor)?;
        let mut arguments = arguments.items();
        let mut next = || arguments.next().ok_or_else(not_a_tensor);
        let (storage, offset, shape, strides) = (next()?, next()?, next()?, next()?);

        let id = match storage.kind() {
            Kind::Persistent => storage.arguments(),
            _ => None,
        };
        let mut id = id.ok_or_else(|| malformed("storage", storage))?.items();
        let (Some("storage"), Some(class), Some(key)) = (
            id.next().and_then(Node::as_str),
            id.next().and_then(Node::path),
            id.next().and_then(Node::as_str),
        ) else {
            return Err(malformed("storage", storage));
        };
        let stored = StoredType::from_torch_storage(class.1)?;
        let entry = format!("{}data/{key}", self.folder);
        let Some(&entry) = self.archive.entries.get(&entry) else {
            return Err(Cause::Archive(format!("the entry {entry} is missing")));
        };
        let extent = |node: Node<'_>| {
            let value = node.as_int().and_then(|value| u64::try_from(value).ok());
            value.ok_or_else(|| malformed("shape, stride or offset", node))
        };
        let shape: Vec<u64> = shape.items().map(extent).collect::<Result<_, _>>()?;
        let strides: Vec<u64> = strides.items().map(extent).collect::<Result<_, _>>()?;
        let view = view::View::new(stored, extent(offset)?, &shape, strides, entry.size)?;
        Ok(Located { entry, view })
    }
}

/// A state dict's tensors, and its key.
pub(super) type StateDict = (Option<&'static str>, BTreeMap<String, HostTensor>);

/// Where a tensor's data are.
struct Located {
    entry: Entry,
    view: view::View,
}

fn keys_text(weights: Weights) -> &'static str {
    match weights {
        Weights::Ema => "ema_state_dict, state_dict or tensors",
        Weights::Raw => "state_dict or tensors",
    }
}

fn is_tensor(node: Node<'_>) -> bool {
    rebuild_arguments(node).is_some()
}

/// The arguments, storage first, of the call that makes a tensor; `None` for anything else.
fn rebuild_arguments(node: Node<'_>) -> Option<Node<'_>> {
    let mut function = node.function()?;
    let mut arguments = node.arguments()?;
    // Wrapped at most in a parameter and in a subclass; the bound is for malicious files.
    for _ in 0..4 {
        match function.path()? {
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => return Some(arguments),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                let inner = arguments.items().next()?;
                (function, arguments) = (inner.function()?, inner.arguments()?);
            }
            // function, class, arguments, attributes
            ("torch._tensor", "_rebuild_from_type_v2") => {
                let mut items = arguments.items();
                (function, arguments) = (items.next()?, items.nth(1)?);
            }
            _ => return None,
        }
    }
    None
}

fn malformed(what: &str, node: Node<'_>) -> Cause {
    Cause::Content(format!("its {what} is {node}"))
}

/// The data of a small entry.
fn read_entry(file: &mut (impl Read + Seek), entry: Entry, limit: u64) -> Result<Vec<u8>, Cause> {
    let start = entry.data_start(file)?;
    if entry.size > limit {
        let text = format!(
            "an entry has {} bytes, more than the {limit} expected",
            entry.size
        );
        return Err(Cause::Archive(text));
    }
    file.seek(SeekFrom::Start(start)).map_err(Cause::Read)?;
    let mut bytes = vec![0; entry.size as usize];
    file.read_exact(&mut bytes).map_err(Cause::Read)?;
    match entry.crc {
        0 => Ok(bytes),
        crc if crc == crc32fast::hash(&bytes) => Ok(bytes),
        _ => Err(Cause::Checksum),
    }
}
