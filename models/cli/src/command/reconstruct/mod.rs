//! `bsq reconstruct`: photo to tokens or levels, and to photo.

mod clip;
mod figures;
mod levels;

use super::clip::{ClipArguments, GroupArgument, OverlapArgument, PredictedArgument};
use super::error::CliError;
use super::files::{Files, values};
use super::limits::LimitArgument;
use super::output::Output;
use super::picture::{PictureFile, note, open, readable};
use super::precision::RoundingArguments;
use super::progress::Progress;
use super::quality::QualityArguments;
use super::ranks::{self, Work};
use super::run_arguments::RunArguments;
use super::{Verdict, paths, standard};
use bsq::image_io::{ImageSize, PixelRows, to_eight_bits};
use bsq::photo::PhotoError;
use bsq::pipeline::{CompileOptions, RunTimes, TokenizerSession};
use bsq::transform_codec::stream::LevelsCodec;
use bsq::video_io::is_clip;
use bsq_collectives::Ranks;
use bsq_runtime::Precision;
use clap::Args;
use figures::{Figures, PictureMetrics};
use serde_json::json;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Photo through a model to photo: writes what is left of it, and says how near it is.
#[derive(Args)]
#[command(long_about = "\
Photo through a model to photo: writes what is left of it, and says how near it is.

The default model is a transform codec: each picture becomes the stream that `bsq encode` writes, and \
what `bsq decode` makes of it is written as PNG, beside the input as NAME.bsq.png unless -o says \
otherwise. With a tokenizer (--model default-1, or one of your own) it is cut into windows of the \
tokenizer's size, which become tokens and pixels again. Printed are the peak signal-to-noise ratio \
(PSNR, higher is nearer), structural similarity (SSIM, 1 is equal), bits per pixel (of the stream, \
or of tokens as they are), and the seconds that encoding and decoding took. Both figures compare \
the original with the PNG as written.

A clip (see `bsq encode --help`) goes through the codec for clips, or through a tokenizer, as many \
frames together as it has, and is written beside the input as NAME.bsq.mp4. PSNR and SSIM are means over frames; flicker is how \
much errors change from frame to frame, in levels of a sample.

Tokenizers run in other precisions, too: with --precision bf16, f16 or int8, -v computes in f32 too, and says how many bits of tokens differ and \
how PSNR changes.")]
#[command(after_long_help = "\
Examples:
  bsq reconstruct photo.jpg                       writes photo.bsq.png
  bsq reconstruct photo.jpg -o out.png --side-by-side
  bsq reconstruct *.jpg -o folder --json          figures of many, for a program
  bsq reconstruct photo.jpg --quality 20
  bsq reconstruct photo.jpg --model my.safetensors
  bsq reconstruct photo.jpg --model default-1 --precision int8 -v
  bsq reconstruct photo.jpg --device cuda         on a GPU
  bsq reconstruct clip.mp4 -o back.mp4")]
pub struct Arguments {
    /// PNG, JPEG, WebP, TIFF, GIF or JPEG XL pictures; or clips, and folders of frames
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The PNG file to write, or a folder
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    quality: QualityArguments,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    rounding: RoundingArguments,
    #[command(flatten)]
    limits: LimitArgument,
    #[command(flatten)]
    clip: ClipArguments,
    #[command(flatten)]
    group: GroupArgument,
    #[command(flatten)]
    overlap: OverlapArgument,
    #[command(flatten)]
    predicted: PredictedArgument,
    /// Write original, reconstruction and difference (four times as strong) in one picture
    #[arg(long)]
    side_by_side: bool,
}

fn reconstruct_clips(
    arguments: &Arguments,
    clips: &[&Path],
    files: Files,
    output: &Output,
) -> Result<Verdict, CliError> {
    let options = arguments.run.options_in(arguments.rounding, output)?;
    let model = match super::clip::open_codec(
        (&arguments.run.model, &arguments.predicted),
        options.clone(),
        output,
    )? {
        Some(codec) => {
            arguments.overlap.refuse()?;
            let settings = super::clip::settings(&arguments.quality, arguments.group)?;
            clip::Model::Codec(Box::new(codec), settings)
        }
        None => {
            let model = arguments.run.model.open(output)?;
            arguments.quality.refuse_for(&model.name)?;
            let bits = model.config.model.quantizer.bits_per_token();
            clip::Model::Tokenizer(Box::new(TokenizerSession::new(&model, options)), bits)
        }
    };
    clip::run(model, clips, arguments, files)
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    ranks::together(Work::Files, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

fn run_rank(mut arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    let (files, given) = (&mut arguments.images, &mut arguments.output);
    let standard = standard::take(files, given, "standard output.png", ranks, output)?;
    standard::around(standard, output, |output| {
        run_files(arguments, ranks, output)
    })
}

fn run_files(
    mut arguments: Arguments,
    ranks: &Ranks,
    output: &Output,
) -> Result<Verdict, CliError> {
    let mut files = Files::new(ranks, output);
    paths::without_results(&mut arguments.images, output);
    let kind = match arguments.side_by_side {
        true => paths::Kind::SideBySide,
        false => paths::Kind::Picture,
    };
    let (clips, photos): (Vec<&PathBuf>, Vec<&PathBuf>) =
        arguments.images.iter().partition(|input| is_clip(input));
    if !clips.is_empty() {
        if !photos.is_empty() || arguments.side_by_side {
            let message = "clips are reconstructed by themselves: without photos beside them, and without --side-by-side";
            return Err(CliError::new(message));
        }
        let clips: Vec<&Path> = clips.into_iter().map(PathBuf::as_path).collect();
        return reconstruct_clips(&arguments, &clips, files, output);
    }
    let outputs = paths::outputs(&arguments.images, arguments.output.as_deref(), kind)?;
    let pairs = arguments.images.iter().zip(&outputs);
    let pairs: Vec<_> = pairs.map(|(input, path)| (&**input, &**path)).collect();
    let pairs = readable(&mut files, &pairs, arguments.limits)?;
    if pairs.is_empty() {
        return files.finish(json!({}), Verdict::Good);
    }
    let options = arguments.run.options_in(arguments.rounding, output)?;
    if let Some(file) = arguments.run.model.open_codec(output)? {
        let mut codec = LevelsCodec::new(&file, options)?;
        codec.set_effort(arguments.quality.effort());
        return levels::run(codec, &pairs, files, &arguments, output);
    }
    let model = arguments.run.model.open(output)?;
    arguments.quality.refuse_for(&model.name)?;
    let quantizer = &model.config.model.quantizer;
    let (bits, words) = (quantizer.bits_per_token(), quantizer.words_per_token());
    let (device, tf32) = (options.device, options.tf32);
    let compares = output.is_verbose() && (options.precision != Precision::F32 || tf32);
    let mut reference = compares.then(|| {
        let exact = CompileOptions {
            precision: Precision::F32,
            tf32: false,
            ..options.clone()
        };
        TokenizerSession::new(&model, exact)
    });
    let mut session = TokenizerSession::new(&model, options);
    let (side, patch) = (
        arguments.side_by_side,
        model.config.model.encoder.patch_size,
    );
    let one = |(input, path): (&Path, &Path), output: &Output| {
        let run = round_trip(
            &mut session,
            input,
            arguments.limits,
            Some(path),
            (side, patch),
            output,
        )?;
        let bits = (run.indices.len() / words * bits) as u64;
        let figures = Figures::new(run.size, &run.metrics, bits);
        output.say(format_args!(
            "{} -> {}: {figures}, {:.2} s",
            input.display(),
            path.display(),
            (run.times.encoding + run.times.decoding).as_secs_f64()
        ))?;
        output.detail(figures.borders());
        let mut result = figures.to_json((input, path), run.times);
        if let Some(reference) = &mut reference {
            let wanted = round_trip(
                reference,
                input,
                arguments.limits,
                None,
                (side, patch),
                output,
            )?;
            let flipped: u32 = (run.indices.iter().zip(&wanted.indices))
                .map(|(index, wanted)| (index ^ wanted).count_ones())
                .sum();
            let change = figures.psnr - wanted.metrics.likeness.psnr();
            output.detail(format_args!(
                "against f32: {flipped} of {} bits differ, PSNR {change:+.4} dB",
                figures.bits
            ));
            result["against_f32"] = json!({ "flipped_bits": flipped, "psnr_change": change });
        }
        Ok(result)
    };
    let results = files.each(pairs.into_iter().map(|pair| (pair.0, pair)), one)?;
    output.detail(format_args!(
        "compiled in {:.2} s",
        session.compile_time().as_secs_f64()
    ));
    let value = json!({
        "model": model.name,
        "precision": arguments.rounding.precision.name(),
        "tf32": tf32,
        "device": device.to_string(),
        "compile_seconds": session.compile_time().as_secs_f64(),
        "images": values(results),
    });
    files.finish(value, Verdict::Good)
}

/// A picture that has been encoded and decoded.
struct RoundTrip {
    size: ImageSize,
    indices: Vec<u64>,
    metrics: PictureMetrics,
    times: RunTimes,
}

/// Encodes and decodes a picture row by row. The reconstruction is written to `path`, if there is
/// one, beside the original if `side_by_side` is set; what was changed of the file is noted then.
fn round_trip(
    session: &mut TokenizerSession,
    input: &Path,
    limits: LimitArgument,
    path: Option<&Path>,
    (side_by_side, patch): (bool, usize),
    output: &Output,
) -> Result<RoundTrip, CliError> {
    let mut picture = open(input, limits)?;
    let size = picture.size();
    let written = ImageSize {
        width: if side_by_side { 3 } else { 1 } * size.width,
        ..size
    };
    let mut file = path
        .map(|path| PictureFile::create(path, written))
        .transpose()?;
    let windows = session.windows(size).count();
    let progress = Progress::new(&input.display().to_string(), "windows", windows);
    // Rows of the original that have not come back yet: those of a few rows of windows.
    let waiting = RefCell::new(VecDeque::new());
    let (mut indices, mut metrics, mut row_of_three) =
        (Vec::new(), PictureMetrics::new(size, patch), Vec::new());
    let mut read = |row: &mut [u16]| {
        picture.read_row(row)?;
        let original: Vec<u8> = row.iter().map(|&sample| to_eight_bits(sample)).collect();
        waiting.borrow_mut().push_back(original);
        Ok(())
    };
    let mut keep = |row: &[u64]| {
        indices.extend_from_slice(row);
        Ok(())
    };
    let mut write = |row: &[u8]| {
        let original = waiting.borrow_mut().pop_front();
        let original = original.expect("a row was read for each that comes back");
        metrics.push(&original, row);
        let Some(file) = &mut file else { return Ok(()) };
        if !side_by_side {
            return Ok(file.write_row(row)?);
        }
        row_of_three.clear();
        append_side_by_side(&original, row, &mut row_of_three);
        Ok(file.write_row(&row_of_three)?)
    };
    let mut done = |done| progress.set(done);
    let times = session
        .reconstruct_rows::<PhotoError>(size, &mut read, &mut keep, &mut write, &mut done)?;
    drop(progress);
    if let Some(file) = file {
        file.finish()?;
        note(&picture, input, output);
        if picture.is_deep() {
            output.note(format_args!(
                "{}: 16-bit samples: encoded as they are, written and compared in 8 bits",
                input.display()
            ));
        }
    }
    Ok(RoundTrip {
        size,
        indices,
        metrics,
        times,
    })
}

/// Appends a row of the original, of the reconstruction, and of four times their absolute difference.
fn append_side_by_side(original: &[u8], reconstruction: &[u8], row: &mut Vec<u8>) {
    let pairs = original.iter().zip(reconstruction);
    let difference = pairs.map(|(a, b)| a.abs_diff(*b).saturating_mul(4));
    row.extend_from_slice(original);
    row.extend_from_slice(reconstruction);
    row.extend(difference);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_pictures_stand_side_by_side() {
        let mut row = Vec::new();
        append_side_by_side(&[10, 20, 30], &[11, 18, 30], &mut row);
        assert_eq!(row, [10, 20, 30, 11, 18, 30, 4, 8, 0]);
        row.clear();
        append_side_by_side(&[40, 50, 60], &[240, 50, 60], &mut row);
        assert_eq!(row, [40, 50, 60, 240, 50, 60, 255, 0, 0]);
    }
}
