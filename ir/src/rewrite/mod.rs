//! Rewriting: from what a model spells out to what is worth running.

pub mod canonical;

pub use canonical::canonicalise;
