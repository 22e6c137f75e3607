//! Decoding streams of clips.

use super::{Arguments, open};
use crate::command::clip::{FrameProgress, create_clip, open_codec, output_path, write};
use crate::command::error::{CliError, Context};
use crate::command::files::Files;
use crate::command::output::Output;
use bsq::clip_codec::{ClipCodec, ClipDecoder};
use bsq::image_io::ImageSize;
use bsq::photo::DecodeOptions;
use bsq::pipeline::CompileOptions;
use bsq::video_io::ClipFormat;
use serde_json::{Value, json};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// What streams of clips came to.
pub struct Outcome<'a> {
    pub model: String,
    pub is_damaged: bool,
    pub results: Vec<(&'a Path, Value)>,
}

/// Where the clips of streams go; none over an input.
pub fn outputs<'a>(
    arguments: &Arguments,
    inputs: &[&'a Path],
) -> Result<Vec<(&'a Path, PathBuf)>, CliError> {
    let given = arguments.output.as_deref();
    let all = arguments.files.len();
    if let Some(file) = given
        && all > 1
        && file.exists()
        && !file.is_dir()
    {
        return Err(CliError::new(format_args!(
            "{}: not a folder: with several files -o names a folder",
            file.display()
        )));
    }
    let output = |&input: &&'a Path| (input, output_path(input, given, all));
    let outputs: Vec<_> = inputs.iter().map(output).collect();
    match outputs.iter().find(|(input, path)| input == path) {
        None => Ok(outputs),
        Some((input, _)) => Err(CliError::new(format_args!(
            "{}: would overwrite an input: name another file with -o",
            input.display()
        ))),
    }
}

/// Decodes streams and writes their clips.
pub fn run<'a>(
    arguments: &Arguments,
    files: &[(&'a Path, PathBuf)],
    options: CompileOptions,
    under_way: &mut Files,
    output: &Output,
) -> Result<Outcome<'a>, CliError> {
    let codec = open_codec(
        (&arguments.run.model, &arguments.predicted),
        options,
        output,
    )?;
    let mut codec = codec.ok_or_else(|| {
        CliError::new(format_args!(
            "{}: a tokenizer, and these clips are a transform codec's: leave out --model, or name their codec",
            arguments.run.model.given().unwrap_or_default()
        ))
    })?;
    let mut outcome = Outcome {
        model: codec.name().to_string(),
        is_damaged: false,
        results: Vec::new(),
    };
    let files = files
        .iter()
        .map(|(input, path)| (*input, (*input, &**path)));
    let decoded = under_way.each(files, |pair, output| {
        decode(&mut codec, pair, arguments, output)
    })?;
    for (input, (value, is_damaged)) in decoded {
        outcome.is_damaged |= is_damaged;
        outcome.results.push((input, value));
    }
    Ok(outcome)
}

/// Decodes a stream, and writes its clip; whether any of it was damaged.
fn decode(
    codec: &mut ClipCodec,
    (input, path): (&Path, &Path),
    arguments: &Arguments,
    output: &Output,
) -> Result<(Value, bool), CliError> {
    let name = input.display().to_string();
    let options = DecodeOptions {
        recover: arguments.recover,
        max_pixels: arguments.limits.max_pixels(),
    };
    let decoder = ClipDecoder::new(codec, BufReader::new(open(input)?), options);
    let mut decoder = decoder.in_(&name)?;
    let format = ClipFormat {
        size: decoder.header().frame.size,
        rate: decoder.header().rate,
        frames: None,
    };
    let mut clip = create_clip(path, &format)?;
    let mut progress = FrameProgress::new(&name, None);
    let mut frames = 0;
    while let Some(frame) = decoder.next_frame().in_(&name)? {
        write(&mut *clip, &frame)?;
        progress.frame();
        frames += 1;
    }
    let seconds = progress.seconds();
    drop(progress);
    clip.finish()?;
    let ImageSize { height, width } = format.size;
    let rate = format.rate;
    output.say(format_args!(
        "{name} -> {}: {frames} frames of {width}x{height}, {rate} a second",
        path.display()
    ))?;
    for lost in decoder.damage() {
        output.note(format_args!(
            "{name}: group {} was damaged, and frames {} to {} are filled in",
            lost.group + 1,
            lost.frames.start + 1,
            lost.frames.end
        ));
    }
    let per_second = frames as f64 / seconds;
    output.detail(format_args!(
        "{seconds:.2} s, {per_second:.1} frames per second"
    ));
    let damaged: Vec<usize> = decoder.damage().iter().map(|lost| lost.group).collect();
    let is_damaged = !damaged.is_empty();
    let value = json!({
        "input": name,
        "output": path.display().to_string(),
        "width": width,
        "height": height,
        "frames": frames,
        "frame_rate": rate.to_string(),
        "damaged_groups": damaged,
        "seconds": seconds,
    });
    Ok((value, is_damaged))
}
