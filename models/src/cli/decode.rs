//! `bsq decode`: from small files back to photos.

use super::device::DeviceArgument;
use super::error::{CliError, Context};
use super::interrupt::uninterrupted;
use super::limits::LimitArgument;
use super::model::ModelArgument;
use super::output::Output;
use super::prior::PriorArgument;
use super::progress::Progress;
use super::{Verdict, paths};
use bsq::codec::{
    Codec, CodecError, Coding, DecodedStream, FrameReader, HEADER_BYTES, Header, decode_together,
    most_bytes, picture_tokens,
};
use bsq::image_io::save_png;
use bsq::pipeline::{SessionOptions, TokenizerSession};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Files that `bsq encode` wrote back to photos.
#[derive(Args)]
#[command(long_about = "\
Files that `bsq encode` wrote back to photos.

The tokenizer and the prior must be those that the file was coded with, down to the last bit; a file \
of an earlier default prior is decoded with that one. The \
tokens are then those that were coded, on every machine and with any number of threads.

A file with a damaged section is an error, unless --recover is given: then the good sections are \
decoded, the others are filled with what is beside them, and the exit code is 1.

Several files are decoded together, which takes less time for small pictures than one by one. One \
that cannot be decoded does not keep the others from being written.")]
#[command(after_long_help = "\
Examples:
  bsq decode photo.bsq                    writes photo.bsq.png
  bsq decode photo.bsq -o back.png
  bsq decode *.bsq -o folder
  bsq decode damaged.bsq --recover -o rest.png")]
pub struct Arguments {
    /// Files that `bsq encode` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The PNG file to write, or an existing folder [default: beside the file, as .bsq.png]
    #[arg(short, long, value_name = "IMAGE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    device: DeviceArgument,
    #[command(flatten)]
    limits: LimitArgument,
    /// Decode what is good of a damaged file
    #[arg(long)]
    recover: bool,
}

/// Damaged sections that are named one by one.
const NAMED: usize = 8;
/// Sections of files that are decoded together: some batches, and a part of a second at most passes
/// before the first picture is written.
const TOGETHER: usize = 64;

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let given = arguments.output.as_deref();
    let outputs = paths::outputs(&arguments.files, given, paths::Kind::Picture)?;
    // Headers first: a file that is none of ours is found before any model is read.
    let mut streams = Vec::new();
    for path in &arguments.files {
        let stream = read(open(path)?, arguments.recover, arguments.limits).in_(path.display())?;
        streams.push(stream);
    }
    let device = arguments.device.open(output)?;
    let tokenizer = arguments.model.open(output)?;
    let options = SessionOptions {
        threads: output.threads,
        device,
        ..SessionOptions::default()
    };
    // One for each prior that a stream names; all before the first picture is written.
    let mut codecs = BTreeMap::new();
    for frames in &streams {
        if let Entry::Vacant(place) = codecs.entry(prior_of(frames.header())) {
            let prior = place.key().map(|its| arguments.prior.open_for(its, output));
            let prior = prior.transpose()?;
            place.insert(Codec::new(&tokenizer, prior.as_ref(), &options)?);
        }
    }
    let mut session = TokenizerSession::new(&tokenizer, options);
    let (mut results, mut verdict, mut failed) = (Vec::new(), Verdict::Good, None);
    let mut token_seconds = 0.0;
    let mut names = arguments.files.iter().zip(&outputs);
    for group in groups(streams) {
        let start = Instant::now();
        let codec = codecs.get_mut(&prior_of(group[0].header()));
        let codec = codec.expect("made for each stream above");
        let sections = group.iter().map(|frames| frames.header().sections()).sum();
        let own: Vec<_> = names.by_ref().take(group.len()).collect();
        let label = match own[..] {
            [(input, _)] => input.display().to_string(),
            _ => format!("{} files", own.len()),
        };
        let progress = Progress::new(&label, "sections", sections);
        let decoded = decode_together(codec, group, &mut |done| progress.set(done))?;
        drop(progress);
        let count = |stream: &Result<DecodedStream, _>| stream.as_ref().map_or(0, |s| s.rows.len());
        let seconds = start.elapsed().as_secs_f64();
        token_seconds += seconds;
        output.detail(format_args!(
            "{label}: {} tokens in {seconds:.2} s",
            decoded.iter().map(count).sum::<usize>(),
        ));
        for ((input, path), stream) in own.into_iter().zip(decoded) {
            let name = input.display().to_string();
            // A file that cannot be decoded does not keep the others from being written.
            match stream.in_(&name) {
                Ok(stream) => {
                    if !stream.damage.is_empty() {
                        verdict = Verdict::CheckFailed;
                    }
                    results.push(picture(&mut session, &stream, (&name, path), output)?);
                }
                Err(CliError::Message(message)) if failed.is_some() => output.note(message),
                Err(error) => failed = Some(error),
            }
        }
    }
    match failed {
        Some(error) => Err(error),
        None => {
            output.value(&json!({
                "model": tokenizer.name,
                "token_seconds": token_seconds,
                "images": results,
            }))?;
            Ok(verdict)
        }
    }
}

/// Streams that are decoded together: neighbours with the same prior, until they are a few batches.
fn groups<R: Read>(streams: Vec<FrameReader<R>>) -> Vec<Vec<FrameReader<R>>> {
    let mut groups: Vec<Vec<FrameReader<R>>> = Vec::new();
    let mut sections = 0;
    for frames in streams {
        let own = frames.header().sections();
        match groups.last_mut() {
            Some(group)
                if prior_of(group[0].header()) == prior_of(frames.header())
                    && sections + own <= TOGETHER =>
            {
                group.push(frames);
                sections += own;
            }
            _ => {
                groups.push(vec![frames]);
                sections = own;
            }
        }
    }
    groups
}

/// Writes a picture, and says what became of it.
fn picture(
    session: &mut TokenizerSession,
    stream: &DecodedStream,
    (name, path): (&str, &Path),
    output: &Output,
) -> Result<Value, CliError> {
    let start = Instant::now();
    let DecodedStream {
        header,
        rows,
        damage,
    } = stream;
    let tokens = picture_tokens(header, rows);
    let windows = session.windows(tokens.width, tokens.height).count();
    let progress = Progress::new(name, "windows", windows);
    let picture = session.decode_picture(&tokens, &mut |done| progress.set(done))?;
    drop(progress);
    uninterrupted(|| save_png(&picture, path))?;
    let seconds = start.elapsed().as_secs_f64();
    output.say(format_args!(
        "{name} -> {}: {}x{}",
        path.display(),
        picture.width,
        picture.height
    ))?;
    output.detail(format_args!("the picture in {seconds:.2} s"));
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
    Ok(json!({
        "input": name,
        "output": path.display().to_string(),
        "width": picture.width,
        "height": picture.height,
        "tokens": rows.len(),
        "damaged_sections": damage.iter().map(|damage| damage.section).collect::<Vec<_>>(),
        "picture_seconds": seconds,
    }))
}

/// The identity of the prior that a stream was coded with.
fn prior_of(header: &Header) -> Option<u64> {
    match header.coding {
        Coding::Raw => None,
        Coding::Prior { identity, .. } => Some(identity),
    }
}

fn open(path: &Path) -> Result<File, CliError> {
    File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            CliError::new(format_args!("{}: no such file", path.display()))
        }
        _ => CliError::new(format_args!("{}: {error}", path.display())),
    })
}

/// A whole stream, in memory: a process may have fewer files open than a command line names.
fn read(
    mut file: File,
    recover: bool,
    limits: LimitArgument,
) -> Result<FrameReader<Cursor<Vec<u8>>>, CodecError> {
    let mut bytes = Vec::new();
    file.by_ref()
        .take(HEADER_BYTES as u64)
        .read_to_end(&mut bytes)?;
    // A file that is none of ours is not read to its end.
    let header = Header::read(&mut &bytes[..])?;
    header.check_pixels(limits.max_pixels())?;
    file.take(most_bytes(&header)).read_to_end(&mut bytes)?;
    FrameReader::within(Cursor::new(bytes), recover, limits.max_pixels())
}
