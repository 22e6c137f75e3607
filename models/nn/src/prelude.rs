//! What a model is made of: graph and tensors, layers, an optimizer, a training, weights in a file, and
//! what compiles and runs it. A program that trains a model of its own names `bsq-nn` alone in its
//! `Cargo.toml`.
//!
//! ```
//! use bsq_nn::prelude::*;
//! ```

pub use crate::data::{
    Batches, Loader, NamedTensors, Samples, TensorSamples, by_step, from_iterator,
};
pub use crate::init::init;
pub use crate::layers::{
    Attention, Block, Embedding, LayerNorm, Linear, Mlp, Transformer, block_causal, causal,
    patchify, unpatchify,
};
pub use crate::optimizer::{Adam, AdamW, Clip, Common, Lion, Muon, Sgd, Step, adamw, minimize};
pub use crate::schedule::WarmupCosine;
pub use crate::train::{Notes, Progress, Silent, Training};
pub use crate::weights;
pub use bsq_ir::autodiff::gradients;
pub use bsq_ir::tensor::{Init, Keep};
pub use bsq_ir::{DType, Function, Graph, Scope, Tensor};
pub use bsq_runtime::checkpoint::Weights;
pub use bsq_runtime::program::{BatchedProgram, powers_of_two};
pub use bsq_runtime::{CompileOptions, Device, HostTensor, Precision, Session, compile};
