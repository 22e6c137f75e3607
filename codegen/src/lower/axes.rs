//! The loop variables that stand for the axes of tensors.

use crate::kernel::{Affine, Extent, Var};
use std::collections::BTreeMap;

/// The loop variables of one kernel. An axis of a tensor is one variable, or several where a
/// reshape made it necessary to split it.
#[derive(Clone, Debug, Default)]
pub struct Axes {
    /// Extents of the variables that replace the axis of this number.
    splits: BTreeMap<usize, Vec<usize>>,
    axes: usize,
    /// The axis of each variable and the variable's place in it.
    origin: Vec<(usize, usize)>,
    extents: Vec<usize>,
}

impl Axes {
    /// A new axis; its index in terms of its variables. Extent 1 needs none.
    pub fn axis(&mut self, extent: usize) -> (Affine, Vec<Var>) {
        let number = self.axes;
        self.axes += 1;
        let whole = vec![extent];
        let factors = self.splits.get(&number).unwrap_or(&whole).clone();
        let mut index = Affine::default();
        let mut vars = Vec::new();
        for (position, &factor) in factors.iter().enumerate() {
            index = index.scale(factor as i64);
            if extent != 1 {
                let var = Var(self.extents.len() as u32);
                self.extents.push(factor);
                self.origin.push((number, position));
                index = index.add(&Affine::var(var));
                vars.push(var);
            }
        }
        (index, vars)
    }

    /// Whether a variable is an axis of a tensor, or a part of one, which can be split.
    pub fn is_axis(&self, var: Var) -> bool {
        self.origin[var.0 as usize].0 != usize::MAX
    }

    /// Starts over with a variable split in two.
    pub fn split(mut self, var: Var, inner: usize) -> Axes {
        let (number, position) = self.origin[var.0 as usize];
        let extent = self.extents[var.0 as usize];
        let axis: usize = {
            let of_axis = self.origin.iter().zip(&self.extents);
            of_axis
                .filter(|(origin, _)| origin.0 == number)
                .map(|(_, extent)| extent)
                .product()
        };
        let factors = self.splits.entry(number).or_insert_with(|| vec![axis]);
        factors.splice(position..=position, [extent / inner, inner]);
        Axes {
            splits: self.splits,
            ..Axes::default()
        }
    }

    /// A variable that is not an axis of a tensor.
    pub fn var(&mut self, extent: usize) -> Var {
        let var = Var(self.extents.len() as u32);
        self.extents.push(extent);
        self.origin.push((usize::MAX, 0));
        var
    }

    /// Lets a variable count inside of blocks of `size`: the variable of blocks, what the variable
    /// was in terms of both, and what it counts now.
    pub fn block(&mut self, var: Var, size: usize) -> (Var, Affine, Extent) {
        let limit = self.extent(var);
        let block = self.var(limit.div_ceil(size));
        let start = Affine::var(block).scale(size as i64);
        self.set_extent(var, size);
        let at = start.add(&Affine::var(var));
        (block, at, Extent::block(size, start, limit))
    }

    pub fn set_extent(&mut self, var: Var, extent: usize) {
        self.extents[var.0 as usize] = extent;
    }

    /// By the variables' numbers.
    pub fn extents(&self) -> &[usize] {
        &self.extents
    }

    pub fn extent(&self, var: Var) -> usize {
        self.extents[var.0 as usize]
    }
}
