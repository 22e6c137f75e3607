//! `bsq encode`: photos to small files.

mod clip;
mod said;

use super::clip::{ClipArguments, GroupArgument, OverlapArgument, PredictedArgument};
use super::error::{CliError, Context};
use super::files::{Files, values};
use super::interrupt::{partial, uninterrupted};
use super::limits::LimitArgument;
use super::output::Output;
use super::picture::{note, open, readable};
use super::prior::PriorArgument;
use super::progress::Progress;
use super::quality::QualityArguments;
use super::ranks::{self, Work};
use super::run_arguments::RunArguments;
use super::{Verdict, paths, standard};
use bsq::codec::CodecError;
use bsq::image_io::PixelRows;
use bsq::photo::tokens::TokensCodec;
use bsq::photo::{EncodeOptions, PhotoCodec, PhotoError};
use bsq::transform_codec::stream::LevelsCodec;
use bsq::video_io::is_clip;
use bsq_collectives::Ranks;
use bsq_runtime::atomic_file::AtomicFile;
use clap::Args;
use said::Said;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Photos and clips to small files that decode to the same pixels on every machine.
#[derive(Args)]
#[command(long_about = "\
Photos and clips to small files that decode to the same pixels on every machine.

The default model is a learned transform codec: --quality sets the size of the file, and one model \
serves all of them. --bpp and --psnr search for the quality that gives a size or a fidelity. With \
--effort the encoder searches for levels that serve the picture better, through the decoder that will \
read them: files are smaller at the same PSNR and MS-SSIM, and decode as fast as any other. `bsq \
decode` needs the same model, down to the last bit; the file says which it was.

With a tokenizer (--model default-1, or one of your own) a photo becomes tokens, a prior says how \
likely each is after those before it, and an entropy coder writes them in few bits. --keep N then \
writes only the first N sub-tokens of every token (of 9 with the default prior), and the decoder \
makes up the others as the prior thinks most likely; --raw needs no prior and writes every bit as \
it is.

A photo is coded in strips of 512 rows, or tiles of 32x32 tokens, each with its own checksum: \
damage to one costs that one alone (`bsq decode --recover`).

A clip is a file that ffmpeg reads (.mp4, .mkv, .webm ...), .y4m, planes of I420 (.yuv) or a folder of \
pictures, one a frame. Each frame is coded as what its motion lacks, in groups of --group frames that \
are decoded one without the other. Sound is left out.")]
#[command(after_long_help = "\
Examples:
  bsq encode photo.jpg                        writes photo.bsq
  bsq encode photo.jpg -o small.bsq --quality 30
  bsq encode photo.jpg --bpp 0.2
  bsq encode photo.jpg --effort 5             smaller, and slower to encode
  bsq encode *.jpg -o folder
  bsq encode clip.mp4                         writes clip.bsq
  curl -s https://example.org/a.jpg | bsq encode - > a.bsq
  bsq encode frames --fps 30                  a folder of pictures as a clip
  bsq encode photo.jpg --model run            the codec of a training in the folder run
  bsq encode photo.jpg --model tokenizer.safetensors --prior prior.safetensors
  bsq encode photo.jpg --model default-1 --raw
  bsq inspect photo.bsq                       sizes, models, checksums
  bsq decode photo.bsq                        writes photo.bsq.png")]
pub struct Arguments {
    /// PNG, JPEG, WebP, TIFF, GIF or JPEG XL pictures; clips, and folders of frames; - is standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The file to write, a folder, or - for standard output [default: beside the picture, as .bsq]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    quality: QualityArguments,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    limits: LimitArgument,
    /// Write every bit of every token of a tokenizer, without a prior
    #[arg(long, conflicts_with_all = ["prior", "keep"])]
    raw: bool,
    /// Write only the first N sub-tokens of every token of a tokenizer
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    #[command(flatten)]
    clip: ClipArguments,
    #[command(flatten)]
    group: GroupArgument,
    #[command(flatten)]
    overlap: OverlapArgument,
    #[command(flatten)]
    predicted: PredictedArgument,
}

/// A codec, how it is to encode, and what it is called.
struct Encoder {
    codec: PhotoCodec,
    options: EncodeOptions,
    models: Value,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    ranks::together(Work::Files, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

fn run_rank(mut arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    let (files, given) = (&mut arguments.images, &mut arguments.output);
    let standard = standard::take(files, given, "standard output", ranks, output)?;
    standard::around(standard, output, |output| {
        run_files(arguments, ranks, output)
    })
}

fn run_files(
    mut arguments: Arguments,
    ranks: &Ranks,
    output: &Output,
) -> Result<Verdict, CliError> {
    paths::without_results(&mut arguments.images, output);
    let given = arguments.output.as_deref();
    let outputs = paths::outputs(&arguments.images, given, paths::Kind::Stream)?;
    let mut files = Files::new(ranks, output);
    let all = arguments.images.iter().zip(&outputs);
    let all = all.map(|(input, path)| (input.as_path(), path.as_path()));
    let (clips, images): (Vec<_>, Vec<_>) = all.partition(|(input, _)| is_clip(input));
    // Before a model is read.
    let pairs = readable(&mut files, &images, arguments.limits)?;
    let mut value = json!({});
    if !pairs.is_empty() {
        let mut encoder = arguments.encoder(output)?;
        // What is wrong with --keep is wrong for every picture.
        encoder.codec.check(&encoder.options)?;
        let pairs = pairs.into_iter().map(|pair| (pair.0, pair));
        let results = files.each(pairs, |pair, output| {
            one(&mut encoder, pair, arguments.limits, output)
        })?;
        value = encoder.models;
        value["images"] = values(results);
    }
    if !clips.is_empty() {
        let (mut model, name) = clip::model(&arguments, output)?;
        let clips = clips.into_iter().map(|pair| (pair.0, pair));
        let results = files.each(clips, |pair, output| {
            clip::encode(&mut model, pair, &arguments, output)
        })?;
        value["clip_model"] = name.into();
        value["clips"] = values(results);
    }
    files.finish(value, Verdict::Good)
}

impl Arguments {
    fn encoder(&self, output: &Output) -> Result<Encoder, CliError> {
        let options = self.run.options(output)?;
        let of_tokens = [
            ("--raw", self.raw),
            ("--keep", self.keep.is_some()),
            ("--prior", self.prior.is_given()),
        ];
        let of_tokens = of_tokens.iter().find(|(_, is_given)| *is_given);
        if let Some(file) = self.run.model.open_codec(output)? {
            if let Some((option, _)) = of_tokens {
                return Err(CliError::new(format_args!(
                    "{option} is for tokenizers, and {} is a transform codec: name a tokenizer with --model, such as default-1, or leave {option} out",
                    file.name
                )));
            }
            return Ok(Encoder {
                codec: LevelsCodec::new(&file, options)?.into(),
                options: EncodeOptions {
                    target: self.quality.given(),
                    effort: self.quality.effort(),
                    ..EncodeOptions::default()
                },
                models: json!({ "model": file.name }),
            });
        }
        let tokenizer = self.run.model.open(output)?;
        self.quality.refuse_for(&tokenizer.name)?;
        let prior = match self.raw {
            true => None,
            false => Some(self.prior.open_with(&tokenizer, &self.run.model, output)?),
        };
        let prior_name = prior.as_ref().map(|prior| &prior.name);
        Ok(Encoder {
            models: json!({ "model": tokenizer.name, "prior": prior_name }),
            codec: TokensCodec::new(&tokenizer, prior.as_ref(), options)?.into(),
            options: EncodeOptions {
                keep: self.keep,
                ..EncodeOptions::default()
            },
        })
    }
}

fn one(
    encoder: &mut Encoder,
    (input, path): (&Path, &Path),
    limits: LimitArgument,
    output: &Output,
) -> Result<Value, CliError> {
    let start = Instant::now();
    let mut picture = open(input, limits)?;
    let size = picture.size();
    let name = input.display().to_string();
    paths::make_folder(path)?;
    let create = || {
        let file = AtomicFile::create(path)?;
        let partial = partial(file.temporary());
        Ok::<_, std::io::Error>((file, partial))
    };
    let (file, _partial) = uninterrupted(create).in_(path.display())?;
    let Encoder { codec, options, .. } = encoder;
    let (unit, total) = codec.work(size, options);
    let progress = Progress::new(&name, unit, total);
    let mut done = |done| progress.set(done);
    let encoded = codec.encode_rows(&mut picture, file, options, &mut done);
    drop(progress);
    let (file, report) = encoded.map_err(|error| match error {
        // It is the stream that cannot be written: pictures have other errors.
        PhotoError::Codec(CodecError::Io(error)) => {
            CliError::new(format_args!("{}: {error}", path.display()))
        }
        error => error.into(),
    })?;
    uninterrupted(|| file.commit()).in_(path.display())?;
    note(&picture, input, output);
    let (bytes, rate) = (report.bytes(), report.bits_per_pixel());
    let said = Said::from(&report);
    let seconds = start.elapsed().as_secs_f64();
    output.say(format_args!(
        "{name} -> {}: {bytes} bytes, {rate:.4} bits per pixel ({})",
        path.display(),
        said.short
    ))?;
    for detail in &said.details {
        output.detail(detail);
    }
    output.detail(format_args!("{seconds:.2} s"));
    let mut value = json!({
        "input": name,
        "output": path.display().to_string(),
        "width": size.width,
        "height": size.height,
        "bytes": bytes,
        "bits_per_pixel": rate,
        "seconds": seconds,
    });
    if let (Some(all), Value::Object(more)) = (value.as_object_mut(), said.value) {
        all.extend(more);
    }
    Ok(value)
}
