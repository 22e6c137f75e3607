//! `x W^T + b`, with weights in `f32` or kept narrow.

use super::storage::{Storage, scales_name};
use bsq_ir::tensor::Init;
use bsq_ir::{AsScope, DType, Tensor};

/// How a layer's weight or bias starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Uniform in ±1/√inputs, as PyTorch's linear layers.
    FanIn,
    /// The same whatever the inputs.
    Fixed(Init),
}

impl Start {
    pub const ZERO: Start = Start::Fixed(Init::Constant(0.0));

    pub(super) fn init(self, inputs: usize) -> Init {
        match self {
            Start::FanIn => Init::Uniform((1.0 / (inputs as f64).sqrt()) as f32),
            Start::Fixed(init) => init,
        }
    }
}

/// A linear layer over the last axis: `[.., inputs]` to `[.., outputs]`.
///
/// Parameters: `weight [outputs, inputs]`, `bias [outputs]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    pub outputs: usize,
    pub weight: Start,
    /// How the bias starts; without it there is none.
    pub bias: Option<Start>,
    /// Weights that are kept narrow cannot be trained.
    pub storage: Storage,
}

impl Linear {
    /// As in PyTorch: weight and bias uniform in ±1/√inputs.
    pub fn new(outputs: usize) -> Linear {
        Linear {
            outputs,
            weight: Start::FanIn,
            bias: Some(Start::FanIn),
            storage: Storage::F32,
        }
    }

    /// A weight that starts normal with deviation `deviation`, and a bias of zeros.
    pub fn normal(outputs: usize, deviation: f32) -> Linear {
        Linear {
            weight: Start::Fixed(Init::Normal(deviation)),
            bias: Some(Start::ZERO),
            ..Linear::new(outputs)
        }
    }

    /// # Panics
    /// If `x` is not floating point or has no axes, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        self.forward_named(scope, ["weight", "bias"], x)
    }

    /// [`forward`](Linear::forward) with other names for weight and bias.
    #[track_caller]
    pub(super) fn forward_named<'g>(
        &self,
        scope: impl AsScope<'g>,
        [weight, bias]: [&str; 2],
        x: Tensor<'g>,
    ) -> Tensor<'g> {
        let scope = scope.as_scope();
        let inputs = x.shape().last().copied().unwrap_or(0);
        let shape = [self.outputs, inputs];
        let narrow = |dtype: DType| {
            let graph = scope.graph();
            graph.parameter(scope.child(weight).path(), dtype, shape)
        };
        let matrix = match self.storage {
            Storage::F32 => scope.parameter(weight, shape, self.weight.init(inputs)),
            Storage::Bf16 => narrow(DType::BF16).cast(DType::F32),
            Storage::U8 => {
                let name = scales_name(scope.child(weight).path());
                let scales = scope.graph().parameter(&name, DType::F32, [self.outputs]);
                narrow(DType::U8).dequantize(scales, -1)
            }
        };
        let product = x.matmul_transposed(matrix);
        match self.bias {
            Some(start) => product + scope.parameter(bias, [self.outputs], start.init(inputs)),
            None => product,
        }
    }
}
