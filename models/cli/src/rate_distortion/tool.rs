//! Programs on `PATH`: whether they are there, and one run of one.

use super::{Encoded, RateDistortionError};
use bsq::image_io::{Picture, encode_png, load};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// A codec's two programs and a folder for their files, which goes when this is dropped.
pub(super) struct Tools {
    encoder: &'static str,
    decoder: &'static str,
    folder: TempDir,
}

impl Tools {
    /// Both programs; otherwise why they cannot be used, with the Debian package that has them.
    pub fn find(
        encoder: &'static str,
        decoder: &'static str,
        package: &str,
    ) -> Result<Tools, String> {
        for program in [encoder, decoder] {
            if let Err(error) = said(program, &["-h"]) {
                return Err(match error.kind() {
                    io::ErrorKind::NotFound => {
                        format!("{program} is not on PATH (Debian: apt install {package})")
                    }
                    _ => format!("{program} does not start: {error}"),
                });
            }
        }
        let folder =
            tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        Ok(Tools {
            encoder,
            decoder,
            folder,
        })
    }

    /// Runs the encoder on a picture, a PNG or PPM file by its ending, with a command line in which
    /// `IN` and `OUT` stand for the files.
    pub fn encode(
        &self,
        picture: &Picture,
        [plain, coded]: [&str; 2],
        line: &str,
    ) -> Result<Encoded, RateDistortionError> {
        let (from, to) = (self.path("picture", plain), self.path("picture", coded));
        let failed = |error: io::Error| self.failed(self.encoder, error);
        let written = match plain {
            "png" => encode_png(picture),
            _ => to_ppm(picture),
        };
        std::fs::write(&from, written).map_err(failed)?;
        let seconds = self.run(self.encoder, line, [&from, &to])?;
        let bytes = std::fs::read(&to).map_err(failed)?;
        Ok(Encoded { bytes, seconds })
    }

    /// Runs the decoder, which writes a PNG file or an 8-bit PPM file by its ending. The picture, and
    /// the seconds of the run.
    pub fn decode(
        &self,
        bytes: &[u8],
        [plain, coded]: [&str; 2],
        line: &str,
    ) -> Result<(Picture, f64), RateDistortionError> {
        let (from, to) = (self.path("picture", coded), self.path("decoded", plain));
        let failed = |error: io::Error| self.failed(self.decoder, error);
        std::fs::write(&from, bytes).map_err(failed)?;
        let seconds = self.run(self.decoder, line, [&from, &to])?;
        if plain == "png" {
            return Ok((load(&to)?.picture, seconds));
        }
        let written = std::fs::read(&to).map_err(failed)?;
        let picture = from_ppm(&written).ok_or(RateDistortionError::Tool {
            program: self.decoder,
            reason: "it wrote no 8-bit PPM picture".to_string(),
        })?;
        Ok((picture, seconds))
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.path().join(name).with_extension(ending)
    }

    fn run(
        &self,
        program: &'static str,
        line: &str,
        [from, to]: [&Path; 2],
    ) -> Result<f64, RateDistortionError> {
        let arguments = line.split_whitespace().map(|word| match word {
            "IN" => from.as_os_str(),
            "OUT" => to.as_os_str(),
            word => OsStr::new(word),
        });
        let start = Instant::now();
        let ran = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.failed(program, error))?;
        let seconds = start.elapsed().as_secs_f64();
        match ran.status.success() {
            true => Ok(seconds),
            false => {
                let said = String::from_utf8_lossy(&ran.stderr);
                let last = said.lines().rfind(|line| !line.trim().is_empty());
                Err(RateDistortionError::Tool {
                    program,
                    reason: format!("{}: {}", ran.status, last.unwrap_or("it does not say why")),
                })
            }
        }
    }

    fn failed(&self, program: &'static str, error: io::Error) -> RateDistortionError {
        RateDistortionError::Tool {
            program,
            reason: error.to_string(),
        }
    }
}

/// Everything that a program prints, whatever its exit code.
pub(super) fn said(program: &str, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(program);
    let ran = command.args(arguments).stdin(Stdio::null()).output()?;
    let all = [ran.stdout, ran.stderr].concat();
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// A binary PPM file.
pub(super) fn to_ppm(picture: &Picture) -> Vec<u8> {
    let head = format!("P6\n{} {}\n255\n", picture.width, picture.height);
    [head.as_bytes(), &picture.rgb].concat()
}

/// The picture of a binary PPM file of 8 bits.
pub(super) fn from_ppm(bytes: &[u8]) -> Option<Picture> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut numbers = [0_usize; 3];
    for number in &mut numbers {
        rest = rest.trim_ascii_start();
        while rest.first() == Some(&b'#') {
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            rest = rest[end..].trim_ascii_start();
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        *number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        rest = &rest[digits..];
    }
    let [width, height, 255] = numbers else {
        return None;
    };
    // One white space, whatever the first sample looks like.
    let samples = rest.get(1..)?;
    let right = width > 0 && height > 0 && Some(samples.len()) == (3 * width).checked_mul(height);
    right.then(|| Picture::new(width, height, samples.to_vec()))
}
