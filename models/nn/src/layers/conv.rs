//! Convolutions along one, two or three axes, and transposed ones.

use super::linear::Start;
use bsq_ir::tensor::{Layout, Slide};
use bsq_ir::{AsScope, Tensor};

/// A convolution along `D` axes: `[batch, inputs, places..]` to `[batch, outputs, positions..]`,
/// with zeros outside.
///
/// Parameters as in PyTorch: `weight [outputs, inputs / groups, kernel..]`, `bias [outputs]`; with
/// [`channels_last`](Conv::channels_last) the channels are last in all of them.
///
/// ```
/// use bsq_ir::{DType, Graph, Scope};
/// use bsq_nn::layers::Conv;
///
/// let g = Graph::new();
/// let model = Scope::root(&g);
/// let x = g.input("x", DType::F32, [1, 3, 32, 32]);
/// let y = Conv::new(16, [3, 3]).stride(2).padding(1).forward(&model, x);
/// assert_eq!(y.ty().to_string(), "f32[1,16,16,16]");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv<const D: usize> {
    pub outputs: usize,
    pub kernel: [usize; D],
    pub slides: [Slide; D],
    /// Output group i reads input group i only.
    pub groups: usize,
    pub layout: Layout,
    pub weight: Start,
    /// How the bias starts; without it there is none.
    pub bias: Option<Start>,
}

impl<const D: usize> Conv<D> {
    /// As in PyTorch: stride 1, no padding, weight and bias uniform in ±1/√(what a weight reads).
    pub fn new(outputs: usize, kernel: [usize; D]) -> Conv<D> {
        Conv {
            outputs,
            kernel,
            slides: [Slide::default(); D],
            groups: 1,
            layout: Layout::ChannelsFirst,
            weight: Start::FanIn,
            bias: Some(Start::FanIn),
        }
    }

    #[must_use]
    pub fn stride(mut self, stride: usize) -> Conv<D> {
        self.slides
            .iter_mut()
            .for_each(|slide| slide.stride = stride);
        self
    }

    /// So many zeros on both sides of each axis.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Conv<D> {
        let both = [padding; 2];
        self.slides
            .iter_mut()
            .for_each(|slide| slide.padding = both);
        self
    }

    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Conv<D> {
        let slides = self.slides.iter_mut();
        slides.for_each(|slide| slide.dilation = dilation);
        self
    }

    #[must_use]
    pub fn groups(self, groups: usize) -> Conv<D> {
        Conv { groups, ..self }
    }

    #[must_use]
    pub fn channels_last(self) -> Conv<D> {
        let layout = Layout::ChannelsLast;
        Conv { layout, ..self }
    }

    #[must_use]
    pub fn without_bias(self) -> Conv<D> {
        Conv { bias: None, ..self }
    }

    /// # Panics
    /// If `x` does not fit, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        let rank = x.rank();
        let channels = match self.layout {
            Layout::ChannelsFirst => 1,
            Layout::ChannelsLast => rank.saturating_sub(1),
        };
        let inputs = x.shape().get(channels).copied().unwrap_or(0);
        let each = inputs / self.groups.max(1);
        let fan_in = each * self.kernel.iter().product::<usize>();
        let shape = match self.layout {
            Layout::ChannelsFirst => [&[self.outputs, each], &self.kernel[..]].concat(),
            Layout::ChannelsLast => [&[self.outputs], &self.kernel[..], &[each]].concat(),
        };
        let weight = scope.parameter("weight", shape, self.weight.init(fan_in));
        let y = x.convolution(weight, &self.slides, self.groups, self.layout);
        let bias = |start: Start| scope.parameter("bias", [self.outputs], start.init(fan_in));
        match self.bias {
            Some(start) => with_bias(y, bias(start), channels),
            None => y,
        }
    }
}

/// A transposed convolution along `D` axes, channels first: from `places` of an axis to
/// `(places - 1) stride - padding + dilation (kernel - 1) + 1 + extra`.
///
/// Parameters as in PyTorch: `weight [inputs, outputs / groups, kernel..]`, `bias [outputs]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransposedConv<const D: usize> {
    pub outputs: usize,
    pub kernel: [usize; D],
    pub slides: [Slide; D],
    /// Places added at the end of each axis: PyTorch's `output_padding`.
    pub extra: [usize; D],
    pub groups: usize,
    pub weight: Start,
    /// How the bias starts; without it there is none.
    pub bias: Option<Start>,
}

impl<const D: usize> TransposedConv<D> {
    /// As in PyTorch: no padding, weight and bias uniform in ±1/√(outputs/groups · kernel).
    pub fn new(outputs: usize, kernel: [usize; D], stride: usize) -> TransposedConv<D> {
        TransposedConv {
            outputs,
            kernel,
            slides: [Slide {
                stride,
                ..Slide::default()
            }; D],
            extra: [0; D],
            groups: 1,
            weight: Start::FanIn,
            bias: Some(Start::FanIn),
        }
    }

    /// # Panics
    /// If `x` does not fit, or the scope has these parameters already.
    #[track_caller]
    pub fn forward<'g>(&self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        let inputs = x.shape().get(1).copied().unwrap_or(0);
        let each = self.outputs / self.groups.max(1);
        // PyTorch counts axis 1 of the weight, which here is of outputs.
        let fan_in = each * self.kernel.iter().product::<usize>();
        let shape = [&[inputs, each], &self.kernel[..]].concat();
        let weight = scope.parameter("weight", shape, self.weight.init(fan_in));
        let y = x.transposed_convolution(weight, &self.slides, &self.extra, self.groups);
        let bias = |start: Start| scope.parameter("bias", [self.outputs], start.init(fan_in));
        match self.bias {
            Some(start) => with_bias(y, bias(start), 1),
            None => y,
        }
    }
}

#[track_caller]
fn with_bias<'g>(y: Tensor<'g>, bias: Tensor<'g>, channels: usize) -> Tensor<'g> {
    y + bias.broadcast_in_dim(y.shape(), &[channels])
}
