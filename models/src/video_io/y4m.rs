//! YUV4MPEG2: planes of 8 bits behind lines of text.

use super::color::{Coding, Matrix, Range, Yuv420, to_rgb_444};
use super::shared_file::{SharedFile, Writer};
use super::{ClipFormat, ClipOptions, FrameRate, ReadFrames, VideoError, WriteFrames};
use crate::image_io::{ImageSize, Picture};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use y4m::{
    Colorspace, Decoder, Encoder, EncoderBuilder, Error, Frame, Ratio, VendorExtensionString,
};

/// A clip that is read from anything.
pub(super) struct Y4mReader<R: Read> {
    decoder: Decoder<Counted<R>>,
    /// Bytes that have been read.
    count: Rc<Cell<u64>>,
    format: ClipFormat,
    coding: Coding,
    path: PathBuf,
    notices: Vec<String>,
}

/// Opens a file.
pub(super) fn open(
    path: &Path,
    options: &ClipOptions,
) -> Result<Y4mReader<BufReader<File>>, VideoError> {
    let file = File::open(path).map_err(|error| VideoError::of(path, error))?;
    Y4mReader::new(BufReader::new(file), path, options)
}

impl<R: Read> Y4mReader<R> {
    pub fn new(reader: R, path: &Path, options: &ClipOptions) -> Result<Y4mReader<R>, VideoError> {
        let count = Rc::new(Cell::new(0));
        let counted = Counted {
            reader,
            count: count.clone(),
        };
        let fail = |error| VideoError::of(path, words(error));
        let decoder = Decoder::new(counted).map_err(fail)?;
        let size = ImageSize {
            height: decoder.get_height(),
            width: decoder.get_width(),
        };
        options
            .check(size)
            .map_err(|reason| VideoError::of(path, reason))?;
        let space = decoder.get_colorspace();
        if !matches!(
            space,
            Colorspace::C420
                | Colorspace::C420jpeg
                | Colorspace::C420paldv
                | Colorspace::C420mpeg2
                | Colorspace::C444
                | Colorspace::Cmono
        ) {
            let reason =
                format!("its samples are {space:?}: 8 bits of 4:2:0, 4:4:4 or grey are read");
            return Err(VideoError::of(path, reason));
        }
        let rate = decoder.get_framerate();
        let part = |x: usize| u32::try_from(x).ok();
        let rate = part(rate.num)
            .zip(part(rate.den))
            .and_then(|(num, den)| FrameRate::new(num, den));
        let rate = options.rate.or(rate).unwrap_or_default();
        let said = decoder.get_raw_params();
        let is_full = said.windows(17).any(|part| part == b"XCOLORRANGE=FULL ")
            || said.ends_with(b"XCOLORRANGE=FULL");
        let range = if is_full { Range::Full } else { Range::Limited };
        let matrix = options.matrix.unwrap_or_else(|| Matrix::guess(size));
        let mut notices = Vec::new();
        if said
            .split(|&byte| byte == b' ')
            .any(|part| matches!(part, b"It" | b"Ib" | b"Im"))
        {
            notices.push("is interlaced, and its frames are taken as they are".to_string());
        }
        let aspect = decoder.get_pixel_aspect();
        if aspect.num != aspect.den && aspect.num > 0 {
            notices.push("has pixels that are not square, and they are taken for such".to_string());
        }
        Ok(Y4mReader {
            decoder,
            count,
            format: ClipFormat {
                size,
                rate,
                frames: None,
            },
            coding: Coding {
                matrix,
                range: options.range.unwrap_or(range),
            },
            path: path.into(),
            notices,
        })
    }

    /// How long the clip is, where that is known from elsewhere.
    pub fn set_frames(&mut self, frames: Option<usize>) {
        self.format.frames = frames;
    }
}

impl<R: Read> ReadFrames for Y4mReader<R> {
    fn format(&self) -> &ClipFormat {
        &self.format
    }

    fn next_frame(&mut self) -> Result<Option<Picture>, VideoError> {
        let (before, size) = (self.count.get(), self.format.size);
        let space = self.decoder.get_colorspace();
        let frame = match self.decoder.read_frame() {
            Ok(frame) => frame,
            Err(Error::EOF) if self.count.get() == before => return Ok(None),
            Err(error) => return Err(VideoError::of(&self.path, words(error))),
        };
        let [y, u, v] = [
            frame.get_y_plane(),
            frame.get_u_plane(),
            frame.get_v_plane(),
        ];
        Ok(Some(match space {
            Colorspace::C444 => to_rgb_444(size, [y, u, v], self.coding),
            Colorspace::Cmono => to_rgb_444(
                size,
                [y, &vec![128; y.len()], &vec![128; y.len()]],
                self.coding,
            ),
            _ => {
                let planes = Yuv420 {
                    size,
                    y: y.to_vec(),
                    u: u.to_vec(),
                    v: v.to_vec(),
                };
                planes.to_rgb(self.coding)
            }
        }))
    }

    fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }
}

/// What is wrong, for a user.
fn words(error: Error) -> String {
    match error {
        Error::EOF => "the file ends inside a frame, or has none".into(),
        Error::OutOfMemory => "its frames are too large".into(),
        Error::IoError(error) => error.to_string(),
        Error::BadInput | Error::UnknownColorspace | Error::ParseError(_) => {
            "is no YUV4MPEG2 file, or has samples of an unknown kind".into()
        }
    }
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// How we code colours: limited, and the matrix that those guess who are not told.
pub(super) fn coding_of(size: ImageSize) -> Coding {
    Coding {
        matrix: Matrix::guess(size),
        range: Range::Limited,
    }
}

/// The beginning of a clip in 4:2:0.
pub(super) fn header(format: &ClipFormat) -> EncoderBuilder {
    let rate = Ratio::new(
        format.rate.numerator() as usize,
        format.rate.denominator() as usize,
    );
    let limited = VendorExtensionString::new(b"COLORRANGE=LIMITED".to_vec());
    EncoderBuilder::new(format.size.width, format.size.height, rate)
        .with_colorspace(Colorspace::C420jpeg)
        .append_vendor_extension(limited.expect("it has no spaces"))
}

/// Appends a frame.
pub(super) fn write_frame<W: io::Write>(
    encoder: &mut Encoder<W>,
    frame: &Picture,
    coding: Coding,
) -> Result<(), String> {
    let planes = Yuv420::from_rgb(frame, coding);
    let frame = Frame::new([&planes.y, &planes.u, &planes.v], None);
    encoder.write_frame(&frame).map_err(words)
}

/// A file that takes its place when it is finished.
pub(super) struct Y4mWriter {
    encoder: Encoder<Writer>,
    file: SharedFile,
    coding: Coding,
}

impl Y4mWriter {
    pub fn create(path: &Path, format: &ClipFormat) -> Result<Y4mWriter, VideoError> {
        let (file, writer) = SharedFile::create(path)?;
        let encoder = header(format).write_header(writer);
        Ok(Y4mWriter {
            encoder: encoder.map_err(|error| file.fail(words(error)))?,
            file,
            coding: coding_of(format.size),
        })
    }
}

impl WriteFrames for Y4mWriter {
    fn write(&mut self, frame: &Picture) -> Result<(), VideoError> {
        let written = write_frame(&mut self.encoder, frame, self.coding);
        written.map_err(|error| self.file.fail(error))
    }

    fn finish(self: Box<Self>) -> Result<(), VideoError> {
        let Y4mWriter { encoder, file, .. } = *self;
        drop(encoder);
        file.finish()
    }
}
