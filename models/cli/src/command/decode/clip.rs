//! Decoding streams of clips.

use super::{Arguments, begins_as, open};
use crate::command::clip::{FrameProgress, create_clip, open_codec, output_path, write};
use crate::command::error::{CliError, Context};
use crate::command::files::Files;
use crate::command::output::Output;
use bsq::clip_codec::{ClipCodec, ClipDecoder, TokenClipCodec, TokenClipDecoder};
use bsq::codec::{ClipTokensHeader, DamagedGroup, Header, is_token_clip};
use bsq::image_io::{ImageSize, Picture};
use bsq::photo::tokens::prior_of;
use bsq::photo::{DecodeOptions, PhotoError};
use bsq::pipeline::CompileOptions;
use bsq::video_io::ClipFormat;
use serde_json::{Value, json};
use std::fs::File;
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
    options: &CompileOptions,
    under_way: &mut Files,
) -> Result<Outcome<'a>, CliError> {
    let mut models = Models {
        options,
        levels: None,
        tokens: None,
        name: String::new(),
    };
    let mut outcome = Outcome {
        model: String::new(),
        is_damaged: false,
        results: Vec::new(),
    };
    let files = files
        .iter()
        .map(|(input, path)| (*input, (*input, &**path)));
    let decoded = under_way.each(files, |pair, output| {
        decode(&mut models, pair, arguments, output)
    })?;
    for (input, (value, is_damaged)) in decoded {
        outcome.is_damaged |= is_damaged;
        outcome.results.push((input, value));
    }
    outcome.model = models.name;
    Ok(outcome)
}

/// What streams are decoded with, opened when the first of a kind comes.
struct Models<'o> {
    options: &'o CompileOptions,
    levels: Option<ClipCodec>,
    /// With what it is for: tokenizer and prior.
    tokens: Option<((u64, Option<u64>), TokenClipCodec)>,
    /// Of the last one that was opened.
    name: String,
}

impl Models<'_> {
    fn levels(
        &mut self,
        arguments: &Arguments,
        output: &Output,
    ) -> Result<&mut ClipCodec, CliError> {
        let codec = match self.levels.take() {
            Some(codec) => codec,
            None => {
                let model = (&arguments.run.model, &arguments.predicted);
                let codec = open_codec(model, self.options.clone(), output)?;
                codec.ok_or_else(|| {
                    CliError::new(format_args!(
                        "{}: a tokenizer, and these clips are a transform codec's: leave out --model, or name their codec",
                        arguments.run.model.given().unwrap_or_default()
                    ))
                })?
            }
        };
        self.name = codec.name().to_string();
        Ok(self.levels.insert(codec))
    }

    fn tokens(
        &mut self,
        header: &Header,
        arguments: &Arguments,
        output: &Output,
    ) -> Result<&mut TokenClipCodec, CliError> {
        let its = (header.tokenizer, prior_of(header));
        let open = match self.tokens.take() {
            Some(open) if open.0 == its => open,
            _ => {
                let model = &arguments.run.model;
                let tokenizer = model.open_for(header.tokenizer, output)?;
                let prior = its
                    .1
                    .map(|prior| arguments.prior.open_for(prior, model, output));
                let options = self.options.clone();
                self.name.clone_from(&tokenizer.name);
                let codec = TokenClipCodec::new(&tokenizer, prior.transpose()?.as_ref(), options)?;
                (its, codec)
            }
        };
        Ok(&mut self.tokens.insert(open).1)
    }
}

/// A stream under way.
enum Decoder<'m> {
    Levels(Box<ClipDecoder<'m, BufReader<File>>>),
    Tokens(Box<TokenClipDecoder<'m, BufReader<File>>>),
}

impl Decoder<'_> {
    fn format(&self) -> ClipFormat {
        let (size, rate) = match self {
            Decoder::Levels(decoder) => (decoder.header().frame.size, decoder.header().rate),
            Decoder::Tokens(decoder) => (decoder.header().frame.size(), decoder.header().rate),
        };
        let frames = None;
        ClipFormat { size, rate, frames }
    }

    fn next_frame(&mut self) -> Result<Option<Picture>, PhotoError> {
        match self {
            Decoder::Levels(decoder) => decoder.next_frame(),
            Decoder::Tokens(decoder) => decoder.next_frame(),
        }
    }

    fn damage(&self) -> &[DamagedGroup] {
        match self {
            Decoder::Levels(decoder) => decoder.damage(),
            Decoder::Tokens(decoder) => decoder.damage(),
        }
    }
}

/// Decodes a stream, and writes its clip; whether any of it was damaged.
fn decode(
    models: &mut Models,
    (input, path): (&Path, &Path),
    arguments: &Arguments,
    output: &Output,
) -> Result<(Value, bool), CliError> {
    let name = input.display().to_string();
    let options = DecodeOptions {
        recover: arguments.recover,
        max_pixels: arguments.limits.max_pixels(),
    };
    let file = || Ok::<_, CliError>(BufReader::new(open(input)?));
    let mut decoder = match begins_as(input, is_token_clip) {
        true => {
            let header = ClipTokensHeader::read(&mut file()?).in_(&name)?;
            let codec = models.tokens(&header.frame, arguments, output)?;
            let decoder = TokenClipDecoder::new(codec, file()?, options);
            Decoder::Tokens(Box::new(decoder.in_(&name)?))
        }
        false => {
            let codec = models.levels(arguments, output)?;
            let decoder = ClipDecoder::new(codec, file()?, options);
            Decoder::Levels(Box::new(decoder.in_(&name)?))
        }
    };
    let format = decoder.format();
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
