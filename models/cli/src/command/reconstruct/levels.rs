//! Reconstruction by a transform codec.

use super::figures::{Figures, PictureMetrics};
use super::{Arguments, append_side_by_side};
use crate::command::Verdict;
use crate::command::error::CliError;
use crate::command::files::{Files, values};
use crate::command::output::Output;
use crate::command::picture::{PictureFile, note, open};
use crate::command::progress::Progress;
use bsq::image_io::{ImageSize, PixelRows, to_eight_bits};
use bsq::pipeline::RunTimes;
use bsq::transform_codec::PartKind;
use bsq::transform_codec::stream::{LevelsCodec, LevelsHeader};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

pub fn run(
    mut codec: LevelsCodec,
    pairs: &[(&Path, &Path)],
    mut files: Files,
    arguments: &Arguments,
    output: &Output,
) -> Result<Verdict, CliError> {
    let pairs = pairs.iter().map(|pair| (pair.0, *pair));
    let results = files.each(pairs, |pair, output| {
        one(&mut codec, pair, arguments, output)
    })?;
    let seconds = codec.compile_time().as_secs_f64();
    output.detail(format_args!("compiled in {seconds:.2} s"));
    let value = json!({
        "model": codec.name(),
        "compile_seconds": seconds,
        "images": values(results),
    });
    files.finish(value, Verdict::Good)
}

/// The stream is in memory; the picture is read once to be encoded and once to be compared.
fn one(
    codec: &mut LevelsCodec,
    (input, path): (&Path, &Path),
    arguments: &Arguments,
    output: &Output,
) -> Result<Value, CliError> {
    let (limits, side_by_side) = (arguments.limits, arguments.side_by_side);
    let mut picture = open(input, limits)?;
    let size = picture.size();
    let (work, strips) = (
        codec.work(size, arguments.quality.effort()),
        codec.strips(size).count(),
    );
    let progress = Progress::new(&input.display().to_string(), "rounds", work + strips);
    let start = Instant::now();
    let target = arguments.quality.target();
    let mut done = |done| progress.set(done);
    let (stream, report) = codec.encode_to(&mut picture, Vec::new(), target, &mut done)?;
    let encoding = start.elapsed();

    let mut original = open(input, limits)?;
    let written = ImageSize {
        width: if side_by_side { 3 } else { 1 } * size.width,
        ..size
    };
    let mut file = PictureFile::create(path, written)?;
    let (mut metrics, mut three) = (
        PictureMetrics::new(size, PartKind::Base.patch()),
        Vec::new(),
    );
    let mut samples = vec![0; 3 * size.width];
    let mut write = |row: &[u8]| {
        original.read_row(&mut samples)?;
        let original: Vec<u8> = samples
            .iter()
            .map(|&sample| to_eight_bits(sample))
            .collect();
        metrics.push(&original, row);
        if !side_by_side {
            return file.write_row(row);
        }
        three.clear();
        append_side_by_side(&original, row, &mut three);
        file.write_row(&three)
    };
    let start = Instant::now();
    let mut reader = &stream[..];
    let header = LevelsHeader::read(&mut reader)?;
    let mut done = |done| progress.set(work + done);
    codec.decode_rows(&header, reader, false, &mut write, &mut done)?;
    let times = RunTimes {
        encoding,
        decoding: start.elapsed(),
    };
    drop(progress);
    file.finish()?;
    note(&picture, input, output);
    let figures = Figures::new(size, &metrics, 8 * stream.len() as u64);
    output.say(format_args!(
        "{} -> {}: {figures}, step {:.1}, {:.2} s",
        input.display(),
        path.display(),
        report.step,
        (times.encoding + times.decoding).as_secs_f64()
    ))?;
    output.detail(figures.borders());
    let mut value = figures.to_json((input, path), times);
    value["step"] = report.step.into();
    Ok(value)
}
