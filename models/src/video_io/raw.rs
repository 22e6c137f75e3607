//! Planes of I420 (luma, Cb, Cr of 8 bits), frame after frame, without any header.

use super::color::{Coding, Matrix, Range, Yuv420, chroma_size};
use super::{ClipFormat, ClipOptions, FrameRate, ReadFrames, VideoError};
use crate::image_io::{ImageSize, Picture};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

pub(super) struct RawReader {
    reader: BufReader<File>,
    format: ClipFormat,
    coding: Coding,
    path: PathBuf,
    notices: Vec<String>,
    next: usize,
}

impl RawReader {
    pub fn open(path: &Path, options: &ClipOptions) -> Result<RawReader, VideoError> {
        let fail = |reason: String| VideoError::of(path, reason);
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let told = told(&name);
        let size = options.size.or(told.size).ok_or_else(|| {
            fail(
                "planes without a header: give their size with --size 640x360, or in the name"
                    .into(),
            )
        })?;
        options.check(size).map_err(fail)?;
        if told.bits.is_some_and(|bits| bits > 8) {
            return Err(fail(
                "its name says more than 8 bits: planes of 8 bits are read".into(),
            ));
        }
        let file = File::open(path).map_err(|error| fail(error.to_string()))?;
        let length = file
            .metadata()
            .map_err(|error| fail(error.to_string()))?
            .len();
        let each = frame_bytes(size) as u64;
        if length == 0 || length % each != 0 {
            return Err(fail(format!(
                "{length} bytes are not whole frames of {}x{} pixels, which have {each}",
                size.width, size.height
            )));
        }
        let mut notices = Vec::new();
        let rate = options.rate.or(told.rate).unwrap_or_else(|| {
            notices.push("does not say its frame rate: 25 is taken (--fps says another)".into());
            FrameRate::default()
        });
        Ok(RawReader {
            reader: BufReader::new(file),
            format: ClipFormat {
                size,
                rate,
                frames: Some((length / each) as usize),
            },
            coding: Coding {
                matrix: options.matrix.unwrap_or_else(|| Matrix::guess(size)),
                range: options.range.unwrap_or(Range::Limited),
            },
            path: path.into(),
            notices,
            next: 0,
        })
    }
}

impl ReadFrames for RawReader {
    fn format(&self) -> &ClipFormat {
        &self.format
    }

    fn next_frame(&mut self) -> Result<Option<Picture>, VideoError> {
        if Some(self.next) >= self.format.frames {
            return Ok(None);
        }
        self.next += 1;
        let mut samples = vec![0; frame_bytes(self.format.size)];
        let read = self.reader.read_exact(&mut samples);
        read.map_err(|error| VideoError::of(&self.path, error))?;
        Ok(Some(
            Yuv420::from_planes(self.format.size, &samples).to_rgb(self.coding),
        ))
    }

    fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }
}

fn frame_bytes(size: ImageSize) -> usize {
    let chroma = chroma_size(size);
    size.height * size.width + 2 * chroma.height * chroma.width
}

/// What a name says of a clip.
#[derive(Debug, Default, PartialEq)]
struct Told {
    size: Option<ImageSize>,
    rate: Option<FrameRate>,
    bits: Option<u32>,
}

/// As the names of the usual collections do: `Beauty_1920x1080_120fps_420_8bit_YUV`,
/// `videoSRC01_1920x1080_30`.
fn told(name: &str) -> Told {
    let mut told = Told::default();
    for part in name.split(['_', '-', ' ']) {
        let lower = part.to_ascii_lowercase();
        if let Some((width, height)) = lower.split_once('x')
            && let (Ok(width), Ok(height)) = (width.parse(), height.parse())
        {
            told.size = Some(ImageSize { height, width });
        } else if let Some(rate) = lower.strip_suffix("fps") {
            told.rate = rate.parse().ok();
        } else if let Some(bits) = lower.strip_suffix("bit") {
            told.bits = bits.parse().ok();
        } else if told.size.is_some()
            && told.rate.is_none()
            && matches!(part, "24" | "25" | "30" | "50" | "60" | "120")
        {
            told.rate = part.parse().ok();
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_usual_collections_are_read() {
        let of = |width, height, rate: &str, bits| Told {
            size: Some(ImageSize { height, width }),
            rate: Some(rate.parse().unwrap()),
            bits,
        };
        assert_eq!(
            told("Beauty_1920x1080_120fps_420_8bit_YUV"),
            of(1920, 1080, "120", Some(8))
        );
        assert_eq!(told("videoSRC01_1920x1080_30"), of(1920, 1080, "30", None));
        assert_eq!(
            told("Jockey_3840x2160_29.97fps_10bit"),
            of(3840, 2160, "30000/1001", Some(10))
        );
        assert_eq!(told("clip"), Told::default());
    }
}
