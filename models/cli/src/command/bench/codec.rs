//! `bsq bench codec`: our streams beside other codecs at the same file sizes.

mod clips;

use super::super::error::CliError;
use super::super::interrupt::{finish_first, uninterrupted};
use super::super::model::ModelArgument;
use super::super::output::Output;
use super::super::prior::PriorArgument;
use super::super::progress::Progress;
use super::super::quality::EffortArgument;
use super::super::{Verdict, paths};
use crate::rate_distortion::{
    BdRate, Choice, ClipPeer, Comparison, Figures, Ours, bd_rate_table, compare, html_page,
    markdown_table, same_size_json, svg_plot, sweep_json,
};
use bsq::data::{DataError, list_clips, list_images};
use bsq::image_io::write_atomically;
use bsq::metrics::Lpips;
use bsq::pipeline::CompileOptions;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

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
  index.html            the pictures side by side, and every figure; needs no other file

A folder of clips without pictures is measured beside H.264 and HEVC: libx264 and libx265 of the program \
ffmpeg, preset medium, no B-frames, constant rate factors from 17 to 47, whose raw streams are counted. \
Figures are means over frames, then over clips. On the page clips play side by side, frame for frame.

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CodecName {
    Jpeg,
    Webp,
    Jpeg2000,
    Avif,
    JpegXl,
    H264,
    Hevc,
}

impl CodecName {
    /// If it is one of pictures.
    fn choice(self) -> Option<Choice> {
        Some(match self {
            CodecName::Jpeg => Choice::Jpeg,
            CodecName::Webp => Choice::WebP,
            CodecName::Jpeg2000 => Choice::Jpeg2000,
            CodecName::Avif => Choice::Avif,
            CodecName::JpegXl => Choice::JpegXl,
            CodecName::H264 | CodecName::Hevc => return None,
        })
    }

    /// If it is one of clips.
    fn clip_peer(self) -> Option<ClipPeer> {
        match self {
            CodecName::H264 => Some(ClipPeer::H264),
            CodecName::Hevc => Some(ClipPeer::Hevc),
            _ => None,
        }
    }
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

/// What is made of figures: lines, files and values.
struct Told<'a> {
    /// What was measured, in the plural, and how many there are.
    what: &'static str,
    all: usize,
    table: &'a dyn Fn(&Comparison) -> String,
    /// Of each codec, names of files and what is in them.
    files: &'a dyn Fn(&Figures) -> Vec<(String, Value)>,
}

impl Told<'_> {
    fn of(
        &self,
        comparison: &Comparison,
        page: &dyn Fn(&Comparison) -> String,
        out: &Path,
        output: &Output,
    ) -> Result<Verdict, CliError> {
        let (done, all, what) = (comparison.pictures.len(), self.all, self.what);
        if done < all {
            output.note(format_args!("stopped after {done} of {all} {what}"));
        }
        if done == 0 {
            return Ok(Verdict::Interrupted);
        }
        self.report(comparison, output)?;
        make(out)?;
        let mut results = Map::new();
        for (name, value) in comparison.codecs.iter().flat_map(self.files) {
            write(out, &format!("{name}.json"), &format!("{value:#}\n"))?;
            results.insert(name, value);
        }
        write(out, "plot.svg", &svg_plot(comparison))?;
        write(out, "index.html", &page(comparison))?;
        output.note(format_args!("wrote {}", out.join("index.html").display()));
        let names: Vec<&String> = comparison.pictures.iter().map(|(name, _)| name).collect();
        output.value(&json!({
            what: names,
            "knob": comparison.knob,
            "settings": comparison.rungs,
            "out": out.display().to_string(),
            "codecs": Value::Object(results),
            "bd_rates": Value::Object(bd_rates(comparison)),
        }))?;
        Ok(match done < all {
            true => Verdict::Interrupted,
            false => Verdict::Good,
        })
    }

    fn report(&self, comparison: &Comparison, output: &Output) -> Result<(), CliError> {
        for codec in &comparison.codecs {
            let missing = if codec.missing { "not measured: " } else { "" };
            output.say(format_args!(
                "{}: {missing}{}",
                codec.name, codec.description
            ))?;
        }
        output.say(format_args!(
            "\nmeans over {} {}\n\n{}",
            comparison.pictures.len(),
            self.what,
            (self.table)(comparison).trim_end()
        ))?;
        match comparison.codecs.len() {
            1 => Ok(()),
            _ => output.say(format_args!("\n{}", bd_rate_table(comparison).trim_end())),
        }
    }
}

fn make(folder: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(folder)
        .map_err(|error| CliError::new(format_args!("{}: {error}", folder.display())))
}

fn has_clips(folder: &Path) -> bool {
    list_clips(folder).is_ok()
}

/// The codecs that were asked for, each once, or all of a kind.
fn codecs<T: Copy + PartialEq>(
    asked: &[CodecName],
    all: &[T],
    of: fn(CodecName) -> Option<T>,
) -> Result<Vec<T>, CliError> {
    let mut chosen = match asked.is_empty() {
        true => all.to_vec(),
        false => Vec::new(),
    };
    for &name in asked {
        let codec = of(name).ok_or_else(|| {
            let name = name.to_possible_value();
            let name = name.as_ref().map_or("", |value| value.get_name());
            CliError::new(format_args!(
                "--codecs {name}: jpeg, webp, jpeg2000, avif and jpeg-xl are for pictures, h264 and hevc for clips"
            ))
        })?;
        if !chosen.contains(&codec) {
            chosen.push(codec);
        }
    }
    Ok(chosen)
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

/// BD-rates beside each of the other codecs.
fn bd_rates(comparison: &Comparison) -> Map<String, Value> {
    let others = comparison.codecs.iter().enumerate().skip(1);
    let rates = others.map(|(position, codec)| {
        let BdRate { psnr, ms_ssim } = comparison.bd_rate(position);
        let rates = json!({ "psnr": psnr, "ms_ssim": ms_ssim });
        (codec.id.to_string(), rates)
    });
    rates.collect()
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), CliError> {
    let path = folder.join(name);
    Ok(uninterrupted(|| write_atomically(&path, text.as_bytes()))?)
}
