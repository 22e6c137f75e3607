//! Attention and its backward: a strip of query rows against all keys, kept in scratch.
//!
//! The strip holds the exact scores of every key, so that softmax is the plain three passes and
//! the bits are those of the spelled-out graph. The backward pass recomputes the probabilities
//! and adds each strip's share to the gradients of keys and values in ascending query order.

use super::access::{Blocked, Source};
use super::builder::{Axes, Builder, Shared};
use super::pack::{self, Packed};
use super::rows::root_axes;
use super::{Attempt, Lowered, loops};
use crate::kernel::{
    Affine, Combine, Contract, Element, Extent, Kernel, Place, Reduce, Reduction, Stmt, Value, Var,
};
use crate::schedule::Group;
use bsq_ir::{DType, Function, Mask, NodeId, Op, Shape, Type};

/// Scores of one strip.
const STRIP: usize = 65_536;

pub(super) fn lower(mut builder: Builder, function: &Function, group: &Group) -> Attempt {
    let anchor = group.anchor.expect("attention");
    let node = function.node(anchor);
    let (scale, mask, backward) = match node.op {
        Op::Attention { scale, mask } => (scale.get(), mask, false),
        Op::AttentionBackward { scale, mask } => (scale.get(), mask, true),
        _ => unreachable!("an attention op"),
    };
    let (q, k, v) = (node.operands[0], node.operands[1], node.operands[2]);
    let mut packs = vec![(k, true)];
    packs.push((v, backward));
    if backward {
        packs.extend([(k, false), (q, false), (node.operands[5], false)]);
    }
    let mut lowered = Vec::new();
    for (slot, &(operand, transposed)) in packs.iter().enumerate() {
        let fresh = Builder::new(function, builder.stored(), Axes::default());
        let rank = function.node(operand).shape().rank();
        let batch: Vec<usize> = (0..rank - 2).collect();
        let (rows, columns) = ([rank - 2], [rank - 1]);
        let (contracted, columns) = if transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
        let target = Shared::Extra(anchor, slot);
        lowered.push(pack::operand(
            fresh,
            function,
            operand,
            target,
            &batch,
            &contracted,
            &columns,
        )?);
    }
    let attempt =
        Strip::new(&mut builder, function, anchor, scale, mask).and_then(|strip| match backward {
            false => strip.forward(&mut builder),
            true => strip.backward(&mut builder),
        });
    lowered.push(attempt.map_err(|blocked| (blocked, builder.axes))?);
    Ok(lowered)
}

/// A matrix `[rows, columns]` for each point of the batch.
struct Matrix {
    place: Place,
    /// The matrix's first element.
    at: Affine,
    row_stride: i64,
    column_stride: i64,
}

struct Strip<'f> {
    function: &'f Function,
    anchor: NodeId,
    scale: f32,
    mask: Mask,
    batch_shape: Shape,
    batch_index: Vec<Affine>,
    batch: Vec<Var>,
    /// The strip, the row inside it, and how many rows it has.
    strip: Var,
    row: Var,
    rows: Extent,
    /// The query of the first row.
    first: Affine,
    size: usize,
    queries: usize,
    keys: usize,
    depth: usize,
    value_depth: usize,
}

impl<'f> Strip<'f> {
    fn new(
        b: &mut Builder,
        function: &'f Function,
        anchor: NodeId,
        scale: f32,
        mask: Mask,
    ) -> Result<Self, Blocked> {
        let node = function.node(anchor);
        let shape = |operand: usize| function.node(node.operands[operand]).shape();
        let (q, v) = (shape(0), shape(2));
        let rank = q.rank();
        let batch_shape: Shape = q[..rank - 2].into();
        let (batch_index, batch) = root_axes(&mut b.axes, &batch_shape);
        let (queries, depth, keys, value_depth) =
            (q[rank - 2], q[rank - 1], v[rank - 2], v[rank - 1]);
        let size = (STRIP / keys).clamp(8, 64).min(queries);
        let strip = b.axes.var(queries.div_ceil(size));
        let row = b.axes.var(size);
        let first = Affine::var(strip).scale(size as i64);
        let rows = match queries.is_multiple_of(size) {
            true => Extent::Static(size),
            false => Extent::Block {
                size,
                start: first.clone(),
                limit: queries,
            },
        };
        Ok(Strip {
            function,
            anchor,
            scale,
            mask,
            batch_shape,
            batch_index,
            batch,
            strip,
            row,
            rows,
            first,
            size,
            queries,
            keys,
            depth,
            value_depth,
        })
    }

    fn operand(&self, index: usize) -> NodeId {
        self.function.node(self.anchor).operands[index]
    }

    /// An operand as strided matrices.
    fn matrix(&self, b: &mut Builder, node: NodeId, batched: bool) -> Result<Matrix, Blocked> {
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
        let located = b.places().locate(node, index);
        let (stored, at) = match located {
            Ok(Source::Stored(stored, at)) => (stored, at),
            // The strip's own variables cannot be split.
            Ok(Source::Computed(..)) | Err(Blocked::Split { .. }) => {
                return Err(Blocked::Store(node));
            }
            Err(blocked) => return Err(blocked),
        };
        let place = b.node_buffer(stored, false);
        let zero = Affine::default();
        Ok(Matrix {
            place,
            row_stride: at.coefficient(row),
            column_stride: at.coefficient(column),
            at: at.substitute(row, &zero).substitute(column, &zero),
        })
    }

    /// The offset of this batch point in a plain array with `inner` elements for each.
    fn batch_offset(&self, inner: usize) -> Affine {
        super::access::flatten(&self.batch_index, &self.batch_shape).scale(inner as i64)
    }

    fn packed(
        &self,
        b: &mut Builder,
        slot: usize,
        columns: usize,
        k: usize,
    ) -> (Place, Affine, i64) {
        let packed = Packed::new(self.batch_shape.elements(), columns, k);
        let place = b.buffer(Shared::Extra(self.anchor, slot), &packed.ty, false);
        (
            place,
            packed.batch_offset(&self.batch, &b.axes),
            packed.stride as i64,
        )
    }

    fn result(&self, b: &mut Builder, index: usize) -> Place {
        let ty: Type = self.function.node(self.anchor).types[index].clone();
        b.buffer(Shared::Result(self.anchor, index), &ty, true)
    }

    /// `C = A * B` over the strip's rows.
    fn product(
        &self,
        a: &Matrix,
        packed: (Place, Affine, i64),
        c: Element,
        n: usize,
        k: usize,
    ) -> Stmt {
        let (place, at, panel_stride) = packed;
        Stmt::Contract(Box::new(Contract {
            a: Element {
                place: a.place,
                at: self.strip_of(a),
                dynamic: None,
            },
            a_row_stride: a.row_stride,
            a_k_stride: a.column_stride,
            b: Element {
                place,
                at,
                dynamic: None,
            },
            b_panel_stride: panel_stride,
            c,
            c_row_stride: n as i64,
            m: self.rows.clone(),
            n: Extent::Static(n),
            k: Extent::Static(k),
            accumulate: false,
        }))
    }

    fn strip_of(&self, matrix: &Matrix) -> Affine {
        matrix.at.add(&self.first.scale(matrix.row_stride))
    }

    fn strip_scratch(&self, place: Place) -> Matrix {
        let row_stride = self.keys as i64;
        // The scratch holds one strip: its first row is row 0 whatever the strip.
        let at = self.first.scale(-row_stride);
        Matrix {
            place,
            at,
            row_stride,
            column_stride: 1,
        }
    }

    /// Runs `body` for each key of the current row, in lanes; it gets the key's variable and
    /// the score's place.
    fn for_each_key(
        &self,
        b: &mut Builder,
        body: impl FnOnce(&mut Builder, Var, Affine) -> Result<(), Blocked>,
    ) -> Result<(), Blocked> {
        let key = b.axes.var(self.keys);
        b.open(&[key]);
        body(b, key, self.score_at(key))?;
        let body = b.close();
        let extent = Extent::Static(self.keys);
        b.push(Stmt::Loop {
            var: key,
            extent,
            vector: true,
            body,
        });
        Ok(())
    }

    fn score_at(&self, key: Var) -> Affine {
        Affine::var(self.row)
            .scale(self.keys as i64)
            .add(&Affine::var(key))
    }

    /// A reduction over the keys of the current row.
    fn reduce(
        &self,
        b: &mut Builder,
        op: Combine,
        term: impl FnOnce(&mut Builder, Affine) -> Value,
    ) -> Value {
        let key = b.axes.var(self.keys);
        b.open(&[key]);
        let term = term(b, self.score_at(key));
        let body = b.close();
        let value = b.fresh();
        let results = vec![Reduction {
            value,
            dtype: DType::F32,
            op,
            term,
        }];
        b.push(Stmt::Reduce(Reduce {
            var: key,
            extent: self.keys,
            vector: true,
            body,
            results,
        }));
        value
    }

    /// Scales and masks the scores of the current row in place.
    fn scale_and_mask(&self, b: &mut Builder, scores: Place) -> Result<(), Blocked> {
        let query = self.first.add(&Affine::var(self.row));
        let limit = match self.mask {
            Mask::BlockCausal { size } => Some(self.visible_keys(b, &query, size)),
            Mask::None | Mask::Bias => None,
        };
        let bias = match self.mask {
            Mask::Bias => {
                let node = *self
                    .function
                    .node(self.anchor)
                    .operands
                    .last()
                    .expect("the bias");
                let batched =
                    self.function.node(node).shape().rank() > 2 || self.batch_shape.rank() == 0;
                Some(self.matrix(b, node, batched)?)
            }
            _ => None,
        };
        let scale = b.constant(DType::F32, u64::from(self.scale.to_bits()));
        let masked = b.constant(DType::F32, u64::from(f32::NEG_INFINITY.to_bits()));
        self.for_each_key(b, |b, key, at| {
            let from = Element {
                place: scores,
                at: at.clone(),
                dynamic: None,
            };
            let score = b.load_here(from, DType::F32);
            let mut score = b.map(Op::Mul, DType::F32, &[score, scale]);
            if let Some(limit) = limit {
                let key = b.index(DType::I32, &Affine::var(key));
                let visible = b.map(Op::Less, DType::Bool, &[key, limit]);
                score = b.map(Op::Select, DType::F32, &[visible, score, masked]);
            }
            if let Some(bias) = &bias {
                let at = bias.at.add(&query.scale(bias.row_stride));
                let at = at.add(&Affine::var(key).scale(bias.column_stride));
                let bias = b.load(bias.place, at, None, DType::F32);
                score = b.map(Op::Add, DType::F32, &[score, bias]);
            }
            b.store(scores, at, score);
            Ok(())
        })
    }

    /// How many keys a query sees (`i32`): up to the end of its own block.
    fn visible_keys(&self, b: &mut Builder, query: &Affine, size: usize) -> Value {
        if size == 1 {
            return b.index(DType::I32, &query.offset(1));
        }
        // Exact for positions below 2^22: quotients are that far from the next integer.
        let position = b.index(DType::I32, query);
        let position = b.map(Op::Cast(DType::F32), DType::F32, &[position]);
        let divisor = b.constant(DType::F32, u64::from((size as f32).to_bits()));
        let block = b.map(Op::Div, DType::F32, &[position, divisor]);
        let block = b.map(Op::Floor, DType::F32, &[block]);
        let block = b.map(Op::Cast(DType::I32), DType::I32, &[block]);
        let (one, size) = (
            b.constant(DType::I32, 1),
            b.constant(DType::I32, size as u64),
        );
        let next = b.map(Op::Add, DType::I32, &[block, one]);
        b.map(Op::Mul, DType::I32, &[next, size])
    }

    fn load_row(&self, b: &mut Builder, place: Place, at: Affine) -> Value {
        b.load_here(
            Element {
                place,
                at,
                dynamic: None,
            },
            DType::F32,
        )
    }

    fn open_rows(&self, b: &mut Builder) {
        b.open(&[self.row]);
    }

    fn close_rows(&self, b: &mut Builder) {
        let body = b.close();
        b.push(Stmt::Loop {
            var: self.row,
            extent: self.rows.clone(),
            vector: false,
            body,
        });
    }

    /// The offset of the current row in an array of one element for each query.
    fn row_at(&self) -> Affine {
        self.batch_offset(self.queries)
            .add(&self.first)
            .add(&Affine::var(self.row))
    }

    fn forward(&self, b: &mut Builder) -> Result<Lowered, Blocked> {
        let q = self.matrix(b, self.operand(0), true)?;
        let keys = self.packed(b, 0, self.keys, self.depth);
        let values = self.packed(b, 1, self.value_depth, self.keys);
        let (output, maxima, sums) = (self.result(b, 0), self.result(b, 1), self.result(b, 2));
        let scores = b.scratch(DType::F32, self.size * self.keys);
        let c = Element {
            place: scores,
            at: Affine::default(),
            dynamic: None,
        };
        b.push(self.product(&q, keys, c, self.keys, self.depth));
        self.open_rows(b);
        self.scale_and_mask(b, scores)?;
        let load = |b: &mut Builder, at: Affine| self.load_row(b, scores, at);
        let maximum = self.reduce(b, Combine::Max, load);
        self.for_each_key(b, |b, _, at| {
            let score = load(b, at.clone());
            let shifted = b.map(Op::Sub, DType::F32, &[score, maximum]);
            let exp = b.map(Op::Exp, DType::F32, &[shifted]);
            b.store(scores, at, exp);
            Ok(())
        })?;
        let sum = self.reduce(b, Combine::Sum, load);
        let reciprocal = self.reciprocal(b, sum);
        self.for_each_key(b, |b, _, at| {
            let exp = load(b, at.clone());
            let p = b.map(Op::Mul, DType::F32, &[exp, reciprocal]);
            b.store(scores, at, p);
            Ok(())
        })?;
        b.store(maxima, self.row_at(), maximum);
        b.store(sums, self.row_at(), sum);
        self.close_rows(b);
        let at = self.batch_offset(self.queries * self.value_depth);
        let at = at.add(&self.first.scale(self.value_depth as i64));
        let c = Element {
            place: output,
            at,
            dynamic: None,
        };
        let probabilities = self.strip_scratch(scores);
        b.push(self.product(&probabilities, values, c, self.value_depth, self.keys));
        let body = b.close();
        let grid: Vec<Var> = self.batch.iter().copied().chain([self.strip]).collect();
        Ok(self.finish(b, grid, body, 2))
    }

    fn reciprocal(&self, b: &mut Builder, value: Value) -> Value {
        let one = b.constant(DType::F32, u64::from(1f32.to_bits()));
        b.map(Op::Div, DType::F32, &[one, value])
    }

    fn backward(&self, b: &mut Builder) -> Result<Lowered, Blocked> {
        let (q, g) = (
            self.matrix(b, self.operand(0), true)?,
            self.matrix(b, self.operand(5), true)?,
        );
        let maxima = self.row_operand(b, 3)?;
        let sums = self.row_operand(b, 4)?;
        let keys_t = self.packed(b, 0, self.keys, self.depth);
        let values_t = self.packed(b, 1, self.keys, self.value_depth);
        let keys = self.packed(b, 2, self.depth, self.keys);
        let queries = self.packed(b, 3, self.depth, self.queries);
        let gradients = self.packed(b, 4, self.value_depth, self.queries);
        let (dq, dk, dv) = (self.result(b, 0), self.result(b, 1), self.result(b, 2));
        let strip_elements = self.size * self.keys;
        let p_place = b.scratch(DType::F32, strip_elements);
        let ds_place = b.scratch(DType::F32, strip_elements);
        let dk_at = self.batch_offset(self.keys * self.depth);
        let dv_at = self.batch_offset(self.keys * self.value_depth);
        for (place, at, width) in [(dk, &dk_at, self.depth), (dv, &dv_at, self.value_depth)] {
            let zeros = pack::zeros(b, place, at.clone(), self.keys * width);
            b.push(zeros);
        }

        b.open(&[self.strip]);
        let at_start = |place| Element {
            place,
            at: Affine::default(),
            dynamic: None,
        };
        b.push(self.product(&q, keys_t, at_start(p_place), self.keys, self.depth));
        b.push(self.product(
            &g,
            values_t,
            at_start(ds_place),
            self.keys,
            self.value_depth,
        ));
        self.open_rows(b);
        self.scale_and_mask(b, p_place)?;
        let maximum = self.load_row(b, maxima.0, maxima.1.clone());
        let sum = self.load_row(b, sums.0, sums.1.clone());
        let reciprocal = self.reciprocal(b, sum);
        self.for_each_key(b, |b, _, at| {
            let score = self.load_row(b, p_place, at.clone());
            let shifted = b.map(Op::Sub, DType::F32, &[score, maximum]);
            let exp = b.map(Op::Exp, DType::F32, &[shifted]);
            let p = b.map(Op::Mul, DType::F32, &[exp, reciprocal]);
            b.store(p_place, at, p);
            Ok(())
        })?;
        let inner = self.reduce(b, Combine::Sum, |b, at| {
            let dp = self.load_row(b, ds_place, at.clone());
            let p = self.load_row(b, p_place, at);
            b.map(Op::Mul, DType::F32, &[dp, p])
        });
        let scale = b.constant(DType::F32, u64::from(self.scale.to_bits()));
        self.for_each_key(b, |b, _, at| {
            let dp = self.load_row(b, ds_place, at.clone());
            let p = self.load_row(b, p_place, at.clone());
            let centred = b.map(Op::Sub, DType::F32, &[dp, inner]);
            let ds = b.map(Op::Mul, DType::F32, &[p, centred]);
            let ds = b.map(Op::Mul, DType::F32, &[ds, scale]);
            b.store(ds_place, at, ds);
            Ok(())
        })?;
        self.close_rows(b);
        let dq_at = self.batch_offset(self.queries * self.depth);
        let dq_at = dq_at.add(&self.first.scale(self.depth as i64));
        let c = Element {
            place: dq,
            at: dq_at,
            dynamic: None,
        };
        b.push(self.product(
            &self.strip_scratch(ds_place),
            keys,
            c,
            self.depth,
            self.keys,
        ));
        b.push(self.accumulate(ds_place, queries, dk, dk_at, self.depth));
        b.push(self.accumulate(p_place, gradients, dv, dv_at, self.value_depth));
        let strip_body = b.close();
        let extent = Extent::Static(b.axes.extent(self.strip));
        b.push(Stmt::Loop {
            var: self.strip,
            extent,
            vector: false,
            body: strip_body,
        });
        let body = b.close();
        Ok(self.finish(b, self.batch.clone(), body, 5))
    }

    /// An operand with one element for each query, at the current row.
    fn row_operand(&self, b: &mut Builder, operand: usize) -> Result<(Place, Affine), Blocked> {
        let node = self.operand(operand);
        let mut index = self.batch_index.clone();
        let query = b.axes.var(self.queries);
        index.push(Affine::var(query));
        match b.places().locate(node, index) {
            Ok(Source::Stored(stored, at)) => {
                let row = self.first.add(&Affine::var(self.row));
                Ok((b.node_buffer(stored, false), at.substitute(query, &row)))
            }
            _ => Err(Blocked::Store(node)),
        }
    }

    /// Adds the strip's share, `strip^T * B`, to the gradient of keys or values.
    fn accumulate(
        &self,
        strip: Place,
        (packed, at, panel_stride): (Place, Affine, i64),
        to: Place,
        to_at: Affine,
        width: usize,
    ) -> Stmt {
        let first_row = self.first.scale(crate::kernel::PANEL as i64);
        Stmt::Contract(Box::new(Contract {
            a: Element {
                place: strip,
                at: Affine::default(),
                dynamic: None,
            },
            a_row_stride: 1,
            a_k_stride: self.keys as i64,
            b: Element {
                place: packed,
                at: at.add(&first_row),
                dynamic: None,
            },
            b_panel_stride: panel_stride,
            c: Element {
                place: to,
                at: to_at,
                dynamic: None,
            },
            c_row_stride: width as i64,
            m: Extent::Static(self.keys),
            n: Extent::Static(width),
            k: self.rows.clone(),
            accumulate: true,
        }))
    }

    fn finish(&self, b: &mut Builder, grid: Vec<Var>, body: Vec<Stmt>, products: u64) -> Lowered {
        let kernel = Kernel {
            buffers: std::mem::take(&mut b.buffers),
            scratch: std::mem::take(&mut b.scratch),
            grid: loops::grid(&grid, &b.axes),
            body,
        };
        let pairs = (self.batch_shape.elements() * self.queries * self.keys) as u64;
        let depth = (self.depth + self.value_depth) as u64;
        let name = self.function.node(self.anchor).op.name();
        Lowered {
            kernel,
            shared: std::mem::take(&mut b.shared),
            extras: Vec::new(),
            label: format!("{name} {}", self.anchor),
            flops: pairs * depth * products,
        }
    }
}
