//! Picture files in and out, row by row.

use super::error::CliError;
use super::files::Files;
use super::interrupt::{Partial, partial, uninterrupted};
use super::limits::LimitArgument;
use super::output::Output;
use super::paths::make_folder;
use bsq::image_io::{ImageError, ImageSize, PictureReader, PngWriter, check_picture};
use std::path::Path;

/// The files that begin as pictures within the limits, each with what belongs to it: found before a
/// model is read. What is wrong further on is found when their turn comes.
pub fn readable<'p>(
    files: &mut Files,
    pairs: &[(&'p Path, &'p Path)],
    limits: LimitArgument,
) -> Result<Vec<(&'p Path, &'p Path)>, CliError> {
    let numbered = pairs.iter().map(|pair| pair.0).zip(0..);
    let good = files.each(numbered, |number: usize, _| {
        let checked = check_picture(pairs[number].0, limits.load());
        checked.map(|()| number).map_err(explain)
    })?;
    Ok(good.into_iter().map(|(_, number)| pairs[number]).collect())
}

/// Opens a picture.
pub fn open(path: &Path, limits: LimitArgument) -> Result<PictureReader<'static>, CliError> {
    PictureReader::open(path, limits.load()).map_err(explain)
}

/// Says what was changed to make a picture plain RGB, once all of it has been read.
pub fn note(picture: &PictureReader, path: &Path, output: &Output) {
    for notice in picture.notices() {
        output.note(format_args!("{}: {notice}", path.display()));
    }
}

fn explain(error: ImageError) -> CliError {
    match error {
        ImageError::TooLarge {
            width,
            height,
            max_side,
            ..
        } if width <= max_side && height <= max_side => {
            CliError::new(format_args!("{error}, or allow more with --max-pixels"))
        }
        _ => error.into(),
    }
}

/// A PNG file that is written row by row; nothing is left of one that is not finished.
pub struct PictureFile {
    writer: PngWriter,
    _partial: Partial,
}

impl PictureFile {
    /// Opens it, in a folder that is made if there is none.
    pub fn create(path: &Path, size: ImageSize) -> Result<PictureFile, CliError> {
        make_folder(path)?;
        let create = || {
            let writer = PngWriter::create(path, size)?;
            let partial = partial(writer.temporary());
            Ok(PictureFile {
                writer,
                _partial: partial,
            })
        };
        uninterrupted(create)
    }

    pub fn write_row(&mut self, row: &[u8]) -> Result<(), ImageError> {
        self.writer.write_row(row)
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<(), CliError> {
        Ok(uninterrupted(|| self.writer.finish())?)
    }
}
