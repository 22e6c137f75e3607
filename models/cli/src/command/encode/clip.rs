//! Clips to streams.

use super::Arguments;
use crate::command::clip::{FrameProgress, note, open_codec, settings};
use crate::command::error::{CliError, Context};
use crate::command::interrupt::{partial, uninterrupted};
use crate::command::output::Output;
use crate::command::paths;
use bsq::clip_codec::{ClipCodec, ClipEncoder, TokenClipCodec, TokenClipEncoder};
use bsq::metrics::bits_per_pixel;
use bsq::photo::PhotoError;
use bsq::video_io::ClipFormat;
use bsq_runtime::atomic_file::AtomicFile;
use serde_json::{Value, json};
use std::path::Path;

/// What clips are coded by.
pub enum Model {
    Levels(Box<ClipCodec>),
    Tokens(Box<TokenClipCodec>),
}

/// A clip under way.
enum Encoder<'m> {
    Levels(Box<ClipEncoder<'m, AtomicFile>>),
    Tokens(Box<TokenClipEncoder<'m, AtomicFile>>),
}

/// What a clip came to.
struct Done {
    frames: usize,
    groups: usize,
    bytes: usize,
    /// Behind the rates, in parentheses.
    how: String,
    detail: String,
    value: Value,
}

/// The model, and its name.
pub fn model(arguments: &Arguments, output: &Output) -> Result<(Model, String), CliError> {
    let options = arguments.run.options(output)?;
    let model = &arguments.run.model;
    let of_levels = (model, &arguments.predicted);
    if let Some(codec) = open_codec(of_levels, options.clone(), output)? {
        arguments.overlap.refuse()?;
        let name = codec.name().to_string();
        return Ok((Model::Levels(Box::new(codec)), name));
    }
    let tokenizer = model.open(output)?;
    arguments.quality.refuse_for(&tokenizer.name)?;
    if arguments.keep.is_some() {
        return Err(CliError::new("--keep is for photos"));
    }
    let prior = match arguments.raw {
        true => None,
        false => Some(arguments.prior.open_for_clips(&tokenizer, model, output)?),
    };
    let codec = TokenClipCodec::new(&tokenizer, prior.as_ref(), options)?;
    Ok((Model::Tokens(Box::new(codec)), tokenizer.name))
}

/// Encodes a clip, frame by frame.
pub fn encode(
    model: &mut Model,
    (input, path): (&Path, &Path),
    arguments: &Arguments,
    output: &Output,
) -> Result<Value, CliError> {
    let name = input.display().to_string();
    let mut clip = arguments.clip.open(input, arguments.limits)?;
    let format = *clip.format();
    paths::make_folder(path)?;
    let create = || {
        let file = AtomicFile::create(path)?;
        let partial = partial(file.temporary());
        Ok::<_, std::io::Error>((file, partial))
    };
    let (file, _partial) = uninterrupted(create).in_(path.display())?;
    let mut encoder = Encoder::new(model, file, &format, arguments)?;
    let mut progress = FrameProgress::new(&name, format.frames);
    while let Some(frame) = clip.next_frame()? {
        match &mut encoder {
            Encoder::Levels(encoder) => encoder.write(&frame).map(|_| ())?,
            Encoder::Tokens(encoder) => encoder.write(frame)?,
        }
        progress.frame();
    }
    let (file, done) = encoder.finish()?;
    let seconds = progress.seconds();
    drop(progress);
    if done.frames == 0 {
        return Err(CliError::new(format_args!("{name}: no frames")));
    }
    uninterrupted(|| file.commit()).in_(path.display())?;
    note(&*clip, input, output);
    let bits = 8 * done.bytes as u64;
    let rate = bits_per_pixel(bits, format.size.width, format.size.height) / done.frames as f64;
    let duration = done.frames as f64 / format.rate.per_second();
    let kilobits = bits as f64 / duration / 1000.0;
    output.say(format_args!(
        "{name} -> {}: {} frames, {} bytes, {rate:.4} bits per pixel, {kilobits:.0} kbit/s ({})",
        path.display(),
        done.frames,
        done.bytes,
        done.how,
    ))?;
    output.detail(format_args!("{} groups; {}", done.groups, done.detail));
    let per_second = done.frames as f64 / seconds;
    output.detail(format_args!(
        "{seconds:.2} s, {per_second:.1} frames per second"
    ));
    let mut value = json!({
        "input": name,
        "output": path.display().to_string(),
        "width": format.size.width,
        "height": format.size.height,
        "frames": done.frames,
        "frame_rate": format.rate.to_string(),
        "groups": done.groups,
        "bytes": done.bytes,
        "bits_per_pixel": rate,
        "seconds": seconds,
    });
    if let (Some(all), Value::Object(more)) = (value.as_object_mut(), done.value) {
        all.extend(more);
    }
    Ok(value)
}

impl<'m> Encoder<'m> {
    fn new(
        model: &'m mut Model,
        file: AtomicFile,
        format: &ClipFormat,
        arguments: &Arguments,
    ) -> Result<Encoder<'m>, CliError> {
        Ok(match model {
            Model::Levels(codec) => {
                let settings = settings(&arguments.quality, arguments.group)?;
                Encoder::Levels(Box::new(ClipEncoder::new(codec, file, format, settings)?))
            }
            Model::Tokens(codec) => {
                let how = (arguments.overlap.overlap(), arguments.group.group());
                Encoder::Tokens(Box::new(TokenClipEncoder::new(codec, file, format, how)?))
            }
        })
    }

    fn finish(self) -> Result<(AtomicFile, Done), PhotoError> {
        match self {
            Encoder::Levels(encoder) => {
                let (file, report) = encoder.finish()?;
                let (motion, levels) = (report.motion_bits / 8.0, report.level_bits / 8.0);
                let done = Done {
                    frames: report.frames,
                    groups: report.groups,
                    bytes: report.bytes,
                    how: format!("step {:.1}", report.step),
                    detail: format!("motion {motion:.0} bytes, levels {levels:.0}"),
                    value: json!({
                        "step": report.step,
                        "motion_bytes": motion,
                        "level_bytes": levels,
                    }),
                };
                Ok((file, done))
            }
            Encoder::Tokens(encoder) => {
                let (file, report) = encoder.finish()?;
                let share = 8.0 * report.bytes as f64 / report.raw_bits.max(1) as f64;
                let asked = report.cross_entropy_bits;
                let done = Done {
                    frames: report.frames,
                    groups: report.groups,
                    bytes: report.bytes,
                    how: format!("{:.0}% of its tokens' bits", 100.0 * share),
                    detail: format!(
                        "tokens' own bits {}, {asked:.0} by the prior",
                        report.raw_bits
                    ),
                    value: json!({
                        "raw_bits": report.raw_bits,
                        "cross_entropy_bits": asked,
                    }),
                };
                Ok((file, done))
            }
        }
    }
}
