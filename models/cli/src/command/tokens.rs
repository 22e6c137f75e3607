//! `bsq tokens`: photos and clips to a file of tokens, or of levels.

mod levels;

use super::clip::{self, ClipArguments, FrameProgress, OverlapArgument};
use super::error::CliError;
use super::files::Files;
use super::interrupt::uninterrupted;
use super::limits::LimitArgument;
use super::output::Output;
use super::picture::{note, open, readable};
use super::precision::RoundingArguments;
use super::progress::Progress;
use super::quality::QualityArguments;
use super::ranks::{self, Work};
use super::run_arguments::RunArguments;
use super::{Verdict, paths};
use bsq::image_io::{ImageSize, PixelRows};
use bsq::metrics::bits_per_pixel;
use bsq::photo::PhotoError;
use bsq::pipeline::{
    ChunkEncoder, ClipTokens, NamedClip, NamedTokens, PictureTokens, TokenFile, TokenizerSession,
};
use bsq::token_grid::{GridShape, TokenGrid};
use bsq::video_io::has_clip_name;
use bsq_collectives::Ranks;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Photos and clips to a file of tokens, or photos to one of levels.
#[derive(Args)]
#[command(long_about = "\
Photos and clips to a file of tokens, or photos to one of levels.

The file is safetensors. With a transform codec, as the default model is one, it holds per picture n what `bsq encode` \
codes at the same --quality: the levels of patches' coordinates, `pictures.n.coarse` (i32, [rows, columns, \
coordinates], of patches of 32x32 pixels), `pictures.n.base` and `pictures.n.detail` (of 8x8 pixels); its metadata name \
the pictures, their sizes, the quantizer's step and the codec.

With a tokenizer, per picture n it holds `pictures.n.bits` (bool, [windows, tokens, bits]) \
and `pictures.n.group_indices` (u64, [windows, tokens, groups]), or `pictures.n.indices` for a \
vector quantizer; its metadata name the pictures, their sizes and the model. Of clip n these are `clips.n.bits` \
and so on, with a first axis of frames. A tokenizer of clips sees as many frames together as it has, each \
time anew, or with --overlap behind the last of those before. `bsq detokenize` makes pictures and clips of it again, \
with the same model.")]
#[command(after_long_help = "\
Examples:
  bsq tokens photo.jpg -o photo.safetensors       levels of the default codec
  bsq tokens photo.jpg -o photo.safetensors --quality 30
  bsq tokens *.jpg -o all.safetensors --model bsq36
  bsq tokens photos -o all.safetensors            all pictures of a folder, or all clips of one without pictures
  bsq tokens clip.mp4 -o clip.safetensors --model bsq36
  bsq inspect photo.safetensors                   what is in it
  bsq detokenize photo.safetensors -o photo.png   and back")]
pub struct Arguments {
    /// PNG, JPEG, WebP, TIFF, GIF or JPEG XL pictures, clips, or folders of them
    #[arg(required = true, value_name = "FILE")]
    images: Vec<PathBuf>,
    /// The token file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
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
    overlap: OverlapArgument,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    ranks::together(Work::Files, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

fn run_rank(mut arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    paths::with_contents_of_folders(&mut arguments.images)?;
    paths::without_results(&mut arguments.images, output);
    paths::check_folder(&arguments.output)?;
    let mut files = Files::new(ranks, output);
    let all = arguments.images.iter().map(|path| (&**path, &**path));
    let (clips, images): (Vec<_>, Vec<_>) = all.partition(|(path, _)| has_clip_name(path));
    let images = readable(&mut files, &images, arguments.limits)?;
    if images.is_empty() && clips.is_empty() {
        return files.finish(json!({}), Verdict::Good);
    }
    let options = arguments.run.options_in(arguments.rounding, output)?;
    if let Some(file) = arguments.run.model.open_codec(output)? {
        if let Some((clip, _)) = clips.first() {
            return Err(CliError::new(format_args!(
                "{}: a clip, and {} is a transform codec: name a tokenizer, such as --model bsq36",
                clip.display(),
                file.name
            )));
        }
        let given = (&arguments, images);
        return levels::run(&file, options, given, (files, ranks.is_first()), output);
    }
    let model = arguments.run.model.open(output)?;
    arguments.quality.refuse_for(&model.name)?;
    let mut tokenizer = Tokenizer {
        bits: model.config.model.quantizer.bits_per_token(),
        session: TokenizerSession::new(&model, options),
        arguments: &arguments,
    };
    let pictures = files.each(images, |input, output| tokenizer.picture(input, output))?;
    let clips = files.each(clips, |input, output| tokenizer.clip(input, output))?;
    if pictures.is_empty() && clips.is_empty() {
        return files.finish(json!({}), Verdict::Good);
    }
    let words = tokenizer.session.words_per_token();
    let (mut named, mut results) = (Vec::new(), Vec::new());
    for (input, (size, indices, result)) in pictures {
        let size = image_size(size);
        let shape = tokenizer.session.grid_shape(size);
        let grid = TokenGrid::of_words(shape, words, indices);
        let (name, tokens) = (name_of(input), PictureTokens { size, grid });
        named.push(NamedTokens { name, tokens });
        results.push(result);
    }
    let (mut named_clips, mut clip_results) = (Vec::new(), Vec::new());
    for (input, ((size, frames, rate), indices, result)) in clips {
        let (size, rate) = (image_size(size), rate.parse().unwrap_or_default());
        let shape = GridShape {
            frames,
            ..tokenizer.session.grid_shape(size)
        };
        let grid = TokenGrid::of_words(shape, words, indices);
        let (name, tokens) = (name_of(input), ClipTokens { size, grid });
        named_clips.push(NamedClip {
            name,
            rate,
            overlap: arguments.overlap.overlap(),
            tokens,
        });
        clip_results.push(result);
    }
    let file = TokenFile::new(&model, named, named_clips);
    if ranks.is_first() {
        uninterrupted(|| file.save(&model, &arguments.output))?;
    }
    output.say(format_args!("wrote {}", arguments.output.display()))?;
    let value = json!({
        "output": arguments.output.display().to_string(),
        "model": model.name,
        "model_fingerprint": file.model,
        "images": results,
        "clips": clip_results,
    });
    files.finish(value, Verdict::Good)
}

fn image_size([height, width]: [usize; 2]) -> ImageSize {
    ImageSize { height, width }
}

fn name_of(input: &Path) -> String {
    let name = input.file_name().unwrap_or(input.as_os_str());
    name.to_string_lossy().into_owned()
}

/// A tokenizer under way.
struct Tokenizer<'a> {
    session: TokenizerSession,
    /// Of a token.
    bits: usize,
    arguments: &'a Arguments,
}

/// Height and width, frames, and frames a second as text: what goes from rank to rank.
type ClipFormat = ([usize; 2], usize, String);

impl Tokenizer<'_> {
    fn picture(
        &mut self,
        input: &Path,
        output: &Output,
    ) -> Result<([usize; 2], Vec<u64>, Value), CliError> {
        let mut picture = open(input, self.arguments.limits)?;
        let size = picture.size();
        let windows = self.session.windows(size).count();
        let shape = self.session.grid_shape(size);
        let progress = Progress::new(&input.display().to_string(), "windows", windows);
        let mut indices = Vec::new();
        let mut read = |row: &mut [u16]| Ok(picture.read_row(row)?);
        let mut keep = |row: &[u64]| {
            indices.extend_from_slice(row);
            Ok(())
        };
        let mut done = |done| progress.set(done);
        self.session
            .encode_rows::<PhotoError>(size, &mut read, &mut keep, &mut done)?;
        drop(progress);
        note(&picture, input, output);
        let (count, bits) = (shape.tokens(), self.bits);
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
    }

    /// As many frames together as the tokenizer has. Their tokens are kept: a token file is written as a whole.
    fn clip(
        &mut self,
        input: &Path,
        output: &Output,
    ) -> Result<(ClipFormat, Vec<u64>, Value), CliError> {
        let name = input.display().to_string();
        let mut clip = self.arguments.clip.open(input, self.arguments.limits)?;
        let (size, frame_rate) = (clip.format().size, clip.format().rate);
        let mut progress = FrameProgress::new(&name, clip.format().frames);
        let chunks = self.session.chunks(self.arguments.overlap.overlap())?;
        let mut encoder = ChunkEncoder::new(chunks);
        let (mut frames, mut indices, mut together) = (0, Vec::new(), Vec::new());
        loop {
            let next = clip.next_frame()?;
            let is_last = next.is_none();
            together.extend(next);
            if !together.is_empty() && (is_last || together.len() == encoder.wanted()) {
                let new = std::mem::take(&mut together);
                let done = new.len();
                let tokens = encoder.encode(&mut self.session, new)?;
                indices.extend(tokens.grid.indices);
                (0..done).for_each(|_| progress.frame());
            }
            match is_last {
                true => break,
                false => frames += 1,
            }
        }
        drop(progress);
        if frames == 0 {
            return Err(CliError::new(format_args!("{name}: no frames")));
        }
        clip::note(&*clip, input, output);
        let (count, bits) = (frames * self.session.grid_shape(size).tokens(), self.bits);
        let ImageSize { height, width } = size;
        let rate = bits_per_pixel((count * bits) as u64, width, height) / frames as f64;
        output.say(format_args!(
            "{name}: {frames} frames, {count} tokens of {bits} bits, {rate:.4} bits per pixel"
        ))?;
        let result = json!({
            "input": name,
            "width": width,
            "height": height,
            "frames": frames,
            "frame_rate": frame_rate.to_string(),
            "tokens": count,
            "bits_per_token": bits,
            "bits_per_pixel": rate,
        });
        let format = ([height, width], frames, frame_rate.to_string());
        Ok((format, indices, result))
    }
}
