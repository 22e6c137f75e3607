//! `bsq decode`: from small files back to photos.

use super::device::DeviceArgument;
use super::error::{CliError, Context};
use super::failures::Failures;
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
use bsq::pipeline::{ModelFile, SessionOptions, TokenizerSession};
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
    /// The PNG file to write, or a folder [default: beside the file, as .bsq.png]
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
    let mut failures = Failures::default();
    // Headers first: a file that is none of ours is found before any model is read.
    let mut jobs = Vec::new();
    for (input, path) in arguments.files.iter().zip(&outputs) {
        let frames = read(input, arguments.recover, arguments.limits);
        let job = |frames| Job {
            input,
            path,
            frames,
        };
        jobs.extend(failures.keep(input, frames)?.map(job));
    }
    if jobs.is_empty() {
        return failures.finish(output, json!({}), Verdict::Good);
    }
    let device = arguments.device.open(output)?;
    let tokenizer = arguments.model.open(output)?;
    let options = SessionOptions {
        threads: output.threads,
        device,
        ..SessionOptions::default()
    };
    // One for each prior that a stream names; all before the first picture is written.
    let mut codecs: BTreeMap<Option<u64>, Codec> = BTreeMap::new();
    let mut ready = Vec::new();
    for job in jobs {
        let its = prior_of(job.frames.header());
        if let Entry::Vacant(place) = codecs.entry(its) {
            let codec = open_codec(its, &arguments, (&tokenizer, &options), output);
            match failures.keep(job.input, codec)? {
                Some(codec) => drop(place.insert(codec)),
                None => continue,
            }
        }
        ready.push(job);
    }
    let mut session = TokenizerSession::new(&tokenizer, options);
    let (mut results, mut verdict) = (Vec::new(), Verdict::Good);
    let mut token_seconds = 0.0;
    for group in groups(ready) {
        let start = Instant::now();
        let codec = codecs.get_mut(&prior_of(group[0].frames.header()));
        let codec = codec.expect("made for each stream above");
        let label = match &group[..] {
            [job] => job.input.display().to_string(),
            _ => format!("{} files", group.len()),
        };
        let decoded = decode(codec, group, &label, (arguments.recover, arguments.limits))?;
        let count = |stream: &Result<DecodedStream, _>| stream.as_ref().map_or(0, |s| s.rows.len());
        let seconds = start.elapsed().as_secs_f64();
        token_seconds += seconds;
        output.detail(format_args!(
            "{label}: {} tokens in {seconds:.2} s",
            decoded.iter().map(|(_, _, s)| count(s)).sum::<usize>(),
        ));
        for (input, path, stream) in decoded {
            let Some(stream) = failures.keep(input, stream)? else {
                continue;
            };
            if !stream.damage.is_empty() {
                verdict = Verdict::CheckFailed;
            }
            let name = input.display().to_string();
            let written = picture(&mut session, &stream, (&name, path), output);
            results.extend(failures.keep(input, written)?);
        }
    }
    let value = json!({
        "model": tokenizer.name,
        "token_seconds": token_seconds,
        "images": results,
    });
    failures.finish(output, value, verdict)
}

/// A stream that is to become a picture.
struct Job<'a> {
    input: &'a Path,
    path: &'a Path,
    frames: Frames,
}

type Frames = FrameReader<Cursor<Vec<u8>>>;

/// A stream's tokens, with its file and that of its picture.
type Decoded<'a> = (&'a Path, &'a Path, Result<DecodedStream, CliError>);

/// The codec for streams of a prior.
fn open_codec(
    its: Option<u64>,
    arguments: &Arguments,
    (tokenizer, options): (&ModelFile, &SessionOptions),
    output: &Output,
) -> Result<Codec, CliError> {
    let prior = its.map(|its| arguments.prior.open_for(its, output));
    let prior = prior.transpose()?;
    Ok(Codec::new(tokenizer, prior.as_ref(), options)?)
}

/// The tokens of streams of one prior. Should they fail together, they are decoded one by one, so
/// that it is only the bad one that fails.
fn decode<'a>(
    codec: &mut Codec,
    group: Vec<Job<'a>>,
    label: &str,
    (recover, limits): (bool, LimitArgument),
) -> Result<Vec<Decoded<'a>>, CliError> {
    let sections = group.iter().map(|job| job.frames.header().sections());
    let progress = Progress::new(label, "sections", sections.sum());
    let files: Vec<(&Path, &Path)> = group.iter().map(|job| (job.input, job.path)).collect();
    let frames = group.into_iter().map(|job| job.frames);
    let together = decode_together(codec, frames, &mut |done| progress.set(done));
    let streams: Vec<Result<DecodedStream, CliError>> = match together {
        Ok(streams) => streams
            .into_iter()
            .map(|stream| stream.map_err(CliError::from))
            .collect(),
        Err(error) if files.len() == 1 => vec![Err(error.into())],
        Err(_) => {
            let alone = files.iter().map(|(input, _)| {
                let frames = read(input, recover, limits)?;
                let stream = decode_together(codec, [frames], &mut |_| {})?.pop();
                Ok(stream.expect("one stream was given")?)
            });
            alone.collect()
        }
    };
    let decoded = files.into_iter().zip(streams);
    Ok(decoded
        .map(|((input, path), stream)| (input, path, stream))
        .collect())
}

/// Streams that are decoded together: neighbours with the same prior, until they are a few batches.
fn groups(jobs: Vec<Job<'_>>) -> Vec<Vec<Job<'_>>> {
    let mut groups: Vec<Vec<Job<'_>>> = Vec::new();
    let mut sections = 0;
    for job in jobs {
        let own = job.frames.header().sections();
        match groups.last_mut() {
            Some(group)
                if prior_of(group[0].frames.header()) == prior_of(job.frames.header())
                    && sections + own <= TOGETHER =>
            {
                group.push(job);
                sections += own;
            }
            _ => {
                groups.push(vec![job]);
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
    paths::make_folder(path)?;
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
fn read(path: &Path, recover: bool, limits: LimitArgument) -> Result<Frames, CliError> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    let mut read = || {
        file.by_ref()
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut bytes)?;
        // A file that is none of ours is not read to its end.
        let header = Header::read(&mut &bytes[..])?;
        header.check_pixels(limits.max_pixels())?;
        file.by_ref()
            .take(most_bytes(&header))
            .read_to_end(&mut bytes)?;
        FrameReader::within(
            Cursor::new(std::mem::take(&mut bytes)),
            recover,
            limits.max_pixels(),
        )
    };
    read()
        .map_err(|error: CodecError| CliError::from(error))
        .in_(path.display())
}
