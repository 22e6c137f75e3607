//! A folder of clips beside H.264 and HEVC.

use super::names::{CodecName, codecs};
use super::told::{Told, make};
use super::{Arguments, progress};
use crate::command::Verdict;
use crate::command::clip::{GroupArgument, OverlapArgument, PredictedArgument, open_codec};
use crate::command::error::CliError;
use crate::command::output::Output;
use crate::rate_distortion::{
    CLIP_QUALITIES, ClipBench, ClipPeer, Comparison, Figures, Fvd, OurClips, clip_table,
    clips_json, clips_page, ffmpeg_is_there,
};
use bsq::data::list_clips;
use bsq::metrics::Lpips;
use bsq::pipeline::CompileOptions;
use clap::Args;
use std::path::PathBuf;

/// What is said of clips alone.
#[derive(Args)]
#[command(next_help_heading = "Clips")]
pub(super) struct ClipsArguments {
    /// The first so many frames of each clip [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// Weights of I3D for FVD, by the names of its PyTorch port; clips of 16 frames and more
    #[arg(long, value_name = "FILE")]
    i3d: Option<PathBuf>,
    /// Pieces of 16 frames of each clip for FVD, at most: a piece takes half a second of a core at every setting
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pieces: u16,
    /// Keep no clips to be watched on the page
    #[arg(long)]
    no_videos: bool,
    #[command(flatten)]
    group: GroupArgument,
    #[command(flatten)]
    overlap: OverlapArgument,
    #[command(flatten)]
    predicted: PredictedArgument,
    /// Of a tokenizer: store tokens as they are, without a prior
    #[arg(long, conflicts_with = "prior")]
    raw: bool,
}

impl ClipsArguments {
    /// An option of these that was given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--frames", self.frames.is_some()),
            ("--i3d", self.i3d.is_some()),
            ("--no-videos", self.no_videos),
            ("--predicted", self.predicted.is_given()),
            ("--raw", self.raw),
        ];
        given.into_iter().find_map(|(name, is)| is.then_some(name))
    }
}

pub(super) fn run(
    arguments: &Arguments,
    options: CompileOptions,
    mut lpips: Option<Lpips>,
    output: &Output,
) -> Result<Verdict, CliError> {
    let (own, out) = (&arguments.clips, &arguments.out);
    let peers = codecs(
        &arguments.codecs,
        &[ClipPeer::H264, ClipPeer::Hevc],
        CodecName::clip_peer,
    )?;
    let i3d = own.i3d.as_deref();
    let fvd = i3d
        .map(|weights| Fvd::open(weights, own.pieces.into(), &options))
        .transpose()?;
    let mut codec = ours(arguments, options, output)?;
    let is_tokenizer = codec.knob() != "quality";
    if is_tokenizer && !arguments.quality.is_empty() {
        return Err(CliError::new(
            "--quality is for transform codecs: a tokenizer of clips has one rate",
        ));
    }
    if !arguments.keep.is_empty() {
        return Err(CliError::new("--keep is for photos"));
    }
    let mut qualities = match arguments.quality.is_empty() {
        true if is_tokenizer => vec![0],
        true => CLIP_QUALITIES.to_vec(),
        false => arguments.quality.clone(),
    };
    if let Some(wrong) = qualities.iter().find(|&&quality| quality > 100) {
        return Err(CliError::new(format_args!(
            "--quality {wrong}: from 0 to 100"
        )));
    }
    qualities.sort_unstable_by(|a, b| b.cmp(a));
    qualities.dedup();
    let paths = list_clips(&arguments.data)?.paths;
    let videos = (!own.no_videos).then(|| out.join("clips"));
    make(videos.as_ref().unwrap_or(out))?;
    if !ffmpeg_is_there() && videos.is_some() {
        output.note("clips that are watched on the page need ffmpeg: it has figures alone");
    }
    let mut bench = ClipBench {
        codec: &mut codec,
        qualities,
        group: own.group.group(),
        frames: own.frames.map(|frames| frames as usize),
        peers,
        lpips: lpips.as_mut(),
        fvd,
        videos,
    };
    let (comparison, clips) = bench.run(&paths, &mut progress())?;
    let files = |codec: &Figures| vec![(codec.id.to_string(), clips_json(&comparison, codec))];
    let told = Told {
        what: "clips",
        all: paths.len(),
        table: &clip_table,
        files: &files,
    };
    let page = |comparison: &Comparison| clips_page(comparison, &clips);
    told.of(&comparison, &page, out, output)
}

/// The codec that `--model` names.
fn ours(
    arguments: &Arguments,
    options: CompileOptions,
    output: &Output,
) -> Result<OurClips, CliError> {
    let (own, model) = (&arguments.clips, &arguments.model);
    if let Some(codec) = open_codec((model, &own.predicted), options.clone(), output)? {
        own.overlap.refuse()?;
        if own.raw {
            return Err(CliError::new("--raw is for tokenizers"));
        }
        return Ok(OurClips::levels(codec));
    }
    let tokenizer = model.open(output)?;
    let prior = match own.raw {
        true => None,
        false => Some(arguments.prior.open_for_clips(&tokenizer, model, output)?),
    };
    let overlap = own.overlap.overlap();
    Ok(OurClips::tokens(
        &tokenizer,
        prior.as_ref(),
        overlap,
        options,
    )?)
}
