//! A GIF as a preview: 256 colours a frame, and times in hundredths of a second.

use super::shared_file::{SharedFile, Writer};
use super::{ClipFormat, VideoError, WriteFrames};
use crate::image_io::Picture;
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbImage};
use std::path::Path;

/// How slowly colours are chosen: from 1, the best, to 30.
const SPEED: i32 = 10;

pub(super) struct GifWriter {
    encoder: GifEncoder<Writer>,
    file: SharedFile,
    delay: Delay,
}

impl GifWriter {
    pub fn create(path: &Path, format: &ClipFormat) -> Result<GifWriter, VideoError> {
        let (file, writer) = SharedFile::create(path)?;
        let mut encoder = GifEncoder::new_with_speed(writer, SPEED);
        let repeats = encoder.set_repeat(Repeat::Infinite);
        repeats.map_err(|error| file.fail(error))?;
        let rate = format.rate;
        Ok(GifWriter {
            encoder,
            file,
            delay: Delay::from_numer_denom_ms(1000 * rate.denominator(), rate.numerator()),
        })
    }
}

impl WriteFrames for GifWriter {
    fn write(&mut self, frame: &Picture) -> Result<(), VideoError> {
        let (width, height) = (frame.width as u32, frame.height as u32);
        let buffer = RgbImage::from_raw(width, height, frame.rgb.clone());
        let buffer = buffer.expect("as many samples as pixels ask for");
        let rgba = image::DynamicImage::ImageRgb8(buffer).into_rgba8();
        let frame = Frame::from_parts(rgba, 0, 0, self.delay);
        let written = self.encoder.encode_frame(frame);
        written.map_err(|error| self.file.fail(error))
    }

    fn finish(self: Box<Self>) -> Result<(), VideoError> {
        let GifWriter { encoder, file, .. } = *self;
        drop(encoder);
        file.finish()
    }
}
