//! Layers: what they are made of is a small struct, and `forward` writes them into a graph.
//!
//! A layer takes a [`Scope`](bsq_ir::Scope), which names its parameters, and a tensor; widths of
//! inputs come from the tensor. Nothing is hidden from the compiler: layers are spelled in
//! primitives, and what fuses is found.
//!
//! ```
//! use bsq_ir::{DType, Graph, Scope};
//! use bsq_nn::layers::{Attend, Block, Linear, Transformer, causal};
//!
//! let g = Graph::new();
//! let model = Scope::root(&g);
//! let x = g.input("x", DType::F32, [2, 10, 24]); // [batch, tokens, features]
//! let blocks = Transformer { layers: 2, block: Block::pre_norm(24, 3) };
//! let mask = causal(&g, 10);
//! let x = blocks.forward(&model / "blocks", x, &mut |_, heads| heads.attend(Some(mask)));
//! let logits = Linear::new(7).forward(&model / "head", x);
//! assert_eq!(logits.ty().to_string(), "f32[2,10,7]");
//! assert_eq!(model.specs()[2].name, "blocks.0.attn.in_proj_weight");
//! ```

mod activation;
mod attention;
mod block;
mod cache;
mod conv;
mod dropout;
mod embedding;
mod linear;
mod mask;
mod mlp;
mod norm;
mod patches;
mod resize;
mod storage;
mod transformer;

pub use activation::{Activation, gelu_tanh, leaky_relu, relu};
pub use attention::{Attention, Heads, InProjection};
pub use block::{Block, NormOrder};
pub use cache::{Cache, CacheSpec};
pub use conv::{Conv, TransposedConv};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use linear::{Linear, Start};
pub use mask::{block_causal, causal};
pub use mlp::Mlp;
pub use norm::{ActNorm, BatchMemory, BatchNorm, BatchUse, GroupNorm, LayerNorm};
pub use patches::{patchify, unpatchify};
pub use resize::{Interpolation, resize};
pub use storage::{Storage, scales_name};
pub use transformer::{Attend, Transformer};

#[cfg(test)]
mod conv_tests;
#[cfg(test)]
mod differences;
#[cfg(test)]
mod norm_tests;
#[cfg(test)]
mod resize_tests;
#[cfg(test)]
mod tests;
