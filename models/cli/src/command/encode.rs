//! `bsq encode`: photos to small files.

use super::device::DeviceArgument;
use super::error::{CliError, Context};
use super::failures::Failures;
use super::interrupt::uninterrupted;
use super::limits::LimitArgument;
use super::model::ModelArgument;
use super::output::Output;
use super::prior::PriorArgument;
use super::progress::Progress;
use super::reconstruct::{load, readable};
use super::{Verdict, paths};
use bsq::codec::{Codec, Encoder, StreamReport, grid_rows};
use bsq::metrics::bits_per_pixel;
use bsq::pipeline::{SessionOptions, TokenizerSession};
use bsq_runtime::atomic_file::write_atomically;
use clap::Args;
use serde_json::json;
use std::io::Write;
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
    let pairs = readable::<Path, _>(&arguments.images, &outputs, arguments.limits, &mut failures)?;
    if pairs.is_empty() {
        return failures.finish(output, json!({}), Verdict::Good);
    }
    let device = arguments.device.open(output)?;
    let tokenizer = arguments.model.open(output)?;
    let prior = match arguments.raw {
        true => None,
        false => Some(arguments.prior.open(output)?),
    };
    let options = SessionOptions {
        threads: output.threads,
        device,
        ..SessionOptions::default()
    };
    let mut codec = Codec::new(&tokenizer, prior.as_ref(), &options)?;
    // What is wrong with --keep is wrong for every picture.
    codec.header(1, 1, arguments.keep)?;
    let mut session = TokenizerSession::new(&tokenizer, options);
    let mut results = Vec::new();
    let mut one = |input: &Path, path: &Path| {
        let start = Instant::now();
        let picture = load(input, arguments.limits, output)?;
        let (width, height) = (picture.width, picture.height);
        let name = input.display().to_string();
        let windows = session.windows(width, height).count();
        let progress = Progress::new(&name, "windows", windows);
        let tokens = session.encode_picture(&picture, &mut |done| progress.set(done))?;
        drop(progress);
        let header = codec.header(width, height, arguments.keep).in_(&name)?;
        let (columns, _) = header.grid();
        let rows = grid_rows(&tokens, codec.window(), columns);
        let mut encoder =
            Encoder::new(&mut codec, Vec::new(), width, height, arguments.keep).in_(&name)?;
        let progress = Progress::new(&name, "sections", header.sections());
        for row in rows.chunks(columns) {
            encoder.write(row)?;
            progress.set(encoder.sections_done());
        }
        let (stream, report) = encoder.finish()?;
        drop(progress);
        paths::make_folder(path)?;
        uninterrupted(|| write_atomically(path, |file| file.write_all(&stream)))
            .in_(path.display())?;
        let StreamReport { bytes, sections } = &report;
        let seconds = start.elapsed().as_secs_f64();
        let rate = bits_per_pixel(8 * *bytes as u64, width, height);
        let raw = bits_per_pixel(
            (rows.len() * usize::from(header.bits)) as u64,
            width,
            height,
        );
        output.say(format_args!(
            "{name} -> {}: {bytes} bytes, {rate:.4} bits per pixel ({raw:.4} before coding)",
            path.display()
        ))?;
        output.detail(format_args!("{} sections, {seconds:.2} s", sections.len()));
        Ok(json!({
            "input": name,
            "output": path.display().to_string(),
            "width": width,
            "height": height,
            "bytes": bytes,
            "bits_per_pixel": rate,
            "raw_bits_per_pixel": raw,
            "sections": sections.len(),
            "cross_entropy_bits": report.cross_entropy_bits(),
            "tokens": rows.len(),
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
