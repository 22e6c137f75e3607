//! The kernel that packs a tensor.

use super::columns::Columns;
use super::{Packed, linear, zeros};
use crate::kernel::{
    Affine, Combine, Element, Extent, Format, Inst, Kernel, PANEL, Reduce, Reduction, Stmt, Value,
    Var,
};
use crate::lower::access::{Obstacle, Source};
use crate::lower::builder::{KernelBuilder, Shared};
use crate::lower::loop_nest::root_axes;
use crate::lower::{Attempt, Lowered, loops};
use crate::schedule::Widenings;
use bsq_ir::{DType, Function, NodeId, Op, Shape};

/// A tensor whose axes are batch, contracted and column axes, each enumerated in the given order.
pub(in crate::lower) struct Operand<'a> {
    pub node: NodeId,
    /// What it is packed for, and which of that node's extra arrays the panels are.
    pub anchor: NodeId,
    pub slot: usize,
    pub batch: &'a [usize],
    pub contracted: &'a [usize],
    pub columns: &'a [usize],
    pub format: Format,
    pub widened: &'a Widenings,
}

impl Operand<'_> {
    /// The kernel that packs the operand.
    pub fn pack(&self, mut builder: KernelBuilder, function: &Function) -> Attempt<Lowered> {
        loop {
            match self.emit(&mut builder, function) {
                Ok(lowered) => return Ok(lowered),
                Err(Obstacle::Split { var, inner }) => builder = builder.restart(var, inner),
                Err(obstacle) => return Err((obstacle, builder.axes)),
            }
        }
    }

    fn emit(&self, b: &mut KernelBuilder, function: &Function) -> Result<Lowered, Obstacle> {
        let &Operand { node, format, .. } = self;
        let shape = function.node(node).shape().clone();
        let size = |axes: &[usize]| -> usize { axes.iter().map(|&axis| shape[axis]).product() };
        let packed = Packed::new(
            size(self.batch),
            size(self.columns),
            size(self.contracted),
            format,
        );
        let mut index = vec![Affine::default(); shape.rank()];
        let mut part = |axes: &[usize]| {
            let extents: Shape = axes.iter().map(|&axis| shape[axis]).collect();
            let (indices, vars) = root_axes(&mut b.axes, &extents);
            axes.iter()
                .zip(indices)
                .for_each(|(&axis, at)| index[axis] = at);
            vars
        };
        let (batch_vars, k_vars, column_vars) =
            (part(self.batch), part(self.contracted), part(self.columns));
        let (materialized, at) = self.locate(b, function, index)?;
        let from = Element::new(b.node_buffer(materialized, false), at);
        let to = b.buffer(Shared::Extra(self.anchor, self.slot), &packed.ty, true);
        let (mut load, value) = self.element(b, from, function.node(materialized).dtype());
        let k_vars = loops::merge_neighbours(&mut load, &k_vars, &mut b.axes);
        let columns = Columns::new(b, &mut load, &column_vars, &packed, node)?;
        let panel = packed.batch(&batch_vars, &b.axes);
        let panel = panel
            .scale(packed.panels as i64)
            .add(&linear(&columns.panels, &b.axes));
        let panel_at = panel.scale(packed.stride as i64);
        let starts = self.starts(b, &packed, &load, &k_vars, &columns, &panel)?;
        let (k_vars, k_at) = self.steps(b, &mut load, k_vars)?;
        let at = panel_at
            .add(&k_at)
            .add(&columns.place.scale(format.terms() as i64));
        load.push(Stmt::store(Element::new(to, at), value));
        let mut nest = columns.around(load, true);
        for &var in k_vars.iter().rev() {
            let extent = Extent::Static(b.axes.extent(var));
            nest = vec![Stmt::serial_loop(var, extent, nest)];
        }
        let mut body = Vec::new();
        if !columns.full || !packed.k.is_multiple_of(format.terms()) {
            body.push(zeros(
                b,
                (to, format.b()),
                panel_at,
                Extent::Static(packed.stride),
            ));
        }
        body.append(&mut nest);
        body.extend(starts);
        let grid: Vec<Var> = batch_vars.into_iter().chain(columns.panels).collect();
        let kernel = Kernel {
            buffers: std::mem::take(&mut b.buffers),
            scratch: Vec::new(),
            grid: loops::grid(&grid, &b.axes),
            body,
        };
        let shared = std::mem::take(&mut b.shared);
        let mut extras = vec![(Shared::Extra(self.anchor, self.slot), packed.ty)];
        let starts = packed
            .starts
            .map(|ty| (Shared::Extra(self.anchor, self.slot + 1), ty));
        extras.extend(starts);
        Ok(Lowered {
            kernel,
            shared,
            extras,
            label: format!("pack {node}"),
            flops: 0,
            rest: None,
        })
    }

    /// Where an element is stored, in the operand's type or in what it is widened from.
    fn locate(
        &self,
        b: &KernelBuilder,
        function: &Function,
        index: Vec<Affine>,
    ) -> Result<(NodeId, Affine), Obstacle> {
        let mut source = b.addressing().locate(self.node, index)?;
        while let Source::Computed(value, index) = &source
            && let Some(narrow) = self.widened.narrow(*value)
        {
            source = b.addressing().locate(narrow, index.clone())?;
        }
        match source {
            Source::Materialized(materialized, at) => Ok((materialized, at)),
            Source::Computed(computed, _) => match function.node(computed).dtype() {
                DType::F32 => Err(Obstacle::Materialize(self.node)),
                _ => Err(Obstacle::Materialize(computed)),
            },
        }
    }

    /// Loads an element and brings it into the format of the panels.
    fn element(&self, b: &mut KernelBuilder, from: Element, dtype: DType) -> (Vec<Stmt>, Value) {
        let value = b.fresh();
        let inst = Inst::Load(from);
        let mut stmts = vec![Stmt::Let { value, dtype, inst }];
        let mut map = |b: &mut KernelBuilder, dtype, inst| {
            let value = b.fresh();
            stmts.push(Stmt::Let { value, dtype, inst });
            value
        };
        let to = self.format.b();
        let value = match (dtype, self.format) {
            // What lies 128 above a signed byte, as that byte.
            (_, Format::Int8) => {
                let offset = map(b, to, Inst::Constant(128));
                map(b, to, Inst::Map(Op::Xor, vec![value, offset]))
            }
            (dtype, _) if dtype == to => value,
            _ => map(b, to, Inst::Map(Op::Cast(to), vec![value])),
        };
        (stmts, value)
    }

    /// The variables of the contracted axes, and the place in the panel that they stand for: terms
    /// that lie side by side have a separate variable.
    fn steps(
        &self,
        b: &mut KernelBuilder,
        load: &mut [Stmt],
        mut vars: Vec<Var>,
    ) -> Result<(Vec<Var>, Affine), Obstacle> {
        let (terms, width) = (self.format.terms(), PANEL as i64);
        let last = match vars.last() {
            Some(&last) if terms > 1 => last,
            _ => return Ok((vars.clone(), linear(&vars, &b.axes).scale(width))),
        };
        if !b.axes.extent(last).is_multiple_of(terms) {
            return Err(Obstacle::Materialize(self.node));
        }
        let term = b.axes.var(terms);
        let step = Affine::var(last).scale(terms as i64);
        loops::substitute(load, last, &step.add(&Affine::var(term)));
        b.axes.set_extent(last, b.axes.extent(last) / terms);
        let at = linear(&vars, &b.axes).scale(width * terms as i64);
        vars.push(term);
        Ok((vars, at.add(&Affine::var(term))))
    }

    /// In `int8`, where the sums of a panel's columns start: A is stored 128 too large, so that
    /// they end 128 times the sum of the column too large.
    fn starts(
        &self,
        b: &mut KernelBuilder,
        packed: &Packed,
        load: &[Stmt],
        k_vars: &[Var],
        columns: &Columns,
        panel: &Affine,
    ) -> Result<Vec<Stmt>, Obstacle> {
        let (Some(ty), Stmt::Let { inst, .. }) = (&packed.starts, &load[0]) else {
            return Ok(Vec::new());
        };
        let &[k] = k_vars else {
            return Err(Obstacle::Materialize(self.node));
        };
        let to = b.buffer(Shared::Extra(self.anchor, self.slot + 1), ty, true);
        let let_ = |value, dtype, inst| Stmt::Let { value, dtype, inst };
        let [byte, wide, offset, term, sum, factor, start] = [(); 7].map(|()| b.fresh());
        let (int, minus_128) = (DType::I32, u64::from(-128i32 as u32));
        let reduce = Stmt::Reduce(Reduce {
            var: k,
            extent: Extent::Static(b.axes.extent(k)),
            vector: false,
            body: vec![
                let_(byte, DType::U8, inst.clone()),
                let_(wide, int, Inst::Map(Op::Cast(int), vec![byte])),
                let_(offset, int, Inst::Constant(minus_128)),
                let_(term, int, Inst::Map(Op::Add, vec![wide, offset])),
            ],
            results: vec![Reduction {
                value: sum,
                dtype: int,
                op: Combine::Sum,
                term,
            }],
        });
        let at = panel.scale(PANEL as i64).add(&columns.place);
        let body = vec![
            reduce,
            let_(factor, int, Inst::Constant(minus_128)),
            let_(start, int, Inst::Map(Op::Mul, vec![sum, factor])),
            Stmt::store(Element::new(to, at), start),
        ];
        Ok(columns.around(body, false))
    }
}
