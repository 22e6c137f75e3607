//! Tables of rewrite rules, one per theme.
//!
//! Rules are directed: the right side is what later rules and targets like to see. Neither
//! commutativity nor associativity is a rule; patterns look through both.

mod activation;
mod algebra;
mod attention;
mod einsum;
mod mask;
mod movement;
mod normalisation;
mod quantisation;

use super::rule::{Right, Rule, Soundness};

/// All tables.
pub static TABLES: &[&[Rule]] = &[
    algebra::RULES,
    normalisation::RULES,
    activation::RULES,
    attention::RULES,
    quantisation::RULES,
    movement::RULES,
];

/// A rule whose right side is text.
const fn text(
    name: &'static str,
    soundness: Soundness,
    left: &'static str,
    right: &'static str,
    meaning: &'static str,
) -> Rule {
    Rule {
        name,
        soundness,
        left,
        right: Right::Text(right),
        meaning,
    }
}

/// A rule whose right side is code.
const fn code(
    name: &'static str,
    soundness: Soundness,
    left: &'static str,
    right: fn(&mut super::rule::Rewrite) -> Option<()>,
    meaning: &'static str,
) -> Rule {
    Rule {
        name,
        soundness,
        left,
        right: Right::Code(right),
        meaning,
    }
}
