//! `bsq eval` of clips.

use super::{Arguments, Metric};
use crate::command::Verdict;
use crate::command::error::CliError;
use crate::command::files::Files;
use crate::command::output::Output;
use crate::command::progress::Progress;
use crate::evaluation::{ClipEvaluation, ClipFigures, Logits, fvd, spread};
use bsq::data::list_clips;
use bsq::i3d::FEWEST_FRAMES;
use bsq::pipeline::ModelFile;
use bsq_collectives::Ranks;
use bsq_runtime::CompileOptions;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Frames that are measured unless the user says so: the usual clip of the field.
const FRAMES: usize = 16;

pub fn run(
    model: &ModelFile,
    arguments: &Arguments,
    options: &CompileOptions,
    ranks: &Ranks,
    output: &Output,
) -> Result<Verdict, CliError> {
    let of_pictures = [
        Metric::MsSsim,
        Metric::Fid,
        Metric::Is,
        Metric::PrecisionRecall,
    ];
    if let Some(metric) = of_pictures
        .iter()
        .find(|metric| arguments.metrics.contains(metric))
    {
        let what = metric.title();
        return Err(CliError::new(format_args!(
            "{what} is measured of pictures, and these are clips"
        )));
    }
    let frames = arguments.frames.map_or(FRAMES, usize::from);
    let i3d = arguments
        .i3d
        .as_deref()
        .filter(|_| arguments.wants(Metric::Fvd));
    if i3d.is_some() && frames < FEWEST_FRAMES {
        let message = format_args!(
            "--frames {frames}: FVD's network sees clips of {FEWEST_FRAMES} frames and more"
        )
        .to_string();
        return Err(CliError::new(message));
    }
    let lpips: &[PathBuf] = match arguments.wants(Metric::Lpips) {
        true => &arguments.lpips,
        false => &[],
    };
    let mut evaluation = ClipEvaluation::new(
        model,
        frames,
        (lpips, arguments.lpips_net.get()),
        i3d,
        options,
    )?;
    let paths = paths(arguments, output)?;
    let progress = Progress::new("measuring", "clips", paths.len());
    let mut files = Files::new(ranks, output);
    let mut number = 0;
    let one = |path: &Path, output: &Output| {
        progress.set(number);
        number += ranks.size();
        match evaluation.measure(path, arguments.every_window) {
            Err(error) if !arguments.strict => {
                output.note(format_args!("left out: {error}"));
                Ok(None)
            }
            measured => Ok(Some(measured?)),
        }
    };
    let measured = files.each(paths.iter().map(|path| (&**path, &**path)), one)?;
    drop(progress);
    let (mut broken, mut figures, mut logits) = (Vec::new(), Vec::new(), Vec::<Logits>::new());
    for (path, measured) in measured {
        let Some(parts) = measured else {
            broken.push(path.display().to_string());
            continue;
        };
        for (own, seen) in parts {
            figures.push(own);
            logits.extend(seen);
        }
    }
    if !ranks.is_first() {
        return Ok(Verdict::Good);
    }
    let (originals, found): (Vec<_>, Vec<_>) = logits.iter().cloned().map(<(_, _)>::from).unzip();
    let distance = fvd(&originals, &found);
    let means = say(&figures, distance, output)?;
    let value = json!({
        "model": model.name,
        "side": evaluation.side(),
        "frames": frames,
        "clips": figures,
        "broken_clips": broken,
        "means": means,
        "fvd": distance,
    });
    files.finish(value, Verdict::Good)
}

/// The clips of the folder; of those the ones that --list names.
fn paths(arguments: &Arguments, output: &Output) -> Result<Vec<PathBuf>, CliError> {
    let folder = arguments.data.as_deref().unwrap_or(Path::new(""));
    let listing = list_clips(folder)?;
    listing.notices.iter().for_each(|line| output.note(line));
    let Some(list) = &arguments.list else {
        return Ok(listing.paths);
    };
    let text = std::fs::read_to_string(list)
        .map_err(|error| CliError::new(format_args!("{}: {error}", list.display())))?;
    // A line is a path within the folder, with a number of its class behind it or not.
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut wanted: BTreeSet<PathBuf> = names.map(|name| folder.join(name)).collect();
    let paths: Vec<PathBuf> = listing
        .paths
        .into_iter()
        .filter(|path| wanted.remove(path))
        .collect();
    if let Some(missing) = wanted.first() {
        let (count, first) = (wanted.len(), missing.display());
        output.note(format_args!(
            "left out: {count} of the list are not there, the first {first}"
        ));
    }
    match paths.is_empty() {
        true => Err(CliError::new(format_args!(
            "{}: names no clip of {}",
            list.display(),
            folder.display()
        ))),
        false => Ok(paths),
    }
}

/// A line for each clip, and means and deviations, which come back by name.
fn say(
    figures: &[ClipFigures],
    fvd: Option<f64>,
    output: &Output,
) -> Result<serde_json::Value, CliError> {
    for own in figures {
        let lpips = own
            .lpips
            .map_or(String::new(), |lpips| format!("  LPIPS {lpips:.4}"));
        output.say(format_args!(
            "{} from frame {}: PSNR {:.4}  SSIM {:.4}{lpips}",
            own.path, own.start, own.psnr, own.ssim
        ))?;
    }
    let mut means = serde_json::Map::new();
    let columns: [(&str, Vec<Option<f64>>); 3] = [
        ("PSNR", figures.iter().map(|own| Some(own.psnr)).collect()),
        ("SSIM", figures.iter().map(|own| Some(own.ssim)).collect()),
        ("LPIPS", figures.iter().map(|own| own.lpips).collect()),
    ];
    for (name, values) in columns {
        if let Some((mean, deviation)) = spread(values.into_iter().flatten()) {
            output.say(format_args!(
                "{name}: mean {mean:.4}, deviation {deviation:.4}"
            ))?;
            means.insert(name.into(), json!({ "mean": mean, "deviation": deviation }));
        }
    }
    if let Some(fvd) = fvd {
        output.say(format_args!("FVD of {} clips: {fvd:.4}", figures.len()))?;
    }
    Ok(means.into())
}
