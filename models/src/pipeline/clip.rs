//! Clips as tokens: windows of a few frames, which a tokenizer of clips sees together.

use super::picture::{from_windows, to_windows};
use super::{Chunks, PipelineError, TokenizerSession};
use crate::image_io::{ImageSize, Picture, PictureCutter, PictureJoiner};
use crate::token_grid::{GridShape, TokenGrid};
use std::convert::Infallible;

/// The tokens of a clip's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipTokens {
    /// Of each frame: it is the upper left part of what the tokens stand for.
    pub size: ImageSize,
    /// Whole windows of tokens, frame by frame.
    pub grid: TokenGrid,
}

impl TokenizerSession {
    /// Frames that are seen together at most: 1 of a tokenizer of pictures.
    pub fn frames(&self) -> usize {
        self.tokenizer.frames()
    }

    /// How longer clips are cut, each chunk but the first with the last `overlap` frames before it.
    ///
    /// # Errors
    /// If a chunk had no new frames, or the model cannot begin one with context.
    pub fn chunks(&self, overlap: usize) -> Result<Chunks, PipelineError> {
        Chunks::of(&self.tokenizer, overlap)
    }

    /// The tokens of frames that are seen together, at most [`frames`](TokenizerSession::frames). A
    /// longer clip is cut into [`chunks`](TokenizerSession::chunks).
    ///
    /// # Errors
    /// If the program cannot be compiled or memory runs out.
    ///
    /// # Panics
    /// If there are no frames, too many, or of several sizes.
    pub fn encode_clip(&mut self, frames: &[Picture]) -> Result<ClipTokens, PipelineError> {
        let (size, count) = (frames[0].size(), frames.len());
        let windows = self.windows(size);
        let each = self.values_per_window();
        let mut by_window = vec![Vec::with_capacity(count * each); windows.count()];
        for frame in frames {
            assert_eq!(frame.size(), size, "frames of one size");
            self.cut_frame(frame, &mut by_window);
        }
        let indices = self.encode_clips(&by_window.concat(), count)?;
        let (shape, window) = (self.grid_shape(size), self.window_grid());
        let words = self.words_per_token();
        let each = window.tokens() * words;
        let mut grid = Vec::with_capacity(count * shape.tokens() * words);
        for frame in 0..count {
            let of_windows = indices.chunks_exact(count * each);
            let tokens: Vec<u64> = of_windows
                .flat_map(|tokens| &tokens[frame * each..][..each])
                .copied()
                .collect();
            grid.extend(from_windows((shape, words), window, &tokens).indices);
        }
        let shape = GridShape {
            frames: count,
            ..shape
        };
        let grid = TokenGrid::of_words(shape, words, grid);
        Ok(ClipTokens { size, grid })
    }

    /// Appends the values of each of a frame's windows.
    pub(super) fn cut_frame(&self, frame: &Picture, by_window: &mut [Vec<f32>]) {
        let mut cutter = PictureCutter::new(self.windows(frame.size()), self.range);
        let mut y = 0;
        let mut read = |row: &mut [u16]| {
            frame.write_row(y, row);
            y += 1;
            Ok::<_, Infallible>(())
        };
        for window in by_window {
            let Ok(()) = cutter.append_window(&mut read, window);
        }
    }

    /// The frame of windows' values, rounded to 8 bits.
    pub(super) fn join_frame<'v>(
        &self,
        size: ImageSize,
        windows: impl Iterator<Item = &'v [f32]>,
    ) -> Picture {
        let mut joiner = PictureJoiner::new(self.windows(size), self.range);
        let mut rgb = Vec::with_capacity(3 * size.height * size.width);
        for window in windows {
            let Ok(()) = joiner.push(window, &mut |row| {
                rgb.extend_from_slice(row);
                Ok::<_, Infallible>(())
            });
        }
        Picture::new(size.width, size.height, rgb)
    }

    /// The frames of tokens, rounded to 8 bits.
    ///
    /// # Errors
    /// If the grid is not that of frames of this size, or an index is none of this model; if the
    /// program cannot be compiled or memory runs out.
    pub fn decode_clip(&mut self, tokens: &ClipTokens) -> Result<Vec<Picture>, PipelineError> {
        let count = tokens.grid.shape.frames;
        let expected = GridShape {
            frames: count,
            ..self.grid_shape(tokens.size)
        };
        if !(1..=self.frames()).contains(&count) {
            let given = tokens.grid.shape;
            return Err(PipelineError::Grid { given, expected });
        }
        self.check_grid(&tokens.grid, expected)?;
        let (windows, window) = (self.windows(tokens.size), self.window_grid());
        let mut by_window = vec![Vec::new(); windows.count()];
        for frame in 0..count {
            let of_frame = to_windows(&tokens.grid.frames(frame..frame + 1), window);
            let of_windows = of_frame.chunks_exact(window.tokens() * tokens.grid.words);
            for (to, from) in by_window.iter_mut().zip(of_windows) {
                to.extend(from);
            }
        }
        let values = self.decode_clips(&by_window.concat(), count)?;
        let each = self.values_per_window();
        let picture = |frame: usize| {
            let windows = values.chunks_exact(count * each);
            let of_frame = windows.map(|window| &window[frame * each..(frame + 1) * each]);
            self.join_frame(tokens.size, of_frame)
        };
        Ok((0..count).map(picture).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{masked as model, moving, picture, predicting};
    use crate::pipeline::{CompileOptions, TokenStream};

    fn session(frames: usize, threads: usize) -> TokenizerSession {
        let options = CompileOptions {
            threads,
            ..CompileOptions::default()
        };
        TokenizerSession::new(&model(frames, "block-causal"), options)
    }

    /// What comes later changes nothing, whatever the threads; a clip of one frame is a picture.
    #[test]
    fn prefixes_of_clips_have_their_tokens_and_pixels() {
        let frames: Vec<Picture> = (0..4).map(moving).collect();
        let mut session = session(4, 2);
        let whole = session.encode_clip(&frames).unwrap();
        assert_eq!(whole.grid.shape.frames, 4);
        let pixels = session.decode_clip(&whole).unwrap();
        let mut other = self::session(4, 1);
        for count in 1..4 {
            let part = other.encode_clip(&frames[..count]).unwrap();
            let tokens = part.grid.indices.len();
            assert_eq!(part.grid.indices, whole.grid.indices[..tokens]);
            assert_eq!(other.decode_clip(&part).unwrap(), pixels[..count]);
        }
        let still = session.encode_picture(&frames[0], &mut |_| {}).unwrap();
        assert_eq!(
            still.grid.indices,
            whole.grid.indices[..still.grid.indices.len()]
        );
    }

    /// Frame by frame with kept keys and values: the bits of whole clips, and a new clip after the last
    /// frame that the model has.
    #[test]
    fn frames_one_by_one_have_the_bits_of_clips() {
        for model in [model(4, "block-causal"), predicting(4)] {
            let mut session = TokenizerSession::new(&model, CompileOptions::default());
            let mut stream = TokenStream::new(&model, CompileOptions::default()).unwrap();
            for start in [0, 4] {
                let frames: Vec<Picture> = (start..start + 4).map(moving).collect();
                let whole = session.encode_clip(&frames).unwrap();
                let pixels = session.decode_clip(&whole).unwrap();
                let each = whole.grid.indices.len() / 4;
                for (time, frame) in frames.iter().enumerate() {
                    let tokens = stream.encode(frame).unwrap();
                    assert_eq!(
                        tokens.grid.indices,
                        whole.grid.indices[time * each..(time + 1) * each]
                    );
                    assert_eq!(stream.decode(&tokens).unwrap(), pixels[time]);
                }
            }
        }
        for (frames, mask) in [(4, "none"), (1, "block-causal"), (4, "causal")] {
            let stream = TokenStream::new(&self::model(frames, mask), CompileOptions::default());
            assert!(stream.err().unwrap().to_string().contains("block-causal"));
        }
    }

    #[test]
    fn tokens_of_other_clips_are_refused() {
        let mut session = session(2, 1);
        let frames = vec![picture(16, 16); 2];
        let tokens = session.encode_clip(&frames).unwrap();
        let small = ClipTokens {
            size: ImageSize {
                height: 16,
                width: 40,
            },
            ..tokens.clone()
        };
        assert!(session.decode_clip(&small).is_err());
        let mut twice = tokens.grid.indices.repeat(2);
        let shape = GridShape {
            frames: 4,
            ..tokens.grid.shape
        };
        let long = ClipTokens {
            grid: TokenGrid::new(shape, twice.clone()),
            ..tokens.clone()
        };
        assert!(session.decode_clip(&long).is_err());
        twice.truncate(tokens.grid.indices.len());
        twice[3] = u64::MAX;
        let wild = ClipTokens {
            grid: TokenGrid::new(tokens.grid.shape, twice),
            ..tokens
        };
        assert!(
            session
                .decode_clip(&wild)
                .unwrap_err()
                .to_string()
                .contains("token 3")
        );
    }
}
