//! Pictures of any size as tokens, a batch of windows at a time.

use super::{PipelineError, TokenizerSession};
use crate::image_io::{Picture, Windows, append_planar, from_planar};

/// The tokens of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureTokens {
    /// Columns of the picture.
    pub width: usize,
    /// Rows of the picture.
    pub height: usize,
    /// Indices `[windows, tokens]`; windows row by row, tokens of a window row by row.
    pub indices: Vec<u64>,
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
        let windows = self.windows(picture.width, picture.height);
        let count = windows.count();
        let mut indices = Vec::with_capacity(count * self.tokens_per_window());
        let mut batch = Vec::new();
        for range in equal_parts(count, self.batch_limit()) {
            batch.clear();
            let end = range.end;
            for number in range {
                let window = cut(picture, &windows, number);
                append_planar(&window, self.range, &mut batch);
            }
            indices.extend(self.encode(&batch)?);
            progress(end);
        }
        Ok(PictureTokens {
            width: picture.width,
            height: picture.height,
            indices,
        })
    }

    /// The picture of tokens, rounded to 8 bits. `progress` hears how many windows have been
    /// decoded so far.
    ///
    /// # Errors
    /// If there are not as many indices as a picture of this size has tokens, or one is none of
    /// this model; if the program cannot be compiled or memory runs out.
    pub fn decode_picture(
        &mut self,
        tokens: &PictureTokens,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Picture, PipelineError> {
        let windows = self.windows(tokens.width, tokens.height);
        let (count, each) = (windows.count(), self.tokens_per_window());
        if tokens.indices.len() != count * each {
            return Err(PipelineError::Count {
                what: "indices",
                given: tokens.indices.len(),
                each,
            });
        }
        let mut rgb = vec![0; 3 * tokens.width * tokens.height];
        let values = self.values_per_window();
        for range in equal_parts(count, self.batch_limit()) {
            let batch = self.decode(&tokens.indices[range.start * each..range.end * each])?;
            let end = range.end;
            for (number, planes) in range.zip(batch.chunks_exact(values)) {
                let (width, height) = self.window_size();
                let window = from_planar(planes, width, height, self.range);
                place(&window, &windows, number, &mut rgb);
            }
            progress(end);
        }
        Ok(Picture::new(tokens.width, tokens.height, rgb))
    }

    /// The windows over a picture of this size.
    pub fn windows(&self, width: usize, height: usize) -> Windows {
        let (window_width, window_height) = self.window_size();
        Windows {
            width,
            height,
            window_width,
            window_height,
        }
    }
}

/// `0..count` in as few parts of at most `limit` as possible, all of one size but for the last.
fn equal_parts(count: usize, limit: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let size = count.div_ceil(count.div_ceil(limit).max(1)).max(1);
    (0..count)
        .step_by(size)
        .map(move |start| start..(start + size).min(count))
}

/// Left and top of a window.
fn corner(windows: &Windows, number: usize) -> (usize, usize) {
    let (row, column) = (number / windows.across(), number % windows.across());
    (column * windows.window_width, row * windows.window_height)
}

/// One window of a picture; where it reaches beyond the picture, the edge is repeated.
fn cut(picture: &Picture, windows: &Windows, number: usize) -> Picture {
    let (left, top) = corner(windows, number);
    let (width, height) = (windows.window_width, windows.window_height);
    let inside = width.min(picture.width - left);
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in top..top + height {
        let row = picture.row(y.min(picture.height - 1));
        rgb.extend_from_slice(&row[3 * left..3 * (left + inside)]);
        for _ in inside..width {
            rgb.extend_from_slice(&row[row.len() - 3..]);
        }
    }
    Picture::new(width, height, rgb)
}

/// Copies the part of a window that lies inside the picture `rgb`.
fn place(window: &Picture, windows: &Windows, number: usize, rgb: &mut [u8]) {
    let (left, top) = corner(windows, number);
    let inside = windows.window_width.min(windows.width - left);
    let rows = windows.window_height.min(windows.height - top);
    for y in 0..rows {
        let at = 3 * ((top + y) * windows.width + left);
        rgb[at..at + 3 * inside].copy_from_slice(&window.row(y)[..3 * inside]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::Range;
    use crate::pipeline::SessionOptions;
    use crate::pipeline::tests::{picture, tiny};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_one_by_one_are_those_of_the_whole_picture(
            width in 1_usize..40, height in 1_usize..40,
            window_width in 1_usize..17, window_height in 1_usize..17,
        ) {
            let picture = picture(width, height);
            let windows = Windows::over(&picture, window_width, window_height);
            let (mut batch, mut rgb) = (Vec::new(), vec![0; picture.rgb.len()]);
            for number in 0..windows.count() {
                let window = cut(&picture, &windows, number);
                append_planar(&window, Range::MinusOneToOne, &mut batch);
                place(&window, &windows, number, &mut rgb);
            }
            prop_assert_eq!(batch, windows.cut(&picture, Range::MinusOneToOne));
            prop_assert_eq!(rgb, picture.rgb);
        }

        #[test]
        fn parts_cover_everything_once(count in 0_usize..500, limit in 1_usize..70) {
            let parts: Vec<_> = equal_parts(count, limit).collect();
            prop_assert!(parts.iter().all(|part| part.len() <= limit));
            prop_assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_picture_in_many_batches_is_that_of_its_windows_together() {
        let model = tiny(9);
        let mut session = TokenizerSession::new(&model, SessionOptions::default());
        let picture = picture(70, 35);
        let windows = Windows::over(&picture, 16, 16);
        let together = session
            .encode(&windows.cut(&picture, Range::MinusOneToOne))
            .unwrap();
        let mut heard = Vec::new();
        let tokens = session
            .encode_picture(&picture, &mut |done| heard.push(done))
            .unwrap();
        assert_eq!(tokens.indices, together);
        assert_eq!(heard.last(), Some(&15));
        let values = session.decode(&together).unwrap();
        assert_eq!(
            session.decode_picture(&tokens, &mut |_| {}).unwrap(),
            windows.assemble(&values, Range::MinusOneToOne)
        );
    }

    #[test]
    fn tokens_of_another_size_are_refused() {
        let mut session = TokenizerSession::new(&tiny(9), SessionOptions::default());
        let tokens = PictureTokens {
            width: 16,
            height: 17,
            indices: vec![0; 4],
        };
        assert!(session.decode_picture(&tokens, &mut |_| {}).is_err());
    }
}
