//! Layers spelled in primitives; the rewriter finds their fused forms.

use super::Tensor;
use super::scope::{Init, Scope};

impl<'g> Tensor<'g> {
    /// `x W^T + b` over the last axis; parameters `weight [outputs, inputs]` and `bias
    /// [outputs]`, both uniform in ±1/√inputs as in PyTorch.
    #[track_caller]
    pub fn linear(self, scope: &Scope<'g>, outputs: usize) -> Tensor<'g> {
        let inputs = *self.shape().last().expect("linear needs an axis");
        let init = Init::Uniform((1.0 / (inputs as f64).sqrt()) as f32);
        let weight = scope.parameter("weight", [outputs, inputs], init);
        let bias = scope.parameter("bias", [outputs], init);
        self.matmul_transposed(weight) + bias
    }

    /// Contracts the last axis with axis 1 of a `[outputs, inputs]` weight.
    #[track_caller]
    pub fn matmul_transposed(self, weight: Tensor<'g>) -> Tensor<'g> {
        self.dot_general(weight, &[], &[(self.rank() - 1, 1)])
    }

    /// Softmax over the last axis: `exp(x - max)` times the reciprocal of its sum.
    ///
    /// The result does not depend on the maximum, so no derivative of any order passes it.
    #[track_caller]
    pub fn softmax(self) -> Tensor<'g> {
        let shape = self.shape();
        let maximum = self.max(-1).stop_gradient();
        let exp = (self - maximum.expand_axes(-1, &shape)).exp();
        exp * exp.sum(-1).reciprocal().expand_axes(-1, &shape)
    }

    /// Layer normalisation of the last axis with biased variance.
    #[track_caller]
    pub fn layer_norm(self, weight: Tensor<'g>, bias: Tensor<'g>, epsilon: f64) -> Tensor<'g> {
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
        let (shape, mean) = (self.shape(), self.mean(-1));
        let centred = self - mean.expand_axes(-1, &shape);
        let rstd = (centred.square().mean(-1) + epsilon).sqrt().reciprocal();
        let y = centred * rstd.expand_axes(-1, &shape) * weight + bias;
        (y, mean, rstd)
    }

    /// The exact GELU: `x / 2 * (1 + erf(x / sqrt 2))`.
    #[track_caller]
    pub fn gelu(self) -> Tensor<'g> {
        self * 0.5 * ((self * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
    }

    /// `x / max(|x|, epsilon)` over the last axis.
    #[track_caller]
    pub fn l2_normalize(self, epsilon: f64) -> Tensor<'g> {
        let shape = self.shape();
        let norm = self.square().sum(-1).sqrt().maximum(epsilon);
        self / norm.expand_axes(-1, &shape)
    }

    /// `softmax(q k^T * scale) v`; `mask` (`bool`, true: may attend) broadcasts to the scores.
    /// q `[batch.., queries, d]`, k `[batch.., keys, d]`, v `[batch.., keys, e]`.
    #[track_caller]
    pub fn attention(
        self,
        keys: Tensor<'g>,
        values: Tensor<'g>,
        scale: f64,
        mask: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let scores = self.matmul(keys.swap_axes(-1, -2)) * scale;
        let scores = match mask {
            Some(mask) => scores.where_(mask, f64::NEG_INFINITY),
            None => scores,
        };
        scores.softmax().matmul(values)
    }

    /// `ln(1 + exp(x))` without overflow.
    #[track_caller]
    pub fn softplus(self) -> Tensor<'g> {
        self.maximum(0.0) + ((-self.abs()).exp() + 1.0).log()
    }

    /// `1 / (1 + exp(-x))`.
    #[track_caller]
    pub fn sigmoid(self) -> Tensor<'g> {
        ((-self).exp() + 1.0).reciprocal()
    }

    /// Mean cross-entropy of `[.., classes]` logits against integer labels `[..]`, in nats.
    #[track_caller]
    pub fn cross_entropy(self, labels: Tensor<'g>) -> Tensor<'g> {
        let shape = self.shape();
        let shifted = self - self.max(-1).stop_gradient().expand_axes(-1, &shape);
        let log_sum = shifted.exp().sum(-1).log();
        let class = self.graph().iota(labels.dtype(), &shape, shape.rank() - 1);
        let hit = class.eq(labels.expand_axes(-1, &shape));
        let target = shifted.where_(hit, 0.0).sum(-1);
        (log_sum - target).mean(..)
    }
}
