//! What the rewriter finds, and that it changes nothing else.

mod audit;
mod finds;
mod keeps;
mod models;
mod random;
mod snippets;
