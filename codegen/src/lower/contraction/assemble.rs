//! The kernel of a contraction: rows and columns are cut into blocks, and statements get loops.

use super::super::access::Obstacle;
use super::super::builder::{KernelBuilder, Shared};
use super::super::lhs::{Lhs, LhsBlock};
use super::super::pack::{self, Packed};
use super::super::tiling::Extents;
use super::super::{Lowered, label, loops};
use super::Plan;
use super::epilogue::Epilogue;
use super::epilogue_nest::{EpilogueNest, block_of};
use crate::kernel::{Affine, Contract, Element, Extent, Kernel, PANEL, Stmt, Var};
use bsq_ir::NodeId;

/// Rows and columns in blocks, one of each to a work item.
struct Blocking {
    /// Places in a block.
    row: Var,
    column: Var,
    /// The number of the block of columns.
    column_block: Var,
    m: Extent,
    n: Extent,
    /// Columns in a block that is not cut short.
    columns: usize,
}

impl Blocking {
    /// The same offset in a block's first row and column.
    fn start(&self, at: &Affine) -> Affine {
        let zero = Affine::default();
        at.substitute(self.row, &zero)
            .substitute(self.column, &zero)
    }

    /// The number of the block's first panel.
    fn first_panel(&self) -> Affine {
        Affine::var(self.column_block).scale(self.columns.div_ceil(PANEL) as i64)
    }
}

/// The rhs's factor of columns: a materialized node, and the offset in it.
type Factor = Option<(NodeId, Affine)>;

impl Plan<'_> {
    pub(super) fn assemble(
        &self,
        b: &mut KernelBuilder,
        epilogue: Epilogue,
    ) -> Result<Lowered, Obstacle> {
        let node = self.function.node(self.anchor);
        let (lhs, rhs) = (node.operands[0], node.operands[1]);
        let (function, dot, result) = (self.function, self.dot, &self.result_index);
        let format = self.operands.format;
        let mut lhs = Lhs::new(b, function, lhs, dot, result, format, self.widened)?;
        let mut factor = self.operands.column_factor(b, function, rhs, dot, result)?;
        let panels = pack::packed_type(function, self.anchor, format);
        let packed = b.buffer(Shared::Extra(self.anchor, 0), &panels.ty, false);
        let c_place = match epilogue.sums {
            Some(place) => place,
            None => b.node_buffer(self.anchor, true),
        };

        // Everything that mentions rows or columns moves through the same changes of variables.
        let item = b.close();
        b.open(&[]);
        let Epilogue { local, .. } = epilogue;
        let mut nest = EpilogueNest {
            item,
            rows: epilogue.rows,
            columns: epilogue.columns,
        };
        let column = nest
            .merge_columns(&self.columns, local, &mut factor_at(&mut factor), b)
            .ok_or(Obstacle::Materialize(self.anchor))?;
        let column = column.unwrap_or_else(|| b.axes.var(1));
        let n = b.axes.extent(column);
        let mut outer = self.rows.clone();
        let row = outer.pop().unwrap_or_else(|| b.axes.var(1));
        let counted = |b: &KernelBuilder, vars: &[Var]| -> usize {
            vars.iter().map(|&v| b.axes.extent(v)).product()
        };
        let extents = |b: &KernelBuilder, outer: &[Var]| Extents {
            batch: counted(b, &self.batch) * counted(b, outer),
            m: b.axes.extent(row),
            n,
            format,
        };
        let most = Extents {
            batch: counted(b, &self.batch),
            m: counted(b, &self.rows),
            ..extents(b, &outer)
        };
        let (most_rows, _) = (self.tiling.of_contraction)(&most);
        // A copied lhs has no groups.
        let levels = match lhs.strides(b, row, &[], self.tiling) {
            Some(_) => (self.tiling.lhs_groups)(format)[1],
            None => 0,
        };
        let groups = (levels, most_rows);
        let row_groups = nest.merge_rows(row, &mut outer, local, &mut lhs.at, groups, b);
        let group = row_groups.last().map_or(1, |groups| groups.terms);
        let mut c_at = self.result_offset(b, &outer, row, column);
        let lhs_strides = lhs.strides(b, row, &row_groups, self.tiling);
        let (rows, columns) = self.tiling.balanced(&extents(b, &outer), group);
        let mut moved = vec![&mut c_at];
        if row_groups.is_empty() {
            moved.push(&mut lhs.at);
        }
        let (row_block, m_extent) = block_of(&mut nest, row, rows, b, &mut moved);
        if let Some(outermost) = row_groups.last() {
            // Blocks begin where groups do.
            let groups = (b.axes.extent(row) / group) as i64;
            let start = Affine::var(row_block).scale(groups * outermost.stride);
            lhs.at = lhs.at.add(&start);
        }
        let mut moved = factor_at(&mut factor);
        moved.push(&mut c_at);
        let (column_block, n_extent) = block_of(&mut nest, column, columns, b, &mut moved);
        let blocking = Blocking {
            row,
            column,
            column_block,
            m: m_extent,
            n: n_extent,
            columns: b.axes.extent(column),
        };

        let block = lhs.read(
            b,
            row,
            &blocking.m,
            lhs_strides,
            blocking.start(&lhs.at),
            (rows, self.tiling.copies_far_lhs),
        );
        let columns = self.own_of_columns(b, &blocking, &panels, factor)?;
        let (c, c_row_stride) = match epilogue.sums {
            Some(place) => {
                let stride = blocking.columns as i64;
                let at = Affine::var(row).scale(stride).add(&Affine::var(column));
                nest.replace_local(local, &at);
                (Element::first(place), stride)
            }
            None => (Element::new(c_place, blocking.start(&c_at)), n as i64),
        };
        let first_panel = blocking.first_panel().scale(panels.stride as i64);
        let b_at = panels.batch_offset(&self.batch, &b.axes).add(&first_panel);
        let contract = Contract {
            format,
            a: block.from.clone(),
            a_row_stride: block.strides.row,
            a_k_stride: block.strides.k,
            a_groups: block.strides.groups.clone(),
            a_row_groups: block.strides.row_groups.clone(),
            b: Element::new(packed, b_at),
            b_panel_stride: panels.stride as i64,
            columns,
            c,
            c_row_stride,
            m: blocking.m.clone(),
            n: blocking.n.clone(),
            k: Extent::Static(panels.k),
            accumulate: false,
        };
        let batch = self.batch.iter().copied();
        let grid: Vec<Var> = batch
            .chain(outer)
            .chain([row_block, column_block])
            .collect();
        let epilogue = epilogue.sums.map(|_| blocking);
        let body = body(
            block,
            contract,
            nest,
            epilogue,
            self.tiling.lanes_along_rows,
        );
        let kernel = Kernel {
            buffers: std::mem::take(&mut b.buffers),
            scratch: std::mem::take(&mut b.scratch),
            grid: loops::grid(&grid, &b.axes),
            body,
        };
        Ok(Lowered {
            kernel,
            shared: std::mem::take(&mut b.shared),
            extras: Vec::new(),
            label: label(self.function, &self.group.members),
            flops: 2 * node.shape().elements() as u64 * panels.k as u64,
            rest: None,
        })
    }

    /// The value of each column of a block: a factor, or where its sums start.
    fn own_of_columns(
        &self,
        b: &mut KernelBuilder,
        blocking: &Blocking,
        panels: &Packed,
        factor: Factor,
    ) -> Result<Option<Element>, Obstacle> {
        if let Some((node, at)) = factor {
            if at.coefficient(blocking.column) != 1 && blocking.columns > 1 {
                let rhs = self.function.node(self.anchor).operands[1];
                return Err(Obstacle::Materialize(rhs));
            }
            let place = b.node_buffer(node, false);
            return Ok(Some(Element::new(place, blocking.start(&at))));
        }
        let Some(ty) = &panels.starts else {
            return Ok(None);
        };
        let at = panels
            .batch(&self.batch, &b.axes)
            .scale(panels.panels as i64)
            .add(&blocking.first_panel())
            .scale(PANEL as i64);
        let place = b.buffer(Shared::Extra(self.anchor, 1), ty, false);
        Ok(Some(Element::new(place, at)))
    }

    /// The offset of the result's element in a plain row-major buffer.
    fn result_offset(&self, b: &KernelBuilder, outer: &[Var], row: Var, column: Var) -> Affine {
        let mut at = Affine::var(column);
        let mut stride = b.axes.extent(column) as i64;
        let batch = self.batch.iter().rev();
        for &var in [row].iter().chain(outer.iter().rev()).chain(batch) {
            at = at.add(&Affine::var(var).scale(stride));
            stride *= b.axes.extent(var) as i64;
        }
        let shape = self.function.node(self.anchor).shape();
        debug_assert_eq!(stride as usize, shape.elements());
        at
    }
}

/// A work item: the lhs's block, the contraction, and its epilogue's loops if it has one.
fn body(
    block: LhsBlock,
    contract: Contract,
    nest: EpilogueNest,
    epilogue: Option<Blocking>,
    lanes_along_rows: bool,
) -> Vec<Stmt> {
    let mut body = block.prologue;
    body.extend(nest.item);
    body.push(Stmt::Contract(Box::new(contract)));
    if let Some(blocking) = epilogue {
        let Blocking {
            row, column, m, n, ..
        } = blocking;
        if lanes_along_rows && stores_along(&nest.columns, row, column) {
            let all = [nest.rows, nest.columns].concat();
            let rows = vec![Stmt::vector_loop(row, m, all)];
            body.push(Stmt::serial_loop(column, n, rows));
        } else {
            let mut row_body = nest.rows;
            row_body.push(Stmt::vector_loop(column, n, nest.columns));
            body.push(Stmt::serial_loop(row, m, row_body));
        }
    }
    body
}

/// Whether results lie side by side along `row`, and not along `column`.
fn stores_along(stmts: &[Stmt], row: Var, column: Var) -> bool {
    let stores = stmts.iter().filter_map(|stmt| match stmt {
        Stmt::Store { to, .. } => Some(&to.at),
        _ => None,
    });
    let along = |at: &Affine| at.coefficient(row) == 1 && at.coefficient(column) != 1;
    stores.clone().next().is_some() && stores.clone().all(along)
}

/// Where the factor of columns is, if there is one.
fn factor_at(factor: &mut Factor) -> Vec<&mut Affine> {
    factor.iter_mut().map(|(_, at)| at).collect()
}
