//! Animations are read as their first picture, and say so; pictures alone do not.

use super::*;
use image::codecs::gif::GifEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, Frame, RgbaImage};

const FIRST: [u8; 3] = [200, 10, 90];

#[track_caller]
fn check(bytes: &[u8], notices: &[Notice]) {
    let loaded = load_from_bytes(bytes, Path::new("photo"), LoadLimits::default()).unwrap();
    assert_eq!(loaded.picture.pixel(2, 1), FIRST);
    assert_eq!(loaded.notices, notices);
}

fn gif(frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for number in 0..frames {
        let [red, green, blue] = [FIRST, [0; 3]][number.min(1)];
        let frame = RgbaImage::from_pixel(4, 2, image::Rgba([red, green, blue, 255]));
        encoder.encode_frame(Frame::new(frame)).unwrap();
    }
    drop(encoder);
    bytes
}

#[test]
fn gif_animations() {
    check(&gif(2), &[Notice::Animation]);
    check(&gif(1), &[]);
}

#[test]
fn png_animations() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 2);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&FIRST.repeat(8)).unwrap();
    writer.write_image_data(&[0; 24]).unwrap();
    writer.finish().unwrap();
    check(&bytes, &[Notice::Animation]);
}

/// A chunk of a WebP file.
fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_le_bytes();
    let padding = &[0][..content.len() % 2];
    [name, &length[..], content, padding].concat()
}

#[test]
fn webp_animations() {
    let still = |pixel: [u8; 3]| {
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes)
            .encode(&pixel.repeat(8), 4, 2, ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    };
    check(&still(FIRST), &[]);
    // Left, top, width and height less one, duration: three bytes each; and not to be blended.
    let frame = |pixel| {
        let place = [[0; 3], [0; 3], [3, 0, 0], [1, 0, 0], [100, 0, 0]];
        let image = &still(pixel)[12..];
        chunk(b"ANMF", &[place.as_flattened(), &[2], image].concat())
    };
    let content = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &[2, 0, 0, 0, 3, 0, 0, 1, 0, 0]),
        chunk(b"ANIM", &[0; 6]),
        frame(FIRST),
        frame([0; 3]),
    ]
    .concat();
    check(&chunk(b"RIFF", &content), &[Notice::Animation]);
}
