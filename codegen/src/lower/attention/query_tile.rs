//! A tile of queries: its variables, its operands, and the products over its rows.

use super::Obstacle;
use crate::kernel::{Affine, Contract, Element, Extent, Format, Kernel, Place, Stmt, Var, gcd};
use crate::lower::access::{Source, flatten};
use crate::lower::builder::{KernelBuilder, Shared};
use crate::lower::loop_nest::root_axes;
use crate::lower::pack::Packed;
use crate::lower::{Lowered, TilingPolicy, loops};
use bsq_ir::{DType, Function, Mask, NodeId, Op, Shape, Type};

/// A matrix `[rows, columns]` for each point of the batch.
pub(super) struct Matrix {
    pub(super) place: Place,
    /// The matrix's first element.
    pub(super) at: Affine,
    pub(super) row_stride: i64,
    pub(super) column_stride: i64,
}

pub(super) struct QueryTile<'f> {
    pub(super) function: &'f Function,
    pub(super) anchor: NodeId,
    pub(super) scale: f32,
    pub(super) mask: Mask,
    /// Of both products.
    pub(super) format: Format,
    pub(super) batch_shape: Shape,
    pub(super) batch_index: Vec<Affine>,
    pub(super) batch: Vec<Var>,
    /// The tile, the row inside it, and how many rows it has.
    pub(super) tile: Var,
    pub(super) row: Var,
    pub(super) rows: Extent,
    /// The query of the first row.
    pub(super) first: Affine,
    pub(super) size: usize,
    /// The keys of a row of scores: all of them, or a block from this one on.
    pub(super) row_keys: Extent,
    pub(super) first_key: Affine,
    /// Those of them that some query of the tile sees: nothing is computed of the others.
    pub(super) seen_keys: Extent,
    /// Whether there are scores of seen keys that must be masked, as queries of the tile differ.
    pub(super) masked: bool,
    /// Elements from one row of scores to the next.
    pub(super) stride: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) depth: usize,
    pub(super) value_depth: usize,
}

impl<'f> QueryTile<'f> {
    pub(super) fn new(
        b: &mut KernelBuilder,
        function: &'f Function,
        anchor: NodeId,
        (scale, mask, format): (f32, Mask, Format),
        tiling: &TilingPolicy,
    ) -> Result<Self, Obstacle> {
        let node = function.node(anchor);
        let shape = |operand: usize| function.node(node.operands[operand]).shape();
        let (q, v) = (shape(0), shape(2));
        let rank = q.rank();
        let batch_shape: Shape = q[..rank - 2].into();
        let (batch_index, batch) = root_axes(&mut b.axes, &batch_shape);
        let (queries, depth, keys, value_depth) =
            (q[rank - 2], q[rank - 1], v[rank - 2], v[rank - 1]);
        let size = (tiling.scores / keys)
            .clamp(tiling.least_queries, tiling.most_queries)
            .min(queries);
        let size = match mask {
            Mask::BlockCausal { size: block } => in_mask_blocks(size, block, tiling.least_queries),
            Mask::None | Mask::Bias => size,
        };
        let tile = b.axes.var(queries.div_ceil(size));
        let row = b.axes.var(size);
        let first = Affine::var(tile).scale(size as i64);
        let rows = Extent::block(size, first.clone(), queries);
        let mut tile = QueryTile {
            function,
            anchor,
            scale,
            mask,
            format,
            batch_shape,
            batch_index,
            batch,
            tile,
            row,
            rows,
            first,
            size,
            row_keys: Extent::Static(keys),
            first_key: Affine::default(),
            seen_keys: Extent::Static(keys),
            masked: false,
            stride: apart(keys),
            queries,
            keys,
            depth,
            value_depth,
        };
        tile.see(keys);
        Ok(tile)
    }

    /// What the tile sees of a block of `size` keys from the first key on.
    fn see(&mut self, size: usize) {
        self.seen_keys = self.row_keys.clone();
        let Mask::BlockCausal { size: block } = self.mask else {
            return;
        };
        if block >= self.keys {
            return;
        }
        // All of a tile inside a block see what its first query sees; otherwise its last one sees
        // most. Terms that lie side by side are taken together.
        let terms = self.format.terms();
        let (same, whole) = (block.is_multiple_of(self.size), block.is_multiple_of(terms));
        self.masked = !same || !whole;
        let at = self
            .first
            .offset(if same { 0 } else { self.size as i64 - 1 });
        let mask_block = block / gcd(block, terms) * terms;
        self.seen_keys = Extent::visible((at, mask_block), size, self.first_key.clone(), self.keys);
    }

    /// Pairs of a query and a key of which scores are computed, in all tiles.
    fn pairs(&self) -> usize {
        let tiles = (0..self.queries.div_ceil(self.size)).map(|tile| {
            let rows = self.size.min(self.queries - tile * self.size);
            let last = tile * self.size + rows - 1;
            let seen = match self.mask {
                Mask::BlockCausal { size } => (last / size + 1).saturating_mul(size).min(self.keys),
                Mask::None | Mask::Bias => self.keys,
            };
            rows * seen
        });
        self.batch_shape.elements() * tiles.sum::<usize>()
    }

    /// Rows of scores become blocks of `size` keys.
    pub(super) fn in_blocks_of_keys(mut self, b: &mut KernelBuilder, size: usize) -> (Self, Var) {
        let block = b.axes.var(self.keys.div_ceil(size));
        self.first_key = Affine::var(block).scale(size as i64);
        self.row_keys = Extent::block(size, self.first_key.clone(), self.keys);
        self.stride = apart(size);
        self.see(size);
        (self, block)
    }

    pub(super) fn operand(&self, index: usize) -> NodeId {
        self.function.node(self.anchor).operands[index]
    }

    /// An operand as strided matrices.
    pub(super) fn matrix(
        &self,
        b: &mut KernelBuilder,
        node: NodeId,
        batched: bool,
    ) -> Result<Matrix, Obstacle> {
        let shape = self.function.node(node).shape();
        let rank = shape.rank();
        let row = b.axes.var(shape[rank - 2]);
        let column = b.axes.var(shape[rank - 1]);
        let mut index = if batched {
            self.batch_index.clone()
        } else {
            Vec::new()
        };
        index.extend([Affine::var(row), Affine::var(column)]);
        let located = b.addressing().locate(node, index);
        let (materialized, at) = match located {
            Ok(Source::Materialized(materialized, at)) => (materialized, at),
            // The tile's own variables cannot be split.
            Ok(Source::Computed(..)) | Err(Obstacle::Split { .. }) => {
                return Err(Obstacle::Materialize(node));
            }
            Err(obstacle) => return Err(obstacle),
        };
        let (row_stride, column_stride) = (at.coefficient(row), at.coefficient(column));
        // Targets that copy ahead go upwards.
        if row_stride < 0 || column_stride < 0 {
            return Err(Obstacle::Materialize(node));
        }
        let place = b.node_buffer(materialized, false);
        let zero = Affine::default();
        Ok(Matrix {
            place,
            row_stride,
            column_stride,
            at: at.substitute(row, &zero).substitute(column, &zero),
        })
    }

    /// The offset of this batch point in a plain array with `inner` elements for each.
    pub(super) fn batch_offset(&self, inner: usize) -> Affine {
        flatten(&self.batch_index, &self.batch_shape).scale(inner as i64)
    }

    pub(super) fn packed(
        &self,
        b: &mut KernelBuilder,
        slot: usize,
        columns: usize,
        k: usize,
    ) -> (Place, Affine, i64) {
        let packed = Packed::new(self.batch_shape.elements(), columns, k, self.format);
        let place = b.buffer(Shared::Extra(self.anchor, slot), &packed.ty, false);
        (
            place,
            packed.batch_offset(&self.batch, &b.axes),
            packed.stride as i64,
        )
    }

    pub(super) fn result(&self, b: &mut KernelBuilder, index: usize) -> Place {
        let ty: Type = self.function.node(self.anchor).types[index].clone();
        b.buffer(Shared::Result(self.anchor, index), &ty, true)
    }

    /// `C = A * B` over the tile's rows.
    pub(super) fn product(
        &self,
        a: &Matrix,
        packed: (Place, Affine, i64),
        (c, c_row_stride): (Element, usize),
        n: Extent,
        k: Extent,
    ) -> Stmt {
        let (place, at, panel_stride) = packed;
        Stmt::Contract(Box::new(Contract {
            format: self.format,
            a: Element::new(a.place, self.strip_of(a)),
            a_row_stride: a.row_stride,
            a_k_stride: a.column_stride,
            a_groups: Vec::new(),
            a_row_groups: Vec::new(),
            b: Element::new(place, at),
            b_panel_stride: panel_stride,
            columns: None,
            c,
            c_row_stride: c_row_stride as i64,
            m: self.rows.clone(),
            n,
            k,
            accumulate: false,
        }))
    }

    /// The tile's rows of a matrix as the products take them: in place, or a copy.
    pub(super) fn rows_of(&self, b: &mut KernelBuilder, matrix: Matrix, columns: usize) -> Matrix {
        if self.format == Format::F32 {
            return matrix;
        }
        let dtype = self.format.a();
        let copy = b.scratch(dtype, self.size * apart(columns));
        let column = b.axes.var(columns);
        b.open(&[self.row]);
        b.open(&[column]);
        let from = self
            .strip_of(&matrix)
            .add(&Affine::var(self.row).scale(matrix.row_stride))
            .add(&Affine::var(column).scale(matrix.column_stride));
        let from = Element::new(matrix.place, from);
        let value = b.load_here(from, DType::F32);
        let value = b.map(Op::Cast(dtype), dtype, &[value]);
        let at = Affine::var(self.row).scale(apart(columns) as i64);
        b.store(copy, at.add(&Affine::var(column)), value);
        let body = b.close();
        b.push(Stmt::vector_loop(column, Extent::Static(columns), body));
        self.close_rows(b);
        self.in_scratch(copy, apart(columns))
    }

    pub(super) fn strip_of(&self, matrix: &Matrix) -> Affine {
        matrix.at.add(&self.first.scale(matrix.row_stride))
    }

    pub(super) fn strip_scratch(&self, place: Place) -> Matrix {
        self.in_scratch(place, self.stride)
    }

    fn in_scratch(&self, place: Place, row_stride: usize) -> Matrix {
        let row_stride = row_stride as i64;
        // The scratch holds one tile: its first row is row 0 whatever the tile.
        let at = self.first.scale(-row_stride);
        Matrix {
            place,
            at,
            row_stride,
            column_stride: 1,
        }
    }

    pub(super) fn finish(
        &self,
        b: &mut KernelBuilder,
        grid: Vec<Var>,
        body: Vec<Stmt>,
        products: u64,
    ) -> Lowered {
        let kernel = Kernel {
            buffers: std::mem::take(&mut b.buffers),
            scratch: std::mem::take(&mut b.scratch),
            grid: loops::grid(&grid, &b.axes),
            body,
        };
        let pairs = self.pairs() as u64;
        let depth = (self.depth + self.value_depth) as u64;
        let name = self.function.node(self.anchor).op.name();
        Lowered {
            kernel,
            shared: std::mem::take(&mut b.shared),
            extras: Vec::new(),
            label: format!("{name} {}", self.anchor),
            flops: pairs * depth * products,
            rest: None,
        }
    }
}

/// Queries of a tile of at most `size` under a mask of blocks: such that all of a tile are in one block
/// if that leaves enough of them, or that tiles end where blocks do.
fn in_mask_blocks(size: usize, block: usize, least: usize) -> usize {
    let enough = least.max(size / 4);
    let part = (enough..=size)
        .rev()
        .find(|&size| block.is_multiple_of(size));
    let whole = size / block * block;
    part.unwrap_or(if whole >= enough { whole } else { size })
}

/// A distance of rows, in elements, that is an odd number of cache lines, so that the rows of a
/// tile do not fall into the same cache sets.
fn apart(elements: usize) -> usize {
    const LINE: usize = 16;
    (elements.div_ceil(LINE) | 1) * LINE
}
