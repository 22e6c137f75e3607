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
