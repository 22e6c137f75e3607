//! `bsq decode`: from small files back to photos.

use super::device::DeviceArgument;
use super::error::{CliError, Context};
use super::interrupt::uninterrupted;
use super::model::ModelArgument;
use super::output::Output;
use super::prior::PriorArgument;
use super::progress::Progress;
use super::{Verdict, paths};
use bsq::codec::{Codec, Coding, Decoder, FrameReader, Header, picture_tokens};
use bsq::image_io::save_png;
use bsq::pipeline::{SessionOptions, TokenizerSession};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::BufReader;
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
decoded, the others are filled with what is beside them, and the exit code is 1.")]
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
    /// Decode what is good of a damaged file
    #[arg(long)]
    recover: bool,
}

/// Damaged sections that are named one by one.
const NAMED: usize = 8;

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let given = arguments.output.as_deref();
    let outputs = paths::outputs(&arguments.files, given, paths::Kind::Picture)?;
    // Headers first: a file that is none of ours is found before any model is read.
    let mut streams = Vec::new();
    for path in &arguments.files {
        let frames = FrameReader::new(open(path)?, arguments.recover).in_(path.display())?;
        streams.push(frames);
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
    let (mut results, mut verdict) = (Vec::new(), Verdict::Good);
    for ((input, frames), path) in arguments.files.iter().zip(streams).zip(&outputs) {
        let (start, name) = (Instant::now(), input.display().to_string());
        let codec = codecs.get_mut(&prior_of(frames.header()));
        let codec = codec.expect("made for each stream above");
        let mut decoder = Decoder::of_frames(codec, frames).in_(&name)?;
        let header = decoder.header().clone();
        let progress = Progress::new(&name, "sections", header.sections());
        let mut rows = Vec::new();
        while let Some(more) = decoder.next_rows().in_(&name)? {
            rows.extend(more);
            progress.set(decoder.sections_done());
        }
        drop(progress);
        let damage = decoder.damage().to_vec();
        let token_seconds = start.elapsed().as_secs_f64();
        let tokens = picture_tokens(&header, &rows);
        let windows = session.windows(tokens.width, tokens.height).count();
        let progress = Progress::new(&name, "windows", windows);
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
        output.detail(format_args!(
            "{} tokens in {token_seconds:.2} s, the picture in {:.2} s",
            rows.len(),
            seconds - token_seconds
        ));
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
        if !damage.is_empty() {
            verdict = Verdict::CheckFailed;
        }
        results.push(json!({
            "input": name,
            "output": path.display().to_string(),
            "width": picture.width,
            "height": picture.height,
            "tokens": rows.len(),
            "damaged_sections": damage.iter().map(|damage| damage.section).collect::<Vec<_>>(),
            "token_seconds": token_seconds,
            "seconds": seconds,
        }));
    }
    output.value(&json!({ "model": tokenizer.name, "images": results }))?;
    Ok(verdict)
}

/// The identity of the prior that a stream was coded with.
fn prior_of(header: &Header) -> Option<u64> {
    match header.coding {
        Coding::Raw => None,
        Coding::Prior { identity, .. } => Some(identity),
    }
}

fn open(path: &Path) -> Result<BufReader<File>, CliError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            CliError::new(format_args!("{}: no such file", path.display()))
        }
        _ => CliError::new(format_args!("{}: {error}", path.display())),
    })?;
    Ok(BufReader::new(file))
}
