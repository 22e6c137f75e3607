//! The networks whose features LPIPS compares, up to their last tap.

use bsq_ir::tensor::Slide;
use bsq_ir::{AsScope, Scope, Tensor};
use bsq_nn::layers::{Conv, relu};

/// A network trained on ImageNet, as torchvision has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backbone {
    /// What training minimises.
    Vgg16,
    /// What is reported.
    AlexNet,
    SqueezeNet,
}

/// A convolution and the place in torchvision's `features` where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Convolution {
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

/// What is done to features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A convolution and a rectifier, with the name of its parameters.
    Convolution(String, Convolution),
    /// SqueezeNet's: a 1x1 convolution, then a 1x1 and a 3x3 of that beside each other.
    Fire(String, [usize; 3]),
    /// The largest of 2x2, halving.
    Halve,
    /// The largest of 3x3, every second; `true` also where it reaches beyond the border.
    Pool { beyond: bool },
    /// Features are compared here.
    Tap,
}

impl Backbone {
    pub const ALL: [Backbone; 3] = [Backbone::Vgg16, Backbone::AlexNet, Backbone::SqueezeNet];

    /// As in the package of the metric's authors.
    pub fn name(self) -> &'static str {
        match self {
            Backbone::Vgg16 => "vgg",
            Backbone::AlexNet => "alex",
            Backbone::SqueezeNet => "squeeze",
        }
    }

    /// Below it there is nothing left to pool.
    pub fn smallest_side(self) -> usize {
        match self {
            Backbone::Vgg16 => 16,
            Backbone::AlexNet => 31,
            Backbone::SqueezeNet => 16,
        }
    }

    /// Channels at each tap.
    pub(super) fn channels(self) -> &'static [usize] {
        match self {
            Backbone::Vgg16 => &[64, 128, 256, 512, 512],
            Backbone::AlexNet => &[64, 192, 384, 256, 256],
            Backbone::SqueezeNet => &[64, 128, 256, 384, 384, 512, 512],
        }
    }

    /// The network, with these channels at its taps.
    pub(super) fn steps(self, channels: &[usize]) -> Vec<Step> {
        let named = |slice: usize, index: usize| format!("slice{}.{index}", slice + 1);
        let mut steps = Vec::new();
        match self {
            Backbone::Vgg16 => {
                let mut index = 0;
                for (block, &outputs) in channels.iter().enumerate() {
                    if block > 0 {
                        steps.push(Step::Halve);
                        index += 1;
                    }
                    for _ in 0..if block < 2 { 2 } else { 3 } {
                        steps.push(Step::Convolution(
                            named(block, index),
                            Convolution::new(outputs, 3, 1, 1),
                        ));
                        index += 2;
                    }
                    steps.push(Step::Tap);
                }
            }
            Backbone::AlexNet => {
                let layers = [
                    (0, 11, 4, 2),
                    (3, 5, 1, 2),
                    (6, 3, 1, 1),
                    (8, 3, 1, 1),
                    (10, 3, 1, 1),
                ];
                for (slice, (index, kernel, stride, padding)) in layers.into_iter().enumerate() {
                    if [1, 2].contains(&slice) {
                        steps.push(Step::Pool { beyond: false });
                    }
                    steps.push(Step::Convolution(
                        named(slice, index),
                        Convolution::new(channels[slice], kernel, stride, padding),
                    ));
                    steps.push(Step::Tap);
                }
            }
            Backbone::SqueezeNet => {
                let first = Convolution::new(channels[0], 3, 2, 0);
                steps.extend([Step::Convolution(named(0, 0), first), Step::Tap]);
                let fires: [(usize, &[usize], usize); 6] = [
                    (1, &[3, 4], 8),
                    (2, &[6, 7], 8),
                    (3, &[9], 8),
                    (4, &[10], 8),
                    (5, &[11], 8),
                    (6, &[12], 8),
                ];
                for (slice, indices, share) in fires {
                    if slice <= 3 {
                        steps.push(Step::Pool { beyond: true });
                    }
                    let outputs = channels[slice];
                    let widths = [outputs / share, outputs / 2, outputs / 2];
                    let fire = |&index: &usize| Step::Fire(named(slice, index), widths);
                    steps.extend(indices.iter().map(fire));
                    steps.push(Step::Tap);
                }
            }
        }
        steps
    }
}

impl Convolution {
    fn new(outputs: usize, kernel: usize, stride: usize, padding: usize) -> Convolution {
        Convolution {
            outputs,
            kernel,
            stride,
            padding,
        }
    }

    #[track_caller]
    fn forward<'g>(self, scope: impl AsScope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let scope = scope.as_scope();
        let kernel = [self.kernel; 2];
        let conv = Conv::new(self.outputs, kernel)
            .stride(self.stride)
            .padding(self.padding);
        relu(conv.forward(scope, x))
    }
}

/// The features at each tap, of scaled pictures.
#[track_caller]
pub(super) fn features<'g>(steps: &[Step], scope: &Scope<'g>, x: Tensor<'g>) -> Vec<Tensor<'g>> {
    let net = scope / "net";
    let mut taps = Vec::new();
    let mut x = x;
    for step in steps {
        x = match step {
            Step::Convolution(name, convolution) => convolution.forward(&net / name, x),
            Step::Fire(name, [squeezed, one, three]) => {
                let place = &net / name;
                let conv = |name: &str, outputs: usize, kernel: usize, x| {
                    let padding = kernel / 2;
                    Convolution::new(outputs, kernel, 1, padding).forward(&place / name, x)
                };
                let squeezed = conv("squeeze", *squeezed, 1, x);
                let expanded = [
                    conv("expand1x1", *one, 1, squeezed),
                    conv("expand3x3", *three, 3, squeezed),
                ];
                x.graph().concat(&expanded, 1)
            }
            Step::Halve => x.max_pool2d(2, 2),
            Step::Pool { beyond } => pooled(x, *beyond),
            Step::Tap => {
                taps.push(x);
                x
            }
        };
    }
    taps
}

/// The largest of 3x3, every second.
#[track_caller]
fn pooled(x: Tensor<'_>, beyond: bool) -> Tensor<'_> {
    let shape = x.shape();
    let slides = [2, 3].map(|axis: usize| {
        let is_left = beyond && shape[axis] >= 3 && !(shape[axis] - 3).is_multiple_of(2);
        Slide {
            stride: 2,
            dilation: 1,
            padding: [0, usize::from(is_left)],
        }
    });
    x.max_pool(&[3, 3], &slides)
}
