//! Criterion benches live in this package.
