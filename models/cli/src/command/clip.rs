//! What the commands for clips share: options, progress, writing.

use super::error::CliError;
use super::interrupt::uninterrupted;
use super::limits::LimitArgument;
use super::model::ModelArgument;
use super::output::Output;
use super::quality::QualityArguments;
use bsq::clip_codec::{ClipCodec, ClipSettings};
use bsq::image_io::{ImageSize, Picture};
use bsq::pipeline::CompileOptions;
use bsq::pretrained;
use bsq::transform_codec::stream::{Effort, Target};
use bsq::video_io::color::{Matrix, Range};
use bsq::video_io::{ClipFormat, ClipOptions, FrameRate, ReadFrames, WriteFrames, create, open};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How clips are read that do not say it themselves.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Clips")]
pub struct ClipArguments {
    /// Frames per second, whatever the file says, such as 25 or 30000/1001 [default: the file; of folders and
    /// raw planes 25]
    #[arg(long, value_name = "RATE")]
    fps: Option<FrameRate>,
    /// Columns and rows of raw planes (.yuv), such as 640x360 [default: from the name]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<ImageSize>,
    /// How colours are coded, whatever the file says [default: the file, or bt709 from 720 rows on]
    #[arg(long, value_name = "MATRIX")]
    matrix: Option<MatrixArgument>,
    /// What black and white are, whatever the file says [default: the file, or limited]
    #[arg(long, value_name = "RANGE")]
    range: Option<RangeArgument>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MatrixArgument {
    Bt601,
    Bt709,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RangeArgument {
    Limited,
    Full,
}

fn size(text: &str) -> Result<ImageSize, String> {
    let parts = text.split_once('x').and_then(|(width, height)| {
        let (width, height) = (width.parse().ok()?, height.parse().ok()?);
        (width > 0 && height > 0).then_some(ImageSize { height, width })
    });
    parts.ok_or_else(|| "it is columns x rows, such as 640x360".to_string())
}

impl ClipArguments {
    fn options(&self, limits: LimitArgument) -> ClipOptions {
        ClipOptions {
            rate: self.fps,
            size: self.size,
            matrix: self.matrix.map(|matrix| match matrix {
                MatrixArgument::Bt601 => Matrix::Bt601,
                MatrixArgument::Bt709 => Matrix::Bt709,
            }),
            range: self.range.map(|range| match range {
                RangeArgument::Limited => Range::Limited,
                RangeArgument::Full => Range::Full,
            }),
            max_pixels: limits.max_pixels(),
        }
    }

    /// Opens a clip.
    pub fn open(
        &self,
        path: &Path,
        limits: LimitArgument,
    ) -> Result<Box<dyn ReadFrames>, CliError> {
        Ok(open(path, &self.options(limits))?)
    }
}

/// How clips are cut into groups.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Clips")]
pub struct GroupArgument {
    /// Frames of a clip's groups at most: how far apart a player can begin, and what damage costs
    #[arg(long, value_name = "N", default_value_t = ClipSettings::default().group, value_parser = clap::value_parser!(u16).range(1..))]
    group: u16,
}

impl GroupArgument {
    pub fn group(self) -> u16 {
        self.group
    }
}

/// How chunks of clips begin.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Clips")]
pub struct OverlapArgument {
    /// Of a tokenizer that sees several frames of a clip together: each such chunk begins with the last N frames
    /// before it, as context. It takes longer, and no more bits
    #[arg(long, value_name = "N", default_value_t = 0)]
    overlap: usize,
}

impl OverlapArgument {
    pub fn overlap(self) -> usize {
        self.overlap
    }

    /// Refuses it for what has no chunks.
    pub fn refuse(self) -> Result<(), CliError> {
        match self.overlap {
            0 => Ok(()),
            _ => Err(CliError::new("--overlap is for tokenizers of clips")),
        }
    }
}

/// Which codec codes predicted frames.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Clips")]
pub struct PredictedArgument {
    /// The codec for frames that are predicted from the one before: a training with a section [clips]
    /// [default: what ships with --model, or --model itself]
    #[arg(long, value_name = "PATH")]
    predicted: Option<PathBuf>,
}

impl PredictedArgument {
    pub fn is_given(&self) -> bool {
        self.predicted.is_some()
    }
}

/// How clips are encoded.
pub fn settings(
    quality: &QualityArguments,
    group: GroupArgument,
) -> Result<ClipSettings, CliError> {
    let target = quality.target();
    let is_searched = matches!(target, Target::BitsPerPixel(_) | Target::Psnr(_));
    if is_searched || quality.effort() != Effort::default() {
        return Err(CliError::new(
            "--bpp, --psnr and --effort are for photos: a clip is coded at a --quality or a --step",
        ));
    }
    Ok(ClipSettings {
        target,
        group: group.group,
    })
}

/// The codec for clips that `--model` names; `None` if it is a tokenizer. The default one has a codec
/// for predicted frames that ships with it.
pub fn open_codec(
    (model, predicted): (&ModelArgument, &PredictedArgument),
    options: CompileOptions,
    output: &Output,
) -> Result<Option<ClipCodec>, CliError> {
    let Some(file) = model.open_codec(output)? else {
        return Ok(None);
    };
    let predicted = match &predicted.predicted {
        Some(path) => Some(pretrained::open_predicted(path, &file)?),
        None => pretrained::predicted_for(&file)?,
    };
    Ok(Some(ClipCodec::new(&file, predicted.as_ref(), options)?))
}

/// Says what a user should know of a clip, once all of it has been read.
pub fn note(clip: &dyn ReadFrames, path: &Path, output: &Output) {
    for notice in clip.notices() {
        output.note(format_args!("{}: {notice}", path.display()));
    }
}

/// Creates a clip, in a folder that is made if there is none.
pub fn create_clip(path: &Path, format: &ClipFormat) -> Result<Box<dyn WriteFrames>, CliError> {
    super::paths::make_folder(path)?;
    Ok(create(path, format)?)
}

/// Writes a frame; Ctrl-C waits for it.
pub fn write(clip: &mut dyn WriteFrames, frame: &Picture) -> Result<(), CliError> {
    Ok(uninterrupted(|| clip.write(frame))?)
}

/// Where the clip of a stream goes: beside it as `STEM.bsq.mp4`, or as `-o` says.
pub fn output_path(input: &Path, given: Option<&Path>, inputs: usize) -> PathBuf {
    let name = || {
        let mut name = input
            .file_stem()
            .unwrap_or(input.as_os_str())
            .to_os_string();
        name.push(".bsq.mp4");
        name
    };
    match given {
        None => input.with_file_name(name()),
        Some(folder) if inputs > 1 => folder.join(name()),
        Some(path) => path.to_path_buf(),
    }
}

/// Frames that are done, and how many a second.
pub struct FrameProgress {
    bar: ProgressBar,
    start: Instant,
    done: usize,
}

impl FrameProgress {
    /// `total` is how many there are, if that is known.
    pub fn new(what: &str, total: Option<usize>) -> FrameProgress {
        let target = match stderr().is_terminal() && !super::progress::is_hidden() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(total.map(|total| total as u64), target);
        let template = match total {
            Some(_) => "{msg} {wide_bar} {pos}/{len} frames, {per_sec:.1}, {eta} left",
            None => "{msg} {spinner} {pos} frames, {per_sec:.1}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        bar.set_message(what.to_string());
        FrameProgress {
            bar,
            start: Instant::now(),
            done: 0,
        }
    }

    pub fn frame(&mut self) {
        self.done += 1;
        self.bar.set_position(self.done as u64);
    }

    /// Seconds so far.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

impl Drop for FrameProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
