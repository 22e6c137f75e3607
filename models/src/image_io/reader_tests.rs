//! Pictures by rows: what is kept of samples, and how much of a file is read for a row.

use super::*;
use crate::image_io::{Picture, PictureCutter, PixelRange, Windows, encode_png, load_from_bytes};
use image::ImageFormat;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::cell::Cell;
use std::io::{self, SeekFrom};
use std::rc::Rc;

fn rows(reader: &mut PictureReader) -> Vec<u16> {
    let ImageSize { height, width } = reader.size();
    let mut rows = vec![0; 3 * width * height];
    for row in rows.chunks_exact_mut(3 * width) {
        reader.read_row(row).unwrap();
    }
    rows
}

fn of_bytes(bytes: &[u8]) -> PictureReader<'_> {
    PictureReader::of_bytes(bytes, Path::new("photo"), LoadLimits::default()).unwrap()
}

/// What an encoder of 4x4 windows sees.
fn encoder_input(picture: &mut impl PixelRows) -> Vec<f32> {
    let windows = Windows::over(picture.size(), ImageSize::square(4));
    let mut cutter = PictureCutter::new(windows, PixelRange::MinusOneToOne);
    let mut batch = Vec::new();
    for _ in 0..windows.count() {
        let mut read = |row: &mut [u16]| picture.read_row(row);
        cutter.append_window(&mut read, &mut batch).unwrap();
    }
    batch
}

/// A gradient finer than 8 bits, and its file.
fn gradient(encode: impl FnOnce(&mut Cursor<Vec<u8>>, &[u8])) -> (Vec<u16>, Vec<u8>) {
    let samples: Vec<u16> = (0..3 * 16 * 4).map(|i| 20_000 + 31 * i).collect();
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_ne_bytes()).collect();
    let mut file = Cursor::new(Vec::new());
    encode(&mut file, &bytes);
    (samples, file.into_inner())
}

#[test]
fn sixteen_bits_reach_the_encoder() {
    let color = ExtendedColorType::Rgb16;
    let png = gradient(|file, samples| {
        let encoder = PngEncoder::new(file);
        encoder.write_image(samples, 16, 4, color).unwrap();
    });
    let tiff = gradient(|file, samples| {
        let encoder = TiffEncoder::new(file);
        encoder.write_image(samples, 16, 4, color).unwrap();
    });
    for (samples, file) in [png, tiff] {
        assert_eq!(rows(&mut of_bytes(&file)), samples);
        let rounded = load_from_bytes(&file, Path::new("photo"), LoadLimits::default());
        let (rounded, deep) = (
            rounded.unwrap().picture,
            encoder_input(&mut of_bytes(&file)),
        );
        let shallow = encoder_input(&mut rounded.rows());
        assert_ne!(deep, shallow);
        let farthest = deep.iter().zip(&shallow).map(|(a, b)| (a - b).abs());
        let farthest = farthest.fold(0.0, f32::max);
        // Half a step of 8 bits, which are 2 / 255 apart.
        assert!(farthest > 0.003 && farthest <= 1.001 / 255.0, "{farthest}");
        // A file of 8 bits is what it was.
        let eight = encode_png(&rounded);
        assert_eq!(encoder_input(&mut of_bytes(&eight)), shallow);
    }
}

#[test]
fn deep_transparency_is_laid_over_white_in_full() {
    let samples = [1000_u16, 30_000, 60_001, 32_768].map(u16::to_ne_bytes);
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(samples.as_flattened(), 1, 1, ExtendedColorType::Rgba16)
        .unwrap();
    let mut reader = of_bytes(&file);
    assert!(reader.notices().is_empty());
    // s * 32768 / 65535 + 32767, rounded.
    assert_eq!(rows(&mut reader), [33_267, 47_767, 62_768]);
    assert_eq!(reader.notices(), [Notice::TransparencyOverWhite]);
}

/// Counts what is read of a file.
struct Counted<'a>(Cursor<&'a [u8]>, Rc<Cell<usize>>);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.set(self.1.get() + count);
        Ok(count)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_png_is_read_as_its_rows_are_asked_for() {
    let noise = (0..3 * 500 * 800_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
    let picture = Picture::new(500, 800, noise.collect());
    let file = encode_png(&picture);
    let count = Rc::new(Cell::new(0));
    let counted = Counted(Cursor::new(&file), count.clone());
    let input = Box::new(BufReader::with_capacity(4096, counted));
    let mut reader = PictureReader::read(input, Path::new("photo"), LoadLimits::default()).unwrap();
    let mut row = vec![0; 1500];
    for y in 0..800 {
        let part = file.len() * (y + 1) / 800;
        reader.read_row(&mut row).unwrap();
        // The decoder reads some way ahead, and no further.
        assert!(count.get() < part + (1 << 18), "{} at row {y}", count.get());
    }
    assert!(file.len() > 1 << 20, "much more than that");
}

#[test]
fn headers_are_checked_without_the_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8], limits| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        check_picture(&path, limits)
    };
    let picture = Picture::new(60, 40, (0..7200).map(|i| (i * 7 % 256) as u8).collect());
    let small = LoadLimits {
        max_pixels: 2399,
        ..LoadLimits::default()
    };
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Gif,
    ] {
        let image = image::RgbImage::from_raw(60, 40, picture.rgb.clone()).unwrap();
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        let mut bytes = file.into_inner();
        check("good", &bytes, LoadLimits::default()).unwrap();
        let error = check("large", &bytes, small).unwrap_err();
        assert!(error.to_string().contains("60x40 is too large"), "{error}");
        if format != ImageFormat::Tiff {
            // Whose directory stands at its end. What is missing is found when pixels are read.
            bytes.truncate(bytes.len() * 9 / 10);
            check("cut", &bytes, LoadLimits::default()).unwrap();
            let path = folder.path().join("cut");
            let read = PictureReader::open(&path, LoadLimits::default());
            let all = read.and_then(|mut reader| {
                let mut row = vec![0; 180];
                (0..40).try_for_each(|_| reader.read_row(&mut row))
            });
            assert!(all.is_err(), "{format:?}");
        }
    }
    // A size that stands behind more than what is read at first.
    let mut jpeg = vec![0xFF, 0xD8];
    for _ in 0..3 {
        jpeg.extend([0xFF, 0xE5, 0xFF, 0xFF]);
        jpeg.extend(vec![0; 0xFFFD]);
    }
    jpeg.extend([0xFF, 0xC0, 0, 11, 8, 0, 40, 0, 60, 1, 1, 0x11, 0]);
    check("far.jpg", &jpeg, LoadLimits::default()).unwrap();
    assert!(check("far.jpg", &jpeg, small).is_err());
    jpeg.truncate(jpeg.len() - 5);
    assert!(check("far.jpg", &jpeg, LoadLimits::default()).is_err());
}
