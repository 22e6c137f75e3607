//! A file of levels to photos.

use super::{Arguments, plain_name, written};
use crate::command::error::CliError;
use crate::command::failures::Failures;
use crate::command::output::Output;
use crate::command::picture::PictureFile;
use crate::command::progress::Progress;
use crate::command::{Verdict, paths};
use bsq::transform_codec::stream::LevelsCodec;
use bsq::transform_codec::{LevelsFile, NamedLevels};
use bsq_runtime::checkpoint::Checkpoint;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub fn run(
    arguments: &Arguments,
    checkpoint: &Checkpoint,
    output: &Output,
) -> Result<Verdict, CliError> {
    let options = arguments.run.options_in(arguments.rounding, output)?;
    let path = arguments.file.display();
    let Some(codec) = arguments.run.model.open_codec(output)? else {
        return Err(CliError::new(format_args!(
            "{path}: levels of a transform codec, and --model names a tokenizer: leave it out, or name the codec that made them"
        )));
    };
    let file = LevelsFile::from_checkpoint(&arguments.file, checkpoint, &codec)?;
    let names = file.pictures.iter().map(|one| (&*one.name, "picture"));
    let names: Vec<PathBuf> = names.enumerate().map(plain_name).collect();
    let outputs = paths::outputs(&names, Some(&arguments.output), paths::Kind::Picture)?;
    let mut codec = LevelsCodec::new(&codec, options)?;
    let (mut results, mut failures) = (Vec::new(), Failures::default());
    for (picture, path) in file.pictures.iter().zip(&outputs) {
        let result = one(&mut codec, picture, path, output);
        results.extend(failures.keep(Path::new(&picture.name), result)?);
    }
    let value = json!({ "model": codec.name(), "images": results, "clips": [] });
    failures.finish(output, value, Verdict::Good)
}

fn one(
    codec: &mut LevelsCodec,
    picture: &NamedLevels,
    path: &Path,
    output: &Output,
) -> Result<Value, CliError> {
    let (name, size) = (&picture.name, picture.header.size);
    let strips = codec.strips(size).count();
    let progress = Progress::new(name, "strips", strips);
    let mut file = PictureFile::create(path, size)?;
    let mut write = |row: &[u8]| file.write_row(row);
    let mut done = |done| progress.set(done);
    codec.write_levels(&picture.header, &picture.levels, &mut write, &mut done)?;
    drop(progress);
    file.finish()?;
    written(output, name, path, size)
}
