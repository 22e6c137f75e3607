//! Clips of any format, read and written by the program `ffmpeg` through a pipe of uncompressed
//! frames.
//!
//! It decodes, turns frames upright, makes 10 bits 8 and other chroma 4:2:0, and gives frames at a
//! constant rate; the colours are ours. What it writes is H.264 by libx264, near-lossless, with even
//! sides: a last row or column may be there twice.

use super::color::{Matrix, Range};
use super::y4m::{Y4mReader, coding_of, header, write_frame};
use super::{ClipFormat, ClipOptions, FrameRate, ReadFrames, VideoError, WriteFrames};
use crate::image_io::{ImageSize, Picture};
use serde_json::Value;
use std::fs;
use std::io::{BufReader, BufWriter, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use y4m::Encoder;

/// libx264's constant rate factor: no loss that one sees.
const CRF: &str = "10";

/// A decoder's frames.
pub(super) struct FfmpegReader {
    frames: Y4mReader<BufReader<ChildStdout>>,
    child: Running,
    path: PathBuf,
    notices: Vec<String>,
}

/// A process that does not outlive us, and what it complains of.
struct Running {
    child: Child,
    said: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    fn new(mut child: Child) -> Running {
        let said = child
            .stderr
            .take()
            .map(|errors| std::thread::spawn(move || first_line(errors)));
        Running { child, said }
    }

    /// Waits for the end. What it has complained of, and whether it failed.
    fn end(&mut self) -> (Option<String>, bool) {
        let failed = !self.child.wait().is_ok_and(|status| status.success());
        let said = self.said.take().and_then(|thread| thread.join().ok());
        (said.filter(|line| !line.is_empty()), failed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line; all is read, so that the process is not held up.
fn first_line(mut errors: ChildStderr) -> String {
    let mut said = Vec::new();
    let _ = errors.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or_default().trim().to_string()
}

fn start(path: &Path, command: &mut Command) -> Result<Child, VideoError> {
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => VideoError::NoProgram {
            path: path.into(),
            program: "ffmpeg",
        },
        _ => VideoError::of(path, error),
    })
}

impl FfmpegReader {
    pub fn open(path: &Path, options: &ClipOptions) -> Result<FfmpegReader, VideoError> {
        let probed = Probed::of(path)?;
        let mut command = Command::new("ffmpeg");
        command
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(argument(path));
        command.args(["-map", "0:v:0", "-an", "-sn"]);
        command.args([
            "-vf",
            "scale=out_range=limited,format=yuv420p",
            "-fps_mode",
            "cfr",
        ]);
        if let Some(rate) = probed.rate {
            command.args(["-r", &rate.to_string()]);
        }
        command.args(["-f", "yuv4mpegpipe", "-"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = Running::new(start(path, &mut command)?);
        let output = child.child.stdout.take().expect("it is a pipe");
        let options = ClipOptions {
            matrix: options.matrix.or(probed.matrix),
            range: options.range.or(Some(Range::Limited)),
            ..*options
        };
        let frames = Y4mReader::new(BufReader::with_capacity(1 << 20, output), path, &options);
        let mut frames = match frames {
            Ok(frames) => frames,
            // What the decoder says is nearer to the cause.
            Err(error) => {
                return Err(match child.end() {
                    (Some(line), _) => VideoError::of(path, line),
                    (None, _) => error,
                });
            }
        };
        frames.set_frames(probed.frames);
        Ok(FfmpegReader {
            frames,
            child,
            path: path.into(),
            notices: probed.notices,
        })
    }
}

impl ReadFrames for FfmpegReader {
    fn format(&self) -> &ClipFormat {
        self.frames.format()
    }

    fn next_frame(&mut self) -> Result<Option<Picture>, VideoError> {
        if let Some(frame) = self.frames.next_frame()? {
            return Ok(Some(frame));
        }
        match self.child.end() {
            (Some(line), true) => return Err(VideoError::of(&self.path, line)),
            (Some(line), false) => self.notices.push(format!(
                "is damaged, and decoded as far as it could be: {line}"
            )),
            (None, _) => {}
        }
        Ok(None)
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = self.notices.clone();
        notices.extend(self.frames.notices());
        notices
    }
}

/// A path that is not taken for an option or a protocol.
fn argument(path: &Path) -> PathBuf {
    match path.is_absolute() {
        true => path.into(),
        false => Path::new(".").join(path),
    }
}

/// What the file says of itself.
#[derive(Default)]
struct Probed {
    rate: Option<FrameRate>,
    frames: Option<usize>,
    matrix: Option<Matrix>,
    notices: Vec<String>,
}

impl Probed {
    fn of(path: &Path) -> Result<Probed, VideoError> {
        let mut command = Command::new("ffprobe");
        command
            .args(["-v", "error", "-show_streams", "-of", "json"])
            .arg(argument(path));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = start(path, &mut command)?.wait_with_output();
        let output = output.map_err(|error| VideoError::of(path, error))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let line = said
                .lines()
                .next_back()
                .unwrap_or("is no clip that ffmpeg reads");
            let name = argument(path).display().to_string();
            let line = line.strip_prefix(&format!("{name}: ")).unwrap_or(line);
            return Err(VideoError::of(path, line));
        }
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let none = Vec::new();
        let streams = value["streams"].as_array().unwrap_or(&none);
        let of_kind = |kind: &str| {
            streams
                .iter()
                .filter(|stream| stream["codec_type"] == kind)
                .count()
        };
        let video = streams
            .iter()
            .find(|stream| stream["codec_type"] == "video");
        let video =
            video.ok_or_else(|| VideoError::of(path, "has no pictures: a clip is wanted"))?;
        let mut probed = Probed::default();
        if of_kind("audio") > 0 {
            probed
                .notices
                .push("has sound, which is left out".to_string());
        }
        if of_kind("video") > 1 {
            probed
                .notices
                .push("has several tracks of pictures: the first is taken".to_string());
        }
        probed.rate(video);
        probed.colors(video);
        let frames = video["nb_frames"]
            .as_str()
            .and_then(|count| count.parse().ok());
        // At another rate there are others.
        probed.frames =
            frames.filter(|_| probed.notices.iter().all(|notice| !notice.contains("rate")));
        Ok(probed)
    }

    fn rate(&mut self, video: &Value) {
        let rate = |key: &str| {
            video[key]
                .as_str()
                .and_then(|rate| rate.parse::<FrameRate>().ok())
        };
        let (exact, average) = (rate("r_frame_rate"), rate("avg_frame_rate"));
        self.rate = exact.or(average);
        if let (Some(exact), Some(average)) = (exact, average)
            && (exact.per_second() / average.per_second() - 1.0).abs() > 0.01
        {
            // The average of a few frames may be any fraction: one of thousandths will do.
            let thousandths = (1000.0 * average.per_second()).round() as u32;
            self.rate = FrameRate::new(thousandths, 1000).or(Some(exact));
            let per_second = average.per_second();
            self.notices.push(format!(
                "has a variable frame rate: frames are repeated or left out for {per_second:.3} a second"
            ));
        }
    }

    fn colors(&mut self, video: &Value) {
        self.matrix = match video["color_space"].as_str() {
            Some("bt709") => Some(Matrix::Bt709),
            Some("smpte170m" | "bt470bg") => Some(Matrix::Bt601),
            Some(other @ ("bt2020nc" | "bt2020c")) => {
                self.notices.push(format!(
                    "has colours of {other}: they are taken for BT.709's, and look paler"
                ));
                Some(Matrix::Bt709)
            }
            _ => None,
        };
        let depth = video["pix_fmt"].as_str().unwrap_or_default();
        if depth.contains("10") || depth.contains("12") {
            self.notices
                .push(format!("has more than 8 bits ({depth}): they are rounded"));
        }
    }
}

/// Coders of 4:2:0 want even sides.
fn even(size: ImageSize) -> ImageSize {
    ImageSize {
        height: size.height.next_multiple_of(2),
        width: size.width.next_multiple_of(2),
    }
}

/// A picture of even sides: the last row and column once more.
fn padded(frame: &Picture) -> Picture {
    let ImageSize { height, width } = even(frame.size());
    let mut rgb = Vec::with_capacity(3 * height * width);
    for y in 0..height {
        let row = &frame.rgb[3 * frame.width * y.min(frame.height - 1)..][..3 * frame.width];
        rgb.extend_from_slice(row);
        if width > frame.width {
            rgb.extend_from_slice(&row[row.len() - 3..]);
        }
    }
    Picture::new(width, height, rgb)
}

/// An encoder that frames are given to.
pub(super) struct FfmpegWriter {
    encoder: Option<Encoder<BufWriter<ChildStdin>>>,
    child: Running,
    coding: super::color::Coding,
    /// Where the file is until it is whole.
    temporary: tempfile::TempPath,
    path: PathBuf,
}

impl FfmpegWriter {
    pub fn create(path: &Path, format: &ClipFormat) -> Result<FfmpegWriter, VideoError> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(".bsq-")
            .suffix(&format!(".{ending}"))
            .tempfile_in(folder)
            .map_err(|error| VideoError::of(path, error))?
            .into_temp_path();
        // The program makes it anew, as readable as its other files.
        fs::remove_file(&temporary).map_err(|error| VideoError::of(path, error))?;
        let format = ClipFormat {
            size: even(format.size),
            ..*format
        };
        let coding = coding_of(format.size);
        let matrix = match coding.matrix {
            Matrix::Bt601 => "smpte170m",
            Matrix::Bt709 => "bt709",
        };
        let mut command = Command::new("ffmpeg");
        command.args([
            "-v",
            "error",
            "-nostdin",
            "-y",
            "-f",
            "yuv4mpegpipe",
            "-i",
            "-",
        ]);
        command.args([
            "-c:v", "libx264", "-crf", CRF, "-preset", "medium", "-pix_fmt", "yuv420p",
        ]);
        command
            .args(["-colorspace", matrix, "-color_range", "tv"])
            .arg(&temporary);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = Running::new(start(path, &mut command)?);
        let input = child.child.stdin.take().expect("it is a pipe");
        let encoder = header(&format).write_header(BufWriter::new(input));
        let encoder = encoder.map_err(|error| VideoError::of(path, format!("{error:?}")))?;
        Ok(FfmpegWriter {
            encoder: Some(encoder),
            child,
            coding,
            temporary,
            path: path.into(),
        })
    }
}

impl WriteFrames for FfmpegWriter {
    fn write(&mut self, frame: &Picture) -> Result<(), VideoError> {
        let encoder = self.encoder.as_mut().expect("it is not finished");
        let written = match even(frame.size()) == frame.size() {
            true => write_frame(encoder, frame, self.coding),
            false => write_frame(encoder, &padded(frame), self.coding),
        };
        written.map_err(|error| match self.child.end() {
            (Some(line), _) => VideoError::of(&self.path, line),
            (None, _) => VideoError::of(&self.path, error),
        })
    }

    fn finish(mut self: Box<Self>) -> Result<(), VideoError> {
        // The end of the pipe is the end of the clip.
        drop(self.encoder.take());
        if let (said, true) = self.child.end() {
            return Err(VideoError::of(
                &self.path,
                said.unwrap_or_else(|| "ffmpeg failed".into()),
            ));
        }
        let FfmpegWriter {
            temporary, path, ..
        } = *self;
        temporary
            .persist(&path)
            .map_err(|error| VideoError::of(&path, error.error))
    }
}
