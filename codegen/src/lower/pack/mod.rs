//! Packing: the rhs of a contraction as panels of [`PANEL`] columns.

mod columns;
mod operand;

use super::axes::Axes;
use super::builder::KernelBuilder;
use super::operand_formats::OperandFormats;
use super::{Attempt, Lowered};
use crate::kernel::{Affine, Element, Extent, Format, Inst, PANEL, Place, Stmt, Var};
use crate::schedule::Widenings;
use bsq_ir::{DType, DotAxes, Function, NodeId, Op, Type};
pub(super) use operand::Operand;

/// A packed operand: `[batch][panels][k][PANEL]`, or what its format makes of the last two.
pub(super) struct Packed {
    pub ty: Type,
    /// Elements from one panel to the next.
    pub stride: usize,
    pub k: usize,
    pub panels: usize,
    /// Where sums of a column start, if its format needs that.
    pub starts: Option<Type>,
}

impl Packed {
    pub fn new(batch: usize, columns: usize, k: usize, format: Format) -> Self {
        let (panels, terms) = (columns.div_ceil(PANEL), format.terms());
        let steps = k.div_ceil(terms);
        let ty = Type::new(format.b(), [batch, panels, steps, PANEL * terms]);
        let starts =
            (format == Format::Int8).then(|| Type::new(DType::I32, [batch, panels, PANEL]));
        Packed {
            ty,
            stride: steps * terms * PANEL,
            k,
            panels,
            starts,
        }
    }

    /// The offset of a batch's panels, given the batch's variables, outermost first.
    pub fn batch_offset(&self, batch: &[Var], axes: &Axes) -> Affine {
        self.batch(batch, axes)
            .scale((self.panels * self.stride) as i64)
    }

    /// The number of a batch point.
    pub fn batch(&self, batch: &[Var], axes: &Axes) -> Affine {
        linear(batch, axes)
    }
}

/// The layout of a contraction's packed rhs.
pub(super) fn packed_type(function: &Function, anchor: NodeId, format: Format) -> Packed {
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
        format,
    )
}

/// The kernel that packs the rhs of a contraction.
pub(super) fn contraction_rhs(
    builder: KernelBuilder,
    function: &Function,
    anchor: NodeId,
    rhs: NodeId,
    widened: &Widenings,
) -> Attempt<Lowered> {
    let Op::DotGeneral(dot) = &function.node(anchor).op else {
        unreachable!("a contraction")
    };
    let DotAxes { batch, contract } = dot;
    let side = |pairs: &[(usize, usize)]| pairs.iter().map(|pair| pair.1).collect::<Vec<_>>();
    let free = dot.free(function.node(rhs).shape().rank(), false);
    Operand {
        node: rhs,
        anchor,
        slot: 0,
        batch: &side(batch),
        contracted: &side(contract),
        columns: &free,
        format: OperandFormats::new(function, anchor, widened).format,
        widened,
    }
    .pack(builder, function)
}

/// The row-major position of variables, outermost first.
fn linear(vars: &[Var], axes: &Axes) -> Affine {
    vars.iter().fold(Affine::default(), |sum, &var| {
        sum.scale(axes.extent(var) as i64).add(&Affine::var(var))
    })
}

/// A loop that fills elements with zero.
pub(super) fn zeros(
    b: &mut KernelBuilder,
    (place, dtype): (Place, DType),
    start: Affine,
    extent: Extent,
) -> Stmt {
    let (var, zero) = (b.axes.var(extent.largest()), b.fresh());
    let at = start.add(&Affine::var(var));
    let body = vec![
        Stmt::Let {
            value: zero,
            dtype,
            inst: Inst::Constant(0),
        },
        Stmt::store(Element::new(place, at), zero),
    ];
    Stmt::vector_loop(var, extent, body)
}
