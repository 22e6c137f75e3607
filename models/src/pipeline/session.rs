//! Windows to indices and back, by programs compiled for a few batch sizes.

use super::{
    ModelFile, decode_clip_function, decode_function, encode_clip_function, encode_function,
};
use crate::image_io::{ImageSize, PixelRange};
use crate::token_grid::GridShape;
use crate::tokenizer::Tokenizer;
use bsq_ir::Function;
use bsq_runtime::tensor_data::{Element, HostTensor, TensorError};
use bsq_runtime::{BoundPrograms, CompileOptions, ProgramError};
use std::time::Duration;

/// Tokens of one batch at most: bounds memory, and is enough for full speed.
const TOKENS_PER_BATCH: usize = 4096;

/// Why pictures or tokens could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Compiling or running failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Memory ran out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The values are not whole windows, or the indices not those of whole windows.
    #[error("{given} {what}, but a window of this model has {each}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many belong to one window.
        each: usize,
    },
    /// The tokens are not those of a picture of their size.
    #[error(
        "{}x{} tokens (rows x columns), but a picture of this size has {}x{}",
        given.rows, given.columns, expected.rows, expected.columns
    )]
    Grid {
        /// The grid at hand.
        given: GridShape,
        /// That of a picture of this size.
        expected: GridShape,
    },
    /// Chunks of a clip that would have no new frames.
    #[error(
        "an overlap of {overlap} frames: it must be smaller than the {frames} frames that the model sees together"
    )]
    Overlap {
        /// Frames of a chunk.
        frames: usize,
        /// Those that are the last of the chunk before.
        overlap: usize,
    },
    /// Chunks of a model whose patches are predicted from the frame before.
    #[error(
        "an overlap of chunks: the model predicts patches from the frame before, so that each begins afresh"
    )]
    PredictedOverlap,
    /// A model whose frames see later ones, or that has none.
    #[error(
        "{name}: frames cannot come one by one: they do with a mask_type of block-causal alone"
    )]
    NoStream {
        /// The model's name.
        name: String,
    },
    /// An index that no token of the model has.
    #[error("token {position} has index {index}, but this model's indices are below {limit}")]
    Index {
        /// Which of the tokens.
        position: usize,
        /// Its index, or one of its words.
        index: u64,
        /// The number of values that it can have.
        limit: u64,
    },
}

/// A model ready to run: [`encode`](TokenizerSession::encode) and
/// [`decode`](TokenizerSession::decode) windows, or whole pictures of any size.
///
/// A program is compiled when a batch size first occurs, and kept until another one is needed.
pub struct TokenizerSession {
    pub(super) tokenizer: Tokenizer,
    pub(super) range: PixelRange,
    /// By batch size and frames; one at a time.
    encoder: BoundPrograms<(usize, usize)>,
    decoder: BoundPrograms<(usize, usize)>,
}

/// Input and output of a program, each with its elements per window.
struct Ends {
    input: &'static str,
    /// What the elements of the input are.
    counted: &'static str,
    input_shape: Vec<usize>,
    output: &'static str,
}

impl TokenizerSession {
    /// A session of a model. Nothing is compiled yet.
    pub fn new(model: &ModelFile, options: CompileOptions) -> TokenizerSession {
        let programs = || BoundPrograms::new(model.parameters.clone(), options.clone(), 1);
        TokenizerSession {
            tokenizer: model.tokenizer.clone(),
            range: model.config.data.pixel_range(),
            encoder: programs(),
            decoder: programs(),
        }
    }

    /// The model's architecture.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.encoder.compile_time() + self.decoder.compile_time()
    }

    /// Tokens of one window.
    pub fn tokens_per_window(&self) -> usize {
        self.tokenizer.config().encoder.tokens()
    }

    /// [Words](crate::tokenizer::bits) of a token: 1 unless it has more bits than an index.
    pub fn words_per_token(&self) -> usize {
        self.tokenizer.config().quantizer.words_per_token()
    }

    /// Rows and columns of a window, in pixels.
    pub fn window_size(&self) -> ImageSize {
        self.tokenizer.config().encoder.image_size
    }

    /// Values of one window: `3 * height * width`.
    pub fn values_per_window(&self) -> usize {
        let ImageSize { height, width } = self.window_size();
        3 * width * height
    }

    /// Windows that are run together at most.
    pub fn batch_limit(&self) -> usize {
        (TOKENS_PER_BATCH / self.tokens_per_window()).max(1)
    }

    /// The indices `[windows, tokens]`, or words `[windows, tokens, words]`, of windows `[windows, 3, height, width]` in the model's
    /// range of values.
    ///
    /// # Errors
    /// If the values are not whole windows, or the program cannot be compiled.
    pub fn encode(&mut self, windows: &[f32]) -> Result<Vec<u64>, PipelineError> {
        self.encode_clips(windows, 1)
    }

    /// The indices `[windows, frames, tokens]`, or words, of windows `[windows, frames, 3, height, width]`.
    ///
    /// # Errors
    /// As those of [`encode`](TokenizerSession::encode).
    ///
    /// # Panics
    /// If the model has fewer frames.
    pub fn encode_clips(
        &mut self,
        windows: &[f32],
        frames: usize,
    ) -> Result<Vec<u64>, PipelineError> {
        let mut input_shape = self.tokenizer.image_shape(1)[1..].to_vec();
        if frames > 1 {
            input_shape.insert(0, frames);
        }
        let ends = Ends {
            input: if frames > 1 { "clip" } else { "image" },
            counted: "values",
            input_shape,
            output: "indices",
        };
        let (limit, tokenizer) = (self.batch_limit(), &self.tokenizer);
        let build = |batch| match frames {
            1 => encode_function(tokenizer, batch),
            _ => encode_clip_function(tokenizer, batch, frames),
        };
        run(&mut self.encoder, (limit, frames), &ends, build, windows)
    }

    /// The windows `[windows, 3, height, width]`, unrounded, of indices `[windows, tokens]`,
    /// or words `[windows, tokens, words]`.
    ///
    /// # Errors
    /// If the indices are not those of whole windows, or one is none of this model, or the
    /// program cannot be compiled.
    pub fn decode(&mut self, indices: &[u64]) -> Result<Vec<f32>, PipelineError> {
        self.decode_clips(indices, 1)
    }

    /// The windows `[windows, frames, 3, height, width]`, unrounded, of indices
    /// `[windows, frames, tokens]`, or words.
    ///
    /// # Errors
    /// As those of [`decode`](TokenizerSession::decode).
    ///
    /// # Panics
    /// If the model has fewer frames.
    pub fn decode_clips(
        &mut self,
        indices: &[u64],
        frames: usize,
    ) -> Result<Vec<f32>, PipelineError> {
        self.check_indices(indices)?;
        let tokens = self.tokens_per_window();
        let ends = Ends {
            input: "indices",
            counted: "indices",
            input_shape: self.tokenizer.indices_shape(1, frames * tokens)[1..].to_vec(),
            output: "reconstruction",
        };
        let (limit, tokenizer) = (self.batch_limit(), &self.tokenizer);
        let build = |batch| match frames {
            1 => decode_function(tokenizer, batch),
            _ => decode_clip_function(tokenizer, batch, frames),
        };
        run(&mut self.decoder, (limit, frames), &ends, build, indices)
    }

    /// That all indices, or words, are those of tokens of this model.
    pub(super) fn check_indices(&self, indices: &[u64]) -> Result<(), PipelineError> {
        let limits = self.tokenizer.config().quantizer.word_limits();
        let mut words = indices.iter().zip(limits.iter().cycle()).enumerate();
        match words.find(|(_, (index, limit))| index >= limit) {
            None => Ok(()),
            Some((place, (&index, &limit))) => Err(PipelineError::Index {
                position: place / limits.len(),
                index,
                limit,
            }),
        }
    }
}

/// Runs windows in batches; the last one is filled up with zeros, whose results are dropped.
fn run<I: Element + Default, O: Element>(
    programs: &mut BoundPrograms<(usize, usize)>,
    (limit, frames): (usize, usize),
    ends: &Ends,
    build: impl Fn(usize) -> Function,
    data: &[I],
) -> Result<Vec<O>, PipelineError> {
    let each: usize = ends.input_shape.iter().product();
    if !data.len().is_multiple_of(each) {
        return Err(PipelineError::Count {
            what: ends.counted,
            given: data.len(),
            each,
        });
    }
    let count = data.len() / each;
    let mut result = Vec::new();
    if count == 0 {
        return Ok(result);
    }
    let limit = (limit / frames).max(1);
    let current = programs.keys().last().filter(|key| key.1 == frames);
    let batch = batch_size(count, limit, current.map(|key| key.0));
    let session = programs.get((batch, frames), || build(batch))?;
    let mut shape = vec![batch];
    shape.extend(&ends.input_shape);
    let mut input = HostTensor::zeros(I::DTYPE, shape)?;
    for chunk in data.chunks(batch * each) {
        let elements = input.as_mut_slice::<I>()?;
        elements[..chunk.len()].copy_from_slice(chunk);
        elements[chunk.len()..].fill(I::default());
        let outputs = session.run(&[(ends.input, &input)])?;
        let output = outputs[ends.output].as_slice::<O>()?;
        let kept = output.len() / batch * (chunk.len() / each);
        result.extend_from_slice(&output[..kept]);
    }
    Ok(result)
}

/// How many windows to run together: equal batches, as few as the limit allows; or the size that
/// is compiled already, unless a third of the work would be wasted.
fn batch_size(count: usize, limit: usize, current: Option<usize>) -> usize {
    let batches = count.div_ceil(limit);
    let best = count.div_ceil(batches);
    match current {
        Some(batch) if 3 * count.next_multiple_of(batch) <= 4 * count => batch,
        _ => best,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{noise, tiny};

    #[test]
    fn batches_are_equal_and_within_the_limit() {
        assert_eq!(batch_size(96, 64, None), 48);
        assert_eq!(batch_size(64, 64, None), 64);
        assert_eq!(batch_size(65, 64, None), 33);
        assert_eq!(batch_size(1, 64, None), 1);
        // 60 windows run in two batches of 33, but one window not in a batch of 33.
        assert_eq!(batch_size(60, 64, Some(33)), 33);
        assert_eq!(batch_size(1, 64, Some(33)), 1);
    }

    #[test]
    fn results_do_not_depend_on_the_batch_or_on_threads() {
        let model = tiny(5);
        let options = |threads| CompileOptions {
            threads,
            ..CompileOptions::default()
        };
        let mut together = TokenizerSession::new(&model, options(2));
        let each = together.values_per_window();
        let windows = noise(5 * each);
        let indices = together.encode(&windows).unwrap();
        let decoded = together.decode(&indices).unwrap();
        assert!(indices.iter().any(|&index| index != indices[0]));

        let mut alone = TokenizerSession::new(&model, options(1));
        let tokens = alone.tokens_per_window();
        for n in 0..5 {
            let own = alone.encode(&windows[n * each..][..each]).unwrap();
            assert_eq!(own, indices[n * tokens..][..tokens]);
            let own = alone.decode(&own).unwrap();
            assert!(
                own.iter()
                    .zip(&decoded[n * each..])
                    .all(|(a, b)| a.to_bits() == b.to_bits())
            );
        }
    }

    #[test]
    fn wrong_counts_and_indices_are_errors() {
        let mut session = TokenizerSession::new(&tiny(5), CompileOptions::default());
        let error = session.encode(&[0.0; 10]).unwrap_err().to_string();
        assert_eq!(error, "10 values, but a window of this model has 768");
        let error = session.decode(&[0, 1, 4096, 0]).unwrap_err().to_string();
        assert_eq!(
            error,
            "token 2 has index 4096, but this model's indices are below 4096"
        );
        assert!(session.encode(&[]).unwrap().is_empty());
    }
}
