//! The functions that a session compiles.

use crate::tokenizer::{FrameStep, Tokenizer};
use bsq_ir::{DType, Function, Graph, Scope, Shape};

/// Clips `clip` (`f32[batch, frames, 3, height, width]`) to `indices` (`u64[batch, frames * tokens]`,
/// or words of long tokens: [`Tokenizer::indices_shape`]).
pub fn encode_clip_function(tokenizer: &Tokenizer, batch: usize, frames: usize) -> Function {
    let g = Graph::new();
    let [_, channels, _, height, width] = tokenizer.clip_shape(batch, frames);
    let clip = g.input("clip", DType::F32, [batch, frames, channels, height, width]);
    let clip = clip.transpose(&[0, 2, 1, 3, 4]);
    let encoded = tokenizer.encode(&Scope::root(&g), clip);
    g.function([("indices", encoded.indices.id())], [])
}

/// `indices` (`u64[batch, frames * tokens]`) to the clips `reconstruction`
/// (`f32[batch, frames, 3, height, width]`).
pub fn decode_clip_function(tokenizer: &Tokenizer, batch: usize, frames: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let tokens = tokenizer.config().decoder.tokens();
    let indices = g.input(
        "indices",
        DType::U64,
        tokenizer.indices_shape(batch, frames * tokens),
    );
    let decoded = tokenizer.decode_clip(&scope, tokenizer.codes(&scope, indices));
    let clip = decoded.reconstruction.transpose(&[0, 2, 1, 3, 4]);
    g.function([("reconstruction", clip.id())], [])
}

/// The next frame of clips, `image` (`f32[batch, 3, height, width]`), at `time` (`i32[]`) to `indices`
/// (`u64[batch, tokens]`). Keys and values of frames are kept in parameters that are updated in place.
pub fn encode_frame_function(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let mut step = FrameStep::new(g.input("time", DType::I32, Shape::scalar()));
    let encoded = tokenizer.encode_frame(&Scope::root(&g), image, &mut step);
    let updates = step.updates.iter().map(|(old, new)| (old.id(), new.id()));
    g.function([("indices", encoded.indices.id())], updates)
}

/// `indices` (`u64[batch, tokens]`) of the next frame of clips at `time` (`i32[]`) to the pictures
/// `reconstruction` (`f32[batch, 3, height, width]`), with a memory as [`encode_frame_function`] has.
pub fn decode_frame_function(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let tokens = tokenizer.config().decoder.tokens();
    let indices = g.input(
        "indices",
        DType::U64,
        tokenizer.indices_shape(batch, tokens),
    );
    let mut step = FrameStep::new(g.input("time", DType::I32, Shape::scalar()));
    let codes = tokenizer.codes(&scope, indices);
    let decoded = tokenizer.decode_frame(&scope, codes, &mut step);
    let updates = step.updates.iter().map(|(old, new)| (old.id(), new.id()));
    g.function([("reconstruction", decoded.reconstruction.id())], updates)
}

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
    let indices = g.input(
        "indices",
        DType::U64,
        tokenizer.indices_shape(batch, tokens),
    );
    let decoded = tokenizer.decode(&scope, tokenizer.codes(&scope, indices));
    g.function([("reconstruction", decoded.reconstruction.id())], [])
}
