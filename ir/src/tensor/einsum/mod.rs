//! Einstein's summation: products of tensors, with axes named by letters.

mod formula;

use super::{Tensor, one_graph};
use crate::graph::Graph;
use crate::op::{Op, TypeError};
use crate::shape::Type;
use formula::{Formula, Label};

/// A tensor and the letters of its axes.
struct Term<'g> {
    tensor: Tensor<'g>,
    letters: Vec<Label>,
}

impl Graph {
    /// The product of tensors whose axes are named by letters, summed over the letters that the
    /// result does not have: `"bij,bjk->bik"` is a product of matrices in batches.
    ///
    /// The letters of each operand come first, separated by commas, then `->` and those of the
    /// result. A letter stands for one extent; twice in one operand it is the diagonal of both axes.
    /// `...` stands for any number of axes, which broadcast as in NumPy, and which the result has too if
    /// an operand has them. Operands are contracted from the first to the last, two
    /// at a time, so that their order says what is large in between. Not understood, and refused: a
    /// formula without `->`, and a letter twice in the result.
    ///
    /// ```
    /// # use bsq_ir::{DType, Graph};
    /// let g = Graph::new();
    /// let q = g.input("q", DType::F32, [2, 5, 4, 8]); // [batch, query, head, d]
    /// let k = g.input("k", DType::F32, [2, 7, 4, 8]);
    /// let scores = g.einsum("bqhd,bkhd->bhqk", &[q, k]);
    /// assert_eq!(scores.ty().to_string(), "f32[2,4,5,7]");
    /// let traces = g.einsum("...ii->...", &[g.input("m", DType::F32, [2, 3, 3])]);
    /// assert_eq!(traces.ty().to_string(), "f32[2]");
    /// ```
    ///
    /// # Panics
    /// If the formula is none, or does not fit the operands.
    #[track_caller]
    pub fn einsum<'g>(&'g self, formula: &str, operands: &[Tensor<'g>]) -> Tensor<'g> {
        one_graph("einsum", self, operands, &[]);
        let types: Vec<Type> = operands.iter().map(|operand| operand.ty()).collect();
        let Formula {
            sides,
            result,
            extents,
        } = match formula::parse(formula, &types) {
            Ok(parsed) => parsed,
            Err(what) => TypeError::of_call("einsum", &types, format!("{formula:?}: {what}"))
                .help("letters of each operand and of the result, as in \"bij,bjk->bik\" or \"...ij,jk->...ik\"")
                .raise(),
        };
        let mut terms: Vec<Term<'g>> = Vec::with_capacity(sides.len());
        for (&tensor, letters) in operands.iter().zip(sides) {
            let term = Term { tensor, letters };
            terms.push(term.without_repeated(|label| extents[&label]).diagonal());
        }
        let letters: Vec<Vec<Label>> = terms.iter().map(|term| term.letters.clone()).collect();
        let mut product: Option<Term<'g>> = None;
        for (at, term) in terms.into_iter().enumerate() {
            // What is still needed behind this term.
            let needed: Vec<Label> = [&result[..], &letters[at + 1..].concat()].concat();
            product = Some(match product {
                None => term.only(|letter| needed.contains(&letter)),
                Some(product) => product.times(term, &needed),
            });
        }
        let product = product.expect("a formula has an operand");
        let position = |letter: &Label| product.letters.iter().position(|own| own == letter);
        let order: Vec<usize> = result.iter().filter_map(position).collect();
        product.tensor.transpose(&order)
    }
}

impl<'g> Term<'g> {
    /// Without axes of an ellipsis that have one element where another operand has more: a product
    /// repeats what it does not have.
    #[track_caller]
    fn without_repeated(mut self, extent: impl Fn(Label) -> usize) -> Term<'g> {
        for axis in (0..self.letters.len()).rev() {
            if self.tensor.shape()[axis] != extent(self.letters[axis]) {
                self.letters.remove(axis);
                self.tensor = self.tensor.squeeze(axis as isize);
            }
        }
        self
    }

    /// Each letter once: where one is there twice, the elements whose places along both axes are the same.
    #[track_caller]
    fn diagonal(mut self) -> Term<'g> {
        while let Some((one, two)) = self.twice() {
            let rank = self.letters.len();
            let mut order: Vec<usize> = (0..rank)
                .filter(|&axis| axis != one && axis != two)
                .collect();
            self.letters = order
                .iter()
                .map(|&axis| self.letters[axis])
                .chain([self.letters[one]])
                .collect();
            order.extend([one, two]);
            let square = self.tensor.transpose(&order);
            let shape = square.shape();
            let n = shape[rank - 1];
            let flat = square.reshape([&shape[..rank - 2], &[n * n]].concat());
            // Element (i, i) is the one at i n + i.
            let (start, mut stride) = (vec![0; rank - 1], vec![1; rank - 1]);
            stride[rank - 2] = n + 1;
            let stop = flat.shape().to_vec();
            let op = Op::Slice {
                start,
                stop,
                stride,
            };
            self.tensor = flat.apply(op, &[]);
        }
        self
    }

    /// The axes of a letter that is there twice.
    fn twice(&self) -> Option<(usize, usize)> {
        let letters = self.letters.iter().enumerate();
        letters.into_iter().find_map(|(axis, letter)| {
            let first = self.letters[..axis].iter().position(|own| own == letter);
            Some((first?, axis))
        })
    }

    /// Summed over the letters that are not wanted.
    #[track_caller]
    fn only(self, wanted: impl Fn(Label) -> bool) -> Term<'g> {
        let axes = self.letters.iter().enumerate();
        let gone: Vec<isize> = axes
            .filter(|&(_, &letter)| !wanted(letter))
            .map(|(axis, _)| axis as isize)
            .collect();
        let letters = self
            .letters
            .iter()
            .copied()
            .filter(|&letter| wanted(letter));
        Term {
            letters: letters.collect(),
            tensor: self.tensor.sum(&gone[..]),
        }
    }

    /// The product of two terms, summed over the letters that are not needed any more.
    #[track_caller]
    fn times(self, other: Term<'g>, needed: &[Label]) -> Term<'g> {
        let is_needed = |letter: Label| needed.contains(&letter);
        // What one of them has alone is summed before: fewer products.
        let there = other.letters.clone();
        let one = self.only(|letter| is_needed(letter) || there.contains(&letter));
        let here = one.letters.clone();
        let two = other.only(|letter| is_needed(letter) || here.contains(&letter));
        let (mut batch, mut contract) = (Vec::new(), Vec::new());
        for (axis, letter) in one.letters.iter().enumerate() {
            if let Some(other) = two.letters.iter().position(|own| own == letter) {
                match is_needed(*letter) {
                    true => batch.push((axis, other)),
                    false => contract.push((axis, other)),
                }
            }
        }
        let shared = batch.iter().map(|&(axis, _)| one.letters[axis]);
        let free = |term: &Term<'g>, with: &Term<'g>| -> Vec<Label> {
            let letters = term.letters.iter().copied();
            letters
                .filter(|letter| !with.letters.contains(letter))
                .collect()
        };
        let letters = shared.chain(free(&one, &two)).chain(free(&two, &one));
        Term {
            letters: letters.collect(),
            tensor: one.tensor.dot_general(two.tensor, &batch, &contract),
        }
    }
}
