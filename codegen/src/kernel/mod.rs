//! Kernel IR: typed SSA over loop nests with explicit loads and stores; what every target consumes.
//!
//! A [`Kernel`] is run once per work item of its grid; items are independent and may run in any
//! order on any number of threads. Inside an item, statements run in order. Nothing here names a
//! machine: vector width, registers and tiles are the target's business.
//!
//! Invariants (checked by [`verify`](verify::verify)):
//! - a value is defined once, before its uses, in the same block or an enclosing one;
//! - a loop variable is used only inside its loop; the grid's variables everywhere;
//! - `Map` holds elementwise ops of the graph IR only, on operands of the types they accept;
//! - arithmetic is never on `f16` or `bf16`: those are loaded, cast and stored;
//! - iterations of a parallel loop touch different elements of every array that they write, as
//!   [`dependence`] sees it;
//! - at most one loop of a nest is a vector loop, and a vector `Reduce` is not inside one;
//! - static offsets stay inside their buffers.

mod access;
mod affine;
mod attend;
mod attend_backward;
pub mod bounds;
pub mod dependence;
mod display;
mod extent;
mod format;
mod parse;
pub mod verify;

pub use access::{Access, for_each_access, reads_first};
pub use affine::{AccessPattern, Affine, Var};
pub use attend::Attend;
pub use attend_backward::{AttendBackward, Panels, StridedRows};
use display::FloatBits;
pub use extent::Extent;
pub(crate) use extent::gcd;
pub use format::Format;
pub use parse::{ParseError, parse, parse_all};

use bsq_ir::{DType, Op, Type};

/// One compiled unit: the body runs for every point of the grid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Arrays given at launch.
    pub buffers: Vec<Array>,
    /// Arrays private to a running item, uninitialised at its start.
    pub scratch: Vec<Array>,
    /// Work items, outermost first; their product may be 0.
    pub grid: Vec<Axis>,
    pub body: Vec<Stmt>,
}

/// An array of elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Array {
    pub dtype: DType,
    pub elements: usize,
    /// True if the kernel stores to it.
    pub written: bool,
}

/// A loop variable that runs over `0..extent`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    pub var: Var,
    pub extent: usize,
}

/// Where an array lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// An index into [`Kernel::buffers`].
    Buffer(u32),
    /// An index into [`Kernel::scratch`].
    Scratch(u32),
}

/// An element: an affine offset, plus a run-time one (`i64`, in elements) where positions are data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    pub place: Place,
    pub at: Affine,
    pub dynamic: Option<Value>,
}

impl Element {
    /// An element whose position is known when the kernel is written.
    pub fn new(place: Place, at: Affine) -> Self {
        let dynamic = None;
        Element { place, at, dynamic }
    }

    /// The first element of an array.
    pub fn first(place: Place) -> Self {
        Element::new(place, Affine::default())
    }

    /// The element so many behind this one.
    pub fn shifted(&self, by: i64) -> Self {
        let at = self.at.add(&Affine::constant(by));
        Element { at, ..self.clone() }
    }
}

/// A value of one element; inside a vector loop, of one element per lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub u32);

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    Let {
        value: Value,
        dtype: DType,
        inst: Inst,
    },
    Store {
        to: Element,
        value: Value,
    },
    /// Runs `body` for `var` in `0..extent`, ascending, or in any order if its kind allows it.
    Loop {
        var: Var,
        extent: Extent,
        kind: LoopKind,
        body: Vec<Stmt>,
    },
    /// Combines `term` of every iteration of `body`. Sums keep the order of `bsq_ir::order`
    /// with `var` as the index. `body` stores nothing.
    Reduce(Reduce),
    Contract(Box<Contract>),
    /// For targets that ask for it: see [`lower::TilingPolicy`](crate::lower::TilingPolicy).
    Attend(Box<Attend>),
    /// For the same.
    AttendBackward(Box<AttendBackward>),
}

/// Whether a loop's iterations depend on one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoopKind {
    /// They may: one runs after the other.
    Serial,
    /// They touch different elements of all that they write: a target may run them in any order, or
    /// at once.
    Parallel,
    /// They do not, and there is no loop inside that is one of these: a target may run several in
    /// one instruction.
    Vector,
}

impl LoopKind {
    pub fn is_vector(self) -> bool {
        self == LoopKind::Vector
    }
}

impl Stmt {
    /// Defines `value` as an element.
    pub fn load(value: Value, dtype: DType, from: Element) -> Stmt {
        let inst = Inst::Load(from);
        Stmt::Let { value, dtype, inst }
    }

    pub fn store(to: Element, value: Value) -> Stmt {
        Stmt::Store { to, value }
    }

    /// A loop whose iterations run one after the other, as long as nothing else is known of it.
    pub fn serial_loop(var: Var, extent: Extent, body: Vec<Stmt>) -> Stmt {
        Stmt::loop_over(false, var, extent, body)
    }

    /// A loop whose iterations may run at once.
    pub fn vector_loop(var: Var, extent: Extent, body: Vec<Stmt>) -> Stmt {
        Stmt::loop_over(true, var, extent, body)
    }

    /// A vector loop, or a serial one.
    pub fn loop_over(vector: bool, var: Var, extent: Extent, body: Vec<Stmt>) -> Stmt {
        let kind = match vector {
            true => LoopKind::Vector,
            false => LoopKind::Serial,
        };
        Stmt::Loop {
            var,
            extent,
            kind,
            body,
        }
    }
}

/// A loop whose iterations are combined.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    pub var: Var,
    pub extent: Extent,
    /// Lanes run along `var`.
    pub vector: bool,
    pub body: Vec<Stmt>,
    pub results: Vec<Reduction>,
}

/// One result of a [`Reduce`]: defined after it, visible in the enclosing block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduction {
    pub value: Value,
    pub dtype: DType,
    pub op: Combine,
    /// A value of the body, or visible to it.
    pub term: Value,
}

/// How the terms of a reduction are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    /// In the fixed order, from zero.
    Sum,
    Max,
    Min,
}

impl Combine {
    /// The bits of what changes no element of `dtype` that it is combined with, except that a sum
    /// with it is never -0.
    pub fn neutral(self, dtype: DType) -> u64 {
        match (self, dtype) {
            (Combine::Sum, _) => 0,
            (Combine::Max, DType::F32) => f32::NEG_INFINITY.to_bits().into(),
            (Combine::Max, DType::I32) => i32::MIN as u32 as u64,
            (Combine::Max, DType::I64) => i64::MIN as u64,
            (Combine::Max, _) => 0,
            (Combine::Min, DType::F32) => f32::INFINITY.to_bits().into(),
            (Combine::Min, DType::I32) => i32::MAX as u64,
            (Combine::Min, DType::I64) => i64::MAX as u64,
            (Combine::Min, DType::U8) => u8::MAX.into(),
            (Combine::Min, DType::U32) => u32::MAX.into(),
            (Combine::Min, _) => u64::MAX,
        }
    }
}

/// What a value is computed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// The element's little-endian bytes, zero-extended.
    Constant(u64),
    /// An index expression, as `i64` or, wrapped, `i32`.
    Index(Affine),
    Load(Element),
    /// An elementwise op of the graph IR.
    Map(Op, Vec<Value>),
}

/// A block contraction: `C[i, j] (+)= A[i, k] * B[k, j]`, from zero or from what C holds. How the
/// sides are stored and in which order terms are added is the [`Format`]'s.
///
/// B is packed in panels of [`PANEL`] columns: panel `p` holds `B[.., 16 p .. 16 p + 16]` as
/// `[k][16]`, zero padded; panels are `b_panel_stride` elements apart. A and C have plain strides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contract {
    pub format: Format,
    pub a: Element,
    pub a_row_stride: i64,
    pub a_k_stride: i64,
    /// Terms of A come in groups, innermost first: `a_k_stride` is the distance inside one of the
    /// first. For targets that ask for it: see [`lower::TilingPolicy`](crate::lower::TilingPolicy).
    pub a_groups: Vec<Groups>,
    /// The same of rows of A.
    pub a_row_groups: Vec<Groups>,
    pub b: Element,
    pub b_panel_stride: i64,
    /// The first column's value, where the format has per-column values; one element per column.
    pub columns: Option<Element>,
    pub c: Element,
    pub c_row_stride: i64,
    pub m: Extent,
    pub n: Extent,
    pub k: Extent,
    /// Start from what C holds instead of from zero.
    pub accumulate: bool,
}

/// Indices whose elements do not step evenly, such as heads and their channels, or the channels,
/// rows and columns of a convolution's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Groups {
    /// Indices of a group; the number of indices, and that of a group of groups, is a multiple.
    pub terms: usize,
    /// Elements from the first index of one to the first of the next.
    pub stride: i64,
}

impl Groups {
    /// Elements from index 0 to an index of those that step by `stride` inside of these groups,
    /// innermost first.
    pub fn offset(groups: &[Groups], stride: i64, index: usize) -> i64 {
        let mut rest = index;
        let outer = groups.iter().rev().map(|group| {
            let number = rest / group.terms;
            rest %= group.terms;
            number as i64 * group.stride
        });
        let outer: i64 = outer.sum();
        outer + rest as i64 * stride
    }
}

/// Columns of a packed panel of B.
pub const PANEL: usize = 16;

impl Contract {
    /// Elements from the first term of a row of A to the one of this number.
    pub fn a_term(&self, k: usize) -> i64 {
        Groups::offset(&self.a_groups, self.a_k_stride, k)
    }

    /// Elements from the first row of A to the one of this number.
    pub fn a_row(&self, row: usize) -> i64 {
        Groups::offset(&self.a_row_groups, self.a_row_stride, row)
    }

    /// What is read: A, B, and per-column values.
    pub fn reads(&self) -> impl Iterator<Item = &Element> {
        [&self.a, &self.b].into_iter().chain(&self.columns)
    }
}

impl Kernel {
    /// Number of work items.
    pub fn items(&self) -> usize {
        self.grid.iter().map(|axis| axis.extent).product()
    }

    pub fn array(&self, place: Place) -> &Array {
        match place {
            Place::Buffer(index) => &self.buffers[index as usize],
            Place::Scratch(index) => &self.scratch[index as usize],
        }
    }

    /// Byte offset of each scratch array, 64-byte aligned, and the bytes of all of them.
    pub fn scratch_layout(&self) -> (Vec<usize>, usize) {
        let mut end = 0;
        let offsets = self.scratch.iter().map(|array| {
            let start = end;
            end += (array.elements * array.dtype.size()).next_multiple_of(64);
            start
        });
        let offsets = offsets.collect();
        (offsets, end)
    }
}

impl Array {
    pub fn read(ty: &Type) -> Self {
        Array {
            dtype: ty.dtype,
            elements: ty.shape.elements(),
            written: false,
        }
    }

    pub fn written(dtype: DType, elements: usize) -> Self {
        Array {
            dtype,
            elements,
            written: true,
        }
    }
}
