//! Names of ops, and the sets of ops that share a property.

use super::Op;

/// What kind of work an op is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    Leaf,
    Elementwise,
    Movement,
    Reduction,
    Contraction,
    Indexing,
    /// Defined by an expansion into the others.
    Fused,
    Projection,
}

impl Op {
    /// The op's name in the text form and in errors.
    pub const fn name(&self) -> &'static str {
        self.row().0
    }

    pub const fn family(&self) -> Family {
        self.row().1
    }

    /// Number of results; more than one is read through [`Op::Projection`].
    pub const fn results(&self) -> usize {
        match self {
            Op::LayerNorm { .. } | Op::Attention { .. } | Op::AttentionBackward { .. } => 3,
            _ => 1,
        }
    }

    /// True if `op(x, y)` and `op(y, x)` are the same bits.
    pub const fn is_commutative(&self) -> bool {
        use Op::*;
        matches!(self, Add | Mul | Max | Min | Equal | And | Or | Xor)
    }

    /// True if the result is the operand.
    pub const fn is_identity(&self) -> bool {
        matches!(self, Op::StopGradient | Op::OptimizationBarrier)
    }

    pub const fn is_elementwise(&self) -> bool {
        matches!(self.family(), Family::Elementwise)
    }

    pub const fn is_movement(&self) -> bool {
        matches!(self.family(), Family::Movement)
    }

    /// Number of operands; `None` for [`Op::Concat`], which takes one or more, and for the
    /// attention ops, whose mask decides.
    pub const fn arity(&self) -> Option<usize> {
        use Op::*;
        Some(match self {
            Input { .. } | Parameter { .. } | Constant(_) | Iota { .. } => 0,
            Neg | Abs | Exp | Log | Sqrt | Tanh | Erf | Sin | Cos | Sign | Floor | Not
            | Cast(_) | StopGradient | OptimizationBarrier => 1,
            Reshape(_) | Transpose(_) | Broadcast { .. } | Slice { .. } | Flip(_) => 1,
            Window { .. } | WindowSum { .. } | Sum(_) | ReduceMax(_) | ArgMax(_) => 1,
            Softmax | Gelu | PackSigns | Projection(_) => 1,
            Random { .. } => 2,
            Add | Sub | Mul | Div | Max | Min | Equal | Less | LessEqual => 2,
            And | Or | Xor | ShiftLeft | ShiftRight => 2,
            Pad(_) | DotGeneral(_) | Gather { .. } | DynamicSlice { .. } => 2,
            SoftmaxBackward | GeluBackward => 2,
            Select | ScatterAdd { .. } | DynamicUpdateSlice { .. } | LayerNorm { .. } => 3,
            LayerNormBackward => 5,
            Concat { .. } | Attention { .. } | AttentionBackward { .. } => return None,
        })
    }

    const fn row(&self) -> (&'static str, Family) {
        use Family::*;
        match self {
            Op::Input { .. } => ("input", Leaf),
            Op::Parameter { .. } => ("parameter", Leaf),
            Op::Constant(_) => ("constant", Leaf),
            Op::Iota { .. } => ("iota", Leaf),
            Op::Random { .. } => ("random", Indexing),
            Op::Neg => ("neg", Elementwise),
            Op::Abs => ("abs", Elementwise),
            Op::Exp => ("exp", Elementwise),
            Op::Log => ("log", Elementwise),
            Op::Sqrt => ("sqrt", Elementwise),
            Op::Tanh => ("tanh", Elementwise),
            Op::Erf => ("erf", Elementwise),
            Op::Sin => ("sin", Elementwise),
            Op::Cos => ("cos", Elementwise),
            Op::Sign => ("sign", Elementwise),
            Op::Floor => ("floor", Elementwise),
            Op::Not => ("not", Elementwise),
            Op::Cast(_) => ("cast", Elementwise),
            Op::StopGradient => ("stop_gradient", Elementwise),
            Op::OptimizationBarrier => ("optimization_barrier", Elementwise),
            Op::Add => ("add", Elementwise),
            Op::Sub => ("sub", Elementwise),
            Op::Mul => ("mul", Elementwise),
            Op::Div => ("div", Elementwise),
            Op::Max => ("max", Elementwise),
            Op::Min => ("min", Elementwise),
            Op::Equal => ("equal", Elementwise),
            Op::Less => ("less", Elementwise),
            Op::LessEqual => ("less_equal", Elementwise),
            Op::And => ("and", Elementwise),
            Op::Or => ("or", Elementwise),
            Op::Xor => ("xor", Elementwise),
            Op::ShiftLeft => ("shift_left", Elementwise),
            Op::ShiftRight => ("shift_right", Elementwise),
            Op::Select => ("select", Elementwise),
            Op::Reshape(_) => ("reshape", Movement),
            Op::Transpose(_) => ("transpose", Movement),
            Op::Broadcast { .. } => ("broadcast", Movement),
            Op::Slice { .. } => ("slice", Movement),
            Op::Pad(_) => ("pad", Movement),
            Op::Concat { .. } => ("concat", Movement),
            Op::Flip(_) => ("flip", Movement),
            Op::Window { .. } => ("window", Movement),
            Op::WindowSum { .. } => ("window_sum", Reduction),
            Op::Sum(_) => ("sum", Reduction),
            Op::ReduceMax(_) => ("reduce_max", Reduction),
            Op::ArgMax(_) => ("argmax", Reduction),
            Op::DotGeneral(_) => ("dot_general", Contraction),
            Op::Gather { .. } => ("gather", Indexing),
            Op::ScatterAdd { .. } => ("scatter_add", Indexing),
            Op::DynamicSlice { .. } => ("dynamic_slice", Indexing),
            Op::DynamicUpdateSlice { .. } => ("dynamic_update_slice", Indexing),
            Op::Softmax => ("softmax", Fused),
            Op::SoftmaxBackward => ("softmax_backward", Fused),
            Op::LayerNorm { .. } => ("layer_norm", Fused),
            Op::LayerNormBackward => ("layer_norm_backward", Fused),
            Op::Gelu => ("gelu", Fused),
            Op::GeluBackward => ("gelu_backward", Fused),
            Op::Attention { .. } => ("attention", Fused),
            Op::AttentionBackward { .. } => ("attention_backward", Fused),
            Op::PackSigns => ("pack_signs", Fused),
            Op::Projection(_) => ("projection", Family::Projection),
        }
    }
}
