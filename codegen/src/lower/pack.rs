//! Packing: the right side of a contraction as panels of [`PANEL`] columns.

use super::access::{Blocked, Source};
use super::builder::{Axes, Builder, Shared};
use super::rows::root_axes;
use super::{Lowered, loops};
use crate::kernel::{Affine, Element, Extent, Inst, Kernel, PANEL, Place, Stmt, Var};
use bsq_ir::{DType, DotAxes, Function, NodeId, Op, Shape, Type};

/// A packed operand: `[batch][panels][k][PANEL]`.
pub(super) struct Packed {
    pub ty: Type,
    /// Elements from one panel to the next.
    pub stride: usize,
    pub k: usize,
    panels: usize,
}

impl Packed {
    pub fn new(batch: usize, columns: usize, k: usize) -> Self {
        let panels = columns.div_ceil(PANEL);
        let ty = Type::new(DType::F32, [batch, panels, k, PANEL]);
        Packed {
            ty,
            stride: k * PANEL,
            k,
            panels,
        }
    }

    /// The offset of a batch's panels, given the batch's variables, outermost first.
    pub fn batch_offset(&self, batch: &[Var], axes: &Axes) -> Affine {
        let mut linear = Affine::default();
        for &var in batch {
            linear = linear.scale(axes.extent(var) as i64).add(&Affine::var(var));
        }
        linear.scale((self.panels * self.stride) as i64)
    }
}

/// The layout of a contraction's packed right side.
pub(super) fn packed_type(function: &Function, anchor: NodeId) -> Packed {
    let node = function.node(anchor);
    let Op::DotGeneral(dot) = &node.op else {
        unreachable!("a contraction")
    };
    let shape = function.node(node.operands[1]).shape();
    let size = |axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product();
    let side = |pairs: &[(usize, usize)]| pairs.iter().map(|pair| pair.1).collect::<Vec<_>>();
    Packed::new(
        size(&side(&dot.batch)),
        size(&dot.free(shape.rank(), false)),
        size(&side(&dot.contract)),
    )
}

/// The kernel that packs the right side of a contraction.
pub(super) fn contraction_rhs(
    builder: Builder,
    function: &Function,
    anchor: NodeId,
    rhs: NodeId,
) -> Attempt1 {
    let Op::DotGeneral(dot) = &function.node(anchor).op else {
        unreachable!("a contraction")
    };
    let DotAxes { batch, contract } = dot;
    let side = |pairs: &[(usize, usize)]| pairs.iter().map(|pair| pair.1).collect::<Vec<_>>();
    let free = dot.free(function.node(rhs).shape().rank(), false);
    let target = Shared::Extra(anchor, 0);
    operand(
        builder,
        function,
        rhs,
        target,
        &side(batch),
        &side(contract),
        &free,
    )
}

/// One kernel, or the reason why not with the axes of the attempt.
pub(super) type Attempt1 = Result<Lowered, (Blocked, Axes)>;

/// Packs a tensor whose axes are batch, contracted and column axes, each enumerated in the
/// given order.
pub(super) fn operand(
    mut builder: Builder,
    function: &Function,
    node: NodeId,
    target: Shared,
    batch: &[usize],
    contracted: &[usize],
    columns: &[usize],
) -> Attempt1 {
    loop {
        let attempt = emit(
            &mut builder,
            function,
            node,
            target,
            batch,
            contracted,
            columns,
        );
        match attempt {
            Ok(lowered) => return Ok(lowered),
            Err(Blocked::Split { var, inner }) => builder = builder.restart(var, inner),
            Err(blocked) => return Err((blocked, builder.axes)),
        }
    }
}

fn emit(
    b: &mut Builder,
    function: &Function,
    node: NodeId,
    target: Shared,
    batch: &[usize],
    contracted: &[usize],
    columns: &[usize],
) -> Result<Lowered, Blocked> {
    let shape = function.node(node).shape().clone();
    let size = |axes: &[usize]| -> usize { axes.iter().map(|&axis| shape[axis]).product() };
    let packed = Packed::new(size(batch), size(columns), size(contracted));
    let mut index = vec![Affine::default(); shape.rank()];
    let mut part = |axes: &[usize]| {
        let extents: Shape = axes.iter().map(|&axis| shape[axis]).collect();
        let (indices, vars) = root_axes(&mut b.axes, &extents);
        axes.iter()
            .zip(indices)
            .for_each(|(&axis, at)| index[axis] = at);
        vars
    };
    let (batch_vars, k_vars, column_vars) = (part(batch), part(contracted), part(columns));
    let (place, at) = match b.places().locate(node, index)? {
        Source::Stored(stored, at) => (b.node_buffer(stored, false), at),
        Source::Computed(..) => return Err(Blocked::Store(node)),
    };
    let to = b.buffer(target, &packed.ty, true);
    let value = b.fresh();
    let from = Element {
        place,
        at,
        dynamic: None,
    };
    let mut load = vec![Stmt::Let {
        value,
        dtype: DType::F32,
        inst: Inst::Load(from),
    }];
    let k_vars = loops::merge_neighbours(&mut load, &k_vars, &mut b.axes);
    let k_index = linear(&k_vars, &b.axes);
    let columns = Columns::new(b, &mut load, &column_vars, &packed, node)?;
    let panel_at = packed
        .batch_offset(&batch_vars, &b.axes)
        .add(&linear(&columns.panels, &b.axes).scale(packed.stride as i64));
    let at = panel_at
        .add(&k_index.scale(PANEL as i64))
        .add(&columns.place);
    let to_element = Element {
        place: to,
        at,
        dynamic: None,
    };
    load.push(Stmt::Store {
        to: to_element,
        value,
    });
    let mut nest = load;
    for (position, (var, extent)) in columns.inner.into_iter().enumerate() {
        nest = vec![Stmt::Loop {
            var,
            extent,
            vector: position == 0,
            body: nest,
        }];
    }
    for &var in k_vars.iter().rev() {
        let extent = Extent::Static(b.axes.extent(var));
        nest = vec![Stmt::Loop {
            var,
            extent,
            vector: false,
            body: nest,
        }];
    }
    let mut body = Vec::new();
    if !columns.full {
        body.push(zeros(b, to, panel_at, packed.stride));
    }
    body.append(&mut nest);
    let grid: Vec<Var> = batch_vars.into_iter().chain(columns.panels).collect();
    let kernel = Kernel {
        buffers: std::mem::take(&mut b.buffers),
        scratch: Vec::new(),
        grid: loops::grid(&grid, &b.axes),
        body,
    };
    let shared = std::mem::take(&mut b.shared);
    let extras = vec![(target, packed.ty)];
    Ok(Lowered {
        kernel,
        shared,
        extras,
        label: format!("pack {node}"),
        flops: 0,
    })
}

/// The row-major position of variables, outermost first.
fn linear(vars: &[Var], axes: &Axes) -> Affine {
    vars.iter().fold(Affine::default(), |sum, &var| {
        sum.scale(axes.extent(var) as i64).add(&Affine::var(var))
    })
}

/// How columns fall into panels.
struct Columns {
    /// Variables that count panels, outermost first.
    panels: Vec<Var>,
    /// Loops inside a panel, innermost first.
    inner: Vec<(Var, Extent)>,
    /// The column's place in its panel.
    place: Affine,
    /// Panels are filled to the last column.
    full: bool,
}

impl Columns {
    fn new(
        b: &mut Builder,
        load: &mut [Stmt],
        vars: &[Var],
        packed: &Packed,
        node: NodeId,
    ) -> Result<Self, Blocked> {
        // Merging changes what it is tried on, even where it fails in the end.
        let (mut merged, mut axes) = (load.to_vec(), b.axes.clone());
        let column = match (vars, loops::merge_all(&mut merged, vars, &mut axes)) {
            ([], _) => b.axes.var(1),
            (_, Some(column)) => {
                load.clone_from_slice(&merged);
                b.axes = axes;
                column
            }
            (_, None) => return Columns::uneven(b, vars, node),
        };
        let limit = b.axes.extent(column);
        let panel = b.axes.var(packed.panels);
        let start = Affine::var(panel).scale(PANEL as i64);
        loops::substitute(load, column, &start.add(&Affine::var(column)));
        let full = limit.is_multiple_of(PANEL);
        let extent = match full {
            true => Extent::Static(PANEL),
            false => Extent::Block {
                size: PANEL,
                start,
                limit,
            },
        };
        let place = Affine::var(column);
        Ok(Columns {
            panels: vec![panel],
            inner: vec![(column, extent)],
            place,
            full,
        })
    }

    /// Columns that step unevenly, such as heads and their channels: the innermost variables
    /// that make up one panel, and the others to count panels.
    fn uneven(b: &mut Builder, vars: &[Var], node: NodeId) -> Result<Self, Blocked> {
        let (mut place, mut inner, mut width) = (Affine::default(), Vec::new(), 1);
        let mut outer = vars.to_vec();
        while width < PANEL {
            let var = outer.pop().ok_or(Blocked::Store(node))?;
            let (extent, missing) = (b.axes.extent(var), PANEL / width);
            if extent > missing && extent.is_multiple_of(missing) {
                return Err(Blocked::Split {
                    var,
                    inner: missing,
                });
            }
            if !missing.is_multiple_of(extent) {
                return Err(Blocked::Store(node));
            }
            place = place.add(&Affine::var(var).scale(width as i64));
            inner.push((var, Extent::Static(extent)));
            width *= extent;
        }
        Ok(Columns {
            panels: outer,
            inner,
            place,
            full: true,
        })
    }
}

/// A loop that fills `elements` with zero.
pub(super) fn zeros(b: &mut Builder, place: Place, start: Affine, elements: usize) -> Stmt {
    let (var, zero) = (b.axes.var(elements), b.fresh());
    let at = start.add(&Affine::var(var));
    let body = vec![
        Stmt::Let {
            value: zero,
            dtype: DType::F32,
            inst: Inst::Constant(0),
        },
        Stmt::Store {
            to: Element {
                place,
                at,
                dynamic: None,
            },
            value: zero,
        },
    ];
    Stmt::Loop {
        var,
        extent: Extent::Static(elements),
        vector: true,
        body,
    }
}
