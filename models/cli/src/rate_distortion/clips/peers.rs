//! H.264 and HEVC, by libx264 and libx265 of the program `ffmpeg`.

use super::super::RateDistortionError;
use super::super::tool::said;
use super::Clip;
use bsq::video_io::{ClipOptions, ReadFrames, create, open};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Constant rate factors of a curve, the largest streams last.
pub(super) const RATES: [f64; 8] = [47.0, 42.0, 37.0, 32.0, 27.0, 22.0, 20.0, 17.0];

/// A codec that ours is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipPeer {
    H264,
    Hevc,
}

/// A raw stream, and the seconds that it took with its reading.
pub(super) struct Coded {
    folder: TempDir,
    name: &'static str,
    pub bytes: usize,
    pub seconds: f64,
}

/// Why there is nothing to measure beside, if so.
pub(super) fn missing() -> Option<String> {
    let found = said("ffmpeg", &["-version"]);
    found.err().map(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "ffmpeg is not on PATH (Debian: apt install ffmpeg)".to_string()
        }
        _ => format!("ffmpeg does not start: {error}"),
    })
}

pub fn ffmpeg_is_there() -> bool {
    missing().is_none()
}

impl ClipPeer {
    pub fn id(self) -> &'static str {
        match self {
            ClipPeer::H264 => "h264",
            ClipPeer::Hevc => "hevc",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            ClipPeer::H264 => "H.264",
            ClipPeer::Hevc => "HEVC",
        }
    }

    /// As ffmpeg is asked.
    fn options(self) -> [&'static str; 4] {
        match self {
            ClipPeer::H264 => ["-c:v", "libx264", "-bf", "0"],
            ClipPeer::Hevc => [
                "-c:v",
                "libx265",
                "-x265-params",
                "bframes=0:log-level=error",
            ],
        }
    }

    pub fn description(self) -> String {
        let version = said("ffmpeg", &["-version"]).unwrap_or_default();
        let words = version.split_whitespace().take(3).collect::<Vec<_>>();
        format!(
            "{}, {}, -preset medium, -pix_fmt yuv420p, -crf 47 to 17, raw streams",
            words.join(" "),
            self.options().join(" ")
        )
    }

    /// The stream of a clip at a constant rate factor.
    ///
    /// # Errors
    /// If ffmpeg fails.
    pub(super) fn encode(self, clip: &Clip, rate: f64) -> Result<Coded, RateDistortionError> {
        let folder = tempfile::tempdir().map_err(failed)?;
        let stream = folder.path().join(self.id());
        let source = match clip.is_for_ffmpeg {
            true => clip.path.clone(),
            false => planes(clip, folder.path())?,
        };
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y", "-i"]);
        command.arg(&source);
        command.args(["-frames:v", &clip.frames.to_string(), "-an"]);
        command.args(self.options());
        command.args(["-crf", &rate.to_string(), "-preset", "medium"]);
        command.args(["-pix_fmt", "yuv420p", "-f", self.id()]);
        command.arg(&stream).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output().map_err(failed)?;
        let seconds = start.elapsed().as_secs_f64();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().last().unwrap_or("it failed");
            return Err(failed(line));
        }
        let bytes = std::fs::metadata(&stream).map_err(failed)?.len() as usize;
        Ok(Coded {
            folder,
            name: self.id(),
            bytes,
            seconds,
        })
    }
}

impl Coded {
    /// Its frames.
    pub fn open(&self, clip: &Clip) -> Result<Box<dyn ReadFrames>, RateDistortionError> {
        let options = ClipOptions {
            rate: Some(clip.format.rate),
            ..ClipOptions::default()
        };
        Ok(open(&self.folder.path().join(self.name), &options)?)
    }
}

/// A clip as Y'CbCr planes, for what ffmpeg cannot read.
fn planes(clip: &Clip, folder: &Path) -> Result<PathBuf, RateDistortionError> {
    let path = folder.join("clip.y4m");
    let mut frames = clip.open()?;
    let mut writer = create(&path, &clip.format)?;
    while let Some(frame) = frames.next()? {
        writer.write(&frame)?;
    }
    writer.finish()?;
    Ok(path)
}

fn failed(reason: impl ToString) -> RateDistortionError {
    RateDistortionError::Tool {
        program: "ffmpeg",
        reason: reason.to_string(),
    }
}
