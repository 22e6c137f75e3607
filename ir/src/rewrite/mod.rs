//! Rewriting: from what a model spells out to what is worth running.
//!
//! 1. [`canonicalise`] brings the function into one spelling, keeping every bit.
//! 2. The function is partitioned by region; equal regions are solved once.
//! 3. Each region becomes an e-graph whose language is [`Op`](crate::Op) itself, and the rules
//!    of the tables add equalities to it until nothing is new.
//! 4. Extraction picks the cheapest member of every class, counting shared nodes once.
//! 5. The solutions are stitched together and checked.
//!
//! Rules are marked [`Soundness::Exact`] or [`Soundness::Reassociating`]; [`Options::exact`] uses
//! the former alone.
//!
//! # What a reassociating rule may change
//!
//! It rounds differently. It holds for NaN and infinities as for numbers:
//!
//! * What is NaN or infinite never becomes a finite number. `x - x` is not 0, `0 / x` is not 0,
//!   and `x + (y - x)` is not y, since x may be infinite; `x - 2x` is not `-x`.
//! * NaN stays NaN, an infinity stays that infinity, and a finite number stays finite, with the
//!   exceptions below.
//!
//! Rounding is all that a finite intermediate result loses in `f32`. So one that overflows, or
//! underflows to zero, in one spelling and not in the other may make a difference: where that
//! depends on constants alone, a rule is left out (`(x * 1e30) * 1e-30`); where it depends on the
//! values of a run (`x * (1 / y)` for `x / y` in layer norm), it is not. The sign of a zero that a
//! sum of padded gradients gives may change too.
//!
//! The simplified backward passes hold for finite cotangents. Of one that is not finite they make
//! something that is not finite either, but perhaps infinity where the long form has NaN, or NaN
//! in the whole row. And a mask that attention takes as a bias does not hide a score that is NaN
//! or positive infinity: its row becomes NaN.

pub mod canonical;
mod cost;
mod egraph;
mod extract;
mod fixed;
mod optimize;
mod pattern;
mod region;
mod report;
mod rule;
mod rules;
mod saturate;

pub use canonical::canonicalise;
pub use cost::CostModel;
pub use optimize::{Options, cost, optimize};
pub use report::{Report, Times};
pub use rule::{Right, Rule, Soundness};
pub use saturate::Budget;

#[cfg(test)]
mod tests;
