//! What the call that makes a tensor says about it.
//!
//! A tensor is pickled as the call of one of a few functions with a storage, an offset, a shape
//! and strides, perhaps wrapped in calls that make a parameter or a subclass of it.

use crate::checkpoint::error::Cause;
use crate::checkpoint::pickle::{Kind, Node};
use crate::checkpoint::storage::StoredType;

/// A tensor as a view of a storage, all in elements.
#[derive(PartialEq)]
pub(super) struct Rebuilt<'a> {
    /// The storage.
    pub(super) key: &'a str,
    pub(super) stored: StoredType,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
    /// Whether the elements are the storage's with the other sign.
    pub(super) negative: bool,
}

/// Why nothing can be read where protocol 0 has made a text of what identifies a storage.
pub(super) const PROTOCOL_0: &str = "its storage is named in a text, as pickles of protocol 0 do \
    and PyTorch itself cannot read: save it with protocol 2";

/// A storage, as the pickle names it.
pub(super) struct StorageName<'a> {
    /// Its name in the file.
    pub(super) key: &'a str,
    /// The name of its class, such as `FloatStorage`.
    pub(super) class: &'a str,
    /// Where it starts in the storage of that name; only old files have storages in storages.
    offset: u64,
}

impl<'a> StorageName<'a> {
    /// From `("storage", class, key, device, length)`, which in old files has one more element:
    /// `None`, or the part of the storage that is meant.
    pub(super) fn read(id: Node<'a>) -> Option<Self> {
        let mut items = id.items();
        let (kind, class, key) = (items.next()?, items.next()?, items.next()?);
        if kind.as_str() != Some("storage") {
            return None;
        }
        let offset = match items.nth(2) {
            None => 0,
            Some(part) if part.kind() == Kind::None => 0,
            Some(part) => u64::try_from(part.items().nth(1)?.as_int()?).ok()?,
        };
        Some(StorageName {
            key: key.as_str()?,
            class: class.path()?.1,
            offset,
        })
    }
}

/// Whether a node is a tensor, of whatever kind.
pub(super) fn is_tensor(node: Node<'_>) -> bool {
    tensor_call(node).is_some()
}

/// What the call that makes a tensor says about it.
///
/// # Errors
/// [`Cause::is_unsupported`] if the node is none, or one of another kind.
pub(super) fn rebuilt(node: Node<'_>) -> Result<Rebuilt<'_>, Cause> {
    let (function, arguments) =
        tensor_call(node).ok_or_else(|| Cause::NotATensor(node.to_string()))?;
    let with_dtype = match function {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => false,
        "_rebuild_tensor_v3" => true,
        other => {
            let text = format!("a tensor made by torch._utils.{other} cannot be read");
            return Err(Cause::UnsupportedTensor(text));
        }
    };
    let mut arguments = arguments.items();
    let mut next = || {
        let missing = || Cause::NotATensor(node.to_string());
        arguments.next().ok_or_else(missing)
    };
    let (storage, offset, shape, strides) = (next()?, next()?, next()?, next()?);
    // Behind these are whether it has a gradient, and hooks.
    let mut more = arguments.skip(2);
    let dtype = match with_dtype {
        true => more.next(),
        false => None,
    };
    let metadata = more.next();

    let id = match storage.kind() {
        Kind::Persistent => storage.arguments(),
        _ => None,
    };
    if id.is_some_and(|id| id.as_str().is_some()) {
        return Err(Cause::Content(PROTOCOL_0.to_string()));
    }
    let name = id.and_then(StorageName::read);
    let name = name.ok_or_else(|| malformed("storage", storage))?;
    let numbers = |node: Node<'_>| node.items().map(extent).collect::<Result<Vec<_>, _>>();
    let (shape, strides) = (numbers(shape)?, numbers(strides)?);
    let stored = match (with_dtype, dtype.and_then(Node::path)) {
        (false, _) => StoredType::from_torch_storage(name.class),
        (true, Some((_, dtype))) => StoredType::from_torch_dtype(dtype),
        (true, None) => return Err(malformed("type", node)),
    };
    let stored = stored.map_err(|cause| cause.with_shape(&shape))?;
    Ok(Rebuilt {
        key: name.key,
        stored,
        offset: extent(offset)?.saturating_add(name.offset),
        shape,
        strides,
        negative: is_negative(metadata)?,
    })
}

/// Whether metadata say that the elements have the other sign. They may say more, of which
/// nothing is known.
fn is_negative(metadata: Option<Node<'_>>) -> Result<bool, Cause> {
    let mut negative = false;
    for (key, value) in metadata.into_iter().flat_map(Node::entries) {
        let set = value.kind() != Kind::Bool(false);
        match key.as_str() {
            Some("neg") => negative = set,
            _ if set => {
                let text = format!("its metadata say {key}, which is not supported");
                return Err(Cause::UnsupportedTensor(text));
            }
            _ => {}
        }
    }
    Ok(negative)
}

/// The function of `torch._utils` that makes a tensor, and its arguments; `None` for anything
/// else.
fn tensor_call(node: Node<'_>) -> Option<(&str, Node<'_>)> {
    let mut function = node.function()?;
    let mut arguments = node.arguments()?;
    // Wrapped at most in a parameter and in a subclass; the bound is for malicious files.
    for _ in 0..4 {
        match function.path()? {
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                let inner = arguments.items().next()?;
                (function, arguments) = (inner.function()?, inner.arguments()?);
            }
            ("torch._utils", name) if name.starts_with("_rebuild_") => {
                return Some((name, arguments));
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

fn extent(node: Node<'_>) -> Result<u64, Cause> {
    let value = node.as_int().and_then(|value| u64::try_from(value).ok());
    value.ok_or_else(|| malformed("shape, stride or offset", node))
}

fn malformed(what: &str, node: Node<'_>) -> Cause {
    Cause::Content(format!("its {what} is {node}"))
}
