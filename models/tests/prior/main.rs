//! The autoregressive prior: its two ways to run, its training, and its coder.

mod agreement;
mod rate;
mod training;
