//! NumPy broadcasting: trailing axes are aligned, extent 1 repeats.

use crate::shape::Shape;

pub(super) const HELP: &str = "extents must be equal or 1, aligned at the last axis";

/// The common shape of two operands, or on which axis they differ.
pub(super) fn common(x: &Shape, y: &Shape) -> Result<Shape, String> {
    let rank = x.rank().max(y.rank());
    let mut common = vec![0; rank];
    for from_end in 1..=rank {
        common[rank - from_end] = match (extent(x, from_end), extent(y, from_end)) {
            (a, b) if a == b => a,
            (1, b) => b,
            (a, 1) => a,
            (a, b) => return Err(format!("axis -{from_end} differs: {a} and {b}")),
        };
    }
    Ok(common.into())
}

/// Whether `from` can be repeated into `to`; if not, why.
pub(super) fn check(from: &Shape, to: &Shape) -> Result<(), String> {
    if from.rank() > to.rank() {
        return Err(format!("{from} has more axes than {to}"));
    }
    for from_end in 1..=from.rank() {
        let (a, b) = (extent(from, from_end), extent(to, from_end));
        if a != b && a != 1 {
            return Err(format!("axis -{from_end} has {a}, {to} has {b} there"));
        }
    }
    Ok(())
}

/// An extent counted from the last axis (1); axes that are missing in front have extent 1.
fn extent(shape: &Shape, from_end: usize) -> usize {
    let axis = shape.rank().checked_sub(from_end);
    axis.map_or(1, |axis| shape[axis])
}
