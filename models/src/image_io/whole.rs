//! A picture that its decoder gives as a whole: its samples, read upright row by row.

use image::ColorType;
use image::metadata::Orientation;

/// The samples of a file, and how they are turned.
pub(super) struct Whole {
    width: usize,
    height: usize,
    /// Bytes of a pixel.
    each: usize,
    samples: Vec<u8>,
    orientation: Orientation,
}

impl Whole {
    pub fn new(
        (width, height): (u32, u32),
        color: ColorType,
        samples: Vec<u8>,
        orientation: Orientation,
    ) -> Whole {
        let (width, height) = (width as usize, height as usize);
        let each = usize::from(color.bytes_per_pixel());
        assert_eq!(samples.len(), width * height * each, "samples of a picture");
        Whole {
            width,
            height,
            each,
            samples,
            orientation,
        }
    }

    /// Takes the samples out, if they are in the order in which rows are read.
    pub fn take_samples(&mut self) -> Option<Vec<u8>> {
        let in_order = self.orientation == Orientation::NoTransforms;
        in_order.then(|| std::mem::take(&mut self.samples))
    }

    /// Appends the samples of one row of the upright picture.
    ///
    /// Nothing is copied to turn a picture: a second one would not fit beside it.
    pub fn append_row(&self, y: usize, row: &mut Vec<u8>) {
        if self.orientation == Orientation::NoTransforms {
            let bytes = self.width * self.each;
            row.extend_from_slice(&self.samples[y * bytes..][..bytes]);
            return;
        }
        let (first, right, down) = self.steps();
        let width = match is_on_its_side(self.orientation) {
            true => self.height,
            false => self.width,
        };
        let mut at = first + y as isize * down;
        for _ in 0..width {
            let start = at as usize * self.each;
            row.extend_from_slice(&self.samples[start..start + self.each]);
            at += right;
        }
    }

    /// The place of the upright picture's first pixel in the file, and the steps from there to the
    /// pixel on its right and to the one below.
    fn steps(&self) -> (isize, isize, isize) {
        let (width, height) = (self.width as isize, self.height as isize);
        let (right, below, last) = (width - 1, width * (height - 1), width * height - 1);
        match self.orientation {
            Orientation::NoTransforms => (0, 1, width),
            Orientation::FlipHorizontal => (right, -1, width),
            Orientation::FlipVertical => (below, 1, -width),
            Orientation::Rotate180 => (last, -1, -width),
            Orientation::Rotate90 => (below, -width, 1),
            Orientation::Rotate270 => (right, width, -1),
            Orientation::Rotate90FlipH => (0, width, 1),
            Orientation::Rotate270FlipH => (last, -width, -1),
        }
    }
}

/// Whether rows of the file are columns of the picture.
pub(super) fn is_on_its_side(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, RgbImage};

    #[test]
    fn rows_are_those_of_the_turned_picture() {
        for code in 1..=8 {
            let orientation = Orientation::from_exif(code).unwrap();
            let samples: Vec<u8> = (0..3 * 5 * 4).collect();
            let file = RgbImage::from_raw(5, 4, samples.clone()).unwrap();
            let mut turned = DynamicImage::ImageRgb8(file);
            turned.apply_orientation(orientation);
            let whole = Whole::new((5, 4), ColorType::Rgb8, samples, orientation);
            assert_eq!(is_on_its_side(orientation), turned.width() == 4);
            let mut rows = Vec::new();
            (0..turned.height()).for_each(|y| whole.append_row(y as usize, &mut rows));
            assert_eq!(rows, turned.into_bytes(), "{orientation:?}");
        }
    }
}
