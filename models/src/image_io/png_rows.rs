//! PNG files row by row, in and out.

use super::color::{self, Described};
use super::decode::too_large;
use super::{ImageError, ImageSize, LoadLimits};
use image::ColorType;
use image::metadata::Orientation;
use png::{BitDepth, DecodingError, Info, Reader, Transformations};
use std::cell::RefCell;
use std::io::{self, BufRead, Seek, Write};
use std::path::Path;
use std::rc::Rc;

/// A PNG file whose header has been read.
pub(super) struct PngRows<R: BufRead + Seek> {
    reader: Reader<R>,
    color: ColorType,
}

impl<R: BufRead + Seek> PngRows<R> {
    /// Reads everything before the pixels.
    ///
    /// # Errors
    /// If this is no good PNG file, or it has more pixels than the limits allow.
    pub fn open(file: R, path: &Path, limits: LoadLimits) -> Result<PngRows<R>, ImageError> {
        // The decoder's limit is for chunks beside the pixels, and its rows.
        let bytes = usize::try_from(limits.max_pixels.saturating_mul(16)).unwrap_or(usize::MAX);
        let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes });
        decoder.set_transformations(Transformations::EXPAND);
        let failed = |error| explain(error, path);
        let Info { width, height, .. } = *decoder.read_header_info().map_err(failed)?;
        if let Some(error) = too_large(width, height, path, limits) {
            return Err(error);
        }
        let reader = decoder.read_info().map_err(failed)?;
        let deep = reader.output_color_type().1 == BitDepth::Sixteen;
        let color = match (reader.output_color_type().0, deep) {
            (png::ColorType::Grayscale, false) => ColorType::L8,
            (png::ColorType::GrayscaleAlpha, false) => ColorType::La8,
            // A palette has been expanded.
            (png::ColorType::Rgb | png::ColorType::Indexed, false) => ColorType::Rgb8,
            (png::ColorType::Rgba, false) => ColorType::Rgba8,
            (png::ColorType::Grayscale, true) => ColorType::L16,
            (png::ColorType::GrayscaleAlpha, true) => ColorType::La16,
            (png::ColorType::Rgb | png::ColorType::Indexed, true) => ColorType::Rgb16,
            (png::ColorType::Rgba, true) => ColorType::Rgba16,
        };
        Ok(PngRows { reader, color })
    }

    /// Columns and rows as they are in the file.
    pub fn dimensions(&self) -> (u32, u32) {
        self.reader.info().size()
    }

    /// The type of the samples that rows have.
    pub fn color(&self) -> ColorType {
        self.color
    }

    /// Whether rows come in the order of the picture.
    pub fn is_in_order(&self) -> bool {
        !self.reader.info().interlaced
    }

    pub fn orientation(&self) -> Orientation {
        let exif = self.reader.info().exif_metadata.as_deref();
        exif.and_then(Orientation::from_exif_chunk)
            .unwrap_or(Orientation::NoTransforms)
    }

    pub fn described(&self) -> Described {
        color::described_by_png(self.reader.info())
    }

    pub fn is_animated(&self) -> bool {
        self.reader.info().animation_control.is_some()
    }

    /// Bytes of a row.
    fn row_bytes(&self) -> usize {
        self.dimensions().0 as usize * usize::from(self.color.bytes_per_pixel())
    }

    /// The samples of the next row, those of 16 bits in the machine's order of bytes.
    ///
    /// # Errors
    /// If the file is damaged, or ends before this row.
    pub fn read_row(&mut self, row: &mut Vec<u8>, path: &Path) -> Result<(), ImageError> {
        row.resize(self.row_bytes(), 0);
        let read = self.reader.read_row(row);
        if read.map_err(|error| explain(error, path))?.is_none() {
            return Err(ImageError::Truncated { path: path.into() });
        }
        self.native(row);
        Ok(())
    }

    /// All samples, of a file whose rows may be in any order.
    ///
    /// # Errors
    /// If the file is damaged, or ends too early.
    pub fn read_all(&mut self, path: &Path) -> Result<Vec<u8>, ImageError> {
        let bytes = self.row_bytes() * self.dimensions().1 as usize;
        let mut samples = Vec::new();
        samples
            .try_reserve_exact(bytes)
            .map_err(|_| ImageError::no_memory(path))?;
        samples.resize(bytes, 0);
        let read = self.reader.next_frame(&mut samples);
        read.map_err(|error| explain(error, path))?;
        self.native(&mut samples);
        Ok(samples)
    }

    /// Reads what follows the last row: the picture's checksum may stand there.
    ///
    /// # Errors
    /// If the file is damaged, or ends too early.
    pub fn finish(&mut self, path: &Path) -> Result<(), ImageError> {
        let mut row = vec![0; self.row_bytes()];
        let more = self.reader.read_row(&mut row);
        more.map(drop).map_err(|error| explain(error, path))
    }

    fn native(&self, samples: &mut [u8]) {
        if color::is_deep(self.color) {
            for pair in samples.as_chunks_mut::<2>().0 {
                *pair = u16::from_be_bytes(*pair).to_ne_bytes();
            }
        }
    }
}

fn explain(error: DecodingError, path: &Path) -> ImageError {
    let text = error.to_string();
    let io_ended =
        matches!(&error, DecodingError::IoError(io) if io.kind() == io::ErrorKind::UnexpectedEof);
    ImageError::of_decoder(io_ended, &text, path)
}

/// Compressed bytes that are written as one chunk.
const CHUNK_BYTES: usize = 1 << 16;

/// The system's own error where there is one: the crate's conversion keeps its text alone.
fn io_error(error: png::EncodingError) -> io::Error {
    match error {
        png::EncodingError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// Writes a PNG file of 8-bit RGB, row by row.
pub(super) struct PngEncoder<W: Write + 'static> {
    stream: png::StreamWriter<'static, Shared<W>>,
    writer: Shared<W>,
}

/// The stream drops its writer where it should give it back: this keeps another hold on it.
struct Shared<W>(Rc<RefCell<W>>);

impl<W: Write> Write for Shared<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

impl<W: Write> PngEncoder<W> {
    /// Writes what stands before the pixels.
    pub fn new(writer: W, size: ImageSize) -> io::Result<PngEncoder<W>> {
        let side = |side: usize| u32::try_from(side).map_err(io::Error::other);
        let writer = Shared(Rc::new(RefCell::new(writer)));
        let target = Shared(writer.0.clone());
        let mut encoder = png::Encoder::new(target, side(size.width)?, side(size.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let header = encoder.write_header().map_err(io_error)?;
        let stream = header.into_stream_writer_with_size(CHUNK_BYTES);
        let stream = stream.map_err(io_error)?;
        Ok(PngEncoder { stream, writer })
    }

    /// Writes red, green and blue of the next pixels.
    pub fn write(&mut self, samples: &[u8]) -> io::Result<()> {
        self.stream.write_all(samples)
    }

    /// Ends the file, and gives the writer back. An error if rows are missing.
    pub fn finish(self) -> io::Result<W> {
        self.stream.finish().map_err(io_error)?;
        let writer = Rc::into_inner(self.writer.0);
        Ok(writer.expect("the stream is gone").into_inner())
    }
}
