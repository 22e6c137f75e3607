//! Indices that do not step evenly, as loops that do: one for each level of groups.

use super::super::{Affine, Extent, Groups, Var};
use super::blocks::steps;

/// Variables of levels, and how far they count.
#[derive(Default)]
pub(super) struct Levels {
    pub extents: Vec<(Var, Extent)>,
}

impl Levels {
    /// The parts of an element's offset that an index of `extent` adds, inside of groups by `stride`.
    pub fn split(
        &mut self,
        extent: &Extent,
        stride: i64,
        groups: &[Groups],
    ) -> Result<Vec<Affine>, String> {
        let mut inner = 1;
        let mut parts = Vec::new();
        let mut level = |levels: &mut Levels, stride, extent| {
            // The numbers that follow those of the block's own variables.
            let var = Var(u32::MAX - 16 - levels.extents.len() as u32);
            levels.extents.push((var, extent));
            parts.push(Affine::var(var).scale(stride));
        };
        let mut own = stride;
        for &Groups { terms, stride } in groups {
            if terms == 0 || !terms.is_multiple_of(inner) {
                return Err(format!("groups of {terms} of groups of {inner}"));
            }
            level(self, own, Extent::Static(terms / inner));
            (inner, own) = (terms, stride);
        }
        if !extent.divisor().is_multiple_of(inner) {
            return Err(format!("{extent} in groups of {inner}"));
        }
        level(self, own, steps(extent, inner)?);
        Ok(parts)
    }
}
