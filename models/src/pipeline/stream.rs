//! Frames of a clip one by one: what comes is coded when it is there.

use super::picture::{from_windows, to_windows};
use super::{
    Chunks, ModelFile, PictureTokens, PipelineError, TokenizerSession, decode_frame_function,
    encode_frame_function,
};
use crate::image_io::{ImageSize, Picture};
use bsq_ir::{Function, Type};
use bsq_runtime::{BoundPrograms, CompileOptions, HostTensor, ProgramError};
use std::collections::VecDeque;

/// A tokenizer of clips that takes frames one by one, in both directions. Tokens and pixels are those of
/// [`encode_clip`](TokenizerSession::encode_clip) and [`decode_clip`](TokenizerSession::decode_clip), bit for
/// bit: keys and values of the frames before are kept. Where the size changes, a clip begins anew; after as many
/// frames as the model has, the next chunk does (see [`Chunks`]). With an overlap its context is run again first:
/// that frame takes longer.
pub struct TokenStream {
    session: TokenizerSession,
    chunks: Chunks,
    encoder: Side,
    decoder: Side,
}

/// One direction.
struct Side {
    /// By windows of a frame.
    programs: BoundPrograms<usize>,
    /// The frame that is next, of its chunk, and the size of those before.
    time: usize,
    size: Option<ImageSize>,
    /// What the program was given last, as many frames as overlap.
    context: VecDeque<HostTensor>,
}

impl Side {
    fn new(model: &ModelFile, options: &CompileOptions) -> Side {
        Side {
            programs: BoundPrograms::new(model.parameters.clone(), options.clone(), 1),
            time: 0,
            size: None,
            context: VecDeque::new(),
        }
    }

    /// Runs the program of a frame of `windows` windows.
    fn run(
        &mut self,
        (windows, size, chunks): (usize, ImageSize, Chunks),
        build: impl Fn(usize) -> Function,
        (name, input): (&str, HostTensor),
        output: &str,
    ) -> Result<HostTensor, PipelineError> {
        if self.size != Some(size) {
            (self.time, self.size) = (0, Some(size));
            self.context.clear();
        }
        // What a cache holds at first does not matter, as long as it is finite.
        let empty = |_: &str, ty: &Type| -> Result<_, ProgramError> {
            Ok(Some(HostTensor::zeros(ty.dtype, ty.shape.to_vec())?))
        };
        let session = self
            .programs
            .get_with_state(windows, || build(windows), empty)?;
        let mut run = |time: usize, input: &HostTensor| {
            let time = HostTensor::scalar(time as i32)?;
            let mut outputs = session.run(&[(name, input), ("time", &time)])?;
            Ok::<_, PipelineError>(outputs.take(output))
        };
        if self.time == chunks.frames() {
            for (time, input) in self.context.iter().enumerate() {
                run(time, input)?;
            }
            self.time = chunks.overlap();
        }
        let found = run(self.time, &input)?;
        self.time += 1;
        self.context.push_back(input);
        if self.context.len() > chunks.overlap() {
            self.context.pop_front();
        }
        Ok(found)
    }
}

impl TokenStream {
    /// Nothing is compiled yet.
    ///
    /// # Errors
    /// If the model's frames see later ones.
    pub fn new(model: &ModelFile, options: CompileOptions) -> Result<TokenStream, PipelineError> {
        if !model.tokenizer.streams() {
            let name = model.name.clone();
            return Err(PipelineError::NoStream { name });
        }
        let session = TokenizerSession::new(model, options.clone());
        Ok(TokenStream {
            encoder: Side::new(model, &options),
            decoder: Side::new(model, &options),
            chunks: session.chunks(0)?,
            session,
        })
    }

    /// Lets each chunk begin with the last `overlap` frames of the one before; a clip begins anew. At first there
    /// is no overlap.
    ///
    /// # Errors
    /// If a chunk had no new frames.
    pub fn set_overlap(&mut self, overlap: usize) -> Result<(), PipelineError> {
        self.chunks = self.session.chunks(overlap)?;
        (self.encoder.size, self.decoder.size) = (None, None);
        Ok(())
    }

    /// The tokens of the next frame.
    ///
    /// # Errors
    /// If the program cannot be compiled or memory runs out.
    pub fn encode(&mut self, frame: &Picture) -> Result<PictureTokens, PipelineError> {
        let (session, size) = (&self.session, frame.size());
        let windows = session.windows(size).count();
        let mut by_window = vec![Vec::new(); windows];
        session.cut_frame(frame, &mut by_window);
        let shape = session.tokenizer().image_shape(windows);
        let image = HostTensor::from_slice(shape.to_vec(), &by_window.concat())?;
        let build = |windows| encode_frame_function(session.tokenizer(), windows);
        let of = (windows, size, self.chunks);
        let indices = self.encoder.run(of, build, ("image", image), "indices")?;
        let (shape, window) = (session.grid_shape(size), session.window_grid());
        let words = session.words_per_token();
        let grid = from_windows((shape, words), window, indices.as_slice::<u64>()?);
        Ok(PictureTokens { size, grid })
    }

    /// The next frame, of its tokens, rounded to 8 bits.
    ///
    /// # Errors
    /// If the grid is not that of a frame of its size, or an index is none of this model; if the program
    /// cannot be compiled or memory runs out.
    pub fn decode(&mut self, tokens: &PictureTokens) -> Result<Picture, PipelineError> {
        let (session, size) = (&self.session, tokens.size);
        session.check_grid(&tokens.grid, session.grid_shape(size))?;
        session.check_indices(&tokens.grid.indices)?;
        let windows = session.windows(size).count();
        let indices = to_windows(&tokens.grid, session.window_grid());
        let shape = session
            .tokenizer()
            .indices_shape(windows, session.tokens_per_window());
        let indices = HostTensor::from_slice(shape, &indices)?;
        let build = |windows| decode_frame_function(session.tokenizer(), windows);
        let of = (windows, size, self.chunks);
        let values = self
            .decoder
            .run(of, build, ("indices", indices), "reconstruction")?;
        let values = values.as_slice::<f32>()?;
        Ok(session.join_frame(size, values.chunks_exact(session.values_per_window())))
    }
}
