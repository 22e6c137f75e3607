//! Formats faster than f32, on request: what is rounded is spelled out in the graph.
//!
//! Both operands of a contraction become values that are stored narrow, as
//! `cast(cast(x -> bf16) -> f32)`, the same with f16, or as bytes with a scale for each row and each output channel.
//! The contraction then takes them as they are stored. So the difference to f32 is that of a graph
//! which can be evaluated, up to the order in which terms are added.
//!
//! Where bf16 is not multiplied faster than f32, only weights are in bf16: narrower in memory, widened block by
//! block, and nothing else needs to be rounded, stored and widened again.
//!
//! In f32 stay: the first contraction (its input may need all its bits), the last ones (their
//! error would not be averaged by anything), and those whose result decides a sign, a comparison
//! or an index. Weights must be the same from run to run. A training step's are not: what is rounded in one
//! is in `mixed`.

use super::mixed::mixed;
use super::prepare::keep;
use crate::kernel::Format;
use bsq_ir::op::Family;
use bsq_ir::{DType, DotAxes, Function, Node, NodeId, Op, Tensor};

/// In which format contractions and attention run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As the graph says, with the same bits everywhere.
    #[default]
    F32,
    /// Weights and activations in bf16, sums in f32. Where a target multiplies bf16 no faster than f32
    /// ([`Options::narrow_activations`](super::Options)), activations and attention stay in f32.
    Bf16,
    /// Weights and activations in f16, sums in f32. f16 has 3 bits more than bf16, but ends at
    /// 65504: what is larger becomes infinite.
    F16,
    /// Weights in 8 bits with a scale for each output channel, activations in 8 bits with a scale
    /// for each row, sums in 32-bit integers; attention in bf16. Where a sign, a comparison or an
    /// index depends on them, as a tokenizer's bits do, one contraction is in bf16 too: the first
    /// that reads what an activation function gave. Its input has the widest range.
    Int8,
    /// As `Int8`, without the exception: for models whose decisions bear it.
    Int8All,
    /// For training steps: operands of contractions and of attention in bf16, forward and in both gradients,
    /// and in bf16 what the forward pass keeps for the backward pass. Parameters, sums and all else in f32.
    Bf16Training,
}

impl Precision {
    /// The function with its suitable contractions in this format.
    pub(crate) fn apply(self, function: Function, narrow_activations: bool) -> Function {
        match self {
            Precision::F32 => return function,
            Precision::Bf16Training => return mixed(&function),
            _ => {}
        }
        let chosen = chosen(&function);
        let wide = wide_ranged(&function, &chosen);
        let mut next = 0;
        function.transform(|graph, node, operands| {
            let at = next;
            next += 1;
            let Op::DotGeneral(dot) = &node.op else {
                return keep(graph, node, operands);
            };
            if !chosen[at] {
                return keep(graph, node, operands);
            }
            let format = match self {
                Precision::Int8 if wide == Some(at) => Precision::Bf16,
                format => format,
            };
            let narrow =
                |operand: NodeId, axis: usize| format.narrow(Tensor::new(graph, operand), axis);
            graph.in_place_of(node, || {
                let (l, r) = dot.contract[0];
                let lhs = match format {
                    Precision::Bf16 if !narrow_activations => Tensor::new(graph, operands[0]),
                    _ => narrow(operands[0], l),
                };
                let rhs = narrow(operands[1], r);
                lhs.dot_general(rhs, &dot.batch, &dot.contract).id()
            })
        })
    }

    /// An operand that is contracted along `axis`, rounded to what is stored.
    fn narrow<'g>(self, x: Tensor<'g>, axis: usize) -> Tensor<'g> {
        match self {
            Precision::F32 => x,
            Precision::Bf16 | Precision::Bf16Training => x.cast(DType::BF16).cast(DType::F32),
            Precision::F16 => x.cast(DType::F16).cast(DType::F32),
            Precision::Int8 | Precision::Int8All => {
                let (bytes, scales) = x.quantize(axis as isize);
                bytes.dequantize(scales, axis as isize)
            }
        }
    }

    /// Whether the forward pass keeps its values in bf16.
    pub(crate) fn stores_narrow(self) -> bool {
        self == Precision::Bf16Training
    }

    /// The format in which attention may run.
    pub(super) fn of_attention(
        self,
        function: &Function,
        op: &Op,
        narrow_activations: bool,
    ) -> Format {
        let backward = |node: &Node| matches!(node.op, Op::AttentionBackward { .. });
        match self {
            Precision::Bf16Training => match op {
                Op::Attention { .. } => Format::Bf16,
                _ => Format::F32,
            },
            // A backward pass computes the probabilities again, in f32.
            _ if function.nodes().iter().any(backward) => Format::F32,
            Precision::F32 => Format::F32,
            Precision::F16 => Format::F16,
            Precision::Bf16 | Precision::Int8 | Precision::Int8All if narrow_activations => {
                Format::Bf16
            }
            Precision::Bf16 | Precision::Int8 | Precision::Int8All => Format::F32,
        }
    }
}

/// Which nodes are contractions that may be narrow.
fn chosen(function: &Function) -> Vec<bool> {
    let invariant = invariant(function);
    let (behind, open) = (behind(function, &invariant), open(function));
    let choose = |(id, node): (NodeId, &Node)| {
        let Op::DotGeneral(dot) = &node.op else {
            return false;
        };
        let (lhs, rhs) = (node.operands[0].index(), node.operands[1].index());
        invariant[rhs]
            && !invariant[lhs]
            && behind[lhs]
            && !open[id.index()]
            && fits(function, node, dot)
    };
    function.iter().map(choose).collect()
}

/// One contracted axis, of whole groups of bytes.
fn fits(function: &Function, node: &Node, dot: &DotAxes) -> bool {
    let shape = function.node(node.operands[0]).shape();
    matches!(dot.contract[..], [(axis, _)] if shape[axis].is_multiple_of(4))
}

/// Nodes that are the same in every run.
fn invariant(function: &Function) -> Vec<bool> {
    let updated = |id| function.updates().iter().any(|update| update.0 == id);
    let mut invariant: Vec<bool> = Vec::with_capacity(function.nodes().len());
    for (id, node) in function.iter() {
        let own = match node.op {
            Op::Input { .. } => false,
            Op::Parameter { .. } => !updated(id),
            _ => true,
        };
        invariant.push(
            own && node
                .operands
                .iter()
                .all(|operand| invariant[operand.index()]),
        );
    }
    invariant
}

/// Nodes that a contraction of what changes lies behind.
fn behind(function: &Function, invariant: &[bool]) -> Vec<bool> {
    let mut behind: Vec<bool> = Vec::with_capacity(function.nodes().len());
    for (id, node) in function.iter() {
        let contracts = mixes(&node.op) && !invariant[id.index()];
        behind.push(contracts || node.operands.iter().any(|operand| behind[operand.index()]));
    }
    behind
}

/// Nodes whose error reaches a result or a decision without another contraction between.
fn open(function: &Function) -> Vec<bool> {
    let mut open = vec![false; function.nodes().len()];
    function.roots().for_each(|id| open[id.index()] = true);
    for (id, node) in function.iter().rev() {
        let passes = !mixes(&node.op) && (open[id.index()] || decides(node));
        if passes {
            node.operands
                .iter()
                .for_each(|operand| open[operand.index()] = true);
        }
    }
    open
}

/// Nodes that a decision depends on.
fn decisive(function: &Function) -> Vec<bool> {
    let mut decisive = vec![false; function.nodes().len()];
    for (id, node) in function.iter().rev() {
        if decisive[id.index()] || decides(node) {
            let operands = node.operands.iter();
            operands.for_each(|operand| decisive[operand.index()] = true);
        }
    }
    decisive
}

/// The first narrow contraction whose lhs an activation function has bent since the
/// contraction before, if a decision depends on it. Where few channels are far larger than all
/// others, one scale for a row leaves the others few bits: in the default model this contraction
/// alone costs 9 dB in 8 bits, and all others together 0.1 dB.
fn wide_ranged(function: &Function, chosen: &[bool]) -> Option<usize> {
    let decisive = decisive(function);
    let mut bent: Vec<bool> = Vec::with_capacity(function.nodes().len());
    for (_, node) in function.iter() {
        let bends = matches!(node.op, Op::Erf | Op::Tanh | Op::Gelu);
        let passes = |id: &NodeId| bent[id.index()] && !mixes(&node.op);
        bent.push(bends || node.operands.iter().any(passes));
    }
    let mut nodes = function.iter();
    let found = nodes.find(|(id, node)| {
        chosen[id.index()] && decisive[id.index()] && bent[node.operands[0].index()]
    });
    found.map(|(id, _)| id.index())
}

pub(super) fn mixes(op: &Op) -> bool {
    op.family() == Family::Contraction || matches!(op, Op::Attention { .. })
}

/// True for ops of which a small error can make a large one.
fn decides(node: &Node) -> bool {
    use Op::*;
    let (op, dtype) = (&node.op, node.types[0].dtype);
    let whole = dtype.is_integer() || dtype == DType::Bool;
    matches!(
        op,
        Sign | Floor | Less | LessEqual | Equal | ArgMax(_) | PackSigns
    ) || (matches!(op, Cast(_)) && whole)
}
