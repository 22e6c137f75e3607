//! A picture of any size as one batch of windows of the model's size, and back.

use super::{Picture, Range, append_planar, crop, from_planar, pad_by_replication};

/// How a picture is divided into windows that touch and do not overlap.
///
/// The picture is padded to whole windows by repeating its last column and row; windows are
/// numbered row by row, and the padding is cut off when they are put together again.
///
/// ```
/// use bsq::image_io::{Picture, Range, Windows};
/// let picture = Picture::new(5, 3, (0..45).collect());
/// let windows = Windows::over(&picture, 4, 4);
/// let batch = windows.cut(&picture, Range::MinusOneToOne);
/// assert_eq!((windows.count(), batch.len()), (2, 2 * 3 * 4 * 4));
/// assert_eq!(windows.assemble(&batch, Range::MinusOneToOne), picture);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Columns of the picture.
    pub width: usize,
    /// Rows of the picture.
    pub height: usize,
    /// Columns of a window.
    pub window_width: usize,
    /// Rows of a window.
    pub window_height: usize,
}

impl Windows {
    /// The windows that cover a picture.
    ///
    /// # Panics
    /// When a window has no pixels.
    #[track_caller]
    pub fn over(picture: &Picture, window_width: usize, window_height: usize) -> Windows {
        assert!(
            window_width > 0 && window_height > 0,
            "a window of {window_width}x{window_height} pixels"
        );
        Windows {
            width: picture.width,
            height: picture.height,
            window_width,
            window_height,
        }
    }

    /// Windows side by side.
    pub fn across(&self) -> usize {
        self.width.div_ceil(self.window_width)
    }

    /// Windows one above the other.
    pub fn down(&self) -> usize {
        self.height.div_ceil(self.window_height)
    }

    /// All windows: the size of the batch.
    pub fn count(&self) -> usize {
        self.across() * self.down()
    }

    /// The batch `[count, 3, window_height, window_width]`.
    ///
    /// # Panics
    /// When the picture has another size than the one these windows were made over.
    #[track_caller]
    pub fn cut(&self, picture: &Picture, range: Range) -> Vec<f32> {
        assert_eq!(
            (picture.width, picture.height),
            (self.width, self.height),
            "these windows are over a picture of another size"
        );
        let padded = pad_by_replication(
            picture,
            self.across() * self.window_width,
            self.down() * self.window_height,
        );
        let mut batch = Vec::with_capacity(padded.rgb.len());
        for (left, top) in self.corners() {
            let window = crop(&padded, left, top, self.window_width, self.window_height);
            append_planar(&window, range, &mut batch);
        }
        batch
    }

    /// The planes `[3, height, width]` of the picture whose windows are in `batch`, unrounded.
    ///
    /// # Panics
    /// When the batch has not `count * 3 * window_height * window_width` values.
    #[track_caller]
    pub fn assemble_planes(&self, batch: &[f32]) -> Vec<f32> {
        let window_plane = self.window_width * self.window_height;
        assert_eq!(
            batch.len(),
            self.count() * 3 * window_plane,
            "{} windows of {}x{} have {} values, not {}",
            self.count(),
            self.window_width,
            self.window_height,
            self.count() * 3 * window_plane,
            batch.len()
        );
        let plane = self.width * self.height;
        let mut planes = vec![0.0; 3 * plane];
        for ((left, top), window) in self.corners().zip(batch.chunks_exact(3 * window_plane)) {
            let kept = self.window_width.min(self.width - left);
            for (channel, samples) in window.chunks_exact(window_plane).enumerate() {
                let rows = samples.chunks_exact(self.window_width);
                for (row, y) in rows.zip(top..self.height) {
                    let at = channel * plane + y * self.width + left;
                    planes[at..at + kept].copy_from_slice(&row[..kept]);
                }
            }
        }
        planes
    }

    /// The picture whose windows are in `batch`, rounded to 8 bits.
    ///
    /// # Panics
    /// As [`Windows::assemble_planes`].
    #[track_caller]
    pub fn assemble(&self, batch: &[f32], range: Range) -> Picture {
        from_planar(&self.assemble_planes(batch), self.width, self.height, range)
    }

    /// Left and top of every window, in the order of the batch.
    fn corners(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let windows = *self;
        (0..windows.down()).flat_map(move |row| {
            (0..windows.across())
                .map(move |column| (column * windows.window_width, row * windows.window_height))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cutting_and_assembling_gives_the_picture_back(
            width in 1_usize..40, height in 1_usize..40,
            window_width in 1_usize..17, window_height in 1_usize..17, seed in 0_usize..251,
        ) {
            let rgb = (0..3 * width * height).map(|i| (i * 31 + seed) as u8).collect();
            let picture = Picture::new(width, height, rgb);
            let windows = Windows::over(&picture, window_width, window_height);
            let batch = windows.cut(&picture, Range::MinusOneToOne);
            prop_assert_eq!(windows.assemble(&batch, Range::MinusOneToOne), picture);
        }
    }

    #[test]
    fn windows_are_numbered_row_by_row_and_padded_by_the_edge() {
        let rgb = (0..5_u8).flat_map(|y| (0..5_u8).flat_map(move |x| [x, y, 0]));
        let picture = Picture::new(5, 5, rgb.collect());
        let windows = Windows::over(&picture, 4, 4);
        let batch = windows.cut(&picture, Range::MinusOneToOne);
        let window =
            |n: usize| from_planar(&batch[n * 48..(n + 1) * 48], 4, 4, Range::MinusOneToOne);
        assert_eq!(windows.count(), 4);
        assert_eq!(window(1).pixel(0, 1), [4, 1, 0]);
        assert_eq!(window(1).pixel(3, 1), [4, 1, 0]);
        assert_eq!(window(2).pixel(3, 2), [3, 4, 0]);
        assert_eq!(window(3).pixel(3, 3), [4, 4, 0]);
    }

    #[test]
    fn a_single_pixel_is_one_window() {
        let picture = Picture::new(1, 1, vec![9, 8, 7]);
        let windows = Windows::over(&picture, 64, 64);
        let batch = windows.cut(&picture, Range::ZeroToOne);
        assert_eq!(windows.count(), 1);
        assert!(batch[..4096].iter().all(|&x| x == 9.0 / 255.0));
        assert_eq!(windows.assemble(&batch, Range::ZeroToOne), picture);
    }
}
