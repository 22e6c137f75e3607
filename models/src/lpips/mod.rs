//! LPIPS (Zhang et al., 2018): how far apart two pictures are for the features of a network that was
//! trained to classify.
//!
//! Features at each tap of the network have unit length over channels; their squared differences are
//! weighted per channel, averaged over places, and added up. Training has VGG16, reports have
//! AlexNet. The weights are not part of this program: [`Network::load`] takes the files that there are.
//!
//! ```
//! use bsq::lpips::{Backbone, Network};
//! use bsq::prelude::*;
//!
//! let g = Graph::new();
//! let [a, b] = ["a", "b"].map(|name| g.input(name, DType::F32, [2, 3, 64, 64]));
//! let distance = Network::new(Backbone::Vgg16).distance(&Scope::root(&g), a, b);
//! assert_eq!(*distance.shape(), [2]);
//! ```

mod backbone;
mod weights;

pub use backbone::Backbone;
pub use weights::WeightsError;

use backbone::Step;
use bsq_ir::tensor::{Init, ParameterSpec};
use bsq_ir::{AsScope, DType, Graph, Scope, Tensor};

/// Added to lengths, outside of the root.
const EPSILON: f64 = 1e-10;

/// The distance's network: builds graphs, holds no weights.
///
/// Parameters: `net.slice{i}.{j}.{weight,bias}` and `lin{k}.model.1.weight`, as in the package of the
/// metric's authors.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    steps: Vec<Step>,
    backbone: Backbone,
    zero_mean: bool,
}

impl Network {
    /// For pictures in -1..1.
    pub fn new(backbone: Backbone) -> Network {
        Network {
            steps: backbone.steps(backbone.channels()),
            backbone,
            zero_mean: true,
        }
    }

    /// With other numbers of channels, a number for each tap: a small network for tests.
    ///
    /// # Panics
    /// If there are not as many as taps.
    pub fn with_channels(self, channels: &[usize]) -> Network {
        let taps = self.backbone.channels().len();
        assert_eq!(channels.len(), taps, "channels of each tap");
        Network {
            steps: self.backbone.steps(channels),
            ..self
        }
    }

    /// For pictures in 0..1 if `zero_mean` is false.
    #[must_use]
    pub fn zero_mean(self, zero_mean: bool) -> Network {
        Network { zero_mean, ..self }
    }

    pub fn backbone(&self) -> Backbone {
        self.backbone
    }

    /// Below it there is nothing left to pool.
    pub fn smallest_side(&self) -> usize {
        self.backbone.smallest_side()
    }

    /// The distance of each pair of pictures `[batch, 3, height, width]`: `[batch]`.
    ///
    /// # Panics
    /// If the shapes differ or are too small.
    #[track_caller]
    pub fn distance<'g>(
        &self,
        scope: impl AsScope<'g>,
        a: Tensor<'g>,
        b: Tensor<'g>,
    ) -> Tensor<'g> {
        let scope = scope.as_scope();
        let terms = self.terms(scope, a, b).into_iter();
        let sum = terms.reduce(|sum, term| sum + term);
        sum.expect("a network has taps")
    }

    /// The summands of the distance, one of each tap, each `[batch]`.
    ///
    /// # Panics
    /// As [`distance`](Network::distance).
    #[track_caller]
    pub fn terms<'g>(
        &self,
        scope: impl AsScope<'g>,
        a: Tensor<'g>,
        b: Tensor<'g>,
    ) -> Vec<Tensor<'g>> {
        let scope = scope.as_scope();
        assert_eq!(a.shape(), b.shape(), "LPIPS of pictures");
        // Weights are the same for all pictures.
        let scope = &scope.sharing();
        let features = [a, b].map(|x| backbone::features(&self.steps, scope, self.scaled(x)));
        let [a, b] = features;
        let pairs = a.into_iter().zip(b).enumerate();
        let mut terms = Vec::new();
        for (tap, (a, b)) in pairs {
            let channels = a.shape()[1];
            let head = scope / format!("lin{tap}") / "model" / 1;
            let shape = [1, channels, 1, 1];
            let weight = head.parameter("weight", shape, Init::Constant(1.0 / channels as f32));
            let difference = (unit(a) - unit(b)).square();
            let shape = difference.shape();
            let weight = weight.reshape([channels]).broadcast_in_dim(shape, &[1]);
            terms.push((difference * weight).sum(1).mean([1, 2]));
        }
        terms
    }

    /// Every parameter, sorted by name.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let graph = Graph::new();
        let scope = Scope::root(&graph);
        let side = 2 * self.smallest_side();
        let [a, b] = ["a", "b"].map(|name| graph.input(name, DType::F32, [1, 3, side, side]));
        self.distance(&scope, a, b);
        let mut specs = scope.specs();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }

    /// With mean and deviation of the pictures that the network was trained on.
    #[track_caller]
    fn scaled<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let (mean, deviation) = self.scaling();
        let channel = |values: [f32; 3]| {
            let values = x.graph().constant_f32(&values, [3]);
            values.broadcast_in_dim(x.shape(), &[1])
        };
        (x - channel(mean)) / channel(deviation)
    }

    /// Mean and deviation of each colour.
    fn scaling(&self) -> ([f32; 3], [f32; 3]) {
        match self.zero_mean {
            true => ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]),
            false => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        }
    }
}

/// Of unit length over channels. A place where all features are 0 stays so, with derivative 0 of its
/// length: a root has none there.
#[track_caller]
fn unit(features: Tensor<'_>) -> Tensor<'_> {
    let square = features.square().sum(1);
    let some = square.gt(0.0);
    let length = square.where_(some, 1.0).sqrt().where_(some, 0.0) + EPSILON;
    features / length.expand_axes(1, features.shape())
}
