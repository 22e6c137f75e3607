//! Contractions with their epilogue: blocks of the result from packed panels of the right side.
//!
//! A work item computes one block of rows and columns: the block contraction leaves it in
//! scratch, and the epilogue reads it from there. The left side is read in place where its rows
//! and its contracted axes step evenly, otherwise a block of it is copied to scratch first.

use super::access::{Blocked, Source, flatten};
use super::axes::Axes;
use super::blocks::{Blocks, Extents};
use super::builder::{Builder, Shared};
use super::left::Left;
use super::nest::{Nest, block_of};
use super::rows::root_axes;
use super::sides::Sides;
use super::{Attempt, Lowered, loops, pack};
use crate::kernel::{Affine, Contract, Element, Extent, Format, Kernel, PANEL, Place, Stmt, Var};
use crate::schedule::{Group, Widenings};
use bsq_ir::{DotAxes, Function, NodeId, Op};

pub(super) fn lower(
    mut builder: Builder,
    function: &Function,
    group: &Group,
    widened: &Widenings,
    blocks: &Blocks,
) -> Attempt {
    let anchor = group.anchor.expect("a contraction");
    let attempt = Plan::new(&mut builder, function, (group, anchor), widened, blocks)
        .and_then(|plan| plan.emit(&mut builder));
    let stored = builder.stored();
    let lowered = attempt.map_err(|blocked| (blocked, builder.axes))?;
    let rhs = function.node(anchor).operands[1];
    let fresh = Builder::new(function, stored, Axes::default());
    let packed = pack::contraction_rhs(fresh, function, anchor, rhs, widened)?;
    Ok(vec![packed, lowered])
}

/// The loops of a contraction, by their meaning.
struct Plan<'f> {
    function: &'f Function,
    group: &'f Group,
    anchor: NodeId,
    dot: &'f DotAxes,
    widened: &'f Widenings,
    blocks: &'f Blocks,
    sides: Sides,
    /// The index of the root in terms of its variables, and of the contraction's result.
    root_index: Vec<Affine>,
    batch: Vec<Var>,
    rows: Vec<Var>,
    columns: Vec<Var>,
    result_index: Vec<Affine>,
}

impl<'f> Plan<'f> {
    fn new(
        b: &mut Builder,
        function: &'f Function,
        (group, anchor): (&'f Group, NodeId),
        widened: &'f Widenings,
        blocks: &'f Blocks,
    ) -> Result<Self, Blocked> {
        let Op::DotGeneral(dot) = &function.node(anchor).op else {
            unreachable!("a contraction's anchor contracts")
        };
        let root = *group.members.last().expect("a group has members");
        let (root_index, _) = root_axes(&mut b.axes, function.node(root).shape());
        let result_index = find(b, function, root, root_index.clone(), anchor)?;
        let shape = function.node(anchor).shape();
        let mut parts = Vec::with_capacity(shape.rank());
        for (axis, index) in result_index.iter().enumerate() {
            parts.push(digits(b, index, shape[axis]).ok_or(Blocked::Store(anchor))?);
        }
        let batches = dot.batch.len();
        let lhs = function.node(function.node(anchor).operands[0]).shape();
        let lhs_free = dot.free(lhs.rank(), true).len();
        let columns = parts.split_off(batches + lhs_free).concat();
        let rows = parts.split_off(batches).concat();
        let batch = parts.concat();
        Ok(Plan {
            function,
            group,
            anchor,
            dot,
            widened,
            blocks,
            sides: Sides::new(function, anchor, widened),
            root_index,
            batch,
            rows,
            columns,
            result_index,
        })
    }

    fn emit(self, b: &mut Builder) -> Result<Lowered, Blocked> {
        // Sums of bytes are not the result yet.
        let alone = self.group.members.len() == 1 && self.sides.format != Format::Int8;
        let Some((&row, outer_rows)) = self.rows.split_last() else {
            return self.emit_with(b, None, alone);
        };
        let outer_rows = outer_rows.to_vec();
        self.emit_with(b, Some((row, outer_rows)), alone)
    }

    fn emit_with(
        self,
        b: &mut Builder,
        rows: Option<(Var, Vec<Var>)>,
        alone: bool,
    ) -> Result<Lowered, Blocked> {
        let row = rows.as_ref().map(|rows| rows.0);
        let c_dtype = self.sides.format.c();
        let elements = self.blocks.most_results;
        let c_scratch = (!alone).then(|| b.scratch(c_dtype, elements));
        // The epilogue, in terms of whole rows and columns.
        let row_scope: Vec<Var> = row.into_iter().collect();
        b.open(&row_scope);
        b.open(&self.columns);
        // A variable for the element's place inside the block, replaced once blocks are known.
        let local = b.axes.var(elements);
        if let Some(place) = c_scratch {
            let at = Affine::var(local);
            let element = Element::new(place, at);
            let mut value = b.load_here(element, c_dtype);
            if self.sides.format == Format::Int8 {
                let (function, anchor, at) = (self.function, self.anchor, &self.result_index);
                value = self.sides.sum_of_bytes(b, function, anchor, at, value)?;
            }
            b.define(self.anchor, self.result_index.clone(), value);
            self.emit_stores(b)?;
        }
        let epilogue_columns = b.close();
        let epilogue_rows = b.close();
        self.assemble(b, rows, epilogue_columns, epilogue_rows, local, c_scratch)
    }

    fn emit_stores(&self, b: &mut Builder) -> Result<(), Blocked> {
        let root = *self.group.members.last().expect("a group has members");
        for &id in self.group.stored.iter().rev() {
            let index = match id {
                id if id == root => self.root_index.clone(),
                id => find(b, self.function, root, self.root_index.clone(), id)?,
            };
            let covered = index.iter().flat_map(|at| &at.terms);
            let covered: usize = covered.map(|term| b.axes.extent(term.0)).product();
            if covered != self.function.node(id).shape().elements() {
                return Err(Blocked::Store(id));
            }
            let value = b.value(id, index.clone())?;
            let at = flatten(&index, self.function.node(id).shape());
            let place = b.node_buffer(id, true);
            b.store(place, at, value);
        }
        Ok(())
    }

    fn assemble(
        self,
        b: &mut Builder,
        rows: Option<(Var, Vec<Var>)>,
        columns_body: Vec<Stmt>,
        rows_body: Vec<Stmt>,
        local: Var,
        c_scratch: Option<Place>,
    ) -> Result<Lowered, Blocked> {
        let node = self.function.node(self.anchor);
        let shape = node.shape().clone();
        let (lhs, rhs) = (node.operands[0], node.operands[1]);
        let (function, dot, result) = (self.function, self.dot, &self.result_index);
        let format = self.sides.format;
        let mut left = Left::new(b, function, lhs, dot, result, format, self.widened)?;
        let mut factor = self.sides.column_factor(b, function, rhs, dot, result)?;
        let panels = pack::packed_type(self.function, self.anchor, format);
        let packed = b.buffer(Shared::Extra(self.anchor, 0), &panels.ty, false);
        let c_place = match c_scratch {
            Some(place) => place,
            None => b.node_buffer(self.anchor, true),
        };

        // Everything that mentions rows or columns moves through the same changes of variables.
        let item = b.close();
        b.open(&[]);
        let mut nest = Nest {
            item,
            rows: rows_body,
            columns: columns_body,
        };
        let column = nest
            .merge_columns(&self.columns, local, &mut factor_at(&mut factor), b)
            .ok_or(Blocked::Store(self.anchor))?;
        let (row, outer) = match rows {
            Some((row, outer)) => nest.merge_rows(row, outer, local, &mut left.at, b),
            None => (b.axes.var(1), Vec::new()),
        };
        let n = column.map_or(1, |column| b.axes.extent(column));
        let column = column.unwrap_or_else(|| b.axes.var(1));
        let m = b.axes.extent(row);
        let result_strides = (n as i64, 1);
        let mut c_at = self.result_offset(b, &shape, &outer, row, column, result_strides);

        let left_strides = left.strides(b, row, self.blocks);
        let counted = |vars: &[Var]| -> usize { vars.iter().map(|&v| b.axes.extent(v)).product() };
        let extents = Extents {
            batch: counted(&self.batch) * counted(&outer),
            m,
            n,
            format,
        };
        let (rows, columns) = self.blocks.balanced(&extents);
        let mut moved: [&mut Affine; 2] = [&mut left.at, &mut c_at];
        let (row_block, m_extent) = block_of(&mut nest, row, rows, b, &mut moved);
        let mut moved = factor_at(&mut factor);
        moved.push(&mut c_at);
        let (column_block, n_extent) = block_of(&mut nest, column, columns, b, &mut moved);
        let block_columns = b.axes.extent(column);
        let zero = Affine::default();
        let in_block = |at: &Affine| at.substitute(row, &zero).substitute(column, &zero);

        let block = left.read(
            b,
            row,
            &m_extent,
            left_strides,
            in_block(&left.at),
            (rows, self.blocks.copies_far_sides),
        );
        let panel = block_columns.div_ceil(PANEL) as i64;
        let b_at = panels
            .batch_offset(&self.batch, &b.axes)
            .add(&Affine::var(column_block).scale(panel * panels.stride as i64));
        let first_column = panels
            .batch(&self.batch, &b.axes)
            .scale((panels.panels * PANEL) as i64)
            .add(&Affine::var(column_block).scale(panel * PANEL as i64));
        let columns = match (factor, &panels.starts) {
            (Some((_, at)), _) if at.coefficient(column) != 1 && block_columns > 1 => {
                return Err(Blocked::Store(rhs));
            }
            (Some((node, at)), _) => Some((b.node_buffer(node, false), in_block(&at))),
            (None, Some(ty)) => {
                let starts = b.buffer(Shared::Extra(self.anchor, 1), ty, false);
                Some((starts, first_column))
            }
            (None, None) => None,
        };
        let columns = columns.map(|(place, at)| Element::new(place, at));
        let (c, c_row_stride) = match c_scratch {
            Some(place) => {
                let at = Affine::var(row)
                    .scale(block_columns as i64)
                    .add(&Affine::var(column));
                nest.replace_local(local, &at);
                let start = Element::new(place, Affine::default());
                (start, block_columns as i64)
            }
            None => (Element::new(c_place, in_block(&c_at)), result_strides.0),
        };
        let contract = Contract {
            format,
            a: block.from,
            a_row_stride: block.strides.row,
            a_k_stride: block.strides.k,
            a_groups: block.strides.groups,
            b: Element::new(packed, b_at),
            b_panel_stride: panels.stride as i64,
            columns,
            c,
            c_row_stride,
            m: m_extent.clone(),
            n: n_extent.clone(),
            k: Extent::Static(panels.k),
            accumulate: false,
        };
        let mut body = block.prologue;
        body.append(&mut nest.item);
        body.push(Stmt::Contract(Box::new(contract)));
        if c_scratch.is_some() {
            let inner = Stmt::Loop {
                var: column,
                extent: n_extent,
                vector: true,
                body: nest.columns,
            };
            let mut row_body = nest.rows;
            row_body.push(inner);
            body.push(Stmt::Loop {
                var: row,
                extent: m_extent,
                vector: false,
                body: row_body,
            });
        }
        let grid_vars: Vec<Var> = self
            .batch
            .iter()
            .copied()
            .chain(outer)
            .chain([row_block, column_block])
            .collect();
        let elements = shape.elements() as u64;
        let kernel = Kernel {
            buffers: std::mem::take(&mut b.buffers),
            scratch: std::mem::take(&mut b.scratch),
            grid: loops::grid(&grid_vars, &b.axes),
            body,
        };
        Ok(Lowered {
            kernel,
            shared: std::mem::take(&mut b.shared),
            extras: Vec::new(),
            label: super::label(self.function, &self.group.members),
            flops: 2 * elements * panels.k as u64,
        })
    }

    /// The offset of the result's element in a plain row-major buffer.
    fn result_offset(
        &self,
        b: &Builder,
        shape: &bsq_ir::Shape,
        outer: &[Var],
        row: Var,
        column: Var,
        strides: (i64, i64),
    ) -> Affine {
        let mut at = Affine::var(column).add(&Affine::var(row).scale(strides.0));
        let mut stride = strides.0 * b.axes.extent(row) as i64;
        for &var in outer.iter().rev().chain(self.batch.iter().rev()) {
            at = at.add(&Affine::var(var).scale(stride));
            stride *= b.axes.extent(var) as i64;
        }
        debug_assert_eq!(stride as usize, shape.elements());
        at
    }
}

/// Where the factor of columns is, if there is one.
fn factor_at(factor: &mut Option<(NodeId, Affine)>) -> Vec<&mut Affine> {
    factor.iter_mut().map(|(_, at)| at).collect()
}

/// The index at which `target` is reached from element `index` of `from`; it must be unique.
fn find(
    b: &Builder,
    function: &Function,
    from: NodeId,
    index: Vec<Affine>,
    target: NodeId,
) -> Result<Vec<Affine>, Blocked> {
    let mut found: Option<Vec<Affine>> = None;
    let mut pending = vec![(from, index)];
    let mut visited = std::collections::HashSet::new();
    while let Some((id, index)) = pending.pop() {
        let Source::Computed(id, index) = b.places().locate(id, index)? else {
            continue;
        };
        if !visited.insert((id, index.clone())) {
            continue;
        }
        if id == target {
            if found.as_ref().is_some_and(|known| *known != index) {
                return Err(Blocked::Store(target));
            }
            found = Some(index);
            continue;
        }
        let node = function.node(id);
        if node.op.is_elementwise() {
            pending.extend(
                node.operands
                    .iter()
                    .map(|&operand| (operand, index.clone())),
            );
        }
    }
    found.ok_or(Blocked::Store(target))
}

/// The variables of an index that counts through `extent` without gaps, outermost first.
fn digits(b: &Builder, index: &Affine, extent: usize) -> Option<Vec<Var>> {
    let mut terms = index.terms.clone();
    terms.sort_by_key(|term| term.1);
    let mut step = 1;
    for &(var, coefficient) in &terms {
        if coefficient != step {
            return None;
        }
        step *= b.axes.extent(var) as i64;
    }
    let whole = index.constant == 0 && step as usize == extent;
    whole.then(|| terms.iter().rev().map(|term| term.0).collect())
}
