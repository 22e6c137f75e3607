//! Convolutions of the networks that judge reconstructions in training, on crops of 64 x 64 pixels.

use super::data::tensor;
use super::program::Tensors;
use bsq_ir::autodiff::gradients;
use bsq_ir::tensor::{Layout, Slide};
use bsq_ir::{DType, Function, Graph};

/// A convolution of `[batch, inputs, side, side]` with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionLayer {
    pub inputs: usize,
    pub outputs: usize,
    /// Of the pictures, without padding.
    pub side: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

/// What is computed of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvolutionPass {
    Forward,
    /// The gradient by the pictures.
    ByInput,
    ByWeight,
}

impl ConvolutionPass {
    pub const ALL: [ConvolutionPass; 3] = [
        ConvolutionPass::Forward,
        ConvolutionPass::ByInput,
        ConvolutionPass::ByWeight,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ConvolutionPass::Forward => "forward",
            ConvolutionPass::ByInput => "by the input",
            ConvolutionPass::ByWeight => "by the weight",
        }
    }
}

impl ConvolutionLayer {
    /// 3x3, as large as it was.
    const fn same(inputs: usize, outputs: usize, side: usize) -> ConvolutionLayer {
        ConvolutionLayer {
            inputs,
            outputs,
            side,
            kernel: 3,
            stride: 1,
            padding: 1,
        }
    }

    /// 3x3 at every second place of a picture that a filter has made three places wider.
    const fn halving(inputs: usize, outputs: usize, side: usize) -> ConvolutionLayer {
        ConvolutionLayer {
            side: side + 1,
            stride: 2,
            padding: 0,
            ..ConvolutionLayer::same(inputs, outputs, side)
        }
    }

    fn slide(&self) -> Slide {
        Slide {
            stride: self.stride,
            ..Slide::padded(self.padding)
        }
    }

    fn side_out(&self) -> usize {
        let positions = self.slide().positions(self.kernel, self.side);
        positions.expect("the kernel fits")
    }

    /// Multiplications and additions of each pass, those with padding too.
    pub fn flops(&self, batch: usize) -> f64 {
        let sums = batch * self.outputs * self.side_out().pow(2);
        2.0 * (sums * self.inputs * self.kernel.pow(2)) as f64
    }

    /// Bytes of pictures, weight and result.
    pub fn bytes(&self, batch: usize) -> f64 {
        let tensors = self.tensors(batch).into_iter();
        let elements: usize = tensors
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        4.0 * elements as f64
    }

    /// Pictures, weight and the cotangent of the result.
    fn tensors(&self, batch: usize) -> [(&'static str, [usize; 4]); 3] {
        let (side, out, kernel) = (self.side, self.side_out(), self.kernel);
        [
            ("x", [batch, self.inputs, side, side]),
            ("weight", [self.outputs, self.inputs, kernel, kernel]),
            ("cotangent", [batch, self.outputs, out, out]),
        ]
    }

    /// The pass, with result `y`; what it does not need it does not ask for.
    ///
    /// # Panics
    /// If the kernel is larger than the pictures.
    pub fn function(&self, batch: usize, pass: ConvolutionPass) -> Function {
        let graph = Graph::new();
        let [x, weight, cotangent] = self.tensors(batch);
        let x = graph.input(x.0, DType::F32, x.1);
        let weight = graph.parameter(weight.0, DType::F32, weight.1);
        let y = x.convolution(weight, &[self.slide(); 2], 1, Layout::ChannelsFirst);
        let by = match pass {
            ConvolutionPass::Forward => return graph.function([("y", y.id())], []),
            ConvolutionPass::ByInput => x,
            ConvolutionPass::ByWeight => weight,
        };
        let cotangent = graph.input(cotangent.0, DType::F32, cotangent.1);
        let gradient = gradients((y * cotangent).sum(..), &[by])[0];
        graph.function([("y", gradient.id())], [])
    }

    /// Pictures, weight and cotangent by name.
    ///
    /// # Panics
    /// If memory runs out.
    pub fn data(&self, batch: usize) -> Tensors {
        let named = self.tensors(batch).into_iter().enumerate();
        let named = named.map(|(stream, (name, shape))| {
            let tensor = tensor(stream as u64 + 1, &shape, 1.0);
            (name.to_string(), tensor)
        });
        named.collect()
    }
}

/// The layers of VGG16.
pub const VGG16: [ConvolutionLayer; 13] = {
    use ConvolutionLayer as L;
    [
        L::same(3, 64, 64),
        L::same(64, 64, 64),
        L::same(64, 128, 32),
        L::same(128, 128, 32),
        L::same(128, 256, 16),
        L::same(256, 256, 16),
        L::same(256, 256, 16),
        L::same(256, 512, 8),
        L::same(512, 512, 8),
        L::same(512, 512, 8),
        L::same(512, 512, 4),
        L::same(512, 512, 4),
        L::same(512, 512, 4),
    ]
};

/// The 3x3 layers of a StyleGAN2-type discriminator with channel base 2048.
pub const DISCRIMINATOR: [ConvolutionLayer; 9] = {
    use ConvolutionLayer as L;
    [
        L::same(32, 32, 64),
        L::halving(32, 64, 64),
        L::same(64, 64, 32),
        L::halving(64, 128, 32),
        L::same(128, 128, 16),
        L::halving(128, 256, 16),
        L::same(256, 256, 8),
        L::halving(256, 512, 8),
        L::same(513, 512, 4),
    ]
};
