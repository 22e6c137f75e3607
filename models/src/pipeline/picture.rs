//! Pictures of any size as tokens, a batch of windows at a time; row by row, or whole.
//!
//! Inside, tokens come window by window. Whoever calls sees grids, in raster order.

use super::{PipelineError, TokenizerSession};
use crate::image_io::{ImageSize, Picture, PictureCutter, PictureJoiner, Windows};
use crate::raster::{WindowCutter, WindowJoiner, WindowRow};
use crate::token_grid::{GridShape, TokenGrid};
use std::convert::Infallible;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The tokens of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureTokens {
    /// The picture's size: it is the upper left part of what the tokens stand for.
    pub size: ImageSize,
    /// Whole windows of tokens.
    pub grid: TokenGrid,
}

/// Time in the encoder's and in the decoder's programs, without compiling them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTimes {
    pub encoding: Duration,
    pub decoding: Duration,
}

impl TokenizerSession {
    /// The tokens of a picture. `progress` hears how many windows have been encoded so far.
    ///
    /// # Errors
    /// If the program cannot be compiled or memory runs out.
    pub fn encode_picture(
        &mut self,
        picture: &Picture,
        progress: &mut dyn FnMut(usize),
    ) -> Result<PictureTokens, PipelineError> {
        let (size, shape) = (picture.size(), self.grid_shape(picture.size()));
        let words = self.words_per_token();
        let (mut indices, mut y) = (Vec::with_capacity(shape.tokens() * words), 0);
        let mut read = |row: &mut [u16]| {
            picture.write_row(y, row);
            y += 1;
            Ok(())
        };
        let mut write = |row: &[u64]| {
            indices.extend_from_slice(row);
            Ok(())
        };
        self.encode_rows::<PipelineError>(size, &mut read, &mut write, progress)?;
        let grid = TokenGrid::of_words(shape, words, indices);
        Ok(PictureTokens { size, grid })
    }

    /// The picture of tokens, rounded to 8 bits. `progress` hears how many windows have been
    /// decoded so far.
    ///
    /// # Errors
    /// If the grid is not that of a picture of this size, or an index is none of this model; if the
    /// program cannot be compiled or memory runs out.
    pub fn decode_picture(
        &mut self,
        tokens: &PictureTokens,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Picture, PipelineError> {
        let mut rgb = Vec::with_capacity(3 * tokens.size.width * tokens.size.height);
        let mut write = |row: &[u8]| {
            rgb.extend_from_slice(row);
            Ok(())
        };
        self.decode_grid::<PipelineError>(tokens, &mut write, progress)?;
        Ok(Picture::new(tokens.size.width, tokens.size.height, rgb))
    }

    /// [`decode_picture`](TokenizerSession::decode_picture) row by row: `write` gets the picture's
    /// rows, each red, green and blue of every pixel.
    ///
    /// # Errors
    /// As those of `decode_picture`, and those of `write`.
    pub fn decode_grid<E: From<PipelineError>>(
        &mut self,
        tokens: &PictureTokens,
        write: &mut dyn FnMut(&[u8]) -> Result<(), E>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), E> {
        let expected = self.grid_shape(tokens.size);
        self.check_grid(&tokens.grid, expected)?;
        let mut rest = &tokens.grid.indices[..];
        let mut read = |row: &mut [u64]| {
            let (next, behind) = rest.split_at(row.len());
            row.copy_from_slice(next);
            rest = behind;
            Ok(())
        };
        self.decode_rows(tokens.size, &mut read, write, progress)
    }

    /// Encodes a picture that comes row by row, holding a row of windows and a batch of them.
    ///
    /// `read` is asked for `size.height` rows, from top to bottom: red, green and blue of every
    /// pixel, 0 to 65,535. `write` gets the rows of the grid, from top to bottom: indices, or words of
    /// [long](crate::tokenizer::bits) tokens.
    ///
    /// # Errors
    /// Those of `read` and `write`; if the program cannot be compiled or memory runs out.
    pub fn encode_rows<E: From<PipelineError>>(
        &mut self,
        size: ImageSize,
        read: &mut dyn FnMut(&mut [u16]) -> Result<(), E>,
        write: &mut dyn FnMut(&[u64]) -> Result<(), E>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), E> {
        let windows = self.windows(size);
        let mut cutter = PictureCutter::new(windows, self.range);
        let mut joiner = self.token_joiner(windows);
        let mut batch = Vec::new();
        for part in equal_parts(windows.count(), self.batch_limit()) {
            let end = part.end;
            batch.clear();
            for _ in part {
                cutter.append_window(read, &mut batch)?;
            }
            for window in self.encode(&batch)?.chunks_exact(self.words_per_window()) {
                joiner.push(window, write)?;
            }
            progress(end);
        }
        Ok(())
    }

    /// Decodes a picture's tokens that come row by row, holding a row of windows and a batch.
    ///
    /// `read` is asked for the rows of the grid, from top to bottom; `write` gets the `size.height`
    /// rows of the picture: red, green and blue of every pixel, rounded to 8 bits.
    ///
    /// # Errors
    /// Those of `read` and `write`; if an index is none of this model, the program cannot be
    /// compiled or memory runs out.
    pub fn decode_rows<E: From<PipelineError>>(
        &mut self,
        size: ImageSize,
        read: &mut dyn FnMut(&mut [u64]) -> Result<(), E>,
        write: &mut dyn FnMut(&[u8]) -> Result<(), E>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), E> {
        let windows = self.windows(size);
        let words = self.words_per_token();
        let mut cutter = WindowCutter::new(token_row(self.window_grid(), windows.across(), words));
        let mut joiner = PictureJoiner::new(windows, self.range);
        let mut batch = Vec::new();
        for part in equal_parts(windows.count(), self.batch_limit()) {
            let end = part.end;
            batch.clear();
            for _ in part {
                batch.extend(cutter.next_window(read)?.flatten());
            }
            for window in self.decode(&batch)?.chunks_exact(self.values_per_window()) {
                joiner.push(window, write)?;
            }
            progress(end);
        }
        Ok(())
    }

    /// Encodes and decodes a picture that comes row by row: `tokens` gets the rows of the grid, and
    /// `write` those of the reconstruction, as [`encode_rows`](TokenizerSession::encode_rows) and
    /// [`decode_rows`](TokenizerSession::decode_rows) give them.
    ///
    /// # Errors
    /// As those of both.
    pub fn reconstruct_rows<E: From<PipelineError>>(
        &mut self,
        size: ImageSize,
        read: &mut dyn FnMut(&mut [u16]) -> Result<(), E>,
        tokens: &mut dyn FnMut(&[u64]) -> Result<(), E>,
        write: &mut dyn FnMut(&[u8]) -> Result<(), E>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<RunTimes, E> {
        let windows = self.windows(size);
        let mut cutter = PictureCutter::new(windows, self.range);
        let mut token_joiner = self.token_joiner(windows);
        let mut joiner = PictureJoiner::new(windows, self.range);
        let (mut batch, mut times) = (Vec::new(), RunTimes::default());
        for part in equal_parts(windows.count(), self.batch_limit()) {
            let end = part.end;
            batch.clear();
            for _ in part {
                cutter.append_window(read, &mut batch)?;
            }
            let indices = self.timed(&mut times.encoding, |session| session.encode(&batch))?;
            let values = self.timed(&mut times.decoding, |session| session.decode(&indices))?;
            for window in indices.chunks_exact(self.words_per_window()) {
                token_joiner.push(window, tokens)?;
            }
            for window in values.chunks_exact(self.values_per_window()) {
                joiner.push(window, write)?;
            }
            progress(end);
        }
        Ok(times)
    }

    /// Runs `work` and adds the time that it took, but for compiling.
    fn timed<T>(&mut self, time: &mut Duration, work: impl FnOnce(&mut Self) -> T) -> T {
        let (start, compiled) = (Instant::now(), self.compile_time());
        let result = work(self);
        *time += start.elapsed() - (self.compile_time() - compiled);
        result
    }

    /// The tokens of pictures `[pictures, 3, height, width]` in the model's range of values, whose
    /// sides are whole windows.
    ///
    /// # Errors
    /// If the program cannot be compiled or memory runs out.
    ///
    /// # Panics
    /// If the sides are not whole windows.
    pub fn encode_planes(
        &mut self,
        pictures: &[f32],
        size: ImageSize,
    ) -> Result<Vec<TokenGrid>, PipelineError> {
        let (windows, ImageSize { height, width }) = (self.windows(size), self.window_size());
        let whole = (windows.across() * width, windows.down() * height);
        assert_eq!(whole, (size.width, size.height), "whole windows");
        let mut batch = Vec::with_capacity(pictures.len());
        for picture in pictures.chunks_exact(3 * size.width * size.height) {
            for number in 0..windows.count() {
                let left = number % windows.across() * width;
                let top = number / windows.across() * height;
                for plane in picture.chunks_exact(size.width * size.height) {
                    let rows = plane.chunks_exact(size.width).skip(top).take(height);
                    batch.extend(rows.flat_map(|row| &row[left..left + width]));
                }
            }
        }
        let (shape, window) = (self.grid_shape(size), self.window_grid());
        let indices = self.encode(&batch)?;
        let words = self.words_per_token();
        let grids = indices.chunks_exact(shape.tokens() * words);
        Ok(grids
            .map(|tokens| from_windows((shape, words), window, tokens))
            .collect())
    }

    /// The windows over a picture of this size.
    pub fn windows(&self, picture: ImageSize) -> Windows {
        Windows::over(picture, self.window_size())
    }

    /// The grid of tokens of a picture of this size: whole windows.
    pub fn grid_shape(&self, picture: ImageSize) -> GridShape {
        let (windows, window) = (self.windows(picture), self.window_grid());
        GridShape::still(
            windows.down() * window.rows,
            windows.across() * window.columns,
        )
    }

    /// The grid of tokens of one window.
    pub(super) fn window_grid(&self) -> GridShape {
        self.tokenizer.config().encoder.grid()
    }

    /// That a grid is one of this model, of a picture whose grid is `expected`.
    pub(super) fn check_grid(
        &self,
        grid: &TokenGrid,
        expected: GridShape,
    ) -> Result<(), PipelineError> {
        let (given, words) = (grid.shape, self.words_per_token());
        if given != expected {
            return Err(PipelineError::Grid { given, expected });
        }
        match grid.words == words {
            true => Ok(()),
            false => Err(PipelineError::Count {
                what: "words a token",
                given: grid.words,
                each: words,
            }),
        }
    }

    /// Indices, or words, of a window.
    fn words_per_window(&self) -> usize {
        self.tokens_per_window() * self.words_per_token()
    }

    fn token_joiner(&self, windows: Windows) -> WindowJoiner<u64> {
        let words = self.words_per_token();
        WindowJoiner::new(token_row(self.window_grid(), windows.across(), words))
    }
}

/// The tokens of a row of windows, of `words` words each.
fn token_row(window: GridShape, across: usize, words: usize) -> WindowRow {
    WindowRow {
        across,
        height: window.rows,
        width: window.columns * words,
    }
}

/// The grid of tokens, of so many words each, that stand window by window.
pub(super) fn from_windows(
    (shape, words): (GridShape, usize),
    window: GridShape,
    tokens: &[u64],
) -> TokenGrid {
    let across = shape.columns / window.columns;
    let mut joiner = WindowJoiner::new(token_row(window, across, words));
    let mut indices = Vec::with_capacity(tokens.len());
    for window in tokens.chunks_exact(window.tokens() * words) {
        let Ok(()) = joiner.push(window, &mut |row| {
            indices.extend_from_slice(row);
            Ok::<_, Infallible>(())
        });
    }
    TokenGrid::of_words(shape, words, indices)
}

/// The tokens of a grid, window by window.
pub(super) fn to_windows(grid: &TokenGrid, window: GridShape) -> Vec<u64> {
    let across = grid.shape.columns / window.columns;
    let mut cutter = WindowCutter::new(token_row(window, across, grid.words));
    let (mut rows, mut tokens) = (grid.rows(), Vec::with_capacity(grid.indices.len()));
    let mut read = |row: &mut [u64]| {
        row.copy_from_slice(rows.next().expect("whole windows"));
        Ok::<_, Infallible>(())
    };
    for _ in 0..grid.shape.tokens() / window.tokens() {
        let Ok(window) = cutter.next_window(&mut read);
        tokens.extend(window.flatten());
    }
    tokens
}

/// `0..count` in as few parts of at most `limit` as possible, all of one size but for the last.
fn equal_parts(count: usize, limit: usize) -> impl Iterator<Item = Range<usize>> {
    let size = count.div_ceil(count.div_ceil(limit).max(1)).max(1);
    (0..count)
        .step_by(size)
        .map(move |start| start..(start + size).min(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::PixelRange;
    use crate::pipeline::CompileOptions;
    use crate::pipeline::tests::{picture, tiny};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_cover_everything_once(count in 0_usize..500, limit in 1_usize..70) {
            let parts: Vec<_> = equal_parts(count, limit).collect();
            prop_assert!(parts.iter().all(|part| part.len() <= limit));
            prop_assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
    }

    fn session() -> TokenizerSession {
        TokenizerSession::new(&tiny(9), CompileOptions::default())
    }

    #[test]
    fn windows_lie_side_by_side() {
        // Two windows of three rows and two columns.
        let (shape, window) = (GridShape::still(3, 4), GridShape::still(3, 2));
        let tokens: Vec<u64> = (0..12).collect();
        let grid = from_windows((shape, 1), window, &tokens);
        assert_eq!(grid.indices, [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
        assert_eq!(to_windows(&grid, window), tokens);
    }

    #[test]
    fn a_picture_in_many_batches_is_that_of_its_windows_together() {
        let (mut session, picture) = (session(), picture(70, 35));
        let windows = session.windows(picture.size());
        let together = session
            .encode(&windows.cut(&picture, PixelRange::MinusOneToOne))
            .unwrap();
        let mut heard = Vec::new();
        let tokens = session
            .encode_picture(&picture, &mut |done| heard.push(done))
            .unwrap();
        assert_eq!(tokens.grid.shape, GridShape::still(6, 10));
        assert_eq!(to_windows(&tokens.grid, GridShape::still(2, 2)), together);
        assert_eq!(heard.last(), Some(&15));
        let values = session.decode(&together).unwrap();
        let expected = windows.assemble(&values, PixelRange::MinusOneToOne);
        let decoded = session.decode_picture(&tokens, &mut |_| {}).unwrap();
        assert_eq!(decoded, expected);

        let (mut y, mut indices, mut rgb) = (0, Vec::new(), Vec::new());
        let mut read = |row: &mut [u16]| {
            picture.write_row(y, row);
            y += 1;
            Ok::<_, PipelineError>(())
        };
        let mut keep = |row: &[u64]| {
            indices.extend_from_slice(row);
            Ok(())
        };
        let mut write = |row: &[u8]| {
            rgb.extend_from_slice(row);
            Ok(())
        };
        let size = picture.size();
        session
            .reconstruct_rows(size, &mut read, &mut keep, &mut write, &mut |_| {})
            .unwrap();
        assert_eq!((indices, rgb), (tokens.grid.indices, expected.rgb));
    }

    #[test]
    fn whole_windows_of_planes_are_pictures() {
        let (mut session, picture) = (session(), picture(48, 32));
        let planes = crate::image_io::to_planar(&picture, PixelRange::MinusOneToOne);
        let two = [&planes[..], &planes].concat();
        let grids = session.encode_planes(&two, picture.size()).unwrap();
        let tokens = session.encode_picture(&picture, &mut |_| {}).unwrap();
        assert_eq!(grids, [tokens.grid.clone(), tokens.grid]);
    }

    #[test]
    fn no_more_than_a_row_of_windows_and_a_batch_are_held() {
        let mut session = session();
        // 3 windows side by side, 1024 together at most: 400 rows of them are two batches of 600.
        let size = ImageSize {
            height: 6400,
            width: 48,
        };
        let (read, given) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let mut source = |row: &mut [u16]| {
            read.set(read.get() + 1);
            row.fill(read.get() as u16);
            Ok::<_, PipelineError>(())
        };
        let mut sink = |_: &[u64]| {
            given.set(given.get() + 1);
            // 600 windows are 200 rows of windows.
            assert!(read.get() <= 3200 || given.get() > 200);
            Ok(())
        };
        session
            .encode_rows(size, &mut source, &mut sink, &mut |_| {})
            .unwrap();
        assert_eq!((read.get(), given.get()), (6400, 800));
    }

    #[test]
    fn tokens_of_another_size_are_refused() {
        let tokens = PictureTokens {
            size: ImageSize {
                height: 17,
                width: 16,
            },
            grid: TokenGrid::new(GridShape::still(2, 2), vec![0; 4]),
        };
        let error = session().decode_picture(&tokens, &mut |_| {}).unwrap_err();
        let expected = "2x2 tokens (rows x columns), but a picture of this size has 4x2";
        assert_eq!(error.to_string(), expected);
    }
}
