//! Which tokens may attend to which.

use bsq_ir::{DType, Graph, Tensor};

/// `bool[tokens, tokens]`, queries by keys: a token attends to itself and to those before it.
pub fn causal(graph: &Graph, tokens: usize) -> Tensor<'_> {
    block_causal(graph, tokens, 1)
}

/// `bool[tokens, tokens]`, queries by keys: a token attends to all of its block of `size` tokens
/// and to all earlier blocks. Of a clip, a block is a frame.
///
/// # Panics
/// If `tokens` are not whole blocks.
#[track_caller]
pub fn block_causal(graph: &Graph, tokens: usize, size: usize) -> Tensor<'_> {
    assert!(
        size > 0 && tokens.is_multiple_of(size),
        "{tokens} tokens are not whole blocks of {size}"
    );
    let block = |broadcast: isize| {
        let blocks = graph.iota(DType::I32, [tokens / size, size], 0);
        blocks.reshape([tokens]).unsqueeze(broadcast)
    };
    block(0).le(block(1))
}
