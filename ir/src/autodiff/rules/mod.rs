//! The derivative of each primitive op: one table.

mod contraction;
mod movement;
mod reduction;
mod window;

use crate::dtype::DType;
use crate::graph::NodeId;
use crate::op::Op;
use crate::tensor::Tensor;
use std::f64::consts::FRAC_2_SQRT_PI;

/// A node under differentiation, and its cotangent.
pub(super) struct Call<'c, 'g> {
    pub op: &'c Op,
    pub operands: &'c [Tensor<'g>],
    pub result: Tensor<'g>,
    pub cotangent: Tensor<'g>,
}

/// What the node contributes to the cotangent of one operand; `None` where that is zero or the
/// operand is no float.
///
/// Called only for operands by which a derivative is asked for, so a rule builds nothing for a
/// constant.
pub(super) fn rule<'g>(call: &Call<'_, 'g>, operand: usize) -> Option<Tensor<'g>> {
    let (g, y) = (call.cotangent, call.result);
    let x = |position: usize| call.operands[position];
    Some(match (call.op, operand) {
        (Op::Input { .. } | Op::Parameter { .. } | Op::Constant(_), _) => return None,
        (Op::Iota { .. } | Op::Random { .. }, _) => return None,

        (Op::Neg, _) => -g,
        (Op::Abs, _) => g * x(0).sign(),
        (Op::Exp, _) => g * y,
        (Op::Log, _) => g / x(0),
        (Op::Sqrt, _) => g / (y * 2.0),
        (Op::Tanh, _) => g * (1.0 - y * y),
        (Op::Erf, _) => g * ((-(x(0) * x(0))).exp() * FRAC_2_SQRT_PI),
        (Op::Sin, _) => g * x(0).cos(),
        (Op::Cos, _) => -(g * x(0).sin()),
        // Between floats: the walk never comes here for an integer or a boolean.
        (Op::Cast(_) | Op::OptimizationBarrier, _) => g,
        (Op::Sign | Op::Floor | Op::StopGradient | Op::Not, _) => return None,

        (Op::Add, _) => g,
        (Op::Sub, 0) => g,
        (Op::Sub, _) => -g,
        (Op::Mul, 0) => g * x(1),
        (Op::Mul, _) => g * x(0),
        (Op::Div, 0) => g / x(1),
        (Op::Div, _) => -(g * y) / x(1),
        (Op::Max, 0) => unless(x(0).lt(x(1)), g),
        (Op::Max, _) => g.where_(x(0).lt(x(1)), 0.0),
        (Op::Min, 0) => unless(x(1).lt(x(0)), g),
        (Op::Min, _) => g.where_(x(1).lt(x(0)), 0.0),
        (Op::Equal | Op::Less | Op::LessEqual, _) => return None,
        (Op::And | Op::Or | Op::Xor | Op::ShiftLeft | Op::ShiftRight, _) => return None,

        (Op::Select, 0) => return None,
        (Op::Select, 1) => g.where_(x(0), 0.0),
        (Op::Select, _) => unless(x(0), g),

        (Op::Reshape(_), _) => g.reshape(x(0).shape()),
        (Op::Transpose(permutation), _) => g.transpose(&movement::inverse(permutation)),
        (Op::Broadcast { axes, .. }, _) => movement::unbroadcast(g, axes),
        (Op::Slice { start, stride, .. }, _) => movement::unslice(g, x(0), start, stride),
        (Op::Pad(padding), 0) => movement::unpad(g, x(0), padding),
        (Op::Pad(padding), _) => movement::padded_sum(g, x(0), padding),
        (Op::Concat { axis }, _) => movement::part(g, call.operands, operand, *axis),
        (Op::Flip(axes), _) => apply(Op::Flip(axes.clone()), &[g]),
        (Op::Window { .. }, _) => window::window(g, x(0), call.op),
        (Op::WindowSum { .. }, _) => reduction::window(g, x(0), call.op),

        (Op::Sum(axes), _) => reduction::repeat(g, axes, x(0)),
        (Op::ReduceMax(axes), _) => reduction::share_among_largest(g, y, axes, x(0)),
        (Op::ArgMax(_), _) => return None,
        (Op::DotGeneral(axes), _) => contraction::rule(g, axes, [x(0), x(1)], operand),

        (&Op::Gather { axis }, 0) => zeros_like(x(0)).scatter_add(axis as isize, x(1), g),
        (&Op::ScatterAdd { axis }, 2) => g.gather(axis as isize, x(1)),
        (Op::ScatterAdd { .. }, 0) => g,
        (&Op::DynamicSlice { axis, .. }, 0) => {
            zeros_like(x(0)).dynamic_update_slice(axis as isize, g, x(1))
        }
        (&Op::DynamicUpdateSlice { axis }, 0) => {
            g.dynamic_update_slice(axis as isize, zeros_like(x(1)), x(2))
        }
        (&Op::DynamicUpdateSlice { axis }, 1) => {
            g.dynamic_slice(axis as isize, x(2), x(1).shape()[axis])
        }
        (Op::Gather { .. } | Op::ScatterAdd { .. }, _) => return None,
        (Op::DynamicSlice { .. } | Op::DynamicUpdateSlice { .. }, _) => return None,

        (Op::Softmax | Op::SoftmaxBackward | Op::Gelu | Op::GeluBackward, _)
        | (Op::LayerNorm { .. } | Op::LayerNormBackward | Op::PackSigns, _)
        | (Op::Attention { .. } | Op::AttentionBackward { .. } | Op::Projection(_), _) => {
            unreachable!("{} is differentiated by the walk itself", call.op.name())
        }
    })
}

/// `g` where the condition does not hold, else 0.
fn unless<'g>(condition: Tensor<'g>, g: Tensor<'g>) -> Tensor<'g> {
    g.full_like(0.0).where_(condition, g)
}

/// A zero cotangent for `x`.
fn zeros_like(x: Tensor<'_>) -> Tensor<'_> {
    x.graph().full(0.0, DType::F32, x.shape())
}

/// An op that the DSL has no method for, or only a narrower one.
fn apply<'g>(op: Op, operands: &[Tensor<'g>]) -> Tensor<'g> {
    let ids: Vec<NodeId> = operands.iter().map(|operand| operand.id()).collect();
    let graph = operands[0].graph();
    match graph.add(op, &ids) {
        Ok(id) => Tensor::new(graph, id),
        Err(error) => panic!("a rule of differentiation is wrong: {error}"),
    }
}
