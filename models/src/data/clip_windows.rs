//! Short clips to train on: windows of real clips, and pans and zooms over pictures.

use super::{DataError, Draw, Listing, Purpose, list_clips, list_folder};
use crate::image_io::{ImageError, Picture};
use crate::video_io::{ClipOptions, VideoError, open};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A few frames of equal size.
pub(super) type Window = Vec<Picture>;

/// How windows are made.
pub(super) struct Sources {
    /// Pixels along a side.
    pub side: usize,
    /// Frames of a window.
    pub frames: usize,
    /// Windows of a real clip.
    pub windows: usize,
    /// The fastest pan over a picture, in pixels a frame.
    pub motion: f64,
    pub seed: u64,
}

impl Sources {
    /// The windows of a real clip: at random places, from frames that are evenly apart. None of a
    /// clip that is smaller than a window or shorter.
    pub fn of_clip(&self, path: &Path, number: u64) -> Result<Vec<Window>, VideoError> {
        let (side, count, each) = (self.side, self.windows, self.frames);
        let mut clip = open(path, &ClipOptions::default())?;
        let size = clip.format().size;
        if size.height < side || size.width < side {
            return Ok(Vec::new());
        }
        let mut draw = Draw::new(self.seed, Purpose::ClipWindow, number);
        let mut frames = Vec::new();
        let mut windows = Vec::new();
        // A window from every so many frames, so that a clip is read once.
        let apart = clip
            .format()
            .frames
            .map_or(each, |all| (all / count.max(1)).max(each));
        let mut at = 0;
        while let Some(frame) = clip.next_frame()? {
            if at % apart < each {
                frames.push(frame);
            }
            at += 1;
            if frames.len() == each {
                let (top, left) = (
                    draw.between(0, size.height - side),
                    draw.between(0, size.width - side),
                );
                let cut = |frame: Picture| cut(&frame, (top, left), side);
                windows.push(frames.drain(..).map(cut).collect());
                if windows.len() == count {
                    break;
                }
            }
        }
        Ok(windows)
    }

    /// Whether a picture is as large as a window.
    pub fn suits(&self, picture: &Picture) -> bool {
        picture.height.min(picture.width) >= self.side
    }

    /// A pan and zoom over a picture; `None` if it is smaller than a window.
    pub fn of_picture(&self, picture: &Picture, number: u64) -> Option<Window> {
        let side = self.side;
        let mut draw = Draw::new(self.seed, Purpose::ClipWindow, 1 << 32 | number);
        // Pictures are shown smaller, as clips are.
        if !self.suits(picture) {
            return None;
        }
        let shorter = picture.height.min(picture.width);
        let largest = (shorter as f64 / side as f64).min(4.0);
        let mut scale = libm::exp(draw.uniform(0.0, libm::log(largest)));
        let reach = |length: usize, scale: f64| (length as f64 - side as f64 * scale).max(0.0);
        let mut top = draw.uniform(0.0, reach(picture.height, scale));
        let mut left = draw.uniform(0.0, reach(picture.width, scale));
        let speed = self.motion * draw.uniform(0.0, 1.0);
        let angle = draw.uniform(0.0, 2.0 * std::f64::consts::PI);
        let (down, right) = (speed * libm::sin(angle), speed * libm::cos(angle));
        let zoom = draw.uniform(-0.01, 0.01) * draw.below(2) as f64;
        let mut window = Vec::new();
        for _ in 0..self.frames {
            let noise = draw.below(1 << 16) as u64;
            window.push(shown(picture, (top, left), scale, side, noise));
            // Where the edge is met, the pan stands still.
            top = (top + down * scale).clamp(0.0, reach(picture.height, scale));
            left = (left + right * scale).clamp(0.0, reach(picture.width, scale));
            scale = (scale * (1.0 + zoom)).clamp(1.0, largest);
        }
        Some(window)
    }
}

fn cut(frame: &Picture, (top, left): (usize, usize), side: usize) -> Picture {
    let row = |y: usize| {
        let start = 3 * ((top + y) * frame.width + left);
        frame.rgb[start..start + 3 * side].iter().copied()
    };
    Picture::new(side, side, (0..side).flat_map(row).collect())
}

/// A square of a picture, smaller by `scale`, with the noise of a camera: means of 2x2 samples between
/// pixels, an error of at most one level.
fn shown(
    picture: &Picture,
    (top, left): (f64, f64),
    scale: f64,
    side: usize,
    noise: u64,
) -> Picture {
    let mut rgb = Vec::with_capacity(3 * side * side);
    for y in 0..side {
        for x in 0..side {
            let mut sums = [0.0; 3];
            for (dy, dx) in [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)] {
                let (at_y, at_x) = (
                    top + (y as f64 + dy) * scale - 0.5,
                    left + (x as f64 + dx) * scale - 0.5,
                );
                let found = between(picture, at_y, at_x);
                sums.iter_mut()
                    .zip(found)
                    .for_each(|(sum, x)| *sum += 0.25 * x);
            }
            let word = bsq_ir::philox::random_word(noise, 0, (y * side + x) as u64);
            for (channel, sum) in sums.into_iter().enumerate() {
                let error = f64::from(word >> (8 * channel) & 255) / 127.5 - 1.0;
                rgb.push((sum + error).round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    Picture::new(side, side, rgb)
}

/// A sample between pixels, bilinear.
fn between(picture: &Picture, y: f64, x: f64) -> [f64; 3] {
    let (y, x) = (
        y.clamp(0.0, picture.height as f64 - 1.0),
        x.clamp(0.0, picture.width as f64 - 1.0),
    );
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = (
        (top + 1).min(picture.height - 1),
        (left + 1).min(picture.width - 1),
    );
    let (fy, fx) = (y - top as f64, x - left as f64);
    let [a, b, c, d] = [(left, top), (right, top), (left, bottom), (right, bottom)]
        .map(|(x, y)| picture.pixel(x, y));
    std::array::from_fn(|i| {
        let upper = f64::from(a[i]) * (1.0 - fx) + f64::from(b[i]) * fx;
        let lower = f64::from(c[i]) * (1.0 - fx) + f64::from(d[i]) * fx;
        upper * (1.0 - fy) + lower * fy
    })
}

/// The clip files and the picture files of a folder and of those below it, as UCF-101's are in a folder for
/// each class; and what was left out, a line each.
///
/// # Errors
/// If a folder cannot be read, or has neither.
pub(super) fn files_of(folder: &Path) -> Result<([Vec<PathBuf>; 2], Vec<String>), DataError> {
    let clips = match list_clips(folder) {
        Err(DataError::NoClipFiles { .. }) => Listing::default(),
        clips => clips?,
    };
    let pictures = match list_folder(folder) {
        Err(DataError::NoImages { .. }) if !clips.paths.is_empty() => Listing::default(),
        pictures => pictures?,
    };
    // Links that lead nowhere are in both.
    let notices = clips.notices.into_iter().chain(pictures.notices);
    let notices: BTreeSet<String> = notices.collect();
    let paths = [clips.paths, pictures.paths];
    Ok((paths, notices.into_iter().collect()))
}

/// A picture of a path, or why there is none.
pub(super) fn picture_of(path: &Path) -> Result<Picture, ImageError> {
    Ok(crate::image_io::load(path)?.picture)
}
