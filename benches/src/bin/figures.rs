//! The README's table: streams of the default models beside JPEG at the same bits per pixel.
//!
//! `cargo run --release -p bsq-benches --bin figures -- FOLDER` prints Markdown; with `--readme` it
//! also replaces the table between the markers in README.md. Whole files are counted, headers
//! included.

use bsq::codec::{Codec, Encoder, grid_rows};
use bsq::image_io::{Picture, Range, load, load_from_bytes, to_planar};
use bsq::metrics::{bits_per_pixel, ms_ssim, psnr, ssim};
use bsq::pipeline::{PictureTokens, SessionOptions, TokenizerSession};
use bsq::pretrained;
use bsq_runtime::checkpoint::Weights;
use jpeg_encoder::{ColorType, SamplingFactor};
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const MARKERS: [&str; 2] = ["<!-- figures: start -->\n", "<!-- figures: end -->"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let readme = arguments.iter().position(|argument| argument == "--readme");
    if let Some(position) = readme {
        arguments.remove(position);
    }
    let [folder] = &arguments[..] else {
        return Err("usage: figures FOLDER [--readme]".into());
    };
    let table = table(Path::new(folder))?;
    print!("{table}");
    if readme.is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let text = std::fs::read_to_string(&path)?;
        let start = text
            .find(MARKERS[0])
            .ok_or("README.md has no start marker")?;
        let end = text.find(MARKERS[1]).ok_or("README.md has no end marker")?;
        let head = &text[..start + MARKERS[0].len()];
        std::fs::write(&path, format!("{head}{table}{}", &text[end..]))?;
    }
    Ok(())
}

/// What a reconstruction is worth.
#[derive(Clone, Copy, Default)]
struct Row {
    bits_per_pixel: f64,
    psnr: f64,
    ssim: f64,
    /// `None` below 256 pixels a side.
    ms_ssim: Option<f64>,
}

fn table(folder: &Path) -> Result<String, Box<dyn Error>> {
    let model = pretrained::open("default", Weights::Ema)?;
    let prior = pretrained::open_prior("default")?;
    let options = SessionOptions::default();
    let mut session = TokenizerSession::new(&model, options.clone());
    let mut codec = Codec::new(&model, Some(&prior), &options)?;
    let mut text = String::new();
    writeln!(
        text,
        "| photo | codec | bits per pixel | PSNR, dB | SSIM | MS-SSIM |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    let mut ours = Vec::new();
    let mut jpegs = Vec::new();
    for path in pictures(folder)? {
        let original = load(&path)?.picture;
        let tokens = session.encode_picture(&original, &mut |_| {})?;
        let decoded = session.decode_picture(&tokens, &mut |_| {})?;
        let bits = 8 * stream_bytes(&mut codec, &tokens)?;
        ours.push(measure(&original, &decoded, bits));
        let (bytes, decoded) = jpeg_within(&original, bits)?;
        jpegs.push(measure(&original, &decoded, 8 * bytes));
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        line(&mut text, &name, "bsq", ours[ours.len() - 1])?;
        line(&mut text, "", "JPEG", jpegs[jpegs.len() - 1])?;
    }
    line(&mut text, "**mean**", "bsq", mean(&ours))?;
    line(&mut text, "", "JPEG", mean(&jpegs))?;
    Ok(text)
}

/// The size of a picture's stream.
fn stream_bytes(codec: &mut Codec, tokens: &PictureTokens) -> Result<usize, Box<dyn Error>> {
    let (width, height) = (tokens.width, tokens.height);
    let (columns, _) = codec.header(width, height, None)?.grid();
    let rows = grid_rows(tokens, codec.window(), columns);
    let mut encoder = Encoder::new(codec, Vec::new(), width, height, None)?;
    for row in rows.chunks(columns) {
        encoder.write(row)?;
    }
    Ok(encoder.finish()?.0.len())
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|end| end == "png" || end == "jpg")
    });
    paths.sort();
    Ok(paths)
}

fn line(text: &mut String, name: &str, codec: &str, row: Row) -> std::fmt::Result {
    let ms_ssim = row
        .ms_ssim
        .map_or("-".to_string(), |value| format!("{value:.4}"));
    let Row {
        bits_per_pixel,
        psnr,
        ssim,
        ..
    } = row;
    writeln!(
        text,
        "| {name} | {codec} | {bits_per_pixel:.3} | {psnr:.2} | {ssim:.4} | {ms_ssim} |"
    )
}

fn measure(original: &Picture, decoded: &Picture, bits: usize) -> Row {
    let shape = [3, original.height, original.width];
    let range = Range::MinusOneToOne;
    let (a, b) = (to_planar(original, range), to_planar(decoded, range));
    Row {
        bits_per_pixel: bits_per_pixel(bits as u64, original.width, original.height),
        psnr: psnr(&a, &b),
        ssim: ssim(&a, &b, shape),
        ms_ssim: ms_ssim(&a, &b, shape),
    }
}

fn mean(rows: &[Row]) -> Row {
    let of = |value: fn(&Row) -> f64| rows.iter().map(value).sum::<f64>() / rows.len() as f64;
    let ms_ssim: Option<Vec<f64>> = rows.iter().map(|row| row.ms_ssim).collect();
    Row {
        bits_per_pixel: of(|row| row.bits_per_pixel),
        psnr: of(|row| row.psnr),
        ssim: of(|row| row.ssim),
        ms_ssim: ms_ssim.map(|values| values.iter().sum::<f64>() / values.len() as f64),
    }
}

/// The best JPEG of at most `bits` bits, all of the file counted: its bytes, and the picture.
/// Progressive, with optimised Huffman tables; chroma at half or full resolution, whichever is
/// nearer to the original.
fn jpeg_within(original: &Picture, bits: usize) -> Result<(usize, Picture), Box<dyn Error>> {
    let mut best: Option<(f64, usize, Picture)> = None;
    for sampling in [SamplingFactor::F_2_2, SamplingFactor::F_1_1] {
        let mut largest = None;
        for quality in 1..=100 {
            let bytes = encode_jpeg(original, quality, sampling)?;
            if 8 * bytes.len() <= bits {
                largest = Some(bytes);
            }
        }
        let Some(bytes) = largest else { continue };
        let decoded = load_from_bytes(&bytes, Path::new("jpeg"), Default::default())?.picture;
        let quality = measure(original, &decoded, 8 * bytes.len()).psnr;
        if best.as_ref().is_none_or(|best| quality > best.0) {
            best = Some((quality, bytes.len(), decoded));
        }
    }
    let (_, bytes, decoded) = best.ok_or("no JPEG is that small")?;
    Ok((bytes, decoded))
}

fn encode_jpeg(
    picture: &Picture,
    quality: u8,
    sampling: SamplingFactor,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    let (width, height) = (picture.width.try_into()?, picture.height.try_into()?);
    encoder.encode(&picture.rgb, width, height, ColorType::Rgb)?;
    Ok(bytes)
}
