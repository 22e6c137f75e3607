//! What a model is made of: graph and tensors, layers, an optimizer, a training, and
//! what compiles and runs it.
//!
//! ```
//! use bsq::prelude::*;
//! ```

pub use bsq_ir::autodiff::gradients;
pub use bsq_ir::tensor::{Init, Keep};
pub use bsq_ir::{DType, Function, Graph, Scope, Tensor};
pub use bsq_nn::data::{Batches, NamedTensors, by_step, from_iterator};
pub use bsq_nn::init::init;
pub use bsq_nn::layers::{
    Attention, Block, Embedding, LayerNorm, Linear, Mlp, Transformer, block_causal, causal,
    patchify, unpatchify,
};
pub use bsq_nn::optimizer::{Adam, AdamW, Clip, Common, Lion, Muon, Sgd, Step, adamw, minimize};
pub use bsq_nn::schedule::WarmupCosine;
pub use bsq_nn::train::{Notes, Progress, Silent, Training};
pub use bsq_nn::weights;
pub use bsq_runtime::{CompileOptions, Device, HostTensor, Precision, Session, compile};
