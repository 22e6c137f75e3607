//! A row for each op: where samples lie in its result, or why they cannot be told apart there.

use super::BatchAxis;
use super::rows::Rows;
use super::taken::length_of_rows;
use crate::graph::Node;
use crate::op::{DotAxes, Op, Padding};
use crate::shape::Shape;

/// An op and where samples lie in its operands, in one of them at least.
struct Site<'s, 'f> {
    node: &'s Node,
    operands: &'s [Option<BatchAxis>],
    rows: &'s mut Rows<'f>,
}

/// Where samples lie in the result of an op. At least one operand has samples.
pub(super) fn rule(
    node: &Node,
    operands: &[Option<BatchAxis>],
    samples: usize,
    rows: &mut Rows<'_>,
) -> Result<BatchAxis, String> {
    let mut site = Site {
        node,
        operands,
        rows,
    };
    // Of ops whose other operands are scalars.
    let first = || operands[0].ok_or_else(|| "samples are no scalar".to_string());
    match &node.op {
        op if op.is_elementwise() => site.joined(0..operands.len()),
        Op::Reshape(shape) => reshaped(first()?, &site.shape(0), shape, samples),
        Op::Transpose(permutation) => {
            let BatchAxis { axis, each } = first()?;
            let axis = permutation.iter().position(|&of| of == axis);
            let axis = axis.ok_or("not a permutation")?;
            Ok(BatchAxis { axis, each })
        }
        Op::Broadcast { axes, .. } => {
            let BatchAxis { axis, each } = first()?;
            let axis = axes[axis];
            Ok(BatchAxis { axis, each })
        }
        Op::Slice {
            start,
            stop,
            stride,
        } => {
            let at = first()?;
            let extent = site.shape(0)[at.axis];
            let whole = (start[at.axis], stop[at.axis], stride[at.axis]) == (0, extent, 1);
            kept(at, whole, "takes a part of the samples")
        }
        Op::Pad(padding) => {
            let at = first()?;
            let none = padding[at.axis] == Padding::default();
            kept(at, none, "puts other samples beside those that are given")
        }
        Op::Concat { axis } => {
            let at = site.joined(0..operands.len())?;
            kept(at, at.axis != *axis, "joins samples of several operands")
        }
        Op::Flip(axes) => {
            let at = first()?;
            kept(at, !axes.contains(&at.axis), "reverses the samples")
        }
        Op::Window { axis, .. } => {
            let at = first()?;
            kept(at, at.axis != *axis, MIXES)?;
            Ok(at.at(at.axis + usize::from(at.axis > *axis)))
        }
        Op::WindowSum { axis, .. } => {
            let at = first()?;
            kept(at, at.axis != *axis && at.axis != *axis + 1, MIXES)?;
            Ok(at.at(at.axis - usize::from(at.axis > *axis)))
        }
        Op::Sum(axes) | Op::ReduceMax(axes) => reduced(first()?, axes),
        Op::ArgMax(axis) => reduced(first()?, &[*axis]),
        Op::DotGeneral(axes) => site.contracted(axes),
        Op::Gather { axis } => site.gathered(*axis),
        Op::ScatterAdd { axis } => site.scattered(*axis),
        Op::DynamicSlice { axis, .. } => {
            let at = first()?;
            kept(at, at.axis != *axis, "takes a part of the samples")
        }
        Op::DynamicUpdateSlice { axis } => {
            let at = site.joined(0..2)?;
            kept(at, at.axis != *axis, "replaces some of the samples")
        }
        // Leaves have no operands, elementwise ops are above, fused ones were expanded.
        op => Err(format!("{} of samples", op.name())),
    }
}

const MIXES: &str = "adds up or compares samples of the batch";

impl BatchAxis {
    fn at(self, axis: usize) -> BatchAxis {
        BatchAxis { axis, ..self }
    }
}

fn kept(at: BatchAxis, kept: bool, otherwise: &str) -> Result<BatchAxis, String> {
    match kept {
        true => Ok(at),
        false => Err(format!("{otherwise} (axis {})", at.axis)),
    }
}

fn reduced(at: BatchAxis, axes: &[usize]) -> Result<BatchAxis, String> {
    kept(at, !axes.contains(&at.axis), MIXES)?;
    let gone = axes.iter().filter(|&&axis| axis < at.axis).count();
    Ok(at.at(at.axis - gone))
}

/// A sample's elements lie together in row-major order, behind each element of the axes before.
/// An axis of the result has the samples if they lie so there too.
fn reshaped(at: BatchAxis, from: &Shape, to: &Shape, samples: usize) -> Result<BatchAxis, String> {
    let behind = |shape: &Shape, axis: usize| shape[axis + 1..].iter().product::<usize>();
    let size = at.each * behind(from, at.axis);
    let found = (0..to.rank()).find_map(|axis| {
        let behind = behind(to, axis);
        let fits =
            behind > 0 && size.is_multiple_of(behind) && to[axis] == samples * (size / behind);
        fits.then(|| BatchAxis {
            axis,
            each: size / behind,
        })
    });
    found.filter(|found| found.each > 0).ok_or_else(|| {
        let axis = at.axis;
        format!("no axis of {to} has the samples of axis {axis} one after the other")
    })
}

impl Site<'_, '_> {
    fn shape(&self, operand: usize) -> Shape {
        let id = self.node.operands[operand];
        self.rows.function().node(id).shape().clone()
    }

    /// Operands of one shape, element by element: all have samples at one place, or the same rows
    /// in every batch.
    fn joined(&mut self, which: std::ops::Range<usize>) -> Result<BatchAxis, String> {
        let places = self.operands[which.clone()].iter().flatten();
        let at = *places.clone().next().ok_or("samples are no scalar")?;
        if let Some(other) = places.copied().find(|&other| other != at) {
            let (one, two) = (at.axis, other.axis);
            return Err(format!("samples lie along axis {one} and along axis {two}"));
        }
        for operand in which {
            self.at_place(operand, at.axis)?;
        }
        Ok(at)
    }

    /// That an operand has samples or rows that are the same in every batch.
    fn at_place(&mut self, operand: usize, axis: usize) -> Result<(), String> {
        match self.operands[operand] {
            Some(_) => Ok(()),
            None => self.rows.check(self.node.operands[operand], axis),
        }
    }

    fn contracted(&mut self, axes: &DotAxes) -> Result<BatchAxis, String> {
        let sides = [0, 1].map(|side| self.operands[side]);
        let side = usize::from(sides[0].is_none());
        let at = sides[side].ok_or("samples are no scalar")?;
        let own = |pair: &(usize, usize)| if side == 0 { pair.0 } else { pair.1 };
        let other = |pair: &(usize, usize)| if side == 0 { pair.1 } else { pair.0 };
        kept(
            at,
            !axes.contract.iter().any(|pair| own(pair) == at.axis),
            MIXES,
        )?;
        if let Some(position) = axes.batch.iter().position(|pair| own(pair) == at.axis) {
            let partner = other(&axes.batch[position]);
            if let Some(there) = sides[1 - side] {
                let paired = there == at.at(partner);
                kept(there, paired, "multiplies samples with other samples")?;
            }
            self.at_place(1 - side, partner)?;
            return Ok(at.at(position));
        }
        if sides[1 - side].is_some() {
            return Err("multiplies every sample with every other".to_string());
        }
        let ranks = [0, 1].map(|operand| self.shape(operand).rank());
        let free = axes.free(ranks[side], side == 0);
        let place = free.iter().position(|&axis| axis == at.axis);
        let place = place.ok_or("the axis is neither free, paired nor contracted")?;
        let before = match side {
            0 => 0,
            _ => axes.free(ranks[0], true).len(),
        };
        Ok(at.at(axes.batch.len() + before + place))
    }

    fn gathered(&self, axis: usize) -> Result<BatchAxis, String> {
        match (self.operands[0], self.operands[1]) {
            (Some(at), None) => {
                kept(at, at.axis != axis, "reads samples by number")?;
                let place = match at.axis < axis {
                    true => at.axis,
                    false => at.axis - 1 + self.shape(1).rank(),
                };
                Ok(at.at(place))
            }
            (None, Some(at)) => Ok(at.at(axis + at.axis)),
            (Some(from), Some(at)) if axis == 0 && at.axis == 0 => {
                // Rows of one axis, of which each takes elements of its own.
                let length = length_of_rows(self.rows.function(), self.node.operands[1]);
                let own = length.is_some_and(|length| from.each == at.each * length);
                kept(
                    at,
                    own && self.shape(0).rank() == 1,
                    "reads what may be another sample's",
                )
            }
            _ => Err("what a sample reads by its own index may be another's".to_string()),
        }
    }

    fn scattered(&mut self, axis: usize) -> Result<BatchAxis, String> {
        if self.operands[1].is_some() {
            return Err(format!("{MIXES}, at indices of their own"));
        }
        // Updates have the axes of the indices in place of the one that is written to.
        let more = self.shape(1).rank();
        let of_update = |at: usize| if at < axis { at } else { at - 1 + more };
        let place = match (self.operands[0], self.operands[2]) {
            (Some(at), _) => at,
            (None, Some(at)) if at.axis < axis => at,
            (None, Some(at)) if at.axis >= axis + more => at.at(at.axis + 1 - more),
            _ => return Err(MIXES.to_string()),
        };
        kept(place, place.axis != axis, MIXES)?;
        if let Some(at) = self.operands[2] {
            kept(
                at,
                at == place.at(of_update(place.axis)),
                "adds samples to other samples",
            )?;
        }
        self.at_place(0, place.axis)?;
        self.at_place(2, of_update(place.axis))?;
        Ok(place)
    }
}
