//! Where an element of a tensor comes from: index vectors pushed through movement ops.
//!
//! Reshapes are the difficult ones. An index is split into quotient and remainder where its terms
//! allow it; where a loop variable straddles the border, the caller splits that loop and starts
//! over; where neither works, the operand has to be materialized first.

use crate::kernel::{Affine, Var};
use bsq_ir::{Function, NodeId, Op, Shape};
use std::ops::Range;

/// Why an index cannot be pushed through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Split this loop: its inner part runs over `inner` values.
    Split { var: Var, inner: usize },
    /// Give this node a buffer.
    Materialize(NodeId),
}

/// The tensors that have buffers, and the extents of loop variables.
pub struct Addressing<'a> {
    pub function: &'a Function,
    /// True for nodes that are materialized.
    pub materialized: &'a [bool],
    pub extents: &'a [usize],
}

/// Where the search for an element ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An element of a materialized node, by offset.
    Materialized(NodeId, Affine),
    /// An element of a node that computes, by index vector.
    Computed(NodeId, Vec<Affine>),
}

impl Addressing<'_> {
    /// Follows element `index` of `node` through movement ops.
    pub fn locate(&self, mut node: NodeId, mut index: Vec<Affine>) -> Result<Source, Obstacle> {
        loop {
            let definition = self.function.node(node);
            if self.materialized[node.index()] {
                let offset = flatten(&index, definition.shape());
                return Ok(Source::Materialized(node, offset));
            }
            let Some(&operand) = definition.operands.first() else {
                return Ok(Source::Computed(node, index));
            };
            let from = match &self.function.node(operand).types[..] {
                [ty] => &ty.shape,
                _ => return Ok(Source::Computed(node, index)),
            };
            index = match &definition.op {
                Op::Reshape(to) => {
                    if self.materialized[operand.index()] {
                        return Ok(Source::Materialized(operand, flatten(&index, to)));
                    }
                    self.reshape(&index, to, from, operand)?
                }
                Op::Transpose(permutation) => {
                    let mut moved = vec![Affine::default(); from.rank()];
                    for (axis, &to) in permutation.iter().enumerate() {
                        moved[to] = index[axis].clone();
                    }
                    moved
                }
                Op::Broadcast { axes, .. } => {
                    axes.iter().map(|&axis| index[axis].clone()).collect()
                }
                Op::Slice { start, stride, .. } => {
                    let at = |axis: usize| {
                        index[axis]
                            .scale(stride[axis] as i64)
                            .offset(start[axis] as i64)
                    };
                    (0..from.rank()).map(at).collect()
                }
                Op::Flip(axes) => {
                    let at = |axis: usize| match axes.contains(&axis) {
                        true => index[axis].scale(-1).offset(from[axis] as i64 - 1),
                        false => index[axis].clone(),
                    };
                    (0..from.rank()).map(at).collect()
                }
                &Op::Window {
                    axis,
                    stride,
                    dilation,
                    ..
                } => {
                    let (count, element) = (&index[axis], &index[axis + 1]);
                    let at = count
                        .scale(stride as i64)
                        .add(&element.scale(dilation as i64));
                    [&index[..axis], &[at], &index[axis + 2..]].concat()
                }
                Op::StopGradient | Op::OptimizationBarrier => index,
                _ => return Ok(Source::Computed(node, index)),
            };
            node = operand;
        }
    }

    /// The index vector in `from` of the element that is at `index` in `to`.
    pub fn reshape(
        &self,
        index: &[Affine],
        to: &Shape,
        from: &Shape,
        operand: NodeId,
    ) -> Result<Vec<Affine>, Obstacle> {
        let mut result = Vec::with_capacity(from.rank());
        for (outputs, inputs) in aligned_parts(to, from) {
            let part: Shape = to[outputs.clone()].into();
            let mut rest = flatten(&index[outputs], &part);
            let mut reversed = Vec::new();
            for axis in inputs.clone().rev() {
                if axis == inputs.start {
                    reversed.push(std::mem::take(&mut rest));
                    break;
                }
                let (quotient, remainder) = self.split(&rest, from[axis], operand)?;
                reversed.push(remainder);
                rest = quotient;
            }
            result.extend(reversed.into_iter().rev());
        }
        Ok(result)
    }

    /// Quotient and remainder of an index by an extent.
    fn split(
        &self,
        index: &Affine,
        extent: usize,
        operand: NodeId,
    ) -> Result<(Affine, Affine), Obstacle> {
        let divisor = extent as i64;
        let mut quotient = Affine::constant(index.constant.div_euclid(divisor));
        let mut remainder = Affine::constant(index.constant.rem_euclid(divisor));
        for &(var, coefficient) in &index.terms {
            match coefficient % divisor {
                0 => quotient = quotient.add(&Affine::var(var).scale(coefficient / divisor)),
                _ => remainder = remainder.add(&Affine::var(var).scale(coefficient)),
            }
        }
        let (mut low, mut high) = (remainder.constant, remainder.constant);
        for &(var, coefficient) in &remainder.terms {
            let reach = coefficient * (self.extents[var.0 as usize] as i64 - 1);
            (low, high) = (low + reach.min(0), high + reach.max(0));
        }
        if 0 <= low && high < divisor {
            return Ok((quotient, remainder));
        }
        for &(var, coefficient) in &remainder.terms {
            let var_extent = self.extents[var.0 as usize];
            if coefficient > 0 && divisor % coefficient == 0 {
                let inner = (divisor / coefficient) as usize;
                if var_extent > inner && var_extent.is_multiple_of(inner) {
                    return Err(Obstacle::Split { var, inner });
                }
            }
        }
        Err(Obstacle::Materialize(operand))
    }
}

/// The row-major offset of an index vector.
pub fn flatten(index: &[Affine], shape: &Shape) -> Affine {
    let strides = shape.strides();
    let terms = index.iter().zip(strides);
    terms.fold(Affine::default(), |sum, (at, stride)| {
        sum.add(&at.scale(stride as i64))
    })
}

/// The variables of an offset that takes each value in `0..extent` once, ascending or descending in
/// each variable, outermost first; `None` for any other.
pub fn digits(at: &Affine, extent: usize, of_var: impl Fn(Var) -> usize) -> Option<Vec<Var>> {
    let mut terms = at.terms.clone();
    terms.retain(|term| of_var(term.0) > 1);
    terms.sort_by_key(|term| term.1.abs());
    let (mut step, mut lowest) = (1, at.constant);
    for &(var, coefficient) in &terms {
        if coefficient.abs() != step {
            return None;
        }
        let reach = coefficient * (of_var(var) as i64 - 1);
        lowest += reach.min(0);
        step *= of_var(var) as i64;
    }
    let whole = lowest == 0 && step as usize == extent;
    whole.then(|| terms.iter().rev().map(|term| term.0).collect())
}

/// The finest split of two shapes into consecutive parts of equal products.
fn aligned_parts(to: &Shape, from: &Shape) -> Vec<(Range<usize>, Range<usize>)> {
    let mut parts = Vec::new();
    let (mut t, mut f) = (0, 0);
    while t < to.rank() || f < from.rank() {
        let (t_start, f_start) = (t, f);
        let (mut t_product, mut f_product) = (1, 1);
        loop {
            let grow_to = t < to.rank() && (t_product < f_product || t == t_start);
            let grow_from = f < from.rank() && (f_product < t_product || f == f_start);
            match (grow_to, grow_from) {
                (true, _) => {
                    t_product *= to[t];
                    t += 1;
                }
                (false, true) => {
                    f_product *= from[f];
                    f += 1;
                }
                (false, false) => break,
            }
            if t_product == f_product && t > t_start && f > f_start {
                break;
            }
        }
        parts.push((t_start..t, f_start..f));
    }
    // A part without axes on one side has product 1: it joins its neighbour.
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_equal_products() {
        let parts = aligned_parts(&[6, 4, 5].into(), &[2, 3, 20].into());
        assert_eq!(parts, [(0..1, 0..2), (1..3, 2..3)]);
        let parts = aligned_parts(&[2, 3].into(), &[1, 2, 3].into());
        let covered: usize = parts.iter().map(|part| part.1.len()).sum();
        assert_eq!(covered, 3);
    }
}
