//! `bsq bench codec`: our streams beside other codecs at the same file sizes.

mod clips;
mod names;
mod told;

use super::super::error::CliError;
use super::super::interrupt::finish_first;
use super::super::model::ModelArgument;
use super::super::output::Output;
use super::super::prior::PriorArgument;
use super::super::progress::Progress;
use super::super::quality::EffortArgument;
use super::super::{Verdict, paths};
use crate::rate_distortion::{
    Choice, Comparison, Figures, Ours, compare, html_page, markdown_table, same_size_json,
    sweep_json,
};
use bsq::data::{DataError, list_clips, list_images};
use bsq::metrics::Lpips;
use bsq::pipeline::CompileOptions;
use clap::Args;
use names::{CodecName, codecs};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use told::Told;

/// Measures our files beside other codecs' of the same size.
#[derive(Args)]
#[command(long_about = "\
Measures our files beside JPEG, WebP, JPEG 2000, AVIF and JPEG XL of the same size.

Every picture of a folder is coded at each rung of the rate ladder (--quality of `bsq encode`; of a \
tokenizer, --keep). Each other codec gives its best file that is not larger, and its curve along its \
own settings. JPEG is part of this program; the others are programs that are looked for on PATH: \
cwebp and dwebp (Debian: webp), opj_compress and opj_decompress (libopenjp2-tools), avifenc and \
avifdec (libavif-bin), cjxl and djxl (libjxl-tools). What is not there is reported as missing.

Written to the folder:
  CODEC.json            means over the pictures along the codec's curve, in CompressAI's schema
  CODEC-same-size.json  the same at the sizes of our files
  plot.svg              PSNR and MS-SSIM over bits per pixel
  index.html            parts of the pictures, two codecs laid over each other, and every figure; \
needs no other file

A folder of clips without pictures is measured beside H.264 and HEVC: libx264 and libx265 of the program \
ffmpeg, preset medium, no B-frames, constant rate factors from 17 to 47, whose raw streams are counted. \
Figures are means over frames, then over clips; FVD with --i3d is that of all clips in pieces of 16 frames, \
spread over each clip. On the page clips play side by side, frame for frame. Ours is a codec for clips, or with \
--model a tokenizer, whose tokens have three rates: as they are, by how often each occurs, and with the prior.

Whole files are counted. PSNR is that of 8-bit RGB; MS-SSIM has five scales, an 11-tap Gaussian \
window and the weights of Wang et al. (2003), per RGB channel; pictures with a side below 256 \
pixels have none. LPIPS (AlexNet) needs its weights, which are not part of this program: with Python, \
torch.save(lpips.LPIPS(net='alex').state_dict(), 'lpips.pt'), then --lpips lpips.pt. Times are single runs, without compiling; those of programs include their start \
and their files.")]
#[command(after_long_help = "\
Examples:
  bsq bench codec --data photos
  bsq bench codec --data photos --out figures --codecs jpeg,webp
  bsq bench codec --data photos --lpips lpips.pt
  bsq bench codec --data clips --frames 100
  bsq bench codec --data clips --lpips lpips.pt --i3d i3d.safetensors
  bsq bench codec --data clips --model bsq36
  bsq bench codec --data photos --keep 9,7,5 --model tokenizer.safetensors --prior prior.safetensors")]
pub struct Arguments {
    /// Folder of pictures, or of clips, searched to the bottom
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder to write to, made if need be
    #[arg(long, value_name = "DIR", default_value = "bench-codec")]
    out: PathBuf,
    /// Codecs to measure beside ours [default: all for pictures, or all for clips]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CODEC,...")]
    codecs: Vec<CodecName>,
    /// Qualities of our files [default: 9 from 100 to 0]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "Q,...",
        conflicts_with = "keep"
    )]
    quality: Vec<usize>,
    #[command(flatten)]
    effort: EffortArgument,
    /// Sub-tokens that our files of a tokenizer keep [default: every number]
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    keep: Vec<usize>,
    /// Weights of LPIPS: the state of lpips.LPIPS(net='alex') as a PyTorch or safetensors file
    #[arg(long, value_name = "FILE")]
    lpips: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    clips: clips::ClipsArguments,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let out = &arguments.out;
    paths::check_folder(out)?;
    if out.exists() && !out.is_dir() {
        return Err(CliError::new(format_args!(
            "{}: not a folder",
            out.display()
        )));
    }
    let options = CompileOptions {
        threads: output.threads,
        ..CompileOptions::default()
    };
    let lpips = arguments.lpips.as_deref();
    let mut lpips = lpips.map(|path| Lpips::open(path, &options)).transpose()?;
    let pictures = match list_images(&arguments.data) {
        // Clips, where there are no pictures.
        Err(DataError::NoImages { .. }) if has_clips(&arguments.data) => {
            return clips::run(&arguments, options, lpips, output);
        }
        found => found?,
    };
    if let Some(option) = arguments.clips.given() {
        return Err(CliError::new(format_args!(
            "{option} is for clips, and {} has pictures",
            arguments.data.display()
        )));
    }
    let mut ours = match arguments.model.open_codec(output)? {
        Some(file) => Ours::levels(&file, arguments.effort.effort, &options)?,
        None => {
            let tokenizer = arguments.model.open(output)?;
            let prior = {
                let model = &arguments.model;
                arguments.prior.open_with(&tokenizer, model, output)?
            };
            Ours::tokens(&tokenizer, &prior, &options)?
        }
    };
    let rungs = rungs(&arguments, &ours)?;
    let choices = codecs(&arguments.codecs, &Choice::ALL, CodecName::choice)?;
    let mut progress = progress();
    let comparison = compare(
        &mut ours,
        &rungs,
        &pictures,
        &choices,
        lpips.as_mut(),
        &mut progress,
    )?;
    drop(progress);
    let files = |codec: &Figures| {
        vec![
            (codec.id.to_string(), sweep_json(&comparison, codec)),
            (
                format!("{}-same-size", codec.id),
                same_size_json(&comparison, codec),
            ),
        ]
    };
    let table = |comparison: &Comparison| {
        let rungs: Vec<usize> = (0..comparison.rungs.len()).collect();
        markdown_table(comparison, &rungs, true)
    };
    let told = Told {
        what: "pictures",
        all: pictures.len(),
        table: &table,
        files: &files,
    };
    told.of(&comparison, &html_page, out, output)
}

fn has_clips(folder: &Path) -> bool {
    list_clips(folder).is_ok()
}

/// Shows how much is measured, and breaks off where the user does.
fn progress() -> impl FnMut(usize, usize) -> ControlFlow<()> {
    let (stop, mut bar) = (finish_first(), None);
    move |done, total| {
        let bar = bar.get_or_insert_with(|| Progress::new("measuring", "files", total));
        bar.set(done);
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// The rungs that were asked for, the largest files first.
fn rungs(arguments: &Arguments, ours: &Ours) -> Result<Vec<usize>, CliError> {
    let (option, asked, other) = match ours.knob() {
        "quality" => ("--quality", &arguments.quality, &arguments.keep),
        _ => ("--keep", &arguments.keep, &arguments.quality),
    };
    if !other.is_empty() {
        return Err(CliError::new(format_args!(
            "the knob of this model is {option}"
        )));
    }
    let settings = ours.settings();
    if let Some(wrong) = asked.iter().find(|setting| !settings.contains(setting)) {
        let (first, last) = (settings.start(), settings.end());
        return Err(CliError::new(format_args!(
            "{option} {wrong}: from {first} to {last}"
        )));
    }
    if asked.is_empty() {
        return Ok(ours.rungs());
    }
    let mut rungs = asked.to_vec();
    rungs.sort_unstable();
    rungs.dedup();
    rungs.reverse();
    Ok(rungs)
}
