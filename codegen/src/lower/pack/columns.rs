//! How the columns of a packed operand fall into panels.

use super::Packed;
use crate::kernel::{Affine, Extent, PANEL, Stmt, Var};
use crate::lower::access::Obstacle;
use crate::lower::builder::KernelBuilder;
use crate::lower::loops;
use bsq_ir::NodeId;

/// How columns fall into panels.
pub(super) struct Columns {
    /// Variables that count panels, outermost first.
    pub panels: Vec<Var>,
    /// Loops inside a panel, innermost first.
    inner: Vec<(Var, Extent)>,
    /// The column's place in its panel.
    pub place: Affine,
    /// Panels are filled to the last column.
    pub full: bool,
}

impl Columns {
    /// The loops over a panel's columns.
    pub fn around(&self, mut body: Vec<Stmt>, vector: bool) -> Vec<Stmt> {
        for (position, (var, extent)) in self.inner.iter().enumerate() {
            body = vec![Stmt::loop_over(
                vector && position == 0,
                *var,
                extent.clone(),
                body,
            )];
        }
        body
    }

    pub fn new(
        b: &mut KernelBuilder,
        load: &mut [Stmt],
        vars: &[Var],
        packed: &Packed,
        node: NodeId,
    ) -> Result<Self, Obstacle> {
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
        let extent = Extent::block(PANEL, start, limit);
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
    fn uneven(b: &mut KernelBuilder, vars: &[Var], node: NodeId) -> Result<Self, Obstacle> {
        let (mut place, mut inner, mut width) = (Affine::default(), Vec::new(), 1);
        let mut outer = vars.to_vec();
        while width < PANEL {
            let var = outer.pop().ok_or(Obstacle::Materialize(node))?;
            let (extent, missing) = (b.axes.extent(var), PANEL / width);
            if extent > missing && extent.is_multiple_of(missing) {
                return Err(Obstacle::Split {
                    var,
                    inner: missing,
                });
            }
            if !missing.is_multiple_of(extent) {
                return Err(Obstacle::Materialize(node));
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
