//! Writes a picture of any size as PNG or JPEG, row by row, for measuring memory and time.
//!
//!     cargo run --release -p bsq --example large_picture -- 16384 12288 large.png
//!
//! Its rows are soft gradients with some noise: what compresses about as a photo does.

use bsq::image_io::{ImageSize, PngWriter};
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, rgb_to_ycbcr};
use std::error::Error;
use std::path::Path;

/// Red, green and blue of a pixel.
fn pixel(x: usize, y: usize) -> [u8; 3] {
    let noise =
        (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663)).wrapping_mul(2_654_435_761);
    let noise = (noise >> 20) % 16;
    let wave = |value: usize| {
        let value = value % 480;
        value.min(480 - value)
    };
    [wave(x / 3 + y / 7), wave(y / 5), wave(x / 11 + 2 * y / 9)].map(|value| (value + noise) as u8)
}

struct Rows {
    width: u16,
    height: u16,
}

impl ImageBuffer for Rows {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        for x in 0..self.width {
            let [red, green, blue] = pixel(x.into(), y.into());
            let (luma, cb, cr) = rgb_to_ycbcr(red, green, blue);
            buffers[0].push(luma);
            buffers[1].push(cb);
            buffers[2].push(cr);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [width, height, path] = &arguments[..] else {
        return Err("give a width, a height, and a file to write".into());
    };
    if path.ends_with(".png") {
        let (width, height) = (width.parse()?, height.parse()?);
        let mut file = PngWriter::create(Path::new(path), ImageSize { height, width })?;
        for y in 0..height {
            let row: Vec<u8> = (0..width).flat_map(|x| pixel(x, y)).collect();
            file.write_row(&row)?;
        }
        return Ok(file.finish()?);
    }
    let (width, height) = (width.parse()?, height.parse()?);
    let mut encoder = Encoder::new_file(path, 90)?;
    encoder.set_progressive(path.contains("progressive"));
    Ok(encoder.encode_image(Rows { width, height })?)
}
