//! Patterns: what a rule looks for, as text.
//!
//! | text | matches |
//! |---|---|
//! | `?x` | any class; the same class at every mention |
//! | `?x:(..)` | what follows, and names it |
//! | `#0.5` `#-inf` `#c` | a class filled with this value; with any `f32`, bound to `c` |
//! | `(add ?x ?y)` | an op by name; operands of a commutative op in either order |
//! | `(sum$s ?x)` | the same; the op itself, payload included, is bound to `s` |
//! | `(row ?x)` | a broadcast along the last axis: one value per row |
//! | `(column ?x)` | a broadcast of a vector along all axes but the last |
//! | `(row_sum ?x)` `(row_max ?x)` | a reduction of the last axis |
//! | `(* ?x ?y)` `(*[0.5] ..)` `(*[k] ..)` | a product in any order and association, times a constant: one, 0.5, or any, bound to `k`; signs and divisions by constants count as constants |
//! | `(+ ?x ?y)` `(+$rest ..)` | a linear combination in any order and association; terms that are not mentioned are bound to `rest` |
//!
//! `*` and `+` ignore how a sum or a product is associated, so only reassociating rules use them.

mod matcher;
mod parse;

pub use matcher::{Match, Matcher, close};

/// A name in a pattern.
pub type Name = &'static str;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    Class(Name),
    Alias(Name, Box<Pattern>),
    Constant(Number),
    Node {
        head: Head,
        payload: Option<Name>,
        operands: Vec<Pattern>,
    },
    Product {
        factor: Number,
        factors: Vec<Pattern>,
    },
    Linear {
        terms: Vec<Pattern>,
        rest: Option<Name>,
    },
}

/// A constant in a pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Is(f64),
    Bound(Name),
}

/// What an e-node must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    Op(Name),
    Row,
    Column,
    RowSum,
    RowMax,
}

impl Head {
    /// The name of the ops that may match.
    pub fn op_name(self) -> Name {
        match self {
            Head::Op(name) => name,
            Head::Row | Head::Column => "broadcast",
            Head::RowSum => "sum",
            Head::RowMax => "reduce_max",
        }
    }
}

impl Pattern {
    /// Parses a pattern. Names of ops are not checked: a rule that never fires fails its test.
    ///
    /// # Panics
    /// If the text is malformed: patterns are part of the program.
    pub fn parse(text: &'static str) -> Pattern {
        parse::pattern(text)
    }

    /// Names of the ops that a match may have at its root.
    pub fn roots(&self) -> Vec<Name> {
        match self {
            Pattern::Alias(_, inner) => inner.roots(),
            Pattern::Node { head, .. } => vec![head.op_name()],
            Pattern::Product { .. } => vec!["mul", "neg", "div", "sub"],
            Pattern::Linear { .. } => vec!["add", "sub"],
            Pattern::Class(_) | Pattern::Constant(_) => Vec::new(),
        }
    }
}
