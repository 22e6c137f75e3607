//! Ranges of index expressions over the loops around them.

use super::{Affine, Extent, Kernel, Var};

/// The loops around a statement, outermost first, and what their variables can be.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    loops: Vec<(Var, Extent)>,
}

impl Ranges {
    /// Those of a grid's variables.
    ///
    /// # Panics
    /// If two axes have one variable: the kernel is not valid.
    pub fn of_grid(kernel: &Kernel) -> Ranges {
        let mut ranges = Ranges::default();
        for axis in &kernel.grid {
            let bound = ranges.bind(axis.var, Extent::Static(axis.extent));
            bound.expect("a verified kernel has each variable once");
        }
        ranges
    }

    /// Enters a loop.
    ///
    /// # Errors
    /// If the variable belongs to an enclosing loop.
    pub fn bind(&mut self, var: Var, extent: Extent) -> Result<(), String> {
        if self.is_bound(var) {
            return Err(format!("i{} is already the variable of a loop", var.0));
        }
        self.loops.push((var, extent));
        Ok(())
    }

    /// Leaves a loop.
    pub fn unbind(&mut self, var: Var) {
        self.loops.retain(|bound| bound.0 != var);
    }

    pub fn is_bound(&self, var: Var) -> bool {
        self.loops.iter().any(|bound| bound.0 == var)
    }

    /// True if some loop never runs, so that nothing inside it does.
    pub fn is_empty(&self) -> bool {
        self.loops.iter().any(|(_, extent)| extent.largest() == 0)
    }

    /// The least and the greatest value of an expression over the bound variables. Exact for
    /// static extents; never too narrow. No loop may be empty.
    pub fn at(&self, at: &Affine) -> (i64, i64) {
        (-self.greatest(&at.scale(-1)), self.greatest(at))
    }

    fn greatest(&self, at: &Affine) -> i64 {
        // The innermost variable first: the start of its block mentions outer ones only.
        let innermost = self
            .loops
            .iter()
            .rfind(|(var, _)| at.coefficient(*var) != 0);
        let Some((var, extent)) = innermost else {
            return at.constant;
        };
        let factor = at.coefficient(*var);
        if factor < 0 {
            return self.greatest(&at.substitute(*var, &Affine::constant(0)));
        }
        let last = Affine::constant(extent.largest() as i64 - 1);
        let by_size = self.greatest(&at.substitute(*var, &last));
        match extent {
            Extent::Static(_) => by_size,
            // start + var <= limit - 1
            Extent::Block { start, limit, .. } | Extent::Visible { start, limit, .. } => {
                let last = start.scale(-1).offset(*limit as i64 - 1);
                by_size.min(self.greatest(&at.substitute(*var, &last)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(var: u32, factor: i64) -> Affine {
        Affine::var(Var(var)).scale(factor)
    }

    #[test]
    fn a_ragged_block_ends_at_its_limit() {
        let mut ranges = Ranges::default();
        ranges.bind(Var(0), Extent::Static(4)).unwrap();
        let block = Extent::Block {
            size: 16,
            start: scaled(0, 16),
            limit: 50,
        };
        ranges.bind(Var(1), block).unwrap();
        let at = scaled(0, 16).add(&scaled(1, 1));
        assert_eq!(ranges.at(&at), (0, 49));
        assert_eq!(ranges.at(&at.scale(-3).offset(7)), (7 - 3 * 49, 7));
        assert_eq!(ranges.at(&scaled(1, 2)), (0, 30));
    }
}
