//! `bsq encode`: photos to small files.

use super::device::DeviceArgument;
use super::error::{CliError, Context};
use super::failures::Failures;
use super::interrupt::{partial, uninterrupted};
use super::limits::LimitArgument;
use super::model::ModelArgument;
use super::output::Output;
use super::picture::{note, open, readable};
use super::prior::PriorArgument;
use super::progress::Progress;
use super::{Verdict, paths};
use bsq::codec::CodecError;
use bsq::image_io::PixelRows;
use bsq::photo::{EncodeOptions, PhotoCodec, PhotoError};
use bsq::pipeline::CompileOptions;
use bsq_runtime::atomic_file::AtomicFile;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Photos to small files that decode to the same tokens on every machine.
#[derive(Args)]
#[command(long_about = "\
Photos to small files that decode to the same tokens on every machine.

The tokenizer turns a photo into tokens, a prior says how likely each is after those before it, \
and an entropy coder writes them in few bits. `bsq decode` needs the same tokenizer and the same \
prior, down to the last bit; the file says which they were.

A photo is coded in sections of 32x32 tokens, each with its own checksum: damage to one costs \
that one alone (`bsq decode --recover`).

Fewer bits without another model: --keep N writes only the first N sub-tokens of every token (of \
9 with the default prior), and the decoder makes up the others as the prior thinks most likely. \
--raw needs no prior and writes every bit as it is.")]
#[command(after_long_help = "\
Examples:
  bsq encode photo.jpg                        writes photo.bsq
  bsq encode photo.jpg -o small.bsq --keep 6
  bsq encode *.jpg -o folder
  bsq encode photo.jpg --model tokenizer.safetensors --prior prior.safetensors
  bsq encode photo.jpg --raw
  bsq inspect photo.bsq                       sizes, models, checksums
  bsq decode photo.bsq                        writes photo.bsq.png")]
pub struct Arguments {
    /// PNG, JPEG, WebP, TIFF or GIF pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The file to write, or a folder [default: beside the picture, as .bsq]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    device: DeviceArgument,
    #[command(flatten)]
    limits: LimitArgument,
    /// Write every bit of every token, without a prior
    #[arg(long, conflicts_with_all = ["prior", "keep"])]
    raw: bool,
    /// Write only the first N sub-tokens of every token
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let given = arguments.output.as_deref();
    let outputs = paths::outputs(&arguments.images, given, paths::Kind::Stream)?;
    let mut failures = Failures::default();
    let pairs = readable(&arguments.images, &outputs, arguments.limits, &mut failures)?;
    if pairs.is_empty() {
        return failures.finish(output, json!({}), Verdict::Good);
    }
    let device = arguments.device.open(output)?;
    let tokenizer = arguments.model.open(output)?;
    let prior = match arguments.raw {
        true => None,
        false => Some(arguments.prior.open(output)?),
    };
    let options = CompileOptions {
        threads: output.threads,
        device,
        ..CompileOptions::default()
    };
    let mut codec = PhotoCodec::new(&tokenizer, prior.as_ref(), options)?;
    let how = EncodeOptions {
        keep: arguments.keep,
    };
    // What is wrong with --keep is wrong for every picture.
    codec.check(how)?;
    let mut results = Vec::new();
    let mut one = |input: &Path, path: &Path| {
        let start = Instant::now();
        let mut picture = open(input, arguments.limits)?;
        let size = picture.size();
        let name = input.display().to_string();
        paths::make_folder(path)?;
        let create = || {
            let file = AtomicFile::create(path)?;
            let partial = partial(file.temporary());
            Ok::<_, std::io::Error>((file, partial))
        };
        let (file, _partial) = uninterrupted(create).in_(path.display())?;
        let progress = Progress::new(&name, "windows", codec.windows(size));
        let encoded = codec.encode_rows(&mut picture, file, how, &mut |done| progress.set(done));
        drop(progress);
        let (file, report) = encoded.map_err(|error| match error {
            // It is the stream that cannot be written: pictures have errors of their own.
            PhotoError::Codec(CodecError::Io(error)) => {
                CliError::new(format_args!("{}: {error}", path.display()))
            }
            error => error.into(),
        })?;
        uninterrupted(|| file.commit()).in_(path.display())?;
        note(&picture, input, output);
        let (bytes, sections) = (report.stream.bytes, report.stream.sections.len());
        let (rate, raw) = (report.bits_per_pixel(), report.raw_bits_per_pixel());
        let seconds = start.elapsed().as_secs_f64();
        output.say(format_args!(
            "{name} -> {}: {bytes} bytes, {rate:.4} bits per pixel ({raw:.4} before coding)",
            path.display()
        ))?;
        output.detail(format_args!("{sections} sections, {seconds:.2} s"));
        Ok(json!({
            "input": name,
            "output": path.display().to_string(),
            "width": size.width,
            "height": size.height,
            "bytes": bytes,
            "bits_per_pixel": rate,
            "raw_bits_per_pixel": raw,
            "sections": sections,
            "cross_entropy_bits": report.stream.cross_entropy_bits(),
            "tokens": report.tokens,
            "seconds": seconds,
        }))
    };
    for (input, path) in pairs {
        let result = one(input, path);
        results.extend(failures.keep(input, result)?);
    }
    let value = json!({
        "model": tokenizer.name,
        "prior": prior.as_ref().map(|prior| &prior.name),
        "images": results,
    });
    failures.finish(output, value, Verdict::Good)
}
