//! README's picture: a part of a photo at twice its size; beside it ours, WebP and JPEG in as many bytes.
//!
//! `cargo run --release -p bsq-benches --bin picture -- PHOTO QUALITY OUT.png`

use bsq::image_io::{Picture, center_crop, write_atomically};
use bsq::pipeline::CompileOptions;
use bsq::pretrained;
use bsq::transform_codec::stream::Effort;
use bsq_cli::rate_distortion::{Choice, Ours, compare};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

/// Side of what is shown, in pixels of the photo.
const SIDE: usize = 176;
/// Pixels between pictures.
const GAP: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photo, quality, out] = &arguments[..] else {
        return Err("usage: picture PHOTO QUALITY OUT.png".into());
    };
    let file = pretrained::open_codec("default")?;
    let mut ours = Ours::levels(&file, Effort::default(), &CompileOptions::default())?;
    let comparison = compare(
        &mut ours,
        &[quality.parse()?],
        &[photo.into()],
        &[Choice::WebP, Choice::Jpeg],
        None,
        &mut |_, _| ControlFlow::Continue(()),
    )?;
    let mut shown = vec![&comparison.pictures[0].views[0]];
    for codec in &comparison.codecs {
        let (Some(view), Some(one)) = (codec.views[0].first(), codec.rungs[0][0]) else {
            return Err(format!("{}: {}", codec.name, codec.description).into());
        };
        println!("{}: {} bytes, {:.2} dB", codec.name, one.bytes, one.psnr);
        shown.push(view);
    }
    let side_by_side = side_by_side(&shown);
    let png = bsq::image_io::encode_png(&side_by_side);
    Ok(write_atomically(Path::new(out), &png)?)
}

/// The middle of each, twice as large, on white.
fn side_by_side(pictures: &[&Picture]) -> Picture {
    let (side, count) = (2 * SIDE, pictures.len());
    let width = count * side + (count - 1) * GAP;
    let mut rgb = vec![255; 3 * width * side];
    for (number, picture) in pictures.iter().enumerate() {
        let part = center_crop(picture, SIDE, SIDE);
        for y in 0..side {
            for x in 0..side {
                let at = 3 * (y * width + number * (side + GAP) + x);
                rgb[at..at + 3].copy_from_slice(&part.pixel(x / 2, y / 2));
            }
        }
    }
    Picture::new(width, side, rgb)
}
