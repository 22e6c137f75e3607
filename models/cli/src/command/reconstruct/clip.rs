//! Clips through a model and back.

use super::Arguments;
use crate::command::Verdict;
use crate::command::clip::{FrameProgress, create_clip, note, output_path, write};
use crate::command::error::CliError;
use crate::command::files::{Files, values};
use crate::command::output::Output;
use bsq::clip_codec::{ClipCodec, ClipEncoder, ClipSettings};
use bsq::image_io::{ImageSize, Picture};
use bsq::metrics::{ClipMetrics, bits_per_pixel};
use bsq::pipeline::{ChunkDecoder, ChunkEncoder, TokenizerSession};
use bsq::video_io::ClipFormat;
use serde_json::{Value, json};
use std::io::{Sink, sink};
use std::path::Path;

/// What clips go through.
pub enum Model {
    Codec(Box<ClipCodec>, ClipSettings),
    /// As many frames together as it has; with the bits of a token.
    Tokenizer(Box<TokenizerSession>, usize),
}

pub fn run(
    mut model: Model,
    inputs: &[&Path],
    arguments: &Arguments,
    mut files: Files,
) -> Result<Verdict, CliError> {
    let clips = inputs.iter().map(|&input| (input, input));
    let results = files.each(clips, |input, output| {
        let path = output_path(input, arguments.output.as_deref(), inputs.len());
        one(&mut model, (input, &path), arguments, output)
    })?;
    files.finish(json!({ "clips": values(results) }), Verdict::Good)
}

/// A clip on its way through a model.
enum Running<'m> {
    Codec(Box<ClipEncoder<'m, Sink>>),
    Tokenizer {
        session: &'m mut TokenizerSession,
        encoder: ChunkEncoder,
        decoder: ChunkDecoder,
        bits_per_token: usize,
        bits: u64,
    },
}

impl Running<'_> {
    /// Frames that go through together.
    fn together(&self) -> usize {
        match self {
            Running::Codec(_) => 1,
            Running::Tokenizer { encoder, .. } => encoder.wanted(),
        }
    }

    fn frames(&mut self, frames: &[Picture]) -> Result<Vec<Picture>, CliError> {
        match self {
            Running::Codec(encoder) => {
                let frame = |frame: &Picture| {
                    encoder.write(frame)?;
                    let found = encoder.reconstruction();
                    Ok(found.expect("of the frame just written").clone())
                };
                frames.iter().map(frame).collect()
            }
            Running::Tokenizer {
                session,
                encoder,
                decoder,
                bits_per_token,
                bits,
            } => {
                let tokens = encoder.encode(session, frames.to_vec())?;
                *bits += (tokens.grid.shape.tokens() * *bits_per_token) as u64;
                Ok(decoder.decode(session, tokens)?)
            }
        }
    }

    fn bits(self) -> Result<u64, CliError> {
        match self {
            Running::Codec(encoder) => Ok(8 * encoder.finish()?.1.bytes as u64),
            Running::Tokenizer { bits, .. } => Ok(bits),
        }
    }
}

fn one(
    model: &mut Model,
    (input, path): (&Path, &Path),
    arguments: &Arguments,
    output: &Output,
) -> Result<Value, CliError> {
    let name = input.display().to_string();
    let mut clip = arguments.clip.open(input, arguments.limits)?;
    let format = ClipFormat {
        frames: None,
        ..*clip.format()
    };
    let mut running = match model {
        Model::Codec(codec, settings) => Running::Codec(Box::new(ClipEncoder::new(
            codec,
            sink(),
            &format,
            *settings,
        )?)),
        Model::Tokenizer(session, bits_per_token) => {
            let chunks = session.chunks(arguments.overlap.overlap())?;
            Running::Tokenizer {
                session,
                encoder: ChunkEncoder::new(chunks),
                decoder: ChunkDecoder::new(chunks),
                bits_per_token: *bits_per_token,
                bits: 0,
            }
        }
    };
    let mut writer = create_clip(path, &format)?;
    let mut metrics = ClipMetrics::new(format.size);
    let mut progress = FrameProgress::new(&name, clip.format().frames);
    let mut frames = Vec::new();
    loop {
        let next = clip.next_frame()?;
        let is_last = next.is_none();
        frames.extend(next);
        if frames.len() < running.together() && !is_last {
            continue;
        }
        if !frames.is_empty() {
            for (frame, found) in frames.iter().zip(running.frames(&frames)?) {
                metrics.push(frame, &found);
                write(&mut *writer, &found)?;
                progress.frame();
            }
            frames.clear();
        }
        if is_last {
            break;
        }
    }
    let seconds = progress.seconds();
    drop(progress);
    if metrics.frames() == 0 {
        return Err(CliError::new(format_args!("{name}: no frames")));
    }
    writer.finish()?;
    note(&*clip, input, output);
    let (bits, frames) = (running.bits()?, metrics.frames());
    let ImageSize { height, width } = format.size;
    let rate = bits_per_pixel(bits, width, height) / frames as f64;
    let (psnr, ssim, flicker) = (metrics.psnr(), metrics.ssim(), metrics.flicker());
    output.say(format_args!(
        "{name} -> {}: {frames} frames, PSNR {psnr:.2} dB, SSIM {ssim:.4}, flicker {flicker:.2}, {rate:.4} bits per pixel, {:.1} frames per second",
        path.display(),
        frames as f64 / seconds
    ))?;
    Ok(json!({
        "input": name,
        "output": path.display().to_string(),
        "width": width,
        "height": height,
        "frames": frames,
        "frame_rate": format.rate.to_string(),
        "psnr": psnr,
        "ssim": ssim,
        "flicker": flicker,
        "bits": bits,
        "bits_per_pixel": rate,
        "seconds": seconds,
    }))
}
