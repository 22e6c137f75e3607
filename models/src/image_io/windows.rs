//! A picture of any size as windows of the model's size, and back, row by row.

use super::{ImageSize, Picture, PixelRange, append_window, from_planar};
use crate::raster::{WindowCutter, WindowJoiner, WindowRow};
use std::convert::Infallible;

/// How a picture is divided into windows that touch and do not overlap.
///
/// The picture is padded to whole windows by repeating its last column and row; windows are
/// numbered row by row, and the padding is cut off when they are put together again.
///
/// ```
/// use bsq::image_io::{ImageSize, Picture, PixelRange, Windows};
/// let picture = Picture::new(5, 3, (0..45).collect());
/// let windows = Windows::over(picture.size(), ImageSize::square(4));
/// let batch = windows.cut(&picture, PixelRange::MinusOneToOne);
/// assert_eq!((windows.count(), batch.len()), (2, 2 * 3 * 4 * 4));
/// assert_eq!(windows.assemble(&batch, PixelRange::MinusOneToOne), picture);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The picture's size.
    pub picture: ImageSize,
    /// A window's size.
    pub window: ImageSize,
}

impl Windows {
    /// The windows that cover a picture.
    ///
    /// # Panics
    /// When a window has no pixels.
    #[track_caller]
    pub fn over(picture: ImageSize, window: ImageSize) -> Windows {
        assert!(
            window.width > 0 && window.height > 0,
            "a window of {}x{} pixels",
            window.width,
            window.height
        );
        Windows { picture, window }
    }

    /// Windows side by side.
    pub fn across(&self) -> usize {
        self.picture.width.div_ceil(self.window.width)
    }

    /// Windows one above the other.
    pub fn down(&self) -> usize {
        self.picture.height.div_ceil(self.window.height)
    }

    /// All windows: the size of the batch.
    pub fn count(&self) -> usize {
        self.across() * self.down()
    }

    /// Samples of a row of windows.
    fn row(&self) -> WindowRow {
        WindowRow {
            across: self.across(),
            height: self.window.height,
            width: 3 * self.window.width,
        }
    }

    /// The batch `[count, 3, window height, window width]`.
    ///
    /// # Panics
    /// When the picture has another size than the one these windows were made over.
    #[track_caller]
    pub fn cut(&self, picture: &Picture, range: PixelRange) -> Vec<f32> {
        assert_eq!(
            picture.size(),
            self.picture,
            "these windows are over a picture of another size"
        );
        let (mut cutter, mut y) = (PictureCutter::new(*self, range), 0);
        let mut read = |row: &mut [u16]| {
            picture.write_row(y, row);
            y += 1;
            Ok::<_, Infallible>(())
        };
        let mut batch = Vec::new();
        for _ in 0..self.count() {
            let Ok(()) = cutter.append_window(&mut read, &mut batch);
        }
        batch
    }

    /// The planes `[3, height, width]` of the picture whose windows are in `batch`, unrounded.
    ///
    /// # Panics
    /// When the batch has not `count * 3 * window height * window width` values.
    #[track_caller]
    pub fn assemble_planes(&self, batch: &[f32]) -> Vec<f32> {
        let (ImageSize { height, width }, window) = (self.picture, self.window);
        let window_plane = window.width * window.height;
        assert_eq!(
            batch.len(),
            self.count() * 3 * window_plane,
            "values of {} windows of {}x{}",
            self.count(),
            window.width,
            window.height,
        );
        let plane = width * height;
        let mut planes = vec![0.0; 3 * plane];
        for (number, values) in batch.chunks_exact(3 * window_plane).enumerate() {
            let left = number % self.across() * window.width;
            let top = number / self.across() * window.height;
            let kept = window.width.min(width - left);
            for (channel, samples) in values.chunks_exact(window_plane).enumerate() {
                for (row, y) in samples.chunks_exact(window.width).zip(top..height) {
                    let at = channel * plane + y * width + left;
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
    pub fn assemble(&self, batch: &[f32], range: PixelRange) -> Picture {
        let ImageSize { height, width } = self.picture;
        from_planar(&self.assemble_planes(batch), width, height, range)
    }
}

/// Cuts a picture that comes row by row. It holds one row of windows.
pub struct PictureCutter {
    windows: Windows,
    range: PixelRange,
    cutter: WindowCutter<u16>,
    /// Rows of the picture that have been read.
    read: usize,
    /// The last of them, padded.
    last: Vec<u16>,
}

impl PictureCutter {
    pub fn new(windows: Windows, range: PixelRange) -> PictureCutter {
        PictureCutter {
            windows,
            range,
            cutter: WindowCutter::new(windows.row()),
            read: 0,
            last: vec![0; windows.row().row()],
        }
    }

    /// Appends the next window, `[3, height, width]`. Where a new row of windows begins, `read` is
    /// asked for the picture's rows: each is red, green and blue of every pixel, 0 to 65,535.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn append_window<E>(
        &mut self,
        read: &mut dyn FnMut(&mut [u16]) -> Result<(), E>,
        batch: &mut Vec<f32>,
    ) -> Result<(), E> {
        let (samples, height) = (3 * self.windows.picture.width, self.windows.picture.height);
        let (done, last) = (&mut self.read, &mut self.last);
        let mut padded = |row: &mut [u16]| {
            if *done < height {
                let (inside, outside) = last.split_at_mut(samples);
                read(inside)?;
                for pixel in outside.chunks_exact_mut(3) {
                    pixel.copy_from_slice(&inside[samples - 3..]);
                }
                *done += 1;
            }
            row.copy_from_slice(last);
            Ok(())
        };
        let rows = self.cutter.next_window(&mut padded)?;
        append_window(rows, self.range, batch);
        Ok(())
    }
}

/// Puts a picture's windows together and gives its rows. It holds one row of windows.
pub struct PictureJoiner {
    windows: Windows,
    range: PixelRange,
    joiner: WindowJoiner<u8>,
    /// Rows of the picture that have been given.
    given: usize,
}

impl PictureJoiner {
    pub fn new(windows: Windows, range: PixelRange) -> PictureJoiner {
        PictureJoiner {
            windows,
            range,
            joiner: WindowJoiner::new(windows.row()),
            given: 0,
        }
    }

    /// Takes the next window, `[3, height, width]`. Where a row of windows is complete, `write` gets
    /// the picture's rows: red, green and blue of every pixel, rounded to 8 bits.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn push<E>(
        &mut self,
        window: &[f32],
        write: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Windows {
            picture,
            window: ImageSize { height, width },
        } = self.windows;
        let window = from_planar(window, width, height, self.range);
        let given = &mut self.given;
        self.joiner.push(&window.rgb, &mut |row: &[u8]| {
            if *given == picture.height {
                return Ok(());
            }
            *given += 1;
            write(&row[..3 * picture.width])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::{append_planar, crop, pad_by_replication};
    use proptest::prelude::*;

    /// A picture and its windows.
    fn any_windows() -> impl Strategy<Value = (Picture, Windows)> {
        let sides = (
            1_usize..40,
            1_usize..40,
            1_usize..17,
            1_usize..17,
            0_usize..251,
        );
        sides.prop_map(|(width, height, window_width, window_height, seed)| {
            let rgb = (0..3 * width * height).map(|i| (i * 31 + seed) as u8);
            let picture = Picture::new(width, height, rgb.collect());
            let window = ImageSize {
                height: window_height,
                width: window_width,
            };
            let windows = Windows::over(picture.size(), window);
            (picture, windows)
        })
    }

    proptest! {
        #[test]
        fn cutting_and_assembling_gives_the_picture_back((picture, windows) in any_windows()) {
            let batch = windows.cut(&picture, PixelRange::MinusOneToOne);
            prop_assert_eq!(windows.assemble(&batch, PixelRange::MinusOneToOne), picture.clone());
            let mut joiner = PictureJoiner::new(windows, PixelRange::MinusOneToOne);
            let mut rgb = Vec::new();
            for window in batch.chunks_exact(batch.len() / windows.count()) {
                let Ok(()) = joiner.push(window, &mut |row| {
                    rgb.extend_from_slice(row);
                    Ok::<_, Infallible>(())
                });
            }
            prop_assert_eq!(rgb, picture.rgb);
        }

        #[test]
        fn windows_are_crops_of_the_padded_picture((picture, windows) in any_windows()) {
            let ImageSize { height, width } = windows.window;
            let (across, down) = (windows.across(), windows.down());
            let padded = pad_by_replication(&picture, across * width, down * height);
            let mut expected = Vec::new();
            for number in 0..windows.count() {
                let (left, top) = (number % across * width, number / across * height);
                let window = crop(&padded, left, top, width, height);
                append_planar(&window, PixelRange::ZeroToOne, &mut expected);
            }
            prop_assert_eq!(windows.cut(&picture, PixelRange::ZeroToOne), expected);
        }
    }

    #[test]
    fn windows_are_numbered_row_by_row_and_padded_by_the_edge() {
        let rgb = (0..5_u8).flat_map(|y| (0..5_u8).flat_map(move |x| [x, y, 0]));
        let picture = Picture::new(5, 5, rgb.collect());
        let windows = Windows::over(picture.size(), ImageSize::square(4));
        let batch = windows.cut(&picture, PixelRange::MinusOneToOne);
        let window = |n: usize| {
            from_planar(
                &batch[n * 48..(n + 1) * 48],
                4,
                4,
                PixelRange::MinusOneToOne,
            )
        };
        assert_eq!(windows.count(), 4);
        assert_eq!(window(1).pixel(0, 1), [4, 1, 0]);
        assert_eq!(window(1).pixel(3, 1), [4, 1, 0]);
        assert_eq!(window(2).pixel(3, 2), [3, 4, 0]);
        assert_eq!(window(3).pixel(3, 3), [4, 4, 0]);
    }

    #[test]
    fn a_single_pixel_is_one_window() {
        let picture = Picture::new(1, 1, vec![9, 8, 7]);
        let windows = Windows::over(picture.size(), ImageSize::square(64));
        let batch = windows.cut(&picture, PixelRange::ZeroToOne);
        assert_eq!(windows.count(), 1);
        assert!(batch[..4096].iter().all(|&x| x == 9.0 / 255.0));
        assert_eq!(windows.assemble(&batch, PixelRange::ZeroToOne), picture);
    }
}
