//! The one closed list of operations.
//!
//! A variant's payload is everything that is fixed when the graph is built; what changes at run
//! time is an operand. Type rules are in [`infer`](mod@infer), the reference
//! meaning in [`eval`](crate::eval), derivatives in [`autodiff`](crate::autodiff). Each of them
//! matches exhaustively, so a new op does not compile until it has a row in every table.

mod constant;
pub mod infer;
mod sets;

pub use constant::Constant;
pub use infer::{TypeError, infer};
pub use sets::Family;

use crate::dtype::DType;
use crate::shape::{Shape, Type};

/// One operation. Operands are written `x, y, ...` in the order in which a node lists them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    // ---- leaves ----
    /// A value given at every run.
    Input {
        name: String,
        ty: Type,
    },
    /// A value that stays with the program between runs; named as in checkpoints.
    Parameter {
        name: String,
        ty: Type,
    },
    /// A value known when the graph is built.
    Constant(Constant),
    /// The index along `axis`; in integers it wraps, in `f32` it is the nearest.
    Iota {
        ty: Type,
        axis: usize,
    },
    /// Philox-4x32-10 bits, `u32`. Operands: key `u64[]`, counter `u64[]`. Element `i` (row-major)
    /// is word `i mod 4` of block `counter + i / 4`.
    Random {
        shape: Shape,
    },

    // ---- elementwise, one operand ----
    Neg,
    Abs,
    Exp,
    /// Natural logarithm.
    Log,
    Sqrt,
    Tanh,
    /// The error function.
    Erf,
    /// Sine of an angle in radians; NaN beyond [`math::LARGEST_ANGLE`](crate::math::LARGEST_ANGLE).
    Sin,
    /// Cosine of an angle in radians; NaN beyond the same.
    Cos,
    /// -1, 0 or 1; zeros and NaN stay as they are.
    Sign,
    Floor,
    /// Logical for `bool`, bitwise for integers.
    Not,
    Cast(DType),
    /// The identity; its derivative is zero.
    StopGradient,
    /// The identity, for compilers: what is computed of it is shared with nothing that is computed of its
    /// operand, and is computed right before it is read. StableHLO has the same op.
    OptimizationBarrier,

    // ---- elementwise, two operands of one type ----
    Add,
    Sub,
    Mul,
    /// IEEE division; `f32` only.
    Div,
    /// The larger; NaN if either is NaN, and `-0 < +0`.
    Max,
    /// The smaller; NaN if either is NaN, and `-0 < +0`.
    Min,
    Equal,
    Less,
    LessEqual,
    And,
    Or,
    Xor,
    /// Shift amounts of the bit width or more give 0.
    ShiftLeft,
    /// Arithmetic for signed integers, logical for unsigned; amounts of the bit width or more
    /// leave nothing but the sign.
    ShiftRight,

    // ---- elementwise, three operands ----
    /// `condition ? x : y`. Operands: condition `bool`, x, y.
    Select,

    // ---- movement ----
    /// The same elements in row-major order under another shape.
    Reshape(Shape),
    /// Axis `i` of the result is axis `permutation[i]` of the operand.
    Transpose(Vec<usize>),
    /// Axis `i` of the operand becomes axis `axes[i]` of `shape`, with the same extent; the
    /// other axes repeat it. `axes` ascends.
    Broadcast {
        shape: Shape,
        axes: Vec<usize>,
    },
    /// `start[a] + i * stride[a]`, up to but without `stop[a]`.
    Slice {
        start: Vec<usize>,
        stop: Vec<usize>,
        stride: Vec<usize>,
    },
    /// Operands: x, value `[]`. Per axis: elements before, after, and between neighbours.
    Pad(Vec<Padding>),
    /// Joins one or more operands along an axis.
    Concat {
        axis: usize,
    },
    /// Reverses the given axes.
    Flip(Vec<usize>),
    /// Replaces `axis` by `[count, size]`: element `(c, s)` is element `c * stride + s * dilation`.
    /// `count` is the largest that fits.
    Window {
        axis: usize,
        size: usize,
        stride: usize,
        dilation: usize,
    },
    /// The adjoint of [`Op::Window`]: axes `axis, axis + 1` (`[count, size]`) become one of
    /// `length`; each element is the sum, from zero and in ascending `count`, of what
    /// [`Op::Window`] would have read from it.
    WindowSum {
        axis: usize,
        length: usize,
        stride: usize,
        dilation: usize,
    },

    // ---- reductions; the axes disappear ----
    /// Sum in the fixed order of [`order`](crate::order).
    Sum(Vec<usize>),
    /// Maximum; NaN if any element is NaN, and `-0 < +0`.
    ReduceMax(Vec<usize>),
    /// Index (`i32`) along an axis of the first NaN, else of the first maximum.
    ArgMax(usize),

    // ---- contraction ----
    /// Operands: lhs, rhs. Result axes: batch, free of lhs, free of rhs. One fused multiply-add
    /// per term in ascending row-major order of the contracted axes, from zero.
    DotGeneral(DotAxes),

    // ---- indexing; indices outside are clamped ----
    /// Operands: x, indices (integer). The indices' shape replaces `axis` of x.
    Gather {
        axis: usize,
    },
    /// Operands: x, indices, updates (shaped as a gather of x). Adds updates to x one by one in
    /// row-major order.
    ScatterAdd {
        axis: usize,
    },
    /// Operands: x, start (integer scalar). `size` elements of `axis`.
    DynamicSlice {
        axis: usize,
        size: usize,
    },
    /// Operands: x, update, start (integer scalar). x with `update` written along `axis`.
    DynamicUpdateSlice {
        axis: usize,
    },

    // ---- found by rewriting; each means its own expansion, see `fused` ----
    /// Softmax over the last axis.
    Softmax,
    /// Operands: probabilities p, gradient g. `p * (g - sum(g * p))` over the last axis.
    SoftmaxBackward,
    /// Operands: x, weight, bias. Results: y, mean, reciprocal standard deviation.
    LayerNorm {
        epsilon: Float,
    },
    /// Operands: x, weight, mean, reciprocal standard deviation, gradient of y. Result: gradient of x.
    LayerNormBackward,
    /// `x / 2 * (1 + erf(x / sqrt 2))`.
    Gelu,
    /// Operands: x, gradient.
    GeluBackward,
    /// Operands: q `[batch.., queries, d]`, k `[batch.., keys, d]`, v `[batch.., keys, e]`, then a
    /// bias added to the scaled scores if the mask is [`Mask::Bias`].
    /// Results: output `[batch.., queries, e]`, row maximum and row sum `[batch.., queries]`.
    Attention {
        scale: Float,
        mask: Mask,
    },
    /// Operands: q, k, v, row maximum, row sum, gradient of the output (then the bias).
    /// Results: gradients of q, k, v.
    AttentionBackward {
        scale: Float,
        mask: Mask,
    },
    /// `x > 0` along the last axis packed into one `u64`, first element most significant.
    PackSigns,
    /// One result of an op that has several.
    Projection(usize),
}

/// Elements of padding along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Padding {
    pub before: usize,
    pub after: usize,
    /// Inserted between neighbouring elements.
    pub between: usize,
}

/// Pairs of axes (lhs, rhs) of a contraction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DotAxes {
    pub batch: Vec<(usize, usize)>,
    pub contract: Vec<(usize, usize)>,
}

impl DotAxes {
    /// Axes of an operand of `rank` that are neither batch nor contracted; `lhs` selects the side.
    pub fn free(&self, rank: usize, lhs: bool) -> Vec<usize> {
        let side = |&(l, r): &(usize, usize)| if lhs { l } else { r };
        let taken: Vec<usize> = self.batch.iter().chain(&self.contract).map(side).collect();
        (0..rank).filter(|axis| !taken.contains(axis)).collect()
    }
}

/// Which keys a query may attend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mask {
    None,
    /// Key block `<=` query block, where a block is `size` consecutive positions; size 1 is
    /// causal. Masked scores are negative infinity.
    ///
    /// Compiled programs leave masked keys out. The bits are those of the expansion, where a masked
    /// term is +0 times a finite number, but for two corners: NaN and infinities in masked values
    /// (and gradients that overflow there) do not make results NaN, and a result of which every
    /// product that is seen underflows can be -0 where adding masked terms would give +0.
    BlockCausal {
        size: usize,
    },
    /// An operand of the scores' shape, or of `[queries, keys]`, is added to the scores.
    Bias,
}

/// An `f32` by its bits, so that ops can be compared and hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Float(u32);

impl Float {
    pub fn new(value: f32) -> Self {
        Float(value.to_bits())
    }

    pub fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl std::fmt::Debug for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.get())
    }
}
