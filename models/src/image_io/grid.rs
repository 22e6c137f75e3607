//! Many small pictures as one, and one after the other as an animation.

use super::{ImageError, Picture, write_atomically};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage};
use std::path::Path;
use std::time::Duration;

/// Black pixels between pictures of a grid.
const GAP: usize = 2;

/// Pictures of one size in rows of `columns`, each pixel `scale` pixels wide, with black between.
///
/// # Panics
/// If there are no pictures, they differ in size, or `columns` or `scale` is 0.
#[track_caller]
pub fn picture_grid(pictures: &[Picture], columns: usize, scale: usize) -> Picture {
    let first = pictures.first().expect("a grid of at least one picture");
    assert!(columns > 0 && scale > 0, "a grid without columns");
    let (width, height) = (first.width * scale, first.height * scale);
    let (across, down) = (
        columns.min(pictures.len()),
        pictures.len().div_ceil(columns),
    );
    let row = across * (width + GAP) - GAP;
    let mut rgb = vec![0; 3 * row * (down * (height + GAP) - GAP)];
    for (number, picture) in pictures.iter().enumerate() {
        assert_eq!(picture.size(), first.size(), "pictures of one size");
        let left = number % columns * (width + GAP);
        let top = number / columns * (height + GAP);
        for y in 0..height {
            let at = 3 * ((top + y) * row + left);
            for x in 0..width {
                let pixel = picture.pixel(x / scale, y / scale);
                rgb[at + 3 * x..][..3].copy_from_slice(&pixel);
            }
        }
    }
    Picture::new(row, rgb.len() / 3 / row, rgb)
}

/// Writes an animated GIF that begins again at its end; the last frame stays eight times as long.
///
/// # Errors
/// If it cannot be written.
///
/// # Panics
/// If a side is longer than 65,535 pixels.
pub fn save_gif(frames: &[Picture], each: Duration, path: &Path) -> Result<(), ImageError> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
    let encoded = encoder.set_repeat(Repeat::Infinite).and_then(|()| {
        for (number, picture) in frames.iter().enumerate() {
            let rgba = picture.rgb.chunks_exact(3);
            let rgba = rgba.flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
            let (width, height) = (picture.width as u32, picture.height as u32);
            let image = RgbaImage::from_raw(width, height, rgba);
            let image = image.expect("as many samples as pixels");
            let stays = if number + 1 == frames.len() { 8 } else { 1 };
            let delay = Delay::from_saturating_duration(each * stays);
            encoder.encode_frame(Frame::from_parts(image, 0, 0, delay))?;
        }
        Ok(())
    });
    encoded.expect("encoding to memory fails only for sides of more than 65,535 pixels");
    drop(encoder);
    write_atomically(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_rows_with_black_between() {
        let flat = |value| Picture::new(2, 1, vec![value; 6]);
        let grid = picture_grid(&[flat(10), flat(20), flat(30)], 2, 2);
        assert_eq!((grid.width, grid.height), (4 + 2 + 4, 2 + 2 + 2));
        assert_eq!(grid.pixel(3, 1), [10; 3]);
        assert_eq!(grid.pixel(4, 0), [0; 3]);
        assert_eq!(grid.pixel(6, 0), [20; 3]);
        assert_eq!(grid.pixel(0, 4), [30; 3]);
        assert_eq!(grid.pixel(6, 4), [0; 3]);
    }

    #[test]
    fn animations_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        let frames = [0, 255].map(|value| Picture::new(4, 3, vec![value; 36]));
        save_gif(&frames, Duration::from_millis(100), &path).unwrap();
        let first = crate::image_io::load(&path).unwrap().picture;
        assert_eq!(first, frames[0]);
        let bytes = std::fs::read(&path).unwrap();
        // A graphic control extension for each frame.
        let controls = bytes.windows(3).filter(|bytes| *bytes == [0x21, 0xF9, 4]);
        assert_eq!(controls.count(), 2);
    }
}
