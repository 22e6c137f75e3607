//! Picture files row by row: upright, in sRGB, 16 bits a sample, with notices of what was changed.

use super::color;
use super::decode::{self, About, Decoded, Format};
use super::guard::without_panic;
use super::jpeg_xl;
use super::png_rows::PngRows;
use super::rows::RowConverter;
use super::whole::{Whole, is_on_its_side};
use super::{ImageError, ImageSize, LoadLimits, Notice, PixelRows};
use image::metadata::Orientation;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

/// A picture file whose rows are read one after the other.
///
/// Of a PNG file that is neither interlaced nor turned, one row is in memory at a time. Decoders of
/// other files give whole pictures: then their samples are, three bytes a pixel of 8-bit RGB, and
/// nothing larger; a turned picture is turned as it is read. Beside them a decoder takes what it
/// takes: that of progressive JPEG holds the coefficients of all scans, some 6 bytes a pixel.
///
/// Samples of 16 bits are kept; those of 8 bits, `s`, come as `257 s`.
pub struct PictureReader<'a> {
    path: PathBuf,
    size: ImageSize,
    is_deep: bool,
    source: Source<'a>,
    converter: RowConverter,
    /// What the header says of changes.
    notices: Vec<Notice>,
    /// Rows that have been read.
    read: usize,
    /// The row as the file has it.
    raw: Vec<u8>,
}

/// Whatever a file is read from.
trait Input: BufRead + Seek {}
impl<R: BufRead + Seek> Input for R {}

enum Source<'a> {
    Png(Box<PngRows<Box<dyn Input + 'a>>>),
    Whole(Whole),
}

/// Looks at the first part of a file: whether it is a picture within the limits. What can only be
/// read once is not looked at.
///
/// # Errors
/// If there is no such file, or it begins as no picture within the limits does.
pub fn check_picture(path: impl AsRef<Path>, limits: LoadLimits) -> Result<(), ImageError> {
    let path = path.as_ref();
    let (file, is_regular) = open(path)?;
    if !is_regular {
        return Ok(());
    }
    let check = || decode::check(&mut BufReader::new(file), path, limits);
    without_panic(check).unwrap_or_else(|| Err(gave_up(path)))
}

/// The file, and whether it can be read more than once.
fn open(path: &Path) -> Result<(File, bool), ImageError> {
    let failed = |error| ImageError::of_system(error, path);
    let file = File::open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    match kind.is_dir() {
        true => Err(ImageError::IsFolder { path: path.into() }),
        false => Ok((file, kind.is_file())),
    }
}

fn all_of(mut file: impl Read, path: &Path) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    let read = file.read_to_end(&mut bytes);
    read.map_err(|error| ImageError::of_system(error, path))?;
    Ok(bytes)
}

fn gave_up(path: &Path) -> ImageError {
    ImageError::damaged("its decoder gave up", path)
}

impl PictureReader<'static> {
    /// Opens a PNG, JPEG, WebP, TIFF, GIF or JPEG XL file, which is recognised by its content, not
    /// by its name. All but PNG are decoded here.
    ///
    /// # Errors
    /// [`ImageError`]: of a PNG file, what is wrong before its pixels.
    pub fn open(
        path: impl AsRef<Path>,
        limits: LoadLimits,
    ) -> Result<PictureReader<'static>, ImageError> {
        let path = path.as_ref();
        let (file, is_regular) = open(path)?;
        match is_regular {
            true => PictureReader::read(Box::new(BufReader::new(file)), path, limits),
            false => {
                let bytes = all_of(file, path)?;
                PictureReader::read(Box::new(Cursor::new(bytes)), path, limits)
            }
        }
    }
}

impl<'a> PictureReader<'a> {
    /// The same for a file in memory; `path` only names it in errors.
    ///
    /// # Errors
    /// As those of [`open`](PictureReader::open).
    pub fn of_bytes(
        bytes: &'a [u8],
        path: &Path,
        limits: LoadLimits,
    ) -> Result<PictureReader<'a>, ImageError> {
        PictureReader::read(Box::new(Cursor::new(bytes)), path, limits)
    }

    fn read(
        mut file: Box<dyn Input + 'a>,
        path: &Path,
        limits: LoadLimits,
    ) -> Result<PictureReader<'a>, ImageError> {
        let read = || {
            let Decoded { about, samples } = match decode::format(&mut file, path)? {
                Format::Png => return PictureReader::png(file, path, limits),
                Format::Jpeg => decode::decode_jpeg(&all_of(file, path)?, path, limits)?,
                Format::JpegXl => jpeg_xl::decode(&all_of(file, path)?, path, limits)?,
                Format::Other(format) => {
                    decode::decode_other(&all_of(file, path)?, format, path, limits)?
                }
            };
            let whole = Whole::new(about.dimensions, about.color, samples, about.orientation);
            Ok(PictureReader::new(about, Source::Whole(whole), path))
        };
        without_panic(read).unwrap_or_else(|| Err(gave_up(path)))
    }

    fn png(
        file: Box<dyn Input + 'a>,
        path: &Path,
        limits: LoadLimits,
    ) -> Result<PictureReader<'a>, ImageError> {
        let mut rows = PngRows::open(file, path, limits)?;
        let about = About {
            dimensions: rows.dimensions(),
            color: rows.color(),
            orientation: rows.orientation(),
            described: rows.described(),
            notices: Vec::from_iter(rows.is_animated().then_some(Notice::Animation)),
        };
        let source = match rows.is_in_order() && about.orientation == Orientation::NoTransforms {
            true => Source::Png(Box::new(rows)),
            false => {
                let samples = rows.read_all(path)?;
                let (dimensions, turned) = (about.dimensions, about.orientation);
                Source::Whole(Whole::new(dimensions, about.color, samples, turned))
            }
        };
        Ok(PictureReader::new(about, source, path))
    }

    fn new(about: About, source: Source<'a>, path: &Path) -> PictureReader<'a> {
        let (width, height) = about.dimensions;
        assert!(width > 0 && height > 0, "decoders give pixels");
        let (width, height) = match is_on_its_side(about.orientation) {
            true => (height, width),
            false => (width, height),
        };
        let (to_srgb, change) = color::to_srgb(about.color, about.described);
        let mut notices = about.notices;
        notices.extend(change);
        notices.extend((!about.color.has_color()).then_some(Notice::Greyscale));
        let is_turned = about.orientation != Orientation::NoTransforms;
        notices.extend(is_turned.then_some(Notice::Orientation));
        PictureReader {
            path: path.into(),
            size: ImageSize {
                height: height as usize,
                width: width as usize,
            },
            is_deep: color::is_deep(about.color),
            source,
            converter: RowConverter::new(about.color, to_srgb),
            notices,
            read: 0,
            raw: Vec::new(),
        }
    }

    /// Whether the file's samples have 16 bits.
    pub fn is_deep(&self) -> bool {
        self.is_deep
    }

    /// What was changed on the way, as far as rows have been read, in the order of [`Notice`]'s
    /// variants. That samples of 16 bits are rounded is up to whoever does it.
    pub fn notices(&self) -> Vec<Notice> {
        let transparent = self.converter.any_transparent;
        let transparent = transparent.then_some(Notice::TransparencyOverWhite);
        let mut notices: Vec<Notice> = self.notices.iter().copied().chain(transparent).collect();
        notices.sort();
        notices
    }

    /// Takes the samples of 8-bit red, green and blue out, if they are in memory and nothing is to be
    /// done to them. No row can be read after that.
    pub(super) fn take_samples(&mut self) -> Option<Vec<u8>> {
        match &mut self.source {
            Source::Whole(whole) if self.converter.changes_nothing() => whole.take_samples(),
            _ => None,
        }
    }

    fn raw_row(&mut self) -> Result<(), ImageError> {
        match &mut self.source {
            Source::Whole(whole) => {
                self.raw.clear();
                whole.append_row(self.read, &mut self.raw);
                Ok(())
            }
            Source::Png(rows) => {
                rows.read_row(&mut self.raw, &self.path)?;
                match self.read + 1 == self.size.height {
                    true => rows.finish(&self.path),
                    false => Ok(()),
                }
            }
        }
    }
}

impl PixelRows for PictureReader<'_> {
    fn size(&self) -> ImageSize {
        self.size
    }

    fn read_row(&mut self, row: &mut [u16]) -> Result<(), ImageError> {
        let read = without_panic(|| {
            self.raw_row()?;
            let converted = self.converter.convert(&self.raw, row);
            converted.map_err(|reason| ImageError::damaged(reason, &self.path))
        });
        self.read += 1;
        read.unwrap_or_else(|| Err(gave_up(&self.path)))
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
