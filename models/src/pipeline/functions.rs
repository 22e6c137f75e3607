//! The functions that a session compiles.

use crate::tokenizer::Tokenizer;
use bsq_ir::{DType, Function, Graph, Scope};

/// Pictures `image` (`f32[batch, 3, height, width]`) to `indices` (`u64[batch, tokens]`).
pub fn encode_function(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let encoded = tokenizer.encode(&Scope::root(&g), image);
    g.function([("indices", encoded.indices.id())], [])
}

/// `indices` (`u64[batch, tokens]`) to the pictures `reconstruction`
/// (`f32[batch, 3, height, width]`).
pub fn decode_function(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let tokens = tokenizer.config().decoder.tokens();
    let indices = g.input("indices", DType::U64, [batch, tokens]);
    let decoded = tokenizer.decode(&scope, tokenizer.codes(&scope, indices));
    g.function([("reconstruction", decoded.reconstruction.id())], [])
}
