//! The context model: how likely each level is, given those before it.
//!
//! Patches are coded in raster order, and a patch's K levels in groups of coordinates
//! ([`ContextModel::groups`]). A level's distribution is a mixture of two discretized logistics. It
//! is a function of
//!
//! - the levels of six neighbours (left, top, top left, top right, two to the left, two up), through
//!   a network whose last hidden layer has H features for each coordinate;
//! - the same patch's levels of earlier groups, which join that hidden layer through a masked map;
//! - the step, and which neighbours are outside of the picture;
//! - what was coded before this part ([`Side`]): of a coarse picture the surroundings on all sides, of
//!   other levels those of the same patch;
//! - of a predicted frame, features of what it is expected to be.
//!
//! Networks see a level q as `sign(q) log(1 + |q|)` and `log(1 + |q|)`. The mean
//! also has a linear map of raw levels, without which the first coordinates, whose levels are large
//! and alike, are predicted badly.
//!
//! An encoder, which knows all levels, evaluates a whole grid at once. A decoder evaluates
//! [`ContextModel::prepared`] for some patches whose neighbours it has, and
//! `mixture_of_group` for one group after the other. Both give the same bits: what
//! is masked adds exact zeros, and a row of a contraction does not depend on the others.

mod known;

pub use known::{Before, Known, NEIGHBOURS, Side, neighbour, of_levels, surroundings};
use known::{LINEAR, SEEN};
pub(super) use known::{compressed, seen};

use super::logistic::Mixture;
use bsq_ir::tensor::Init;
use bsq_ir::{Graph, Scope, Tensor};
use bsq_nn::layers::{Linear, Start};
use std::ops::Range;

/// Parameters of a level's distribution.
const OUTPUTS: usize = 4;

/// A context model of K coordinates.
#[derive(Clone, Debug)]
pub struct ContextModel {
    pub coordinates: usize,
    /// Features of a patch in the network.
    pub width: usize,
    /// H above.
    pub level_width: usize,
    /// Coordinates of the first group.
    pub first_group: usize,
}

/// What a context model makes of everything that is known before a patch. `..` are the axes of
/// patches.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'g> {
    /// What own levels are added to in the last hidden layer, `[K * H, ..]`.
    pub hidden: Tensor<'g>,
    /// The same of the means, `[K, ..]`.
    pub mean: Tensor<'g>,
}

impl ContextModel {
    /// The groups of coordinates: each is coded at once, given those before. They grow by half, since
    /// later coordinates are smaller and say less of each other.
    pub fn groups(&self) -> Vec<Range<usize>> {
        let (mut groups, mut start) = (Vec::new(), 0);
        while start < self.coordinates {
            let end = (start + start.div_ceil(2)).max(start + self.first_group);
            groups.push(start..end.min(self.coordinates));
            start = end;
        }
        groups
    }

    /// Bits of each picture, `[B]`, of levels `[B, R, C, K]`; `log_step` is `[B]`. `known` are the same
    /// levels, as context of others.
    ///
    /// # Panics
    /// If the levels have other coordinates.
    #[track_caller]
    pub fn bits<'g>(
        &self,
        scope: &Scope<'g>,
        (levels, known): (Tensor<'g>, Tensor<'g>),
        log_step: Tensor<'g>,
        before: Before<'g>,
    ) -> Tensor<'g> {
        let mixture = self.mixture(scope, known, log_step, before);
        let bits = mixture.bits(levels.transpose(&[3, 0, 1, 2]));
        bits.sum(&[0, 2, 3][..])
    }

    /// The distributions of levels `[B, R, C, K]`, each tensor `[K, B, R, C]`.
    #[track_caller]
    pub(super) fn mixture<'g>(
        &self,
        scope: &Scope<'g>,
        levels: Tensor<'g>,
        log_step: Tensor<'g>,
        before: Before<'g>,
    ) -> Mixture<'g> {
        let known = Known::of_grid(levels, log_step, before);
        let prepared = self.prepared(scope, &known);
        let all = 0..self.coordinates;
        self.mixture_of_group(scope, all, prepared, levels, known.log_step)
    }

    /// What can be evaluated before a patch's own levels are known.
    ///
    /// # Panics
    /// If what is known is not of this context model's shapes, or the scope has other parameters of
    /// these names.
    #[track_caller]
    pub fn prepared<'g>(&self, scope: &Scope<'g>, known: &Known<'g>) -> Prepared<'g> {
        Prepared {
            hidden: self.hidden(scope, known),
            mean: self.linear_mean(scope, known),
        }
    }

    /// The distributions of a group's levels, each tensor `[group, ..]`. `prepared` is of the
    /// group's coordinates. Of `levels`, `[.., K]`, only those of earlier groups matter.
    #[track_caller]
    pub(super) fn mixture_of_group<'g>(
        &self,
        scope: &Scope<'g>,
        group: Range<usize>,
        prepared: Prepared<'g>,
        levels: Tensor<'g>,
        log_step: Tensor<'g>,
    ) -> Mixture<'g> {
        let (k, h, graph) = (self.coordinates, self.level_width, scope.graph());
        let (count, last) = (group.len(), levels.shape().len() - 1);
        let of_group = |x: Tensor<'g>| x.slice(0, group.clone());
        let deviation = 0.5 / (h as f32).sqrt();
        let zero = Init::Constant(0.0);
        let output = scope / "output";
        let weight = output.parameter("weight", [k, OUTPUTS, h], Init::Normal(deviation));
        let bias = output.parameter("bias", [k, OUTPUTS], zero);

        let place = scope / "hidden";
        let bound = (1.0 / (SEEN * k) as f64).sqrt() as f32;
        let own = place.parameter("own", [k, h, SEEN, k], Init::Uniform(bound));
        let hidden_bias = place.parameter("bias", [k * h], zero).reshape([k, h]);
        let earlier = of_group(self.earlier(graph));
        let own = of_group(own) * earlier.reshape([count, 1, 1, k]);
        let own = own.reshape([count * h, SEEN * k]);
        let sum = prepared.hidden + own.dot_general(seen(levels), &[], &[(1, last)]);
        let sum = sum + axes_after(of_group(hidden_bias).reshape([count * h]), last);
        let mut shape = vec![count, h];
        shape.extend(&sum.shape()[1..]);

        // [group, OUTPUTS, ..]: patches last, so that all that follows runs along them.
        let hidden = sum.gelu().reshape(&shape[..]);
        let outputs = of_group(weight).dot_general(hidden, &[(0, 0)], &[(2, 1)]);
        let outputs = outputs + axes_after(of_group(bias), last);
        let output = |i: usize| outputs.slice(1, i..i + 1).squeeze(1);
        let scale = log_step.unsqueeze(0);
        let own = (scope / "mean").parameter("own", [k, k], zero);
        let own = of_group(own) * earlier;
        let linear = prepared.mean + own.dot_general(levels, &[], &[(1, last)]);
        Mixture {
            mean: output(0) + linear,
            log_scales: [output(1) - scale, output(2) - scale],
            share: output(3),
        }
    }

    /// The last hidden layer without own levels, `[K * H, ..]`.
    fn hidden<'g>(&self, scope: &Scope<'g>, known: &Known<'g>) -> Tensor<'g> {
        let (k, width) = (self.coordinates, self.width);
        let at = |name: &str| scope / name;
        let plain = Linear {
            bias: None,
            ..Linear::new(width)
        };
        let step = known.log_step.unsqueeze(-1);
        let mut x = Linear::new(width).forward(at("step"), step)
            + plain.forward(at("inside"), known.inside);
        if let Some(side) = known.before.side {
            x = x + plain.forward(at("side"), side.features);
        }
        if let Some(features) = known.before.expected {
            x = x + plain.forward(at("expected"), features);
        }
        // One of the six is a sixth of the inputs.
        let bound = (1.0 / (NEIGHBOURS.len() * SEEN * k) as f64).sqrt() as f32;
        let part = Linear {
            weight: Start::Fixed(Init::Uniform(bound)),
            ..plain
        };
        for (i, &levels) in known.neighbours.iter().enumerate() {
            let place = at("neighbours") / i;
            x = x + part.forward(&place, seen(levels));
        }
        let mut x = x.gelu();
        for layer in 0..2 {
            x = x + Linear::new(width)
                .forward(&(at("layers") / layer), x)
                .gelu();
        }
        let bound = (1.0 / width as f64).sqrt() as f32;
        let units = k * self.level_width;
        let weight = at("hidden").parameter("weight", [units, width], Init::Uniform(bound));
        weight.dot_general(x, &[], &[(1, x.shape().len() - 1)])
    }

    /// The part of the means that is linear in levels of neighbours and of other parts, `[K, ..]`.
    fn linear_mean<'g>(&self, scope: &Scope<'g>, known: &Known<'g>) -> Tensor<'g> {
        let (k, first) = (self.coordinates, self.coordinates.min(LINEAR));
        let (mean, zero) = (scope / "mean", Init::Constant(0.0));
        let firsts = known.neighbours.iter().map(|x| x.slice(-1, 0..first));
        let mut inputs: Vec<Tensor<'g>> = firsts.collect();
        inputs.extend(known.before.side.map(|side| side.raw));
        let inputs = scope.graph().concat(&inputs, -1);
        let last = inputs.shape().len() - 1;
        let weight = mean.parameter("first", [k, inputs.shape()[last]], zero);
        let mut sum = weight.dot_general(inputs, &[], &[(1, last)]);
        let alike = mean.parameter("alike", [NEIGHBOURS.len(), k], zero);
        for (i, &levels) in known.neighbours.iter().enumerate() {
            let weight = axes_after(alike.slice(0, i..i + 1).reshape([k]), last);
            let mut order = vec![last];
            order.extend(0..last);
            sum = sum + levels.transpose(&order) * weight;
        }
        sum
    }

    /// One where a coordinate's group is before another's, `[K, K]`.
    fn earlier<'g>(&self, graph: &'g Graph) -> Tensor<'g> {
        let k = self.coordinates;
        let row = |group: Range<usize>| {
            let row = (0..k).map(move |other| f32::from(other < group.start));
            row.collect::<Vec<_>>().repeat(group.len())
        };
        let seen: Vec<f32> = self.groups().into_iter().flat_map(row).collect();
        graph.constant_f32(&seen, [k, k])
    }
}

/// The same with some more axes of extent 1 at the end.
fn axes_after(x: Tensor<'_>, count: usize) -> Tensor<'_> {
    (0..count).fold(x, |x, _| x.unsqueeze(-1))
}
