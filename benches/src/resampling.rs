//! Pools, resizes and normalisations of `[batch, channels, side, side]`, as they are between convolutions.

use super::data::tensor;
use super::program::Tensors;
use bsq_ir::autodiff::gradients;
use bsq_ir::tensor::Slide;
use bsq_ir::{DType, Function, Graph, Scope, Tensor};
use bsq_nn::layers::{BatchMemory, BatchNorm, BatchUse, GroupNorm, Interpolation, resize};
use serde_json::{Value, json};

/// What is done to pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resampling {
    /// The largest, or the mean, of windows of `size` places, one every `stride`.
    Pool {
        is_max: bool,
        size: usize,
        stride: usize,
        padding: usize,
    },
    /// To pictures of so many places.
    Resize(Interpolation, usize),
    /// Over the batch.
    BatchNorm,
    /// Over so many groups of channels, or each channel alone.
    GroupNorm(Option<usize>),
}

/// One case: what is done, and to how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResamplingCase {
    pub name: &'static str,
    pub what: Resampling,
    pub channels: usize,
    pub side: usize,
}

impl ResamplingCase {
    /// As `benches/peers/resampling_worker.py` reads it.
    pub fn description(&self, batch: usize) -> Value {
        let what = match self.what {
            Resampling::Pool {
                is_max,
                size,
                stride,
                padding,
            } => {
                json!({ "pool": { "max": is_max, "size": size, "stride": stride, "padding": padding } })
            }
            Resampling::Resize(how, to) => json!({ "resize": format!("{how:?}"), "to": to }),
            Resampling::BatchNorm => json!({ "batch_norm": true }),
            Resampling::GroupNorm(groups) => {
                json!({ "groups": groups.unwrap_or(self.channels) })
            }
        };
        json!({ "name": self.name, "what": what, "shape": self.shape(batch) })
    }

    fn shape(&self, batch: usize) -> [usize; 4] {
        [batch, self.channels, self.side, self.side]
    }

    fn apply<'g>(&self, graph: &'g Graph, x: Tensor<'g>) -> Tensor<'g> {
        match self.what {
            Resampling::Pool {
                is_max,
                size,
                stride,
                padding,
            } => {
                let slide = Slide {
                    stride,
                    ..Slide::padded(padding)
                };
                match is_max {
                    true => x.max_pool(&[size; 2], &[slide; 2]),
                    false => x.average_pool(&[size; 2], &[slide; 2]),
                }
            }
            Resampling::Resize(how, to) => resize(x, &[to; 2], how),
            Resampling::BatchNorm => {
                let mut memory = BatchMemory::new(BatchUse::Training);
                BatchNorm::default().forward(Scope::root(graph), x, &mut memory)
            }
            Resampling::GroupNorm(groups) => {
                let norm = groups.map_or_else(GroupNorm::instance, GroupNorm::new);
                norm.forward(Scope::root(graph), x)
            }
        }
    }

    /// The result `y` of `x`, or with the gradient by `x`, `gradient`, for a `cotangent` of the result.
    pub fn function(&self, batch: usize, with_gradient: bool) -> Function {
        let graph = Graph::new();
        let x = graph.input("x", DType::F32, self.shape(batch));
        let y = self.apply(&graph, x);
        if !with_gradient {
            return graph.function([("y", y.id())], []);
        }
        let cotangent = graph.input("cotangent", DType::F32, y.shape().to_vec());
        let gradient = gradients((y * cotangent).sum(..), &[x])[0];
        graph.function([("y", y.id()), ("gradient", gradient.id())], [])
    }

    /// Pictures and cotangent.
    ///
    /// # Panics
    /// If memory runs out.
    pub fn data(&self, batch: usize) -> Tensors {
        let function = self.function(batch, true);
        let inputs = function.inputs().enumerate();
        let inputs = inputs.map(|(stream, (_, name, ty))| {
            let tensor = tensor(stream as u64 + 1, &ty.shape, 1.0);
            (name.to_string(), tensor)
        });
        inputs.collect()
    }
}

/// Those of VGG16, of Inception, of discriminators, and of pyramids.
pub const RESAMPLING: [ResamplingCase; 11] = {
    const fn pool(is_max: bool, size: usize, stride: usize, padding: usize) -> Resampling {
        Resampling::Pool {
            is_max,
            size,
            stride,
            padding,
        }
    }
    const fn of(name: &'static str, what: Resampling) -> ResamplingCase {
        ResamplingCase {
            name,
            what,
            channels: 64,
            side: 64,
        }
    }
    [
        of("max pool 2x2", pool(true, 2, 2, 0)),
        of("max pool 3x3, every second", pool(true, 3, 2, 0)),
        of("average pool 2x2", pool(false, 2, 2, 0)),
        of("average pool 3x3, padded", pool(false, 3, 1, 1)),
        of(
            "nearest, twice as large",
            Resampling::Resize(Interpolation::Nearest, 128),
        ),
        of(
            "bilinear, twice as large",
            Resampling::Resize(Interpolation::Linear, 128),
        ),
        of(
            "bilinear, half as large",
            Resampling::Resize(Interpolation::Linear, 32),
        ),
        of(
            "antialiased, half as large",
            Resampling::Resize(Interpolation::Triangle, 32),
        ),
        of("batch norm", Resampling::BatchNorm),
        of("group norm, 8 groups", Resampling::GroupNorm(Some(8))),
        of("instance norm", Resampling::GroupNorm(None)),
    ]
};
