//! Python's pickle format, read as data.
//!
//! A pickle is a program for a stack machine that builds objects by calling functions which it
//! names. Here nothing is ever imported or called: a call becomes an [`Instance`](Kind::Instance)
//! that records the function and its arguments, and whoever knows the function interprets them.
//! Objects of unknown classes, such as the configuration inside a training checkpoint, so come
//! along as data.
//!
//! Python objects form a graph, with sharing and cycles, so a [`Pickle`] holds them in one table
//! and a [`Node`] is a place in it. Reading is bounded: no recursion, at most
//! [`Pickle::MAX_STEPS`] opcodes, and no length is believed before that many bytes are there.

mod machine;
pub(super) mod opcode;
mod text;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

/// The objects of one pickle.
///
/// ```
/// use bsq_runtime::checkpoint::pickle::{Kind, Pickle};
///
/// // pickle.dumps({"iter": 7, "names": ["a", "b"]}, protocol=2)
/// let bytes = b"\x80\x02}q\x00(X\x04\x00\x00\x00iterq\x01K\x07X\x05\x00\x00\x00namesq\x02]q\x03\
///     (X\x01\x00\x00\x00aq\x04X\x01\x00\x00\x00bq\x05eu.";
/// let pickle = Pickle::parse(bytes)?;
/// let root = pickle.root();
/// assert_eq!(root.get("iter").and_then(|node| node.as_int()), Some(7));
/// let names = root.get("names").unwrap().items();
/// assert_eq!(names.filter_map(|node| node.as_str()).collect::<Vec<_>>(), ["a", "b"]);
/// # Ok::<(), bsq_runtime::checkpoint::pickle::PickleError>(())
/// ```
#[derive(Debug)]
pub struct Pickle {
    objects: Vec<Object>,
    root: Value,
}

/// A pickle is malformed, or not of a kind that is supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {position} of the pickle: {problem}")]
pub struct PickleError {
    /// Where the opcode is.
    pub position: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The data end inside an opcode or without the final one.
    #[error("the data end too early")]
    Truncated,
    /// Not an opcode, or one that protocols 0 to 5 do not write.
    #[error("unsupported opcode {0:#04x}")]
    Opcode(u8),
    /// A protocol from the future.
    #[error("unsupported protocol {0}; 0 to 5 are supported")]
    Protocol(u8),
    /// The opcode needs more on the stack.
    #[error("the stack is empty")]
    Underflow,
    /// Nothing was stored under the number.
    #[error("nothing was stored under the number {0}")]
    Memo(u64),
    /// The opcode works on another kind of object.
    #[error("expected {0}")]
    Kind(&'static str),
    /// More than [`Pickle::MAX_STEPS`] opcodes.
    #[error("more than {max} opcodes", max = Pickle::MAX_STEPS)]
    TooLong,
}

/// A value: small ones in place, all others by their place in the table.
#[derive(Clone, Copy, Debug)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Object(u32),
}

#[derive(Debug)]
enum Object {
    Str(Arc<str>),
    Bytes(Box<[u8]>),
    /// An integer beyond 64 bits; nobody needs its value.
    BigInt,
    Tuple(Box<[Value]>),
    List(Vec<Value>),
    Set(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(Box<Global>),
    Instance(Box<Instance>),
    Persistent(Value),
}

/// A class or function, by name. The text is shared: a few bytes of a pickle can name a long
/// string again and again.
#[derive(Debug)]
struct Global {
    module: Arc<str>,
    name: Arc<str>,
}

/// What a call would have made, and what was done to it afterwards.
#[derive(Debug)]
struct Instance {
    function: Value,
    arguments: Value,
    state: Option<Value>,
    appended: Vec<Value>,
    entries: Vec<(Value, Value)>,
}

/// A value in a pickle.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pickle: &'a Pickle,
    value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A longer integer, without its value.
    BigInt,
    /// A floating-point number.
    Float(f64),
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A tuple; see [`Node::items`].
    Tuple,
    /// A list; see [`Node::items`].
    List,
    /// A set; see [`Node::items`].
    Set,
    /// A dictionary; see [`Node::entries`].
    Dict,
    /// A class or function; see [`Node::path`].
    Global,
    /// The result of a call; see [`Node::function`], [`Node::arguments`] and [`Node::state`].
    Instance,
    /// A reference to something outside of the pickle; see [`Node::arguments`].
    Persistent,
}

impl Pickle {
    /// How many opcodes a pickle may have. A checkpoint takes some forty for each tensor.
    pub const MAX_STEPS: usize = 2_000_000;

    /// Reads a pickle of protocol 0 to 5. What follows its end is ignored.
    ///
    /// # Errors
    /// When the bytes are not such a pickle.
    pub fn parse(bytes: &[u8]) -> Result<Self, PickleError> {
        Ok(machine::run(bytes)?.0)
    }

    /// Like [`parse`](Pickle::parse), with the number of bytes that the pickle takes: another one
    /// may follow.
    ///
    /// # Errors
    /// As for `parse`.
    pub fn parse_first(bytes: &[u8]) -> Result<(Self, usize), PickleError> {
        machine::run(bytes)
    }

    /// What refers to something outside of the pickle, in the order in which it is named.
    pub fn persistent(&self) -> impl Iterator<Item = Node<'_>> {
        let ids = self.objects.iter().filter_map(|object| match object {
            Object::Persistent(id) => Some(*id),
            _ => None,
        });
        ids.map(|id| self.node(id))
    }

    /// The pickled object.
    pub fn root(&self) -> Node<'_> {
        self.node(self.root)
    }

    fn node(&self, value: Value) -> Node<'_> {
        Node {
            pickle: self,
            value,
        }
    }
}

impl<'a> Node<'a> {
    /// What this is.
    pub fn kind(self) -> Kind<'a> {
        match self.value {
            Value::None => Kind::None,
            Value::Bool(x) => Kind::Bool(x),
            Value::Int(x) => Kind::Int(x),
            Value::Float(x) => Kind::Float(x),
            Value::Object(id) => match &self.pickle.objects[id as usize] {
                Object::Str(text) => Kind::Str(text),
                Object::Bytes(bytes) => Kind::Bytes(bytes),
                Object::BigInt => Kind::BigInt,
                Object::Tuple(_) => Kind::Tuple,
                Object::List(_) => Kind::List,
                Object::Set(_) => Kind::Set,
                Object::Dict(_) => Kind::Dict,
                Object::Global(_) => Kind::Global,
                Object::Instance(_) => Kind::Instance,
                Object::Persistent(_) => Kind::Persistent,
            },
        }
    }

    /// The text of a string.
    pub fn as_str(self) -> Option<&'a str> {
        match self.kind() {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer.
    pub fn as_int(self) -> Option<i64> {
        match self.kind() {
            Kind::Int(x) => Some(x),
            _ => None,
        }
    }

    /// The elements of a tuple, list or set, or those appended to an instance; else none.
    pub fn items(self) -> impl ExactSizeIterator<Item = Node<'a>> {
        let values = match self.object() {
            Some(Object::Tuple(values)) => values,
            Some(Object::List(values) | Object::Set(values)) => values.as_slice(),
            Some(Object::Instance(instance)) => &instance.appended,
            _ => &[],
        };
        values.iter().map(move |&value| self.pickle.node(value))
    }

    /// The keys and values of a dictionary, or of an instance that is used as one, in the order in
    /// which they were set; else none.
    pub fn entries(self) -> impl ExactSizeIterator<Item = (Node<'a>, Node<'a>)> {
        let entries = match self.object() {
            Some(Object::Dict(entries)) => entries.as_slice(),
            Some(Object::Instance(instance)) => &instance.entries,
            _ => &[],
        };
        let node = move |value| self.pickle.node(value);
        entries.iter().map(move |&(a, b)| (node(a), node(b)))
    }

    /// The value that a dictionary, or an instance that is used as one, has for a key.
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        let is_key = |(name, _): &(Node<'a>, Node<'a>)| name.as_str() == Some(key);
        self.entries().filter(is_key).last().map(|entry| entry.1)
    }

    /// Whether this is a dictionary: a `dict`, an `OrderedDict`, or any instance that is used as
    /// one.
    pub fn is_mapping(self) -> bool {
        let path = self.function().and_then(Node::path);
        self.kind() == Kind::Dict
            || path == Some(("collections", "OrderedDict"))
            || self.entries().len() > 0
    }

    /// Module and name of a class or function.
    pub fn path(self) -> Option<(&'a str, &'a str)> {
        match self.object() {
            Some(Object::Global(global)) => Some((&global.module, &global.name)),
            _ => None,
        }
    }

    /// What tells this object from all others of its pickle; `None` for values that are no objects.
    pub(super) fn object_id(self) -> Option<u32> {
        match self.value {
            Value::Object(id) => Some(id),
            _ => None,
        }
    }

    /// What was called to make an instance.
    pub fn function(self) -> Option<Node<'a>> {
        match self.object() {
            Some(Object::Instance(instance)) => Some(self.pickle.node(instance.function)),
            _ => None,
        }
    }

    /// What an instance was made from, a tuple; or what identifies a persistent object.
    pub fn arguments(self) -> Option<Node<'a>> {
        match self.object() {
            Some(Object::Instance(instance)) => Some(self.pickle.node(instance.arguments)),
            Some(Object::Persistent(id)) => Some(self.pickle.node(*id)),
            _ => None,
        }
    }

    /// The attributes that an instance was given, mostly a dictionary.
    pub fn state(self) -> Option<Node<'a>> {
        match self.object() {
            Some(Object::Instance(instance)) => Some(self.pickle.node(instance.state?)),
            _ => None,
        }
    }

    fn object(self) -> Option<&'a Object> {
        match self.value {
            Value::Object(id) => Some(&self.pickle.objects[id as usize]),
            _ => None,
        }
    }
}

impl fmt::Display for Node<'_> {
    /// A short description without what is inside: `7`, `"text"`, `a dict of 3`, `a
    /// torch.FloatStorage`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::None => f.write_str("None"),
            Kind::Bool(true) => f.write_str("True"),
            Kind::Bool(false) => f.write_str("False"),
            Kind::Int(x) => write!(f, "{x}"),
            Kind::BigInt => f.write_str("a long integer"),
            Kind::Float(x) => write!(f, "{x:?}"),
            Kind::Str(text) if text.chars().count() > 60 => {
                write!(f, "{:?}...", text.chars().take(60).collect::<String>())
            }
            Kind::Str(text) => write!(f, "{text:?}"),
            Kind::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Kind::Tuple => write!(f, "a tuple of {}", self.items().len()),
            Kind::List => write!(f, "a list of {}", self.items().len()),
            Kind::Set => write!(f, "a set of {}", self.items().len()),
            Kind::Dict => write!(f, "a dict of {}", self.entries().len()),
            Kind::Persistent => f.write_str("a persistent object"),
            Kind::Global => match self.path() {
                Some((module, name)) => write!(f, "the class {module}.{name}"),
                None => f.write_str("a class"),
            },
            Kind::Instance => match self.function().and_then(Node::path) {
                Some((module, name)) => write!(f, "a {module}.{name}"),
                None => f.write_str("an object"),
            },
        }
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
