//! What a formula says: the labels of every axis, and their extents.

use crate::shape::Type;
use std::collections::BTreeMap;

/// The name of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    Letter(char),
    /// Of the axes that `...` stands for, the one that so many follow.
    Ellipsis(usize),
}

/// The labels of each operand and of the result, and how many elements each label counts.
pub(super) struct Formula {
    pub sides: Vec<Vec<Label>>,
    pub result: Vec<Label>,
    pub extents: BTreeMap<Label, usize>,
}

const ELLIPSIS: &str = "...";

pub(super) fn parse(formula: &str, types: &[Type]) -> Result<Formula, String> {
    let formula: String = formula.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((left, right)) = formula.split_once("->") else {
        return Err("there is no `->`".to_string());
    };
    let named: Vec<&str> = left.split(',').collect();
    if named.len() != types.len() {
        let (named, given) = (named.len(), types.len());
        return Err(format!("it names {named} operands, {given} are given"));
    }
    let mut sides = Vec::with_capacity(types.len());
    let mut extents = BTreeMap::new();
    for (at, (side, ty)) in named.iter().zip(types).enumerate() {
        let rank = ty.shape.rank();
        if side.matches(ELLIPSIS).count() > 1 {
            return Err(format!("operand {at} has two `...`"));
        }
        let letters = side.replacen(ELLIPSIS, "", 1).chars().count();
        let has_ellipsis = side.contains(ELLIPSIS);
        if letters > rank || (letters < rank && !has_ellipsis) {
            return Err(format!("operand {at} has {rank} axes, {letters} letters"));
        }
        let labels = labels(side, rank - letters)?;
        for (&label, &extent) in labels.iter().zip(ty.shape.iter()) {
            join(&mut extents, label, extent, at)?;
        }
        sides.push(labels);
    }
    let most = extents
        .keys()
        .filter(|label| matches!(label, Label::Ellipsis(_)))
        .count();
    if !right.contains(ELLIPSIS) && left.contains(ELLIPSIS) {
        return Err(
            "the result needs the `...` of the operands: sum over it afterwards".to_string(),
        );
    }
    let result = labels(right, most)?;
    for (at, label) in result.iter().enumerate() {
        let Label::Letter(letter) = label else {
            continue;
        };
        if result[..at].contains(label) {
            return Err(format!("`{letter}` is there twice in the result"));
        }
        if !extents.contains_key(label) {
            return Err(format!("no operand has the `{letter}` of the result"));
        }
    }
    Ok(Formula {
        sides,
        result,
        extents,
    })
}

/// The labels of one operand, or of the result, whose `...` stands for so many axes.
fn labels(side: &str, ellipsis: usize) -> Result<Vec<Label>, String> {
    let letters = |part: &str| {
        let letter = |letter: char| match letter.is_ascii_alphabetic() {
            true => Ok(Label::Letter(letter)),
            false => Err(format!("`{letter}` is no letter")),
        };
        part.chars()
            .map(letter)
            .collect::<Result<Vec<Label>, String>>()
    };
    match side.split_once(ELLIPSIS) {
        None => letters(side),
        Some((before, after)) => {
            let mut labels = letters(before)?;
            labels.extend((0..ellipsis).rev().map(Label::Ellipsis));
            labels.extend(letters(after)?);
            Ok(labels)
        }
    }
}

/// That a label's extent is that of other operands. Axes of an ellipsis broadcast.
fn join(
    extents: &mut BTreeMap<Label, usize>,
    label: Label,
    extent: usize,
    operand: usize,
) -> Result<(), String> {
    let known = extents.entry(label).or_insert(extent);
    match label {
        _ if *known == extent => Ok(()),
        Label::Ellipsis(_) if extent == 1 => Ok(()),
        Label::Ellipsis(_) if *known == 1 => {
            *known = extent;
            Ok(())
        }
        Label::Ellipsis(behind) => Err(format!(
            "axis {} of `...` is {known} and, in operand {operand}, {extent}",
            -1 - behind as isize
        )),
        Label::Letter(letter) => Err(format!(
            "`{letter}` is {known} and, in operand {operand}, {extent}"
        )),
    }
}
