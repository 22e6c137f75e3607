//! `bsq detokenize`: a file of tokens or levels to photos and clips.

mod levels;

use super::clip::{self, FrameProgress};
use super::error::CliError;
use super::failures::Failures;
use super::output::Output;
use super::picture::PictureFile;
use super::precision::RoundingArguments;
use super::progress::Progress;
use super::run_arguments::RunArguments;
use super::{Verdict, paths};
use bsq::image_io::ImageSize;
use bsq::photo::PhotoError;
use bsq::pipeline::{
    ChunkDecoder, ClipTokens, NamedClip, NamedTokens, TokenFile, TokenizerSession,
};
use bsq::transform_codec::LevelsFile;
use bsq::video_io::ClipFormat;
use bsq_runtime::checkpoint::{self, Weights};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A file of tokens or levels back to photos and clips.
#[derive(Args)]
#[command(long_about = "\
A file of tokens or levels back to photos and clips.

The model must be the one that made the tokens, down to the last bit of its weights; the file says \
which one that was. The pictures are those that `bsq reconstruct` writes, bit for bit, in the same \
precision; those of levels are what `bsq decode` makes of a stream of the same quality. Tokens that were made in one \
precision may be read in any.")]
#[command(after_long_help = "\
Examples:
  bsq detokenize photo.safetensors -o photo.png
  bsq detokenize all.safetensors -o folder --model my.safetensors
  bsq detokenize clip.safetensors -o clip.mp4 --model bsq36")]
pub struct Arguments {
    /// A token file that `bsq tokens` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The PNG file or clip to write; a folder if there are several
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    rounding: RoundingArguments,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let checkpoint = checkpoint::load(&arguments.file, Weights::Ema)?;
    if LevelsFile::is_levels_file(&checkpoint) {
        return levels::run(&arguments, &checkpoint, output);
    }
    let options = arguments.run.options_in(arguments.rounding, output)?;
    let model = arguments.run.model.open(output)?;
    let file = TokenFile::from_checkpoint(&arguments.file, &checkpoint, &model)?;
    let (pictures, clips) = (file.pictures.iter(), file.clips.iter());
    let pictures = pictures.map(|one| (one.name.as_str(), "picture"));
    let all = pictures.chain(clips.map(|one| (one.name.as_str(), "clip")));
    let names: Vec<PathBuf> = all.enumerate().map(plain_name).collect();
    let (pictures, clips) = names.split_at(file.pictures.len());
    let given = Some(&*arguments.output);
    let outputs = match pictures.is_empty() {
        true => Vec::new(),
        false => paths::outputs(pictures, given, paths::Kind::Picture)?,
    };
    let mut session = TokenizerSession::new(&model, options);
    let (mut results, mut failures) = (Vec::new(), Failures::default());
    let mut one = |NamedTokens { name, tokens }: &NamedTokens, path: &Path| {
        let windows = session.windows(tokens.size).count();
        let progress = Progress::new(name, "windows", windows);
        let mut file = PictureFile::create(path, tokens.size)?;
        let mut write = |row: &[u8]| Ok(file.write_row(row)?);
        let mut done = |done| progress.set(done);
        session.decode_grid::<PhotoError>(tokens, &mut write, &mut done)?;
        drop(progress);
        file.finish()?;
        written(output, name, path, tokens.size)
    };
    for (picture, path) in file.pictures.iter().zip(&outputs) {
        let result = one(picture, path);
        results.extend(failures.keep(Path::new(&picture.name), result)?);
    }
    let mut clip_results = Vec::new();
    for (clip, name) in file.clips.iter().zip(clips) {
        let path = clip::output_path(name, given, names.len());
        let result = write_clip(&mut session, clip, &path, output);
        clip_results.extend(failures.keep(Path::new(&clip.name), result)?);
    }
    let value = json!({ "model": model.name, "images": results, "clips": clip_results });
    failures.finish(output, value, Verdict::Good)
}

/// Writes a clip, as many frames at a time as the tokenizer sees together.
fn write_clip(
    session: &mut TokenizerSession,
    clip: &NamedClip,
    path: &Path,
    output: &Output,
) -> Result<Value, CliError> {
    let NamedClip {
        name,
        rate,
        overlap,
        tokens,
    } = clip;
    let ClipTokens { size, grid } = tokens;
    let (size, count) = (*size, grid.shape.frames);
    let format = ClipFormat {
        size,
        rate: *rate,
        frames: Some(count),
    };
    let mut writer = clip::create_clip(path, &format)?;
    let mut progress = FrameProgress::new(name, Some(count));
    let mut decoder = ChunkDecoder::new(session.chunks(*overlap)?);
    let mut done = 0;
    while done < count {
        let end = count.min(done + decoder.wanted());
        let grid = grid.frames(done..end);
        for frame in decoder.decode(session, ClipTokens { size, grid })? {
            clip::write(&mut *writer, &frame)?;
            progress.frame();
        }
        done = end;
    }
    drop(progress);
    writer.finish()?;
    let ImageSize { height, width } = size;
    output.say(format_args!(
        "{name} -> {}: {count} frames of {width}x{height}, {rate} a second",
        path.display()
    ))?;
    Ok(json!({
        "name": name,
        "output": path.display().to_string(),
        "width": width,
        "height": height,
        "frames": count,
        "frame_rate": rate.to_string(),
    }))
}

/// The name of a picture or clip without folders: a file from elsewhere must not say where to write.
fn plain_name((number, (name, what)): (usize, (&str, &str))) -> PathBuf {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    match Path::new(name).file_stem() {
        Some(_) => PathBuf::from(name),
        None => PathBuf::from(format!("{what}-{number}")),
    }
}

/// Says that a picture of this name was written.
fn written(output: &Output, name: &str, path: &Path, size: ImageSize) -> Result<Value, CliError> {
    let ImageSize { height, width } = size;
    output.say(format_args!(
        "{name} -> {}: {width}x{height}",
        path.display()
    ))?;
    Ok(json!({
        "name": name,
        "output": path.display().to_string(),
        "width": width,
        "height": height,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_folders() {
        for (name, plain) in [
            ("a.png", "a.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\b.jpg", "b.jpg"),
            ("x/..", "picture-3"),
            ("", "picture-3"),
        ] {
            let named = (3, (name, "picture"));
            assert_eq!(plain_name(named), Path::new(plain), "{name}");
        }
    }
}
