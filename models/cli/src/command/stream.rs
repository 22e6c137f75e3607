//! What `bsq inspect` says of a stream.

mod bits;

use super::error::{CliError, Context};
use super::output::Output;
use bsq::clip_codec::{ClipHeader, Sections, is_clip_stream};
use bsq::codec::{
    ClipTokensHeader, Coding, FRAME_BYTES, Frame, FrameReader, Header, MAGIC, is_token_clip,
};
use bsq::image_io::ImageSize;
use bsq::metrics::bits_per_pixel;
use bsq::token_grid::GridShape;
use bsq::transform_codec::stream::{LEVELS_HEADER_BYTES, LevelsHeader, is_levels, strip_frames};
use bsq::video_io::FrameRate;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Whether a file begins as a stream does.
pub fn is_stream(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == MAGIC
}

/// Header and tiles or strips as text and as a value; whether all of it is good. Of levels also what their bits go to, if
/// their codec is named.
pub fn inspect(
    path: &Path,
    codec: Option<&str>,
    output: &Output,
) -> Result<(Value, bool), CliError> {
    let mut start = [0; LEVELS_HEADER_BYTES];
    let mut file = File::open(path).in_(path.display())?;
    let is_long = file.read_exact(&mut start).is_ok();
    if codec.is_some() && !(is_long && is_levels(&start)) {
        return Err(CliError::new(format_args!(
            "{}: --bits is for pictures of a transform codec",
            path.display()
        )));
    }
    match is_long {
        true if is_clip_stream(&start) => inspect_clip(path, output),
        true if is_token_clip(&start) => inspect_token_clip(path, output),
        true if is_levels(&start) => inspect_levels(path, codec, output),
        _ => inspect_tokens(path, output),
    }
}

fn inspect_clip(path: &Path, output: &Output) -> Result<(Value, bool), CliError> {
    let mut file = BufReader::new(File::open(path).in_(path.display())?);
    let header = ClipHeader::read(&mut file).in_(path.display())?;
    let ImageSize { height, width } = header.frame.size;
    let (step, codec, frame_rate) = (header.frame.step(), header.frame.codec, header.rate);
    output.say(format_args!(
        "stream of a clip of {width}x{height} pixels, {frame_rate} frames a second: levels of step {step:.2}"
    ))?;
    output.say(format_args!("codec {codec:016x}"))?;
    let about = json!({ "step": step, "codec": format!("{codec:016x}") });
    inspect_groups(path, file, (header.frame.size, frame_rate), about, output)
}

fn inspect_token_clip(path: &Path, output: &Output) -> Result<(Value, bool), CliError> {
    let mut file = BufReader::new(File::open(path).in_(path.display())?);
    let header = ClipTokensHeader::read(&mut file).in_(path.display())?;
    let frame = &header.frame;
    let (ImageSize { height, width }, frame_rate) = (frame.size(), header.rate);
    let GridShape { rows, columns, .. } = frame.grid();
    let (bits, together) = (frame.bits, header.chunks.frames());
    let overlap = header.chunks.overlap();
    let again = match overlap {
        0 => String::new(),
        _ => format!(", {overlap} of them again"),
    };
    let (coding, prior, _) = coding(frame);
    output.say(format_args!(
        "stream of a clip of {width}x{height} pixels, {frame_rate} frames a second: {columns}x{rows} tokens of {bits} bits a frame, {together} frames seen together{again}"
    ))?;
    output.say(format_args!("tokenizer {:016x}, {coding}", frame.tokenizer))?;
    let about = json!({
        "tokens": [columns, rows],
        "bits_per_token": bits,
        "frames_together": together,
        "overlap": overlap,
        "tokenizer": format!("{:016x}", frame.tokenizer),
        "prior": prior,
    });
    inspect_groups(path, file, (frame.size(), frame_rate), about, output)
}

/// The groups of a clip behind its header, and the whole value.
fn inspect_groups(
    path: &Path,
    file: BufReader<File>,
    (ImageSize { height, width }, frame_rate): (ImageSize, FrameRate),
    about: Value,
    output: &Output,
) -> Result<(Value, bool), CliError> {
    let mut sections = Sections::new(file, true);
    let (mut groups, mut frames, mut is_good) = (Vec::new(), 0, true);
    while let Some(section) = sections.next_group().in_(path.display())? {
        let size = section.payload.as_ref().map(Vec::len);
        // What is passed over is missing.
        is_good &= size.is_some() && section.number as usize == groups.len();
        let state = match size {
            Some(size) => format!("{size} bytes"),
            None => "DAMAGED".to_string(),
        };
        let (first, count) = (frames + 1, usize::from(section.frames));
        frames += count;
        output.say(format_args!(
            "  group {}, frames {first} to {frames}: {state}",
            section.number + 1
        ))?;
        groups.push(json!({ "number": section.number, "frames": count, "bytes": size, "good": size.is_some() }));
    }
    is_good &= sections.has_index();
    if !sections.has_index() {
        output.say("  the index is missing: the clip is cut off")?;
    }
    let bytes = std::fs::metadata(path).in_(path.display())?.len();
    let rate = bits_per_pixel(8 * bytes, width, height) / frames.max(1) as f64;
    let kilobits = 8.0 * bytes as f64 / (frames.max(1) as f64 / frame_rate.per_second()) / 1000.0;
    output.say(format_args!(
        "{frames} frames, {bytes} bytes, {rate:.4} bits per pixel, {kilobits:.0} kbit/s"
    ))?;
    let mut value = json!({
        "file": path.display().to_string(),
        "kind": "stream of a clip",
        "width": width,
        "height": height,
        "frame_rate": frame_rate.to_string(),
        "frames": frames,
        "bytes": bytes,
        "bits_per_pixel": rate,
        "groups": groups,
    });
    if let (Some(all), Value::Object(more)) = (value.as_object_mut(), about) {
        all.extend(more);
    }
    Ok((value, is_good))
}

fn inspect_levels(
    path: &Path,
    codec_name: Option<&str>,
    output: &Output,
) -> Result<(Value, bool), CliError> {
    let mut file = BufReader::new(File::open(path).in_(path.display())?);
    let header = LevelsHeader::read(&mut file).in_(path.display())?;
    let ImageSize { height, width } = header.size;
    let (step, codec) = (header.step(), header.codec);
    output.say(format_args!(
        "stream of a picture of {width}x{height} pixels: levels of step {step:.2}"
    ))?;
    output.say(format_args!("codec {codec:016x}"))?;
    let (mut strips, mut good) = (Vec::new(), 0);
    for (number, strip) in strip_frames(file, &header).enumerate() {
        let size = strip.in_(path.display())?;
        let state = match size {
            Some(size) => format!("{size} bytes"),
            None => "DAMAGED".to_string(),
        };
        output.say(format_args!("  strip {}: {state}", number + 1))?;
        strips.push(json!({ "bytes": size, "good": size.is_some() }));
        good += usize::from(size.is_some());
    }
    let bytes = std::fs::metadata(path).in_(path.display())?.len();
    let rate = bits_per_pixel(8 * bytes, width, height);
    output.say(format_args!(
        "{bytes} bytes, {rate:.4} bits per pixel; checksums of {good} of {} strips are right",
        strips.len()
    ))?;
    let is_good = good == strips.len();
    let mut value = json!({
        "file": path.display().to_string(),
        "kind": "stream of levels",
        "width": width,
        "height": height,
        "step": step,
        "codec": format!("{codec:016x}"),
        "bytes": bytes,
        "bits_per_pixel": rate,
        "strips": strips,
    });
    if let (Some(name), true) = (codec_name, is_good) {
        value["bits"] = bits::inspect(path, name, output)?;
    }
    Ok((value, is_good))
}

fn inspect_tokens(path: &Path, output: &Output) -> Result<(Value, bool), CliError> {
    let file = BufReader::new(File::open(path).in_(path.display())?);
    let mut frames = FrameReader::within(file, true, u64::MAX).in_(path.display())?;
    let header = frames.header().clone();
    let Header { width, height, .. } = header;
    let GridShape { rows, columns, .. } = header.grid();
    let (coding, prior, coded_sub_tokens) = coding(&header);
    output.say(format_args!(
        "stream of a picture of {width}x{height} pixels: {columns}x{rows} tokens of {} bits",
        header.bits
    ))?;
    output.say(format_args!(
        "tokenizer {:016x}, {coding}",
        header.tokenizer
    ))?;
    // What the file takes, damaged tiles and all.
    let bytes = std::fs::metadata(path).in_(path.display())?.len();
    let (mut tiles, mut number, mut damaged) = (Vec::new(), 0, 0);
    while let Some(frame) = frames.next_frame().in_(path.display())? {
        let area = header.area(number);
        let where_ = frames.damage(number);
        // A tile's own pixels: those of the picture, without the padding.
        let pixels = |start: usize, count: usize, end: u32| {
            let patch = usize::from(header.patch);
            ((start + count) * patch)
                .min(end as usize)
                .saturating_sub(start * patch)
        };
        let own = (
            pixels(area.left, area.columns, width),
            pixels(area.top, area.rows, height),
        );
        let (good, size, plain) = match &frame {
            Some(Frame { plain, payload }) => (true, FRAME_BYTES + payload.len(), *plain),
            None => (false, 0, false),
        };
        let rate = match own {
            (0, _) | (_, 0) => 0.0,
            (width, height) => bits_per_pixel(8 * size as u64, width, height),
        };
        let state = match (good, plain) {
            (false, _) => "DAMAGED".to_string(),
            (true, true) => format!("{size} bytes, {rate:.4} bits per pixel, bits as they are"),
            (true, false) => format!("{size} bytes, {rate:.4} bits per pixel"),
        };
        output.say(format_args!("  {where_}: {state}"))?;
        tiles.push(json!({
            "columns": [area.left, area.left + area.columns],
            "rows": [area.top, area.top + area.rows],
            "bytes": size,
            "bits_per_pixel": rate,
            "plain": plain,
            "good": good,
        }));
        damaged += usize::from(!good);
        number += 1;
    }
    let rate = bits_per_pixel(8 * bytes, width as usize, height as usize);
    output.say(format_args!(
        "{bytes} bytes, {rate:.4} bits per pixel; checksums of {} of {number} tiles are right",
        number - damaged
    ))?;
    let value = json!({
        "file": path.display().to_string(),
        "kind": "stream",
        "width": width,
        "height": height,
        "tokens": [columns, rows],
        "bits_per_token": header.bits,
        "tokenizer": format!("{:016x}", header.tokenizer),
        "prior": prior,
        "kept_sub_tokens": coded_sub_tokens,
        "bytes": bytes,
        "bits_per_pixel": rate,
        "tiles": tiles,
    });
    Ok((value, damaged == 0))
}

/// How tokens are coded, in words; the prior, and the sub-tokens that are coded.
fn coding(header: &Header) -> (String, Option<String>, u16) {
    match header.coding {
        Coding::Raw => ("raw".to_string(), None, 1),
        Coding::Prior {
            fingerprint,
            sub_token_bits,
            coded_sub_tokens,
        } => {
            let all = header.bits / u16::from(sub_token_bits);
            let text = format!("prior {fingerprint:016x}, {coded_sub_tokens} of {all} sub-tokens");
            (text, Some(format!("{fingerprint:016x}")), coded_sub_tokens)
        }
    }
}
