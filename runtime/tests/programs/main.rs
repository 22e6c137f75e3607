//! Compiled programs give the evaluator's bits, whatever the threads and microkernels.

mod attention;
mod batches;
mod block_causal;
mod budget;
mod checked;
mod common;
mod deep;
mod empty;
mod names;
mod ops;
mod precision;
mod shared_parameters;
mod stored_weights;
mod updates;
mod words;
