//! Derivative of windows. Of a contraction that reads windows it is a contraction of windows again.
//!
//! The adjoint of a window adds up, for each element, what the windows that hold it were given:
//! [`Op::WindowSum`]. Where the cotangent of windows is a contraction of a tensor `y` that has the
//! axis of positions with a weight `w` that has the axis of sizes, as it is behind every
//! convolution, the cotangent would be `sizes` times as large as the tensor, only to be added up.
//! Both sums are one contraction instead. With stride s, element i = s q + r of the axis gets
//!
//! ```text
//! sum over j of y[q - j] w[s j + r]
//! ```
//!
//! so that w, padded to whole strides, is cut into `[j, r]`, and y into windows that go backwards.
//! The remainders r become a free axis behind q, and together they are the elements in order.
//!
//! Where sizes are no multiple of s, some of the padded w is zero: of 3 x 3 elements at every second place
//! 7 of 16. There each remainder has a contraction of its own, and elements are interleaved behind them.

mod below;
mod interleave;

use super::{apply, reduction};
use crate::op::{DotAxes, Op};
use crate::tensor::Tensor;
use below::{narrowed, padded};
use interleave::{interleave, interleaved};

/// Windows that more contractions than this read are added up as they are.
const MOST_READERS: usize = 8;

/// The cotangent of `x`, of whose windows `g` is the cotangent.
pub(super) fn window<'g>(g: Tensor<'g>, x: Tensor<'g>, op: &Op) -> Tensor<'g> {
    let parts = summands(g).into_iter();
    let parts: Option<Vec<_>> = parts.map(|part| convolution(part, x, op)).collect();
    let sum = parts.and_then(|parts| parts.into_iter().reduce(|sum, part| sum + part));
    sum.unwrap_or_else(|| reduction::window_sum(g, x, op))
}

/// What a sum adds up, in order: a cotangent is the sum of what each reader contributes.
fn summands(g: Tensor<'_>) -> Vec<Tensor<'_>> {
    let graph = g.graph();
    let mut summands = vec![g];
    let mut at = 0;
    while at < summands.len() && summands.len() < MOST_READERS {
        let node = graph.node(summands[at].id());
        match (node.op, &node.operands[..]) {
            (Op::Add, &[a, b]) => {
                let both = [a, b].map(|id| Tensor::new(graph, id));
                summands.splice(at..=at, both);
            }
            _ => at += 1,
        }
    }
    summands
}

fn convolution<'g>(g: Tensor<'g>, x: Tensor<'g>, op: &Op) -> Option<Tensor<'g>> {
    let &Op::Window {
        axis,
        size,
        stride,
        dilation,
    } = op
    else {
        return None;
    };
    let strides_alone = stride == 1 || dilation == 1;
    if !strides_alone || g.shape().elements() == 0 {
        return None;
    }
    let (length, count) = (x.shape()[axis], g.shape()[axis]);
    let split = Split {
        size,
        stride,
        dilation,
        length,
        count,
    };
    adjoint(g, axis, &split)
}

/// The cotangent of the tensor of whose windows of an axis `g` is the cotangent.
fn adjoint<'g>(g: Tensor<'g>, axis: usize, split: &Split) -> Option<Tensor<'g>> {
    if let Some((parts, own, length)) = interleaved(g) {
        // Of another axis's windows: what is done to this one is done to each part.
        if own == axis || own == axis + 1 {
            return None;
        }
        let parts = parts.into_iter().map(|part| adjoint(part, axis, split));
        let parts: Option<Vec<_>> = parts.collect();
        return Some(interleave(&parts?, own - usize::from(own > axis), length));
    }
    let moved = Moved::read(g)?;
    let (positions, sizes) = (moved.inner_axis(axis)?, moved.inner_axis(axis + 1)?);
    let is_whole = split.size.is_multiple_of(split.stride) || split.size < split.stride;
    if is_whole {
        let dot = moved.dot.contract(positions, sizes, split, None)?;
        return Some(moved.around(dot, axis, split.length));
    }
    let parts = (0..split.stride).map(|rest| {
        let dot = moved.dot.contract(positions, sizes, split, Some(rest))?;
        Some(moved.around(dot, axis, split.strides()))
    });
    let parts: Option<Vec<_>> = parts.collect();
    Some(interleave(&parts?, axis, split.length))
}

/// A contraction, and where its result's axes are found.
struct Dot<'g> {
    operands: [Tensor<'g>; 2],
    axes: DotAxes,
}

/// How one axis is cut into windows.
struct Split {
    size: usize,
    stride: usize,
    dilation: usize,
    length: usize,
    count: usize,
}

impl Split {
    /// Elements of a window that are whole strides apart.
    fn taps(&self) -> usize {
        self.size.div_ceil(self.stride)
    }

    /// Whole strides of the axis, the last of which may be short.
    fn strides(&self) -> usize {
        self.length.div_ceil(self.stride)
    }
}

impl<'g> Dot<'g> {
    /// Which operand's free axis an axis of the result is.
    fn source(&self, result: usize) -> Option<(usize, usize)> {
        let free = [true, false].map(|lhs| {
            let rank = self.operands[usize::from(!lhs)].rank();
            self.axes.free(rank, lhs)
        });
        let after_batch = result.checked_sub(self.axes.batch.len())?;
        match after_batch.checked_sub(free[0].len()) {
            None => Some((0, free[0][after_batch])),
            Some(second) => Some((1, free[1][second])),
        }
    }

    /// With the axes `positions` and `sizes` of the result contracted away; instead it has an axis
    /// of whole strides where `positions` was, and one of what is left of a stride where `sizes` was, or
    /// of a `rest` alone.
    fn contract(
        &self,
        positions: usize,
        sizes: usize,
        split: &Split,
        rest: Option<usize>,
    ) -> Option<Tensor<'g>> {
        let ((own, place), (other, tap)) = (self.source(positions)?, self.source(sizes)?);
        if own == other {
            return None;
        }
        let (y, w) = (self.operands[own], self.operands[other]);
        let (taps, rests) = match rest {
            None => (split.taps(), split.stride),
            Some(rest) => ((split.size - rest).div_ceil(split.stride), 1),
        };
        let reach = split.dilation * (taps - 1);
        let signed = |axis: usize| axis as isize;
        let after = split.strides() - split.count;
        let mut y = padded(y, place, [reach, after]);
        let mut w = match rest {
            None => {
                let whole = split.taps() * split.stride;
                w.pad(signed(tap), 0, whole - split.size, 0.0)
            }
            Some(rest) => w.every(signed(tap), rest, split.stride, taps),
        };
        // One tap of a rest needs no windows.
        let has_taps = rest.is_none() || taps > 1;
        if has_taps {
            y = y.window(signed(place), taps, 1, split.dilation);
            let mut shape = w.shape().to_vec();
            shape[tap] = rests;
            shape.insert(tap, taps);
            w = w.reshape(shape).flip(signed(tap));
        }
        // y: positions at `place`, taps behind. w: taps at `tap`, what is left of a stride behind.
        let in_y = |axis: usize| axis + usize::from(has_taps && axis > place);
        let in_w = |axis: usize| axis + usize::from(has_taps && axis >= tap);
        let pair = |&(l, r): &(usize, usize)| match own {
            0 => (in_y(l), in_w(r)),
            _ => (in_w(l), in_y(r)),
        };
        let batch: Vec<_> = self.axes.batch.iter().map(pair).collect();
        let mut contract: Vec<_> = self.axes.contract.iter().map(pair).collect();
        if has_taps {
            contract.push(match own {
                0 => (place + 1, tap),
                _ => (tap, place + 1),
            });
        }
        Some(match own {
            0 => y.dot_general(w, &batch, &contract),
            _ => w.dot_general(y, &batch, &contract),
        })
    }
}

/// Elements `start..stop` of a cotangent, one after the other along each axis, where it is a contraction
/// of windows: of those, only the ones that are asked for. The cotangent of what padding added is not
/// computed so.
pub(super) fn part<'g>(g: Tensor<'g>, start: &[usize], stop: &[usize]) -> Option<Tensor<'g>> {
    let mut moved = Moved::read(g)?;
    let whole = g.shape();
    let mut is_narrower = false;
    for axis in 0..whole.len() {
        let (from, to) = (start[axis], stop[axis]);
        if from >= to || moved.slice[2][axis] != 1 {
            return None;
        }
        let begin = moved.slice[0][axis];
        (moved.slice[0][axis], moved.slice[1][axis]) = (begin + from, begin + to);
        if to - from < whole[axis] {
            is_narrower |= moved.narrow(axis);
        }
    }
    is_narrower.then(|| moved.again())
}

/// `slice(reshape(transpose(dot)))`, each of them possibly absent, where the reshape joins
/// neighbouring axes.
struct Moved<'g> {
    dot: Dot<'g>,
    /// Axis i of the transposed is axis `permutation[i]` of the contraction.
    permutation: Vec<usize>,
    /// How many axes of the transposed make each axis of the result.
    joined: Vec<usize>,
    /// Start, stop and stride of each axis.
    slice: [Vec<usize>; 3],
}

impl<'g> Moved<'g> {
    fn read(g: Tensor<'g>) -> Option<Moved<'g>> {
        let graph = g.graph();
        let operand = |x: Tensor<'g>| {
            let node = graph.node(x.id());
            let of = node.operands.first().map(|&id| Tensor::new(graph, id));
            (node.op, of)
        };
        let mut at = g;
        let mut slice = [vec![0; g.rank()], g.shape().to_vec(), vec![1; g.rank()]];
        if let (
            Op::Slice {
                start,
                stop,
                stride,
            },
            Some(x),
        ) = operand(at)
        {
            slice = [start, stop, stride];
            at = x;
        }
        let mut joined = vec![1; at.rank()];
        if let (Op::Reshape(outer), Some(x)) = operand(at) {
            joined = joins(&x.shape(), &outer)?;
            at = x;
        }
        let mut permutation: Vec<usize> = (0..at.rank()).collect();
        while let (Op::Transpose(order), Some(x)) = operand(at) {
            permutation.iter_mut().for_each(|axis| *axis = order[*axis]);
            at = x;
        }
        let node = graph.node(at.id());
        let Op::DotGeneral(axes) = node.op else {
            return None;
        };
        let operands = [0, 1].map(|position| Tensor::new(graph, node.operands[position]));
        Some(Moved {
            dot: Dot { operands, axes },
            permutation,
            joined,
            slice,
        })
    }

    /// The first axis of the transposed that belongs to an axis of the result.
    fn start(&self, axis: usize) -> usize {
        self.joined[..axis].iter().sum()
    }

    /// The axis of the contraction that an axis of the result is, where it is one and whole.
    fn inner_axis(&self, axis: usize) -> Option<usize> {
        let inner = self.permutation[self.start(axis)];
        let of_dot = |operand: usize, axis: usize| self.dot.operands[operand].shape()[axis];
        let (operand, own) = self.dot.source(inner)?;
        let slice = [0, 1, 2].map(|part| self.slice[part][axis]);
        let is_whole = slice == [0, of_dot(operand, own), 1];
        (self.joined[axis] == 1 && is_whole).then_some(inner)
    }

    /// Lets the contraction have no more of an axis than the slice takes, if the axis is one of positions;
    /// whether it did.
    fn narrow(&mut self, axis: usize) -> bool {
        let first = self.start(axis);
        let shape = |moved: &Self, (operand, own): (usize, usize)| -> usize {
            moved.dot.operands[operand].shape()[own]
        };
        let inner = self.permutation[first];
        let Some((operand, own)) = self.dot.source(inner) else {
            return false;
        };
        let rest = self.permutation[first + 1..first + self.joined[axis]].iter();
        let rest: Option<usize> = rest
            .map(|&inner| Some(shape(self, self.dot.source(inner)?)))
            .product();
        let x = self.dot.operands[operand];
        let (Some(rest), true) = (rest, is_windows(x)) else {
            return false;
        };
        let [start, stop, _] = &mut self.slice;
        let (from, to) = (start[axis] / rest, stop[axis].div_ceil(rest));
        if (from, to) == (0, x.shape()[own]) {
            return false;
        }
        start[axis] -= from * rest;
        stop[axis] -= from * rest;
        self.dot.operands[operand] = narrowed(x, own, from, to);
        true
    }

    /// The contraction of the operands that there are now, moved as it was.
    fn again(&self) -> Tensor<'g> {
        let [lhs, rhs] = self.dot.operands;
        let dot = lhs.dot_general(rhs, &self.dot.axes.batch, &self.dot.axes.contract);
        self.sliced(dot.transpose(&self.permutation), &self.joined, &self.slice)
    }

    /// `dot` moved as the contraction was; `axis` and the one behind it have become one of `length`.
    fn around(&self, dot: Tensor<'g>, axis: usize, length: usize) -> Tensor<'g> {
        // Free axes stay where they were: the new one of a stride's rest is where sizes were.
        let y = dot.transpose(&self.permutation);
        let mut joined = self.joined.clone();
        joined.remove(axis + 1);
        joined[axis] = 2;
        let mut slice = self.slice.clone();
        for part in &mut slice {
            part.remove(axis + 1);
        }
        slice[1][axis] = length;
        self.sliced(y, &joined, &slice)
    }

    /// What was transposed, with its axes joined, and a slice of it.
    fn sliced(&self, y: Tensor<'g>, joined: &[usize], slice: &[Vec<usize>; 3]) -> Tensor<'g> {
        let extents = y.shape();
        let mut first = 0;
        let mut shape = Vec::with_capacity(joined.len());
        for &count in joined {
            shape.push(extents[first..first + count].iter().product::<usize>());
            first += count;
        }
        let y = y.reshape(shape);
        let [start, stop, stride] = slice.clone();
        let shape = y.shape();
        match stop[..] == shape[..]
            && start.iter().all(|&start| start == 0)
            && stride.iter().all(|&stride| stride == 1)
        {
            true => y,
            false => apply(
                Op::Slice {
                    start,
                    stop,
                    stride,
                },
                &[y],
            ),
        }
    }
}

/// Whether a tensor is windows of another.
fn is_windows(x: Tensor<'_>) -> bool {
    matches!(x.graph().node(x.id()).op, Op::Window { .. })
}

/// How many neighbouring axes of `inner` make each axis of `outer`.
fn joins(inner: &[usize], outer: &[usize]) -> Option<Vec<usize>> {
    let mut at = 0;
    let mut joins = Vec::with_capacity(outer.len());
    for (axis, &extent) in outer.iter().enumerate() {
        let start = at;
        let mut product = *inner.get(at)?;
        at += 1;
        while product < extent {
            product *= inner.get(at)?;
            at += 1;
        }
        if product != extent {
            return None;
        }
        // An axis of extent 1 may belong to either side: here, unless another needs it.
        while inner.get(at) == Some(&1) && inner.len() - at >= outer.len() - axis {
            at += 1;
        }
        joins.push(at - start);
    }
    (at == inner.len()).then_some(joins)
}
