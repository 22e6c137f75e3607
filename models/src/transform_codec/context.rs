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
//!   other levels those of the same patch.
//!
//! Networks see a level q as `sign(q) log(1 + |q|)` and `log(1 + |q|)`. The mean
//! also has a linear map of raw levels, without which the first coordinates, whose levels are large
//! and alike, are predicted badly.

use super::logistic::Mixture;
use bsq_ir::tensor::Init;
use bsq_ir::{Graph, Scope, Tensor};
use bsq_nn::layers::{Linear, Start};
use std::ops::Range;

/// Neighbours that are coded before a patch: (rows down, columns right).
pub const NEIGHBOURS: [(isize, isize); 6] = [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)];
/// The first coordinates of neighbours, which the means see unbent.
const LINEAR: usize = 12;
/// Features that a network sees of a level.
const SEEN: usize = 2;
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

/// What is known of every patch before its levels.
#[derive(Clone, Copy, Debug)]
pub struct Side<'g> {
    /// For the network, `[B, R, C, features]`.
    pub features: Tensor<'g>,
    /// For the means, `[B, R, C, raw]`, in levels.
    pub raw: Tensor<'g>,
}

impl ContextModel {
    /// Bits of each picture, `[B]`, of levels `[B, R, C, K]`; `log_step` is `[B]`. The gradient
    /// reaches levels through their own bits alone.
    ///
    /// # Panics
    /// If the levels have other coordinates.
    #[track_caller]
    pub fn bits<'g>(
        &self,
        scope: &Scope<'g>,
        levels: Tensor<'g>,
        log_step: Tensor<'g>,
        side: Option<Side<'g>>,
    ) -> Tensor<'g> {
        let mixture = self.mixture(scope, levels.stop_gradient(), log_step, side);
        let bits = mixture.bits(levels.transpose(&[3, 0, 1, 2]));
        bits.sum(&[0, 2, 3][..])
    }

    /// The distributions of levels, each tensor `[K, B, R, C]`.
    #[track_caller]
    pub(super) fn mixture<'g>(
        &self,
        scope: &Scope<'g>,
        known: Tensor<'g>,
        log_step: Tensor<'g>,
        side: Option<Side<'g>>,
    ) -> Mixture<'g> {
        let k = self.coordinates;
        let hidden = self.hidden(scope, known, log_step, side);
        let deviation = 0.5 / (self.level_width as f32).sqrt();
        let output = scope / "output";
        let weight = output.parameter(
            "weight",
            [k, OUTPUTS, self.level_width],
            Init::Normal(deviation),
        );
        let bias = output.parameter("bias", [k, OUTPUTS], Init::Constant(0.0));
        // [K, OUTPUTS, B, R, C]: patches last, so that all that follows runs along them.
        let shape = known.shape();
        let outputs = weight.dot_general(hidden, &[(0, 0)], &[(2, 1)]);
        let outputs = outputs + bias.reshape([k, OUTPUTS, 1, 1, 1]);
        let output = |i: usize| outputs.slice(1, i..i + 1).squeeze(1);
        let scale = log_step.reshape([1, shape[0], 1, 1]);
        Mixture {
            mean: output(0) + self.linear_mean(scope, known, side),
            log_scales: [output(1) - scale, output(2) - scale],
            share: output(3),
        }
    }

    /// Features from which distributions are made, `[K, H, B, R, C]`.
    fn hidden<'g>(
        &self,
        scope: &Scope<'g>,
        known: Tensor<'g>,
        log_step: Tensor<'g>,
        side: Option<Side<'g>>,
    ) -> Tensor<'g> {
        let (k, width) = (self.coordinates, self.width);
        let graph = scope.graph();
        let seen = seen(known);
        let shape = known.shape();
        let at = |name: &str| scope / name;
        let plain = Linear {
            bias: None,
            ..Linear::new(width)
        };
        let step = log_step.reshape([shape[0], 1, 1, 1]);
        let mut x = Linear::new(width).forward(&at("step"), step)
            + plain.forward(&at("inside"), inside(graph, shape[1], shape[2]));
        if let Some(side) = side {
            x = x + plain.forward(&at("side"), side.features);
        }
        // One of the six is a sixth of the inputs.
        let bound = (1.0 / (NEIGHBOURS.len() * SEEN * k) as f64).sqrt() as f32;
        let part = Linear {
            weight: Start::Fixed(Init::Uniform(bound)),
            ..plain
        };
        for (i, neighbour) in NEIGHBOURS.iter().enumerate() {
            let place = at("neighbours") / i;
            x = x + part.forward(&place, shifted(seen, *neighbour));
        }
        let mut x = x.gelu();
        for layer in 0..2 {
            x = x + Linear::new(width)
                .forward(&(at("layers") / layer), x)
                .gelu();
        }
        let units = k * self.level_width;
        let output = at("hidden");
        let bound = (1.0 / width as f64).sqrt() as f32;
        let weight = output.parameter("weight", [units, width], Init::Uniform(bound));
        let bias = output.parameter("bias", [units], Init::Constant(0.0));
        let bound = (1.0 / (SEEN * k) as f64).sqrt() as f32;
        let own = output.parameter("own", [k, self.level_width, SEEN, k], Init::Uniform(bound));
        let own = own * self.earlier(graph).reshape([k, 1, 1, k]);
        let own = own.reshape([units, SEEN * k]);
        let sum = weight.dot_general(x, &[], &[(1, 3)]) + own.dot_general(seen, &[], &[(1, 3)]);
        let sum = sum + bias.reshape([units, 1, 1, 1]);
        let [batch, rows, columns] = [shape[0], shape[1], shape[2]];
        sum.gelu()
            .reshape([k, self.level_width, batch, rows, columns])
    }

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

    /// One where a coordinate's group is before another's, `[K, K]`.
    fn earlier<'g>(&self, graph: &'g Graph) -> Tensor<'g> {
        let k = self.coordinates;
        let groups = self.groups();
        let row = |group: Range<usize>| {
            let row = (0..k).map(move |other| f32::from(other < group.start));
            row.collect::<Vec<_>>().repeat(group.len())
        };
        let seen: Vec<f32> = groups.into_iter().flat_map(row).collect();
        graph.constant_f32(&seen, [k, k])
    }

    /// The part of the means that is linear in raw levels, `[K, B, R, C]`.
    fn linear_mean<'g>(
        &self,
        scope: &Scope<'g>,
        known: Tensor<'g>,
        side: Option<Side<'g>>,
    ) -> Tensor<'g> {
        let (k, first) = (self.coordinates, self.coordinates.min(LINEAR));
        let graph = scope.graph();
        let mean = scope / "mean";
        let zero = Init::Constant(0.0);
        let own = mean.parameter("own", [k, k], zero) * self.earlier(graph);
        let mut sum = own.dot_general(known, &[], &[(1, 3)]);
        let firsts = known.slice(-1, 0..first);
        let mut inputs: Vec<Tensor<'g>> = NEIGHBOURS.map(|place| shifted(firsts, place)).to_vec();
        inputs.extend(side.map(|side| side.raw));
        let inputs = graph.concat(&inputs, -1);
        let weight = mean.parameter("first", [k, inputs.shape()[3]], zero);
        sum = sum + weight.dot_general(inputs, &[], &[(1, 3)]);
        let alike = mean.parameter("alike", [NEIGHBOURS.len(), k], zero);
        let known = known.transpose(&[3, 0, 1, 2]);
        for (i, &(down, right)) in NEIGHBOURS.iter().enumerate() {
            let weight = alike.slice(0, i..i + 1).reshape([k, 1, 1, 1]);
            sum = sum + shift_axes(known, (2, 3), (down, right)) * weight;
        }
        sum
    }
}

/// What a context model sees of a coarse picture `[B, R, C, channels]` around each patch: the
/// differences of its eight neighbours, where those outside are as the nearest inside, and itself.
pub fn surroundings(coarse: Tensor<'_>) -> Side<'_> {
    let graph = coarse.graph();
    let mut padded = coarse;
    for axis in [1, 2] {
        let extent = padded.shape()[axis as usize];
        let ends = [
            padded.slice(axis, 0..1),
            padded,
            padded.slice(axis, extent - 1..extent),
        ];
        padded = graph.concat(&ends, axis);
    }
    let shape = coarse.shape();
    let around = (0..9).filter(|&place| place != 4).map(|place| {
        let (row, column) = (place / 3, place % 3);
        let there = padded.slice(1, row..row + shape[1]);
        there.slice(2, column..column + shape[2]) - coarse
    });
    let around: Vec<Tensor<'_>> = around.collect();
    let raw = graph.concat(&around, -1);
    Side {
        features: graph.concat(&[compressed(raw), compressed(coarse)], -1),
        raw,
    }
}

/// What the model of one part sees of another's levels, `[B, R, C, coordinates]`.
pub fn of_levels(levels: Tensor<'_>) -> Side<'_> {
    let first = levels.shape()[3].min(LINEAR);
    Side {
        features: seen(levels),
        raw: levels.slice(-1, 0..first),
    }
}

/// What networks see of levels, `[.., SEEN * coordinates]`.
fn seen(levels: Tensor<'_>) -> Tensor<'_> {
    let size = (levels.abs() + 1.0).log();
    levels.graph().concat(&[compressed(levels), size], -1)
}

/// `sign(x) log(1 + |x|)`.
pub(super) fn compressed(x: Tensor<'_>) -> Tensor<'_> {
    x.sign() * (x.abs() + 1.0).log()
}

/// The features that stand `(down, right)` of each patch of `[B, R, C, F]`, zeros outside.
fn shifted<'g>(x: Tensor<'g>, place: (isize, isize)) -> Tensor<'g> {
    shift_axes(x, (1, 2), place)
}

fn shift_axes<'g>(
    x: Tensor<'g>,
    axes: (usize, usize),
    (down, right): (isize, isize),
) -> Tensor<'g> {
    let mut moved = x;
    for (axis, by) in [(axes.0, down), (axes.1, right)] {
        let (extent, far) = (x.shape()[axis], by.unsigned_abs());
        let along = axis as isize;
        // A grid may be smaller than the way to its neighbours.
        moved = match by < 0 {
            true => moved.pad(along, far, 0, 0.0).slice(along, 0..extent),
            false => moved
                .pad(along, 0, far, 0.0)
                .slice(along, far..extent + far),
        };
    }
    moved
}

/// One where a neighbour is inside the picture, `[1, R, C, 6]`.
fn inside(graph: &Graph, rows: usize, columns: usize) -> Tensor<'_> {
    let is_inside = |row: usize, column: usize, (down, right): (isize, isize)| {
        let row = row.checked_add_signed(down).is_some_and(|row| row < rows);
        row && column
            .checked_add_signed(right)
            .is_some_and(|column| column < columns)
    };
    let mut flags = Vec::with_capacity(rows * columns * NEIGHBOURS.len());
    for row in 0..rows {
        for column in 0..columns {
            flags.extend(NEIGHBOURS.map(|place| f32::from(is_inside(row, column, place))));
        }
    }
    graph.constant_f32(&flags, [1, rows, columns, NEIGHBOURS.len()])
}
