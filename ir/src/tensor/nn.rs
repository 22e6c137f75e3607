//! Layers spelled in primitives; the rewriter finds their fused forms.

use super::scope::{AsScope, Init};
use super::{Tensor, broadcasting, one_graph};
use crate::dtype::DType;
use crate::op::TypeError;
use crate::shape::Type;

impl<'g> Tensor<'g> {
    /// `x W^T + b` over the last axis; parameters `weight [outputs, inputs]` and `bias
    /// [outputs]`, both uniform in ±1/√inputs as in PyTorch.
    ///
    /// # Panics
    /// If the elements are not `f32`, there is no axis, or the scope has these parameters already.
    #[track_caller]
    pub fn linear(self, scope: impl AsScope<'g>, outputs: usize) -> Tensor<'g> {
        let scope = scope.as_scope();
        one_graph("linear", scope.graph(), &[self], &[]);
        let inputs = self.shape()[self.axis("linear", -1)];
        let init = Init::Uniform((1.0 / (inputs as f64).sqrt()) as f32);
        let weight = scope.parameter("weight", [outputs, inputs], init);
        let bias = scope.parameter("bias", [outputs], init);
        self.matmul_transposed(weight) + bias
    }

    /// Contracts the last axis with axis 1 of a `[outputs, inputs]` weight.
    ///
    /// # Panics
    /// If the weight is not `f32[outputs, inputs]` with the extent of the last axis.
    #[track_caller]
    pub fn matmul_transposed(self, weight: Tensor<'g>) -> Tensor<'g> {
        self.beside("matmul_transposed", &[weight]);
        let (x, w) = (self.ty(), weight.ty());
        let inner = self.axis("matmul_transposed", -1);
        if w.shape.rank() != 2 || w.shape[1] != x.shape[inner] {
            let what = format!("needs a weight [outputs, {}]", x.shape[inner]);
            TypeError::of_call("matmul_transposed", [&x, &w], what).raise();
        }
        self.dot_general(weight, &[], &[(inner, 1)])
    }

    /// Softmax over the last axis: `exp(x - max)` times the reciprocal of its sum.
    ///
    /// The result does not depend on the maximum, so no derivative of any order passes it.
    ///
    /// # Panics
    /// If the elements are not `f32`, or there is no axis, or it is empty.
    #[track_caller]
    pub fn softmax(self) -> Tensor<'g> {
        let shape = self.shape();
        self.axis("softmax", -1);
        let maximum = self.max(-1).stop_gradient();
        let exp = (self - maximum.expand_axes(-1, &shape)).exp();
        exp * exp.sum(-1).reciprocal().expand_axes(-1, &shape)
    }

    /// The logarithm of [`softmax`](Tensor::softmax) over the last axis: `x - max - ln(sum(exp(x -
    /// max)))`. A row of negative infinities is NaN, as its softmax is.
    ///
    /// # Panics
    /// If the elements are not `f32`, or there is no axis, or it is empty.
    #[track_caller]
    pub fn log_softmax(self) -> Tensor<'g> {
        let shape = self.shape();
        self.axis("log_softmax", -1);
        let shifted = self - self.max(-1).stop_gradient().expand_axes(-1, &shape);
        shifted - shifted.exp().sum(-1).log().expand_axes(-1, &shape)
    }

    /// Layer normalisation of the last axis with biased variance; parameters `weight [width]`, which
    /// starts at 1, and `bias [width]`, which starts at 0.
    ///
    /// # Panics
    /// If the elements are not `f32`, there is no axis, or the scope has these parameters already.
    #[track_caller]
    pub fn layer_norm(self, scope: impl AsScope<'g>, epsilon: f64) -> Tensor<'g> {
        let scope = scope.as_scope();
        one_graph("layer_norm", scope.graph(), &[self], &[]);
        let width = self.shape()[self.axis("layer_norm", -1)];
        let weight = scope.parameter("weight", [width], Init::Constant(1.0));
        let bias = scope.parameter("bias", [width], Init::Constant(0.0));
        self.layer_norm_with(weight, bias, epsilon)
    }

    /// Layer normalisation of the last axis with a gain and a bias that are there already.
    ///
    /// # Panics
    /// If weight and bias are not `f32` of the extent of the last axis.
    #[track_caller]
    pub fn layer_norm_with(self, weight: Tensor<'g>, bias: Tensor<'g>, epsilon: f64) -> Tensor<'g> {
        self.layer_norm_with_statistics(weight, bias, epsilon).0
    }

    /// Layer normalisation, the mean, and the reciprocal standard deviation.
    #[track_caller]
    pub(crate) fn layer_norm_with_statistics(
        self,
        weight: Tensor<'g>,
        bias: Tensor<'g>,
        epsilon: f64,
    ) -> (Tensor<'g>, Tensor<'g>, Tensor<'g>) {
        self.beside("layer_norm", &[weight, bias]);
        let (x, width) = (self.ty(), self.shape()[self.axis("layer_norm", -1)]);
        for (name, ty) in [("weight", weight.ty()), ("bias", bias.ty())] {
            if *ty.shape != [width] {
                let what = format!("the {name} must be f32[{width}], got {ty}");
                TypeError::of_call("layer_norm", [&x, &ty], what).raise();
            }
        }
        let (shape, mean) = (self.shape(), self.mean(-1));
        let centred = self - mean.expand_axes(-1, &shape);
        let rstd = (centred.square().mean(-1) + epsilon).sqrt().reciprocal();
        let y = centred * rstd.expand_axes(-1, &shape) * weight + bias;
        (y, mean, rstd)
    }

    /// `x / max(|x|, epsilon)` over the last axis.
    ///
    /// The limit is put on the square, so that the gradient at a zero vector is finite.
    ///
    /// # Panics
    /// If the elements are not `f32`, or there is no axis.
    #[track_caller]
    pub fn l2_normalize(self, epsilon: f64) -> Tensor<'g> {
        let shape = self.shape();
        self.axis("l2_normalize", -1);
        let square = self.square().sum(-1);
        let norm = square.maximum(epsilon * epsilon).sqrt();
        self / norm.expand_axes(-1, &shape)
    }

    /// `softmax(q k^T * scale) v`; `mask` (`bool`, true: may attend) broadcasts to the scores.
    /// q `[batch.., queries, d]`, k `[batch.., keys, d]`, v `[batch.., keys, e]`.
    /// The row of a query that may attend to no key is NaN; the other rows are not touched by it.
    ///
    /// # Panics
    /// If the shapes are not those, or the mask does not broadcast to the scores.
    #[track_caller]
    pub fn attention(
        self,
        keys: Tensor<'g>,
        values: Tensor<'g>,
        scale: f64,
        mask: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        self.beside("attention", &[keys, values]);
        if let Some(mask) = mask {
            self.beside("attention", &[mask]);
        }
        check_attention(&self.ty(), &keys.ty(), &values.ty());
        let scores = self.matmul(keys.swap_axes(-1, -2)) * scale;
        let scores = match mask {
            Some(mask) => {
                if let Err(what) = broadcasting::check(&mask.shape(), &scores.shape()) {
                    let what = format!("the mask does not fit the scores: {what}");
                    TypeError::of_call("attention", [&mask.ty(), &scores.ty()], what).raise();
                }
                scores.where_(mask, f64::NEG_INFINITY)
            }
            None => scores,
        };
        scores.softmax().matmul(values)
    }

    /// Mean cross-entropy of `[.., classes]` logits against integer labels `[..]`, in nats.
    ///
    /// A label that names no class, below 0 or from `classes` on, is no class's: its row
    /// contributes `ln(sum(exp(x - max(x))))`, which is neither refused nor an honest loss. Labels
    /// are values of a run, so that only a checked run can tell.
    ///
    /// # Panics
    /// If the labels are no integers in the shape of the logits without their last axis.
    #[track_caller]
    pub fn cross_entropy(self, labels: Tensor<'g>) -> Tensor<'g> {
        self.beside("cross_entropy", &[labels]);
        let shape = self.shape();
        let classes = self.axis("cross_entropy", -1);
        if *labels.shape() != shape[..classes] || !labels.dtype().is_integer() {
            let what = "labels must be integers in the shape of the logits without their last axis";
            TypeError::of_call("cross_entropy", [&self.ty(), &labels.ty()], what).raise();
        }
        // Counting classes in a narrow type of labels would begin again at 0.
        let labels = match shape[classes] as u64 <= labels.dtype().indices() {
            true => labels,
            false => labels.cast(DType::I64),
        };
        let shifted = self - self.max(-1).stop_gradient().expand_axes(-1, &shape);
        let log_sum = shifted.exp().sum(-1).log();
        let class = self.graph().iota(labels.dtype(), &shape, classes);
        let hit = class.eq(labels.expand_axes(-1, &shape));
        let target = shifted.where_(hit, 0.0).sum(-1);
        (log_sum - target).mean(..)
    }
}

/// q `[batch.., queries, d]`, k `[batch.., keys, d]`, v `[batch.., keys, e]`.
#[track_caller]
fn check_attention(q: &Type, k: &Type, v: &Type) {
    let fail = |what: &str| TypeError::of_call("attention", [q, k, v], what);
    let rank = q.shape.rank();
    if rank < 2 || k.shape.rank() != rank || v.shape.rank() != rank {
        fail("q, k and v must have one rank, at least 2").raise();
    }
    if let Some(axis) =
        (0..rank - 2).find(|&axis| k.shape[axis] != q.shape[axis] || v.shape[axis] != q.shape[axis])
    {
        fail(&format!("batch axis {axis} differs")).raise();
    }
    if q.shape[rank - 1] != k.shape[rank - 1] {
        fail(&format!(
            "the last axes of q and k differ: {} and {}",
            q.shape[rank - 1],
            k.shape[rank - 1]
        ))
        .raise();
    }
    if k.shape[rank - 2] != v.shape[rank - 2] {
        fail(&format!(
            "k and v have {} and {} keys (axis {})",
            k.shape[rank - 2],
            v.shape[rank - 2],
            rank - 2
        ))
        .raise();
    }
}
