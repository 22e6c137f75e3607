//! `bsq decode`: from small files back to photos.

mod clip;
mod levels;
mod tokens;

use super::clip::PredictedArgument;
use super::error::CliError;
use super::files::{Files, values};
use super::limits::LimitArgument;
use super::output::Output;
use super::prior::PriorArgument;
use super::ranks::{self, Work};
use super::run_arguments::RunArguments;
use super::{Verdict, paths, standard};
use bsq::clip_codec::is_clip_stream;
use bsq::codec::{Damage, is_token_clip};
use bsq::image_io::ImageSize;
use bsq::transform_codec::stream::{LEVELS_HEADER_BYTES, is_levels};
use bsq_collectives::Ranks;
use clap::Args;
use levels::Levels;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Files that `bsq encode` wrote back to photos and clips.
#[derive(Args)]
#[command(long_about = "\
Files that `bsq encode` wrote back to photos and clips.

The tokenizer and the prior must be those that the file was coded with, down to the last bit; a file \
of an earlier default prior is decoded with that one. The \
tokens are then those that were coded, on every machine and with any number of threads.

A file with a damaged tile is an error, unless --recover is given: then the good tiles are \
decoded, the others are filled with what is beside them, and the exit code is 1.

Several files are decoded together, which takes less time for small pictures than one by one. One \
that cannot be decoded does not keep the others from being written.

A clip becomes what the name after -o says: .mp4 and others of ffmpeg (H.264, near-lossless), .y4m, \
.gif as a preview, or, without an ending, a folder of PNG files.")]
#[command(after_long_help = "\
Examples:
  bsq decode photo.bsq                    writes photo.bsq.png
  bsq decode photo.bsq -o back.png
  bsq decode *.bsq -o folder
  bsq decode - < photo.bsq > photo.png
  bsq decode clip.bsq                     writes clip.bsq.mp4
  bsq decode clip.bsq -o frames           a folder of PNG files
  bsq decode damaged.bsq --recover -o rest.png")]
pub struct Arguments {
    /// Files that `bsq encode` wrote; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The PNG file or clip to write, a folder, or - for standard output [default: beside the file, as .bsq.png or .bsq.mp4]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    predicted: PredictedArgument,
    #[command(flatten)]
    limits: LimitArgument,
    /// Decode what is good of a damaged file
    #[arg(long)]
    recover: bool,
}

/// Damaged tiles that are named one by one.
const NAMED: usize = 8;

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    ranks::together(Work::Files, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

fn run_rank(mut arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    let (files, given) = (&mut arguments.files, &mut arguments.output);
    let standard = standard::take(files, given, "standard output.png", ranks, output)?;
    standard::around(standard, output, |output| {
        run_files(arguments, ranks, output)
    })
}

fn run_files(arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    let given = arguments.output.as_deref();
    let is_clip = |start: &[u8]| is_clip_stream(start) || is_token_clip(start);
    let begins = |file: &&PathBuf| begins_as(file, is_clip);
    let (clips, photos): (Vec<_>, Vec<_>) = arguments.files.iter().partition(begins);
    let clips: Vec<&Path> = clips.into_iter().map(PathBuf::as_path).collect();
    let photos: Vec<PathBuf> = photos.into_iter().cloned().collect();
    let clips = clip::outputs(&arguments, &clips)?;
    let outputs = match photos.is_empty() {
        true => Vec::new(),
        false => paths::outputs(&photos, given, paths::Kind::Picture)?,
    };
    let mut under_way = Files::new(ranks, output);
    let files = photos.iter().zip(&outputs);
    let files = files.map(|(input, path)| (input.as_path(), path.as_path()));
    let (levels, tokens): (Vec<_>, Vec<_>) =
        files.partition(|(input, _)| begins_as(input, is_levels));
    let options = arguments.run.options(output)?;
    let mut value = json!({});
    let (mut results, mut is_damaged) = (Vec::new(), false);
    if let Some(done) = tokens::run(&arguments, &tokens, options.clone(), &mut under_way, output)? {
        value["model"] = done.model.into();
        value["token_seconds"] = done.token_seconds.into();
        is_damaged |= done.is_damaged;
        results = done.results;
    }
    if !levels.is_empty() {
        let how = (arguments.recover, arguments.limits);
        let mut codec = Levels::new(&arguments.run.model, options.clone(), how, output)?;
        let levels = levels.into_iter().map(|pair| (pair.0, pair));
        let decoded = under_way.each(levels, |pair, output| codec.decode(pair, output))?;
        for (input, (value, was_damaged)) in decoded {
            is_damaged |= was_damaged;
            results.push((input, value));
        }
        value["model"] = codec.name.into();
    }
    if !clips.is_empty() {
        let done = clip::run(&arguments, &clips, &options, &mut under_way)?;
        value["clip_model"] = done.model.into();
        is_damaged |= done.is_damaged;
        value["clips"] = values(done.results);
    }
    // In the order of the command line.
    let place = |input: &Path| arguments.files.iter().position(|file| file == input);
    results.sort_by_key(|(input, _)| place(input));
    value["images"] = values(results);
    let verdict = match is_damaged {
        true => Verdict::CheckFailed,
        false => Verdict::Good,
    };
    under_way.finish(value, verdict)
}

/// Whether a file is a stream of some kind; what cannot be read is whoever reads it to tell.
fn begins_as(path: &Path, is_kind: impl Fn(&[u8]) -> bool) -> bool {
    let mut start = Vec::new();
    let file = File::open(path);
    // Of a pipe nothing may be taken away.
    let file = file.and_then(|file| match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::Unsupported.into()),
    });
    let read = file.and_then(|file| {
        let limit = LEVELS_HEADER_BYTES as u64;
        file.take(limit).read_to_end(&mut start)
    });
    read.is_ok() && is_kind(&start)
}

fn open(path: &Path) -> Result<File, CliError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CliError::new(format_args!("{}: no such file", path.display())),
        _ => CliError::new(format_args!("{}: {error}", path.display())),
    })
}

/// Says what became of a stream.
fn written(
    (name, path): (&str, &Path),
    ImageSize { height, width }: ImageSize,
    damage: &[Damage],
    output: &Output,
) -> Result<(), CliError> {
    output.say(format_args!(
        "{name} -> {}: {width}x{height}",
        path.display()
    ))?;
    for damage in damage.iter().take(NAMED) {
        output.note(format_args!(
            "{name}: {damage} was damaged and is filled in"
        ));
    }
    if damage.len() > NAMED {
        let more = damage.len() - NAMED;
        output.note(format_args!(
            "{name}: so were {more} more (--json lists all)"
        ));
    }
    Ok(())
}
