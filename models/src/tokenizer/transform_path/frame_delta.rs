//! Patches of a clip as signs of what the frame before lacks of them: delta modulation.
//!
//! A clip's first frame is a picture. In later ones a patch is coded in one of two ways, and one bit of its
//! token says which; the encoder takes the one that comes closer to its first `n = embed_dim - 1`
//! coordinates `c`:
//!
//! ```text
//! own        c as in a picture, without the last coordinate, whose bit says the way
//! predicted  x + d step sign(c - x)          x: the same patch of the frame before, as decoded
//! ```
//!
//! A step's factor `d` is a patch's activity where the frame before had it on its own, the mean size of its
//! coordinates in spreads. It grows where a sign is that of the frame before, and shrinks where it is not
//! (adaptive steps of Jayant 1973). So what stands still becomes finer from frame to frame, at the same rate.

use super::super::vit::FrameStep;
use super::{Coordinates, TransformPath, sign, towards_one};
use bsq_ir::tensor::{Init, Keep};
use bsq_ir::{Scope, Tensor};
use std::ops::Range;

const GROWTH: f64 = 1.3;
const DECAY: f64 = 0.77;
const FACTORS: [f64; 2] = [0.05, 4.0];
/// Makes the factor of a usual patch 1.
const ACTIVITY: f64 = 4.0;
/// Logarithm of steps before training: what predicted patches of real clips were away from.
const LOG_STEP: f32 = -2.1;

/// What a frame leaves for the next one, of each patch's first coordinates: `[B, N, n]` each.
#[derive(Clone, Copy)]
struct Left<'g> {
    /// Coordinates without their means.
    values: Tensor<'g>,
    factors: Tensor<'g>,
    /// -1 or 1 of a predicted patch, else 0.
    signs: Tensor<'g>,
}

/// What the tokens of frames say, `[B, frames N, ..]` each.
#[derive(Clone, Copy)]
pub(in super::super) struct DecodedFrames<'g> {
    /// First coordinates without their means, `n`.
    pub values: Tensor<'g>,
    /// Companded values of those that pictures have, `m`.
    pub companded: Tensor<'g>,
    /// Which patches are predicted, `bool`, 1.
    pub predicted: Tensor<'g>,
    /// The frame before's values and the steps' factors of predicted patches, for the decoder's
    /// transformer, `2 n + 1`.
    pub beside: Tensor<'g>,
}

/// The linear path of clips.
pub(in super::super) struct FrameDelta<'a, 'g> {
    path: &'a TransformPath,
    scope: Scope<'g>,
    frames: usize,
}

impl TransformPath {
    /// That of clips of so many frames, or of a frame by itself; parameter `log_delta_step [n]` of `scope`.
    /// Nothing if patches are not predicted.
    pub(in super::super) fn frame_delta<'g>(
        &self,
        scope: &Scope<'g>,
        frames: usize,
    ) -> Option<FrameDelta<'_, 'g>> {
        self.config.frame_delta.then(|| FrameDelta {
            path: self,
            scope: scope.sharing(),
            frames,
        })
    }
}

impl<'g> FrameDelta<'_, 'g> {
    /// The features whose signs are tokens, `[B, frames N, embed_dim]`, of coordinates and of the companded
    /// values that they have as pictures.
    #[track_caller]
    pub(in super::super) fn folds(
        &self,
        coordinates: Coordinates<'g>,
        companded: Tensor<'g>,
        step: Option<&mut FrameStep<'g>>,
    ) -> Tensor<'g> {
        let n = self.path.predicted_coordinates();
        let target = coordinates.scaled.slice(-1, 0..n) * self.spread(n);
        let parts = [target, self.path.fold(companded)];
        let [folds] = self.each_frame(parts, step, |[target, folds], before| {
            let middles = self.path.unfold(sign(folds));
            let Some(before) = before else {
                return (self.first(middles), [folds]);
            };
            let lacks = target - before.values;
            let error = |x: Tensor<'g>| (x - target).square().sum(Keep(-1));
            let delta = self.predicted(before, sign(lacks)).values;
            let is_predicted = error(delta).lt(error(self.own(middles).values));
            let chosen = lacks.where_(is_predicted, self.without_flag(folds));
            let folds = self.with_flag(chosen, is_predicted);
            (self.next(sign(folds), middles, before), [folds])
        });
        folds
    }

    /// What signs (-1 or 1, `[B, frames N, embed_dim]`) say; `middles` are those of the cells that they
    /// stand for in pictures, `[B, frames N, m]`.
    #[track_caller]
    pub(in super::super) fn decode(
        &self,
        signs: Tensor<'g>,
        middles: Tensor<'g>,
        step: Option<&mut FrameStep<'g>>,
    ) -> DecodedFrames<'g> {
        let flag = |signs: Tensor<'g>| signs.slice(-1, self.flag_place());
        let parts = [signs, middles];
        let [values, middles, factors, before, predicted] =
            self.each_frame(parts, step, |[signs, middles], before| {
                let Some(before) = before else {
                    let left = self.first(middles);
                    let none = [left.values, flag(signs)].map(|x| x.full_like(0.0));
                    return (left, [left.values, middles, none[0], none[0], none[1]]);
                };
                let left = self.next(signs, middles, before);
                let predicted = flag(signs).maximum(0.0);
                let factors = left.factors * predicted;
                let middles = self.without_last(middles);
                (
                    left,
                    [left.values, middles, factors, before.values, predicted],
                )
            });
        let m = middles.shape()[2];
        let v = values.slice(-1, 0..m) / self.spread(m);
        let y = self.path.bounded(&self.scope, v);
        let known = before / self.spread(before.shape()[2]);
        let known = towards_one(known.abs()) * sign(known);
        let beside = [known, factors, predicted];
        DecodedFrames {
            values,
            companded: y.where_(predicted.gt(0.0), middles),
            predicted: predicted.gt(0.0),
            beside: values.graph().concat(&beside, -1),
        }
    }

    /// Frame after frame: `f` makes of a frame's parts `[B, N, ..]` and of what the one before has left what it
    /// leaves, and results. A frame by itself has that in its step's memory.
    fn each_frame<const P: usize, const R: usize>(
        &self,
        parts: [Tensor<'g>; P],
        step: Option<&mut FrameStep<'g>>,
        f: impl Fn([Tensor<'g>; P], Option<Left<'g>>) -> (Left<'g>, [Tensor<'g>; R]),
    ) -> [Tensor<'g>; R] {
        let shape = parts[0].shape();
        if let Some(step) = step {
            let memory = [shape[0], shape[1], self.path.predicted_coordinates()];
            let old = ["values", "factors", "signs"].map(|name| step.memory(name, memory));
            let [values, factors, signs] = old;
            let later = f(
                parts,
                Some(Left {
                    values,
                    factors,
                    signs,
                }),
            );
            let first = f(parts, None);
            let chosen =
                |first: Tensor<'g>, later: Tensor<'g>| first.where_(step.is_first(), later);
            let left = first.0.tensors().into_iter().zip(later.0.tensors());
            let left: Vec<_> = left.map(|(first, later)| chosen(first, later)).collect();
            let results = std::array::from_fn(|i| chosen(first.1[i], later.1[i]));
            step.updates.extend(old.into_iter().zip(left));
            return results;
        }
        let each = shape[1] / self.frames;
        let (mut left, mut by_frame) = (None, Vec::with_capacity(self.frames));
        for frame in 0..self.frames {
            let own = parts.map(|part| part.slice(1, frame * each..(frame + 1) * each));
            let (next, results) = f(own, left);
            left = Some(next);
            by_frame.push(results);
        }
        std::array::from_fn(|i| {
            let results: Vec<_> = by_frame.iter().map(|results| results[i]).collect();
            self.scope.graph().concat(&results, 1)
        })
    }

    /// A picture's patches.
    fn first(&self, middles: Tensor<'g>) -> Left<'g> {
        let kept = self.path.expand(&self.scope, middles);
        let (n, m) = (self.path.predicted_coordinates(), kept.shape()[2]);
        let values = kept.pad(-1, 0, n - m, 0.0);
        // Without the mean colour, and without the coordinate that has no bit in later frames.
        let v = (kept / self.spread(m)).slice(-1, 1..m - 1).abs();
        let activity = (v.mean(Keep(-1)) * ACTIVITY).clamp(FACTORS[0], FACTORS[1]);
        Left {
            values,
            factors: activity.broadcast_to(values.shape()),
            signs: values.full_like(0.0),
        }
    }

    /// Patches of their own of a later frame.
    fn own(&self, middles: Tensor<'g>) -> Left<'g> {
        self.first(self.without_last(middles))
    }

    /// Predicted patches, of signs `[B, N, n]`.
    fn predicted(&self, before: Left<'g>, signs: Tensor<'g>) -> Left<'g> {
        let n = self.path.predicted_coordinates();
        let start = Init::Constant(LOG_STEP);
        let step = self.scope.parameter("log_delta_step", [n], start).exp();
        let agrees = signs * before.signs;
        let change = agrees.full_like(GROWTH).where_(agrees.gt(0.0), 1.0);
        let change = change.full_like(DECAY).where_(agrees.lt(0.0), change);
        let factors = before.factors;
        Left {
            values: before.values + signs * step * factors,
            factors: (factors * change).clamp(FACTORS[0], FACTORS[1]),
            signs,
        }
    }

    fn next(&self, signs: Tensor<'g>, middles: Tensor<'g>, before: Left<'g>) -> Left<'g> {
        let is_predicted = signs.slice(-1, self.flag_place()).gt(0.0);
        let predicted = self.predicted(before, self.without_flag(signs)).tensors();
        let own = self.own(middles).tensors();
        let [values, factors, signs] =
            std::array::from_fn(|i| predicted[i].where_(is_predicted, own[i]));
        Left {
            values,
            factors,
            signs,
        }
    }

    /// The place of the bit that says a patch's way: that of the last coordinate, which has one.
    fn flag_place(&self) -> Range<usize> {
        let coordinates = self.path.config.coordinates();
        coordinates - 1..coordinates
    }

    /// Folds or signs without that bit.
    fn without_flag(&self, folds: Tensor<'g>) -> Tensor<'g> {
        let (place, all) = (self.flag_place(), folds.shape()[2]);
        let parts = [0..place.start, place.end..all].map(|range| folds.slice(-1, range));
        folds.graph().concat(&parts, -1)
    }

    /// And back.
    fn with_flag(&self, rest: Tensor<'g>, is_predicted: Tensor<'g>) -> Tensor<'g> {
        let (at, all) = (self.flag_place().start, rest.shape()[2]);
        let flag = rest
            .slice(-1, 0..1)
            .full_like(1.0)
            .where_(is_predicted, -1.0);
        let [first, last] = [0..at, at..all].map(|range| rest.slice(-1, range));
        rest.graph().concat(&[first, flag, last], -1)
    }

    /// Companded values whose last coordinate has no bit: it is at its mean.
    fn without_last(&self, middles: Tensor<'g>) -> Tensor<'g> {
        middles
            .slice(-1, 0..self.flag_place().start)
            .pad(-1, 0, 1, 0.0)
    }

    /// The first `n` coordinates' spreads.
    fn spread(&self, n: usize) -> Tensor<'g> {
        self.path.log_spread(&self.scope).slice(-1, 0..n).exp()
    }
}

impl<'g> Left<'g> {
    fn tensors(self) -> [Tensor<'g>; 3] {
        [self.values, self.factors, self.signs]
    }
}

#[cfg(test)]
mod tests;
