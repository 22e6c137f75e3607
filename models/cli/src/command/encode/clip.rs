//! Clips to streams.

use super::Arguments;
use crate::command::clip::{FrameProgress, note, open_codec, settings};
use crate::command::error::{CliError, Context};
use crate::command::interrupt::{partial, uninterrupted};
use crate::command::output::Output;
use crate::command::paths;
use bsq::clip_codec::{ClipCodec, ClipEncoder};
use bsq::metrics::bits_per_pixel;
use bsq_runtime::atomic_file::AtomicFile;
use serde_json::{Value, json};
use std::path::Path;

/// The codec for clips.
pub fn codec(arguments: &Arguments, output: &Output) -> Result<ClipCodec, CliError> {
    let options = arguments.run.options(output)?;
    let codec = open_codec(
        (&arguments.run.model, &arguments.predicted),
        options,
        output,
    )?;
    codec.ok_or_else(|| {
        CliError::new(format_args!(
            "{}: a tokenizer, and clips, which folders are too, are coded by transform codecs, such as default; \
             the photos of a folder are named one by one (FOLDER/*)",
            arguments.run.model.given().unwrap_or_default()
        ))
    })
}

/// Encodes a clip, frame by frame.
pub fn encode(
    codec: &mut ClipCodec,
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
    let settings = settings(&arguments.quality, arguments.group)?;
    let mut encoder = ClipEncoder::new(codec, file, &format, settings)?;
    let mut progress = FrameProgress::new(&name, format.frames);
    while let Some(frame) = clip.next_frame()? {
        encoder.write(&frame)?;
        progress.frame();
    }
    let seconds = progress.seconds();
    drop(progress);
    let (file, report) = encoder.finish()?;
    if report.frames == 0 {
        return Err(CliError::new(format_args!("{name}: no frames")));
    }
    uninterrupted(|| file.commit()).in_(path.display())?;
    note(&*clip, input, output);
    let bits = 8 * report.bytes as u64;
    let rate = bits_per_pixel(bits, format.size.width, format.size.height) / report.frames as f64;
    let duration = report.frames as f64 / format.rate.per_second();
    let kilobits = bits as f64 / duration / 1000.0;
    output.say(format_args!(
        "{name} -> {}: {} frames, {} bytes, {rate:.4} bits per pixel, {kilobits:.0} kbit/s (step {:.1})",
        path.display(),
        report.frames,
        report.bytes,
        report.step,
    ))?;
    let (motion, levels) = (report.motion_bits / 8.0, report.level_bits / 8.0);
    output.detail(format_args!(
        "{} groups; motion {motion:.0} bytes, levels {levels:.0}",
        report.groups
    ));
    let per_second = report.frames as f64 / seconds;
    output.detail(format_args!(
        "{seconds:.2} s, {per_second:.1} frames per second"
    ));
    Ok(json!({
        "input": name,
        "output": path.display().to_string(),
        "width": format.size.width,
        "height": format.size.height,
        "frames": report.frames,
        "frame_rate": format.rate.to_string(),
        "groups": report.groups,
        "step": report.step,
        "bytes": report.bytes,
        "bits_per_pixel": rate,
        "motion_bytes": motion,
        "level_bytes": levels,
        "seconds": seconds,
    }))
}
