//! A folder of pictures: one a frame, in the order of their names.

use super::{ClipFormat, ClipOptions, ReadFrames, VideoError, WriteFrames};
use crate::image_io::{LoadLimits, Picture, load_within, save_png};
use std::fs;
use std::path::{Path, PathBuf};

/// Endings of pictures.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "jxl"];

pub(super) struct FolderReader {
    paths: std::vec::IntoIter<PathBuf>,
    format: ClipFormat,
    limits: LoadLimits,
    notices: Vec<String>,
}

impl FolderReader {
    pub fn open(path: &Path, options: &ClipOptions) -> Result<FolderReader, VideoError> {
        let fail = |error: std::io::Error| VideoError::of(path, error);
        let mut paths = Vec::new();
        for entry in fs::read_dir(path).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if ENDINGS
                .iter()
                .any(|ending| super::has_ending(&path, ending))
            {
                paths.push(path);
            }
        }
        paths.sort_by_key(|path| in_order(path));
        let limits = LoadLimits {
            max_pixels: options.max_pixels,
            ..LoadLimits::default()
        };
        let Some(first) = paths.first() else {
            return Err(VideoError::of(
                path,
                "a folder without pictures: a clip has one for each frame",
            ));
        };
        let size = load_within(first, limits)?.picture.size();
        let mut notices = Vec::new();
        let rate = options.rate.unwrap_or_else(|| {
            notices.push("does not say its frame rate: 25 is taken (--fps says another)".into());
            Default::default()
        });
        Ok(FolderReader {
            format: ClipFormat {
                size,
                rate,
                frames: Some(paths.len()),
            },
            paths: paths.into_iter(),
            limits,
            notices,
        })
    }
}

/// Numbers in names by their value: frame 10 is after frame 9.
fn in_order(path: &Path) -> Vec<(u64, String)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = vec![(0_u64, String::new())];
    let mut in_number = false;
    for c in name.chars() {
        match (c.to_digit(10), in_number) {
            (Some(digit), true) => {
                let last = parts.last_mut().expect("it begins with one");
                last.0 = last.0.saturating_mul(10).saturating_add(u64::from(digit));
            }
            (Some(digit), false) => parts.push((u64::from(digit), String::new())),
            (None, _) => parts.last_mut().expect("it begins with one").1.push(c),
        }
        in_number = c.is_ascii_digit();
    }
    parts
}

impl ReadFrames for FolderReader {
    fn format(&self) -> &ClipFormat {
        &self.format
    }

    fn next_frame(&mut self) -> Result<Option<Picture>, VideoError> {
        let Some(path) = self.paths.next() else {
            return Ok(None);
        };
        let picture = load_within(&path, self.limits)?.picture;
        let (size, first) = (picture.size(), self.format.size);
        match size == first {
            true => Ok(Some(picture)),
            false => Err(VideoError::of(
                &path,
                format!(
                    "{}x{} pixels, and the first frame has {}x{}: a folder is a clip of frames of one size; \
                     photos are named one by one (FOLDER/*)",
                    size.width, size.height, first.width, first.height
                ),
            )),
        }
    }

    fn notices(&self) -> Vec<String> {
        self.notices.clone()
    }
}

/// Writes `000001.png` and so on.
pub(super) struct FolderWriter {
    path: PathBuf,
    next: usize,
}

impl FolderWriter {
    pub fn create(path: &Path) -> Result<FolderWriter, VideoError> {
        fs::create_dir_all(path).map_err(|error| VideoError::of(path, error))?;
        Ok(FolderWriter {
            path: path.into(),
            next: 1,
        })
    }
}

impl WriteFrames for FolderWriter {
    fn write(&mut self, frame: &Picture) -> Result<(), VideoError> {
        save_png(frame, self.path.join(format!("{:06}.png", self.next)))?;
        self.next += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), VideoError> {
        Ok(())
    }
}

#[cfg(test)]
mod order_tests {
    use super::*;

    #[test]
    fn frames_are_in_the_order_of_their_numbers() {
        let mut names = ["b10.png", "b9.png", "a2.png", "b9a.png"].map(Path::new);
        names.sort_by_key(|path| in_order(path));
        assert_eq!(
            names,
            ["a2.png", "b9.png", "b9a.png", "b10.png"].map(Path::new)
        );
    }
}
