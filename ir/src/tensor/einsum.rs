//! Einstein's summation: products of tensors, with axes named by letters.

use super::{Tensor, one_graph};
use crate::graph::Graph;
use crate::op::TypeError;
use crate::shape::Type;

/// A tensor and the letters of its axes.
struct Term<'g> {
    tensor: Tensor<'g>,
    letters: Vec<char>,
}

impl Graph {
    /// The product of tensors whose axes are named by letters, summed over the letters that the
    /// result does not have: `"bij,bjk->bik"` is a product of matrices in batches.
    ///
    /// The letters of each operand come first, separated by commas, then `->` and those of the
    /// result. A letter stands for one extent. Operands are contracted from the first to the last, two
    /// at a time, so that their order says what is large in between. Not understood, and refused: a
    /// letter twice in one operand, an ellipsis, and a formula without `->`.
    ///
    /// ```
    /// # use bsq_ir::{DType, Graph};
    /// let g = Graph::new();
    /// let q = g.input("q", DType::F32, [2, 5, 4, 8]); // [batch, query, head, d]
    /// let k = g.input("k", DType::F32, [2, 7, 4, 8]);
    /// let scores = g.einsum("bqhd,bkhd->bhqk", &[q, k]);
    /// assert_eq!(scores.ty().to_string(), "f32[2,4,5,7]");
    /// ```
    ///
    /// # Panics
    /// If the formula is none, or does not fit the operands.
    #[track_caller]
    pub fn einsum<'g>(&'g self, formula: &str, operands: &[Tensor<'g>]) -> Tensor<'g> {
        one_graph("einsum", self, operands, &[]);
        let types: Vec<Type> = operands.iter().map(|operand| operand.ty()).collect();
        let (sides, result) = match parse(formula, &types) {
            Ok(parsed) => parsed,
            Err(what) => TypeError::of_call("einsum", &types, format!("{formula:?}: {what}"))
                .help("letters of each operand and of the result, as in \"bij,bjk->bik\"")
                .raise(),
        };
        let mut terms: Vec<Term<'g>> = Vec::with_capacity(sides.len());
        for (&tensor, letters) in operands.iter().zip(&sides) {
            terms.push(Term {
                tensor,
                letters: letters.clone(),
            });
        }
        let mut product: Option<Term<'g>> = None;
        for (at, term) in terms.into_iter().enumerate() {
            // What is still needed behind this term.
            let needed: Vec<char> = [&result[..], &sides[at + 1..].concat()].concat();
            product = Some(match product {
                None => term.only(|letter| needed.contains(&letter)),
                Some(product) => product.times(term, &needed),
            });
        }
        let product = product.expect("a formula has an operand");
        let position = |letter: &char| product.letters.iter().position(|own| own == letter);
        let order: Vec<usize> = result.iter().filter_map(position).collect();
        product.tensor.transpose(&order)
    }
}

impl<'g> Term<'g> {
    /// Summed over the letters that are not wanted.
    #[track_caller]
    fn only(self, wanted: impl Fn(char) -> bool) -> Term<'g> {
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
    fn times(self, other: Term<'g>, needed: &[char]) -> Term<'g> {
        let is_needed = |letter: char| needed.contains(&letter);
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
        let free = |term: &Term<'g>, with: &Term<'g>| -> Vec<char> {
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

/// The letters of each operand, and of the result.
fn parse(formula: &str, types: &[Type]) -> Result<(Vec<Vec<char>>, Vec<char>), String> {
    let formula: String = formula.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((left, right)) = formula.split_once("->") else {
        return Err("there is no `->`".to_string());
    };
    let sides: Vec<Vec<char>> = left.split(',').map(|side| side.chars().collect()).collect();
    let result: Vec<char> = right.chars().collect();
    if sides.len() != types.len() {
        let (named, given) = (sides.len(), types.len());
        return Err(format!("it names {named} operands, {given} are given"));
    }
    if formula.contains("...") {
        return Err("an ellipsis is not understood: name every axis".to_string());
    }
    let mut extents: Vec<(char, usize)> = Vec::new();
    for (at, (letters, ty)) in sides.iter().zip(types).enumerate() {
        check_letters(letters)?;
        let rank = ty.shape.rank();
        if letters.len() != rank {
            return Err(format!(
                "operand {at} has {rank} axes, {} letters",
                letters.len()
            ));
        }
        for (&letter, &extent) in letters.iter().zip(ty.shape.iter()) {
            match extents.iter().find(|(own, _)| *own == letter) {
                None => extents.push((letter, extent)),
                Some(&(_, known)) if known == extent => {}
                Some((_, known)) => {
                    return Err(format!(
                        "`{letter}` is {known} and, in operand {at}, {extent}"
                    ));
                }
            }
        }
    }
    check_letters(&result)?;
    match result
        .iter()
        .find(|letter| !extents.iter().any(|(own, _)| own == *letter))
    {
        Some(letter) => Err(format!("no operand has the `{letter}` of the result")),
        None => Ok((sides, result)),
    }
}

fn check_letters(letters: &[char]) -> Result<(), String> {
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphabetic() {
            return Err(format!("`{letter}` is no letter"));
        }
        if letters[..at].contains(letter) {
            return Err(format!("`{letter}` is there twice"));
        }
    }
    Ok(())
}
