//! A folder of clips beside H.264 and HEVC.

use super::names::{CodecName, codecs};
use super::told::{Told, make};
use super::{Arguments, progress};
use crate::command::Verdict;
use crate::command::clip::{GroupArgument, PredictedArgument, open_codec};
use crate::command::error::CliError;
use crate::command::output::Output;
use crate::rate_distortion::{
    CLIP_QUALITIES, ClipBench, ClipPeer, Comparison, Figures, Fvd, clip_table, clips_json,
    clips_page, ffmpeg_is_there,
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
    /// Keep no clips to be watched on the page
    #[arg(long)]
    no_videos: bool,
    #[command(flatten)]
    group: GroupArgument,
    #[command(flatten)]
    predicted: PredictedArgument,
}

impl ClipsArguments {
    /// An option of these that was given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--frames", self.frames.is_some()),
            ("--i3d", self.i3d.is_some()),
            ("--no-videos", self.no_videos),
            ("--predicted", self.predicted.is_given()),
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
        .map(|weights| Fvd::open(weights, &options))
        .transpose()?;
    let codec = open_codec((&arguments.model, &own.predicted), options, output)?;
    let mut codec = codec
        .ok_or_else(|| CliError::new("clips are coded by transform codecs, such as default"))?;
    if !arguments.keep.is_empty() {
        return Err(CliError::new("the knob of clips is --quality"));
    }
    let mut qualities = match arguments.quality.is_empty() {
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
