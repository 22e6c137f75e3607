//! `bsq tokens`: photos to a file of tokens.

use super::error::CliError;
use super::files::Files;
use super::interrupt::uninterrupted;
use super::limits::LimitArgument;
use super::output::Output;
use super::picture::{note, open, readable};
use super::precision::RoundingArguments;
use super::progress::Progress;
use super::ranks::{self, Work};
use super::run_arguments::RunArguments;
use super::{Verdict, paths};
use bsq::image_io::{ImageSize, PixelRows};
use bsq::metrics::bits_per_pixel;
use bsq::photo::PhotoError;
use bsq::pipeline::{NamedTokens, PictureTokens, TokenFile, TokenizerSession};
use bsq::token_grid::TokenGrid;
use bsq_collectives::Ranks;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Photos to a file of tokens: bits and group indices.
#[derive(Args)]
#[command(long_about = "\
Photos to a file of tokens: bits and group indices.

The file is safetensors. Per picture n it holds `pictures.n.bits` (bool, [windows, tokens, bits]) \
and `pictures.n.group_indices` (u64, [windows, tokens, groups]), or `pictures.n.indices` for a \
vector quantizer; its metadata name the pictures, their sizes and the model. `bsq detokenize` \
makes pictures of it again, with the same model.")]
#[command(after_long_help = "\
Examples:
  bsq tokens photo.jpg -o photo.safetensors
  bsq tokens *.jpg -o all.safetensors --model my.safetensors
  bsq tokens photos -o all.safetensors            all pictures of a folder
  bsq inspect photo.safetensors                   what is in it
  bsq detokenize photo.safetensors -o photo.png   and back")]
pub struct Arguments {
    /// PNG, JPEG, WebP, TIFF, GIF or JPEG XL pictures, or folders of them
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The token file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    rounding: RoundingArguments,
    #[command(flatten)]
    limits: LimitArgument,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    ranks::together(Work::Files, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

fn run_rank(mut arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    paths::with_pictures_of_folders(&mut arguments.images)?;
    paths::without_results(&mut arguments.images, output);
    paths::check_folder(&arguments.output)?;
    let mut files = Files::new(ranks, output);
    let images = arguments.images.iter().map(|path| (&**path, &**path));
    let images: Vec<_> = images.collect();
    let images = readable(&mut files, &images, arguments.limits)?;
    if images.is_empty() {
        return files.finish(json!({}), Verdict::Good);
    }
    let options = arguments.run.options_in(arguments.rounding, output)?;
    let model = arguments.run.model.open(output)?;
    let bits = model.config.model.quantizer.bits_per_token();
    let mut session = TokenizerSession::new(&model, options);
    let one = |input: &Path, output: &Output| {
        let mut picture = open(input, arguments.limits)?;
        let size = picture.size();
        let (windows, shape) = (session.windows(size).count(), session.grid_shape(size));
        let progress = Progress::new(&input.display().to_string(), "windows", windows);
        let mut indices = Vec::with_capacity(shape.tokens());
        let mut read = |row: &mut [u16]| Ok(picture.read_row(row)?);
        let mut keep = |row: &[u64]| {
            indices.extend_from_slice(row);
            Ok(())
        };
        let mut done = |done| progress.set(done);
        session.encode_rows::<PhotoError>(size, &mut read, &mut keep, &mut done)?;
        drop(progress);
        note(&picture, input, output);
        let count = shape.tokens();
        let ImageSize { height, width } = size;
        let rate = bits_per_pixel((count * bits) as u64, width, height);
        output.say(format_args!(
            "{}: {windows} windows, {count} tokens of {bits} bits, {rate:.4} bits per pixel",
            input.display()
        ))?;
        let result = json!({
            "input": input.display().to_string(),
            "width": width,
            "height": height,
            "windows": windows,
            "tokens": count,
            "bits_per_token": bits,
            "bits_per_pixel": rate,
        });
        Ok(([height, width], indices, result))
    };
    let encoded = files.each(images, one)?;
    if encoded.is_empty() {
        return files.finish(json!({}), Verdict::Good);
    }
    let (mut pictures, mut results) = (Vec::new(), Vec::new());
    for (input, ([height, width], indices, result)) in encoded {
        let size = ImageSize { height, width };
        let grid = TokenGrid::new(session.grid_shape(size), indices);
        let name = input.file_name().unwrap_or(input.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let tokens = PictureTokens { size, grid };
        pictures.push(NamedTokens { name, tokens });
        results.push(result);
    }
    let file = TokenFile::new(&model, pictures);
    if ranks.is_first() {
        uninterrupted(|| file.save(&model, &arguments.output))?;
    }
    output.say(format_args!("wrote {}", arguments.output.display()))?;
    let value = json!({
        "output": arguments.output.display().to_string(),
        "model": model.name,
        "model_fingerprint": file.model,
        "images": results,
    });
    files.finish(value, Verdict::Good)
}
