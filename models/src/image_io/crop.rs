//! Cutting rectangles out of pictures, and growing pictures by repeating their edge or by black.

use super::Picture;

/// The rectangle of `width` columns and `height` rows whose top left pixel is (`left`, `top`).
///
/// # Panics
/// When the rectangle does not lie inside the picture or is empty.
#[track_caller]
pub fn crop(picture: &Picture, left: usize, top: usize, width: usize, height: usize) -> Picture {
    assert!(
        left + width <= picture.width && top + height <= picture.height,
        "{width}x{height} at ({left}, {top}) reaches out of a {}x{} picture",
        picture.width,
        picture.height
    );
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in top..top + height {
        rgb.extend_from_slice(&picture.row(y)[3 * left..3 * (left + width)]);
    }
    Picture::new(width, height, rgb)
}

/// The middle `width` x `height` of a picture; the margin (side - crop) / 2 is rounded half to
/// even, as torchvision does.
///
/// # Panics
/// When the crop is larger than the picture.
#[track_caller]
pub fn center_crop(picture: &Picture, width: usize, height: usize) -> Picture {
    assert!(
        width <= picture.width && height <= picture.height,
        "a {width}x{height} crop is larger than a {}x{} picture",
        picture.width,
        picture.height
    );
    let left = half_rounded_to_even(picture.width - width);
    let top = half_rounded_to_even(picture.height - height);
    crop(picture, left, top, width, height)
}

/// `n / 2`; a half goes to the even neighbour.
fn half_rounded_to_even(n: usize) -> usize {
    let half = n / 2;
    half + (n % 2) * (half % 2)
}

/// The picture with `margin` black pixels on every side.
pub fn pad_with_black(picture: &Picture, margin: usize) -> Picture {
    let (width, height) = (picture.width + 2 * margin, picture.height + 2 * margin);
    let mut rgb = vec![0; 3 * width * height];
    let rows = rgb.chunks_exact_mut(3 * width).skip(margin);
    for (y, row) in rows.take(picture.height).enumerate() {
        row[3 * margin..3 * (margin + picture.width)].copy_from_slice(picture.row(y));
    }
    Picture::new(width, height, rgb)
}

/// The picture grown to `width` x `height` by repeating its last column to the right and its last
/// row downwards.
///
/// # Panics
/// When the target is smaller than the picture.
#[track_caller]
pub fn pad_by_replication(picture: &Picture, width: usize, height: usize) -> Picture {
    assert!(
        width >= picture.width && height >= picture.height,
        "cannot pad a {}x{} picture to {width}x{height}",
        picture.width,
        picture.height
    );
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let row = picture.row(y.min(picture.height - 1));
        rgb.extend_from_slice(row);
        for _ in picture.width..width {
            rgb.extend_from_slice(&row[row.len() - 3..]);
        }
    }
    Picture::new(width, height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose pixels say where they are.
    fn coordinates(width: usize, height: usize) -> Picture {
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 0]));
        Picture::new(width, height, rgb.collect())
    }

    #[test]
    fn a_crop_keeps_positions() {
        let part = crop(&coordinates(7, 5), 2, 1, 3, 4);
        assert_eq!((part.width, part.height), (3, 4));
        assert_eq!(part.pixel(0, 0), [2, 1, 0]);
        assert_eq!(part.pixel(2, 3), [4, 4, 0]);
    }

    #[test]
    fn center_crops_round_half_margins_to_even() {
        // Margins 0.5, 1, 1.5, 2, 2.5, 3, 3.5 become 0, 1, 2, 2, 2, 3, 4.
        for (margin, left) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 4)] {
            let part = center_crop(&coordinates(10 + margin, 10), 10, 10);
            assert_eq!(part.pixel(0, 0), [left, 0, 0], "margin {margin}");
        }
    }

    #[test]
    fn padding_repeats_the_edge() {
        let padded = pad_by_replication(&coordinates(2, 3), 4, 5);
        assert_eq!(padded.pixel(1, 1), [1, 1, 0]);
        assert_eq!(padded.pixel(3, 1), [1, 1, 0]);
        assert_eq!(padded.pixel(0, 4), [0, 2, 0]);
        assert_eq!(padded.pixel(3, 4), [1, 2, 0]);
    }

    #[test]
    #[should_panic(expected = "reaches out of a 4x4 picture")]
    fn a_crop_outside_is_refused() {
        crop(&coordinates(4, 4), 2, 0, 3, 1);
    }
}
