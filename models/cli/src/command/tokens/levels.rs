//! Photos to a file of levels, by a transform codec.

use super::{Arguments, image_size, name_of};
use crate::command::Verdict;
use crate::command::error::CliError;
use crate::command::files::Files;
use crate::command::interrupt::uninterrupted;
use crate::command::output::Output;
use crate::command::picture::{note, open};
use crate::command::progress::Progress;
use bsq::image_io::{ImageSize, PixelRows};
use bsq::pipeline::CompileOptions;
use bsq::transform_codec::stream::{LevelsCodec, LevelsHeader, Target};
use bsq::transform_codec::{LevelsFile, NamedLevels, PartLevels, TransformCodecFile};
use serde_json::{Value, json};
use std::path::Path;

/// Height and width, the step, and the levels of each part: what goes from rank to rank.
type Levels = ([usize; 2], f32, Vec<Vec<i16>>);

pub fn run(
    file: &TransformCodecFile,
    options: CompileOptions,
    (arguments, images): (&Arguments, Vec<(&Path, &Path)>),
    (mut files, is_first): (Files, bool),
    output: &Output,
) -> Result<Verdict, CliError> {
    let mut codec = LevelsCodec::new(file, options)?;
    codec.set_effort(arguments.quality.effort());
    let made = files.each(images, |input, output| {
        one(&mut codec, input, arguments, output)
    })?;
    if made.is_empty() {
        return files.finish(json!({}), Verdict::Good);
    }
    let quality = match arguments.quality.target() {
        Target::Quality(quality) => Some(quality),
        Target::Step(_) | Target::BitsPerPixel(_) | Target::Psnr(_) => None,
    };
    let (mut pictures, mut results) = (Vec::new(), Vec::new());
    for (input, ((size, step, levels), result)) in made {
        let size = image_size(size);
        let padded = codec.strips(size).padded;
        let parts = file.codec.parts().into_iter().zip(levels);
        let levels = parts.map(|(part, levels)| {
            let [rows, columns, coordinates] = part.grid(padded);
            PartLevels {
                rows,
                columns,
                coordinates,
                levels,
            }
        });
        pictures.push(NamedLevels {
            name: name_of(input),
            header: LevelsHeader::new(size, step, file.fingerprint())?,
            quality,
            levels: levels.collect(),
        });
        results.push(result);
    }
    let levels = LevelsFile::new(file, pictures);
    if is_first {
        uninterrupted(|| levels.save(file, &arguments.output))?;
    }
    output.say(format_args!("wrote {}", arguments.output.display()))?;
    let value = json!({
        "output": arguments.output.display().to_string(),
        "model": file.name,
        "model_fingerprint": format!("{:016x}", levels.codec),
        "images": results,
        "clips": [],
    });
    files.finish(value, Verdict::Good)
}

fn one(
    codec: &mut LevelsCodec,
    input: &Path,
    arguments: &Arguments,
    output: &Output,
) -> Result<(Levels, Value), CliError> {
    let mut picture = open(input, arguments.limits)?;
    let size = picture.size();
    let work = codec.work(size, arguments.quality.effort());
    let progress = Progress::new(&input.display().to_string(), "rounds", work);
    let target = arguments.quality.target();
    let step = match target {
        Target::Step(step) => step,
        Target::Quality(quality) => codec.step_of_quality(quality),
        // That of the stream which is searched; the picture is read once more.
        Target::BitsPerPixel(_) | Target::Psnr(_) => {
            let mut once = open(input, arguments.limits)?;
            let (_, report) = codec.encode_to(&mut once, Vec::new(), target, &mut |_| {})?;
            report.step
        }
    };
    let mut done = |done| progress.set(done);
    let (header, levels) = codec.levels_of(&mut picture, step, &mut done)?;
    drop(progress);
    note(&picture, input, output);
    let step = header.step();
    let count: usize = levels.iter().map(|part| part.levels.len()).sum();
    let nonzero = levels.iter().flat_map(|part| &part.levels);
    let nonzero = nonzero.filter(|&&level| level != 0).count();
    output.say(format_args!(
        "{}: {count} levels of step {step:.2}, {nonzero} of them not zero",
        input.display()
    ))?;
    let ImageSize { height, width } = size;
    let result = json!({
        "input": input.display().to_string(),
        "width": width,
        "height": height,
        "step": step,
        "levels": count,
        "nonzero": nonzero,
    });
    let levels = levels.into_iter().map(|part| part.levels).collect();
    Ok((([height, width], step, levels), result))
}
