//! Ops that write parts of their result, each part in separate loops.

use super::access::{Obstacle, flatten};
use super::builder::{KernelBuilder, Shared};
use super::loop_nest::root_axes;
use super::{Attempt, Lowered, loops};
use crate::kernel::{
    Affine, Combine, Element, Extent, Kernel, Place, Reduce, Reduction, Stmt, Value, Var,
};
use crate::schedule::Group;
use bsq_ir::{DType, Function, NodeId, Op, Padding, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// `in_place` are values that may take the place of the parameters that they update.
pub(super) fn lower(
    mut builder: KernelBuilder,
    function: &Function,
    group: &Group,
    in_place: &BTreeMap<NodeId, NodeId>,
) -> Attempt {
    let anchor = group.anchor.expect("a group with an anchor");
    let parameter = in_place.get(&anchor).copied();
    let kept = parameter.filter(|&parameter| is_a_part(&builder, function, anchor, parameter));
    match emit(&mut builder, function, anchor, kept) {
        Ok(lowered) => Ok(vec![lowered]),
        Err(obstacle) => Err((obstacle, builder.axes)),
    }
}

/// Whether a value is the parameter that it updates but for a slice, which the new elements do
/// not depend on: a key/value cache, of which a step must not touch more than it adds.
fn is_a_part(b: &KernelBuilder, function: &Function, id: NodeId, parameter: NodeId) -> bool {
    let node = function.node(id);
    if !matches!(node.op, Op::DynamicUpdateSlice { .. }) {
        return false;
    }
    let mut whole = node.operands[0];
    while !b.materialized()[whole.index()] && function.node(whole).op.is_identity() {
        whole = function.node(whole).operands[0];
    }
    let (mut pending, mut visited) = (node.operands[1..].to_vec(), BTreeSet::new());
    while let Some(id) = pending.pop() {
        if id == parameter {
            return false;
        }
        if !b.materialized()[id.index()] && visited.insert(id) {
            pending.extend(&function.node(id).operands);
        }
    }
    whole == parameter
}

/// With `kept`, elements that stay as they are are in their place already: that parameter's.
fn emit(
    b: &mut KernelBuilder,
    function: &Function,
    id: NodeId,
    kept: Option<NodeId>,
) -> Result<Lowered, Obstacle> {
    let node = function.node(id);
    let to = b.node_buffer(id, true);
    let shape = node.shape();
    let operand = |index: usize| node.operands[index];
    let mut writer = Writer {
        function,
        to,
        shape,
        grid: Vec::new(),
        shared: Vec::new(),
    };
    let leading = match &node.op {
        Op::Pad(padding) => padding
            .iter()
            .take_while(|pad| **pad == Padding::default())
            .count(),
        Op::Concat { axis }
        | Op::ScatterAdd { axis }
        | Op::WindowSum { axis, .. }
        | Op::DynamicUpdateSlice { axis } => *axis,
        _ => 0,
    };
    writer.share(b, leading);
    match &node.op {
        Op::Pad(padding) => writer.pad(b, operand(0), operand(1), padding)?,
        Op::Concat { axis } => {
            let mut start = 0;
            for &part in &node.operands {
                writer.copy(b, part, *axis, &Affine::constant(start), None)?;
                start += function.node(part).shape()[*axis] as i64;
            }
        }
        Op::DynamicUpdateSlice { axis } => {
            if kept.is_none() {
                writer.copy(b, operand(0), leading, &Affine::default(), None)?;
            }
            let size = function.node(operand(1)).shape()[*axis];
            let start = b.value(operand(2), Vec::new())?;
            let dtype = function.node(operand(2)).dtype();
            let start = b.clamped(start, dtype, shape[*axis] - size);
            let stride = shape.strides()[*axis] as i64;
            let offset = b.scaled(start, stride);
            writer.copy(b, operand(1), *axis, &Affine::default(), Some(offset))?;
        }
        Op::ScatterAdd { axis } => {
            writer.copy(b, operand(0), leading, &Affine::default(), None)?;
            writer.scatter(b, operand(1), operand(2), *axis)?;
        }
        &Op::WindowSum {
            axis,
            stride,
            dilation,
            ..
        } => {
            writer.window_sum(b, operand(0), axis, stride as i64, dilation as i64)?;
        }
        Op::ArgMax(axis) => writer.argmax(b, operand(0), *axis)?,
        _ => return Err(Obstacle::Materialize(id)),
    }
    let grid = writer.grid;
    let body = b.close();
    let kernel = Kernel {
        buffers: std::mem::take(&mut b.buffers),
        scratch: std::mem::take(&mut b.scratch),
        grid: loops::grid(&grid, &b.axes),
        body,
    };
    let shared = std::mem::take(&mut b.shared);
    let label = super::label(function, &[id]);
    Ok(Lowered {
        kernel,
        shared,
        extras: Vec::new(),
        label,
        flops: 0,
        rest: kept.map(|parameter| Shared::Result(parameter, 0)),
    })
}

struct Writer<'f> {
    function: &'f Function,
    to: Place,
    shape: &'f Shape,
    /// Work items: leading axes on which every part has all of the result's elements.
    grid: Vec<Var>,
    /// The result's index on those axes.
    shared: Vec<Affine>,
}

impl Writer<'_> {
    /// Makes the first `count` axes the work items.
    fn share(&mut self, b: &mut KernelBuilder, count: usize) {
        let leading: Shape = self.shape[..count].into();
        (self.shared, self.grid) = root_axes(&mut b.axes, &leading);
    }

    /// An index over a tensor with the shared axes in front, and the variables of the others.
    fn axes(&self, b: &mut KernelBuilder, shape: &Shape) -> (Vec<Affine>, Vec<Var>) {
        let rest: Shape = shape[self.shared.len()..].into();
        let (inner, vars) = root_axes(&mut b.axes, &rest);
        ([&self.shared[..], &inner].concat(), vars)
    }

    /// Fills the work item's part of the result.
    fn fill(&self, b: &mut KernelBuilder, value: Value) {
        let (index, vars) = self.axes(b, self.shape);
        b.open(&vars);
        b.store(self.to, flatten(&index, self.shape), value);
        self.close_loops(b, &vars, true);
    }

    /// Wraps the innermost open body in loops over `vars`, the last one in lanes.
    fn close_loops(&self, b: &mut KernelBuilder, vars: &[Var], vector: bool) {
        let body = b.close();
        let nest = loops::nest(body, vars, &b.axes, vector);
        nest.into_iter().for_each(|stmt| b.push(stmt));
    }

    /// Writes all of `part`, moved along `axis` by `start` and by a run-time offset.
    fn copy(
        &self,
        b: &mut KernelBuilder,
        part: NodeId,
        axis: usize,
        start: &Affine,
        offset: Option<Value>,
    ) -> Result<(), Obstacle> {
        let (index, vars) = self.axes(b, self.function.node(part).shape());
        b.open(&vars);
        let value = b.value(part, index.clone())?;
        let mut moved = index;
        if let Some(at) = moved.get_mut(axis) {
            *at = at.add(start);
        }
        let at = flatten(&moved, self.shape);
        b.push(Stmt::store(
            Element {
                place: self.to,
                at,
                dynamic: offset,
            },
            value,
        ));
        self.close_loops(b, &vars, true);
        Ok(())
    }

    fn pad(
        &self,
        b: &mut KernelBuilder,
        x: NodeId,
        value: NodeId,
        padding: &[Padding],
    ) -> Result<(), Obstacle> {
        let fill = b.value(value, Vec::new())?;
        match padding.iter().all(|padding| padding.between == 0) {
            true => self.border(b, fill, padding),
            false => self.fill(b, fill),
        }
        let (index, vars) = self.axes(b, self.function.node(x).shape());
        b.open(&vars);
        let value = b.value(x, index.clone())?;
        let moved: Vec<Affine> = index
            .iter()
            .zip(padding)
            .map(|(at, padding)| {
                at.scale(padding.between as i64 + 1)
                    .offset(padding.before as i64)
            })
            .collect();
        b.store(self.to, flatten(&moved, self.shape), value);
        self.close_loops(b, &vars, true);
        Ok(())
    }

    /// Fills what lies around the middle: on each padded axis both ends, over the middle of the axes before and all
    /// of those behind it.
    fn border(&self, b: &mut KernelBuilder, value: Value, padding: &[Padding]) {
        let rest = self.shared.len()..self.shape.len();
        let mut part: Vec<(usize, usize)> = self.shape.iter().map(|&size| (0, size)).collect();
        for axis in rest {
            let Padding { before, after, .. } = padding[axis];
            let size = self.shape[axis];
            for (start, length) in [(0, before), (size - after, after)] {
                part[axis] = (start, length);
                if part.iter().all(|&(_, length)| length > 0) {
                    self.fill_part(b, value, &part);
                }
            }
            part[axis] = (before, size - before - after);
        }
    }

    /// Fills a part of the work item's part: where it starts on each axis, and how long it is there.
    fn fill_part(&self, b: &mut KernelBuilder, value: Value, part: &[(usize, usize)]) {
        let shape: Shape = part.iter().map(|&(_, length)| length).collect();
        let (index, vars) = self.axes(b, &shape);
        b.open(&vars);
        let moved: Vec<Affine> = index
            .iter()
            .zip(part)
            .map(|(at, &(start, _))| at.offset(start as i64))
            .collect();
        b.store(self.to, flatten(&moved, self.shape), value);
        self.close_loops(b, &vars, true);
    }

    /// Adds updates one by one in row-major order.
    fn scatter(
        &self,
        b: &mut KernelBuilder,
        indices: NodeId,
        updates: NodeId,
        axis: usize,
    ) -> Result<(), Obstacle> {
        let (index, vars) = self.axes(b, self.function.node(updates).shape());
        let rank = self.function.node(indices).shape().rank();
        b.open(&vars);
        let position = b.value(indices, index[axis..axis + rank].to_vec())?;
        let dtype = self.function.node(indices).dtype();
        let position = b.clamped(position, dtype, self.shape[axis] - 1);
        let offset = b.scaled(position, self.shape.strides()[axis] as i64);
        let update = b.value(updates, index.clone())?;
        let outer = [&index[..axis], &[Affine::default()], &index[axis + rank..]].concat();
        let at = flatten(&outer, self.shape);
        self.add(b, at, Some(offset), updates, update);
        self.close_loops(b, &vars, false);
        Ok(())
    }

    fn add(
        &self,
        b: &mut KernelBuilder,
        at: Affine,
        dynamic: Option<Value>,
        like: NodeId,
        update: Value,
    ) {
        let dtype = self.function.node(like).dtype();
        let element = Element {
            place: self.to,
            at,
            dynamic,
        };
        let before = b.load_here(element.clone(), dtype);
        let sum = b.fresh();
        let inst = crate::kernel::Inst::Map(Op::Add, vec![before, update]);
        b.push(Stmt::Let {
            value: sum,
            dtype,
            inst,
        });
        b.push(Stmt::store(element, sum));
    }

    fn window_sum(
        &self,
        b: &mut KernelBuilder,
        x: NodeId,
        axis: usize,
        stride: i64,
        dilation: i64,
    ) -> Result<(), Obstacle> {
        let zero = b.constant(self.function.node(x).dtype(), 0);
        self.fill(b, zero);
        let (index, vars) = self.axes(b, self.function.node(x).shape());
        b.open(&vars);
        let value = b.value(x, index.clone())?;
        let at = index[axis]
            .scale(stride)
            .add(&index[axis + 1].scale(dilation));
        let moved = [&index[..axis], &[at], &index[axis + 2..]].concat();
        self.add(b, flatten(&moved, self.shape), None, x, value);
        self.close_loops(b, &vars, false);
        Ok(())
    }

    /// The first position whose element equals the maximum, or is NaN.
    fn argmax(&mut self, b: &mut KernelBuilder, x: NodeId, axis: usize) -> Result<(), Obstacle> {
        let x_shape = self.function.node(x).shape();
        let dtype = self.function.node(x).dtype();
        let (index, vars) = root_axes(&mut b.axes, self.shape);
        self.grid = vars;
        let extent = x_shape[axis];
        let reduce = |b: &mut KernelBuilder, best: Option<Value>| -> Result<Value, Obstacle> {
            let at = b.axes.var(extent);
            let full = [&index[..axis], &[Affine::var(at)], &index[axis..]].concat();
            b.open(&[at]);
            let element = b.value(x, full)?;
            let (term, dtype, op) = match best {
                None => (element, dtype, Combine::Max),
                Some(best) => {
                    let position = b.index(DType::I32, &Affine::var(at));
                    let none = b.constant(DType::I32, extent as u64 - 1);
                    let mut hit = b.map(Op::Equal, DType::Bool, &[element, best]);
                    if dtype == DType::F32 {
                        // The maximum of a row with NaN is NaN, which only differs from itself.
                        let number = b.map(Op::Equal, DType::Bool, &[element, element]);
                        let nan = b.map(Op::Not, DType::Bool, &[number]);
                        hit = b.map(Op::Or, DType::Bool, &[hit, nan]);
                    }
                    let term = b.map(Op::Select, DType::I32, &[hit, position, none]);
                    (term, DType::I32, Combine::Min)
                }
            };
            let body = b.close();
            let value = b.fresh();
            let results = vec![Reduction {
                value,
                dtype,
                op,
                term,
            }];
            b.push(Stmt::Reduce(Reduce {
                var: at,
                extent: Extent::Static(extent),
                vector: true,
                body,
                results,
            }));
            Ok(value)
        };
        let best = reduce(b, None)?;
        let position = reduce(b, Some(best))?;
        b.store(self.to, flatten(&index, self.shape), position);
        Ok(())
    }
}
