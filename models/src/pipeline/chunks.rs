//! Chunks of clips that are longer than a model's frames.
//!
//! A chunk is as many frames as the model has. Without overlap each begins afresh. With an overlap of N frames a
//! chunk begins with the N frames before its first new one, as context. Their tokens are not coded again: an
//! encoder sees their pixels and drops what it makes of them, a decoder sees the tokens that they have from the
//! chunk before. So overlap costs no bits; it costs `frames / (frames - N)` times the work, and a decoder's
//! context are tokens that the frames got at other times of their chunk.

use super::{ClipTokens, PipelineError, TokenizerSession};
use crate::image_io::Picture;
use crate::token_grid::TokenGrid;
use crate::tokenizer::Tokenizer;

/// How a clip is cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    frames: usize,
    overlap: usize,
}

impl Chunks {
    /// Chunks of `frames` frames, of which `overlap` are the last of the chunk before.
    ///
    /// # Errors
    /// If a chunk had no new frames.
    pub fn new(frames: usize, overlap: usize) -> Result<Chunks, PipelineError> {
        match overlap < frames {
            true => Ok(Chunks { frames, overlap }),
            false => Err(PipelineError::Overlap { frames, overlap }),
        }
    }

    /// Those of a tokenizer, of all of its frames.
    ///
    /// # Errors
    /// If a chunk had no new frames; if patches are predicted from the frame before, and there is an overlap: a
    /// chunk's first tokens are those of a picture then.
    pub fn of(tokenizer: &Tokenizer, overlap: usize) -> Result<Chunks, PipelineError> {
        match overlap > 0 && tokenizer.predicts() {
            true => Err(PipelineError::PredictedOverlap),
            false => Chunks::new(tokenizer.frames(), overlap),
        }
    }

    /// Frames of a chunk.
    pub fn frames(self) -> usize {
        self.frames
    }

    /// How many of them are the last of the chunk before.
    pub fn overlap(self) -> usize {
        self.overlap
    }

    /// Frames that are left of the chunk that frame `done` is in, this one included.
    ///
    /// ```
    /// use bsq::pipeline::Chunks;
    ///
    /// // Frames 0 to 3, then two new ones a chunk.
    /// let chunks = Chunks::new(4, 2)?;
    /// let left: Vec<usize> = (0..8).map(|done| chunks.left(done)).collect();
    /// assert_eq!(left, [4, 3, 2, 1, 2, 1, 2, 1]);
    /// # Ok::<(), bsq::pipeline::PipelineError>(())
    /// ```
    pub fn left(self, done: usize) -> usize {
        let new = self.frames - self.overlap;
        match done.checked_sub(self.frames) {
            None => self.frames - done,
            Some(behind) => new - behind % new,
        }
    }

    /// Frames of context of the chunk that frame `done` is in.
    pub fn context(self, done: usize) -> usize {
        if done < self.frames { 0 } else { self.overlap }
    }
}

/// Frames to tokens, chunk by chunk.
pub struct ChunkEncoder {
    chunks: Chunks,
    done: usize,
    /// The last frames, as many as overlap.
    context: Vec<Picture>,
}

impl ChunkEncoder {
    pub fn new(chunks: Chunks) -> ChunkEncoder {
        let context = Vec::new();
        ChunkEncoder {
            chunks,
            done: 0,
            context,
        }
    }

    /// Frames that come next: all that are new in a chunk.
    pub fn wanted(&self) -> usize {
        self.chunks.left(self.done)
    }

    /// The tokens of the next frames, as many as [`wanted`](ChunkEncoder::wanted); fewer at the end of a clip.
    ///
    /// # Errors
    /// If the program cannot be compiled or memory runs out.
    ///
    /// # Panics
    /// If there are no frames, too many, or of several sizes.
    pub fn encode(
        &mut self,
        session: &mut TokenizerSession,
        frames: Vec<Picture>,
    ) -> Result<ClipTokens, PipelineError> {
        let (new, wanted) = (frames.len(), self.wanted());
        assert!((1..=wanted).contains(&new), "{new} frames of {wanted}");
        let mut seen = std::mem::take(&mut self.context);
        seen.extend(frames);
        let ClipTokens { size, grid } = session.encode_clip(&seen)?;
        let grid = grid.frames(seen.len() - new..seen.len());
        self.context = seen.split_off(seen.len().saturating_sub(self.chunks.overlap));
        self.done += new;
        Ok(ClipTokens { size, grid })
    }
}

/// Tokens to frames, chunk by chunk.
pub struct ChunkDecoder {
    chunks: Chunks,
    done: usize,
    /// Tokens of the last frames, as many as overlap.
    context: Option<TokenGrid>,
}

impl ChunkDecoder {
    pub fn new(chunks: Chunks) -> ChunkDecoder {
        let context = None;
        ChunkDecoder {
            chunks,
            done: 0,
            context,
        }
    }

    /// Frames whose tokens come next: all that are new in a chunk.
    pub fn wanted(&self) -> usize {
        self.chunks.left(self.done)
    }

    /// The next frames, as many as [`wanted`](ChunkDecoder::wanted), rounded to 8 bits; fewer at the end of a clip.
    ///
    /// # Errors
    /// As those of [`decode_clip`](TokenizerSession::decode_clip).
    pub fn decode(
        &mut self,
        session: &mut TokenizerSession,
        ClipTokens { size, grid }: ClipTokens,
    ) -> Result<Vec<Picture>, PipelineError> {
        let new = grid.shape.frames;
        let grid = match self.context.take() {
            Some(context) => TokenGrid::join(&[context, grid]),
            None => grid,
        };
        let seen = grid.shape.frames;
        let tokens = ClipTokens { size, grid };
        let mut frames = session.decode_clip(&tokens)?;
        frames.drain(..seen - new);
        let overlap = self.chunks.overlap.min(seen);
        self.context = (overlap > 0).then(|| tokens.grid.frames(seen - overlap..seen));
        self.done += new;
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{masked, moving, predicting};
    use crate::pipeline::{CompileOptions, TokenStream};

    #[test]
    fn a_chunk_has_new_frames() {
        let message = Chunks::new(4, 4).unwrap_err().to_string();
        assert!(message.contains("4 frames"), "{message}");
        let tokenizer = predicting(4).tokenizer;
        assert!(Chunks::of(&tokenizer, 0).is_ok());
        let message = Chunks::of(&tokenizer, 1).unwrap_err().to_string();
        assert!(message.contains("predicts patches"), "{message}");
        for (frames, overlap) in [(1, 0), (5, 0), (5, 1), (5, 4)] {
            let chunks = Chunks::new(frames, overlap).unwrap();
            let starts: Vec<usize> = (0..20)
                .filter(|&done| done == 0 || chunks.left(done - 1) == 1)
                .collect();
            for pair in starts.windows(2) {
                // Context and new frames are a chunk.
                let new = pair[1] - pair[0];
                assert_eq!(chunks.context(pair[0]) + new, frames);
            }
        }
    }

    /// A chunk's new frames are those of a clip that begins with its context; one by one they are the same, in
    /// both directions.
    #[test]
    fn overlapping_chunks_have_the_bits_of_clips_and_of_frames_one_by_one() {
        let model = masked(4, "block-causal");
        let options = CompileOptions::default();
        let frames: Vec<Picture> = (0..9).map(moving).collect();
        for overlap in 0..4 {
            let chunks = Chunks::new(4, overlap).unwrap();
            let mut session = TokenizerSession::new(&model, options.clone());
            let (mut encoder, mut decoder) = (ChunkEncoder::new(chunks), ChunkDecoder::new(chunks));
            let mut stream = TokenStream::new(&model, options.clone()).unwrap();
            stream.set_overlap(overlap).unwrap();
            let (mut done, mut all) = (0, Vec::new());
            while done < frames.len() {
                let end = frames.len().min(done + encoder.wanted());
                let start = done - chunks.context(done);
                let expected = session.encode_clip(&frames[start..end]).unwrap();
                let expected = expected.grid.frames(done - start..end - start);
                let new = frames[done..end].to_vec();
                let tokens = encoder.encode(&mut session, new).unwrap();
                assert_eq!(tokens.grid, expected, "{overlap}: frames {done}..{end}");
                all.push(expected.clone());
                // A decoder's context are the tokens that there are.
                let joined = TokenGrid::join(&all);
                let context = joined.frames(start..end);
                let size = tokens.size;
                let seen = ClipTokens {
                    size,
                    grid: context,
                };
                let pixels = session.decode_clip(&seen).unwrap().split_off(done - start);
                assert_eq!(decoder.wanted(), chunks.left(done));
                assert_eq!(decoder.decode(&mut session, tokens).unwrap(), pixels);
                for (time, frame) in (done..end).zip(&pixels) {
                    let tokens = stream.encode(&frames[time]).unwrap();
                    assert_eq!(tokens.grid, joined.frames(time..time + 1), "frame {time}");
                    assert_eq!(&stream.decode(&tokens).unwrap(), frame, "frame {time}");
                }
                done = end;
            }
        }
    }
}
