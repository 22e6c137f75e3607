//! `bsq eval`: how well a tokenizer reconstructs the pictures of a folder, or how good samples are.

mod clips;
mod samples;

use crate::command::Verdict;
use crate::command::device::DeviceArgument;
use crate::command::error::CliError;
use crate::command::files::Files;
use crate::command::model::ModelArgument;
use crate::command::output::Output;
use crate::command::progress::Progress;
use crate::command::ranks::{self, Work};
use crate::evaluation::{
    Evaluation, PictureFigures, SetFigures, Sets, Worst, columns, html_page, spread,
};
use bsq::data::list_folder;
use bsq::inception::Convention;
use bsq::lpips::Backbone;
use bsq::metrics::sets::FeatureStatistics;
use bsq_collectives::Ranks;
use bsq_runtime::CompileOptions;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How well a tokenizer reconstructs the pictures of a folder.
#[derive(Args)]
#[command(long_about = "\
How well a tokenizer reconstructs the pictures of a folder: figures of each picture, their mean and \
deviation, and figures of all of them together.

A picture's shorter side is resized to the model's with the filter of the configuration \
(evaluation.interpolation), and the middle is cut out. Figures compare it with the reconstruction as it \
is, not rounded to 8 bits. PSNR and SSIM are always there, MS-SSIM for models of 256 pixels and more, \
LPIPS (AlexNet, or --lpips-net) with --lpips; FID, the inception score, precision and recall (k = 3, against the \
originals) with --inception, the weights of pytorch-fid. Sets of different sizes do not compare.

With --frames, or a model of clips, clips are measured: the middle frames of each file, or with \
--every-window all of it in such pieces; FVD with --i3d, weights of I3D by the names of its PyTorch port, \
logits of clips of 224 pixels resized without a filter, against the originals. --list takes those that a \
file names, as UCF-101's lists do.

Statistics of features are read and written as pytorch-fid's .npz files. --samples measures pictures that \
were generated instead (`bsq generate --npz`), against a reference of ADM's suite: FID against its `mu` and \
`sigma`, the inception score in parts of 5,000, precision and recall against its pictures, `arr_0`. \
Figures of papers in that suite's convention need --convention adm.")]
#[command(after_long_help = "\
Examples:
  bsq eval --model default --data photos
  bsq eval --model run --data val --metrics psnr,lpips --lpips alex.pth --html page.html
  bsq eval --model run --data val --inception pt_inception-2015-12-05-6726825d.pth \\
           --reference val_statistics.npz --json
  bsq eval --model video36 --data UCF-101 --list testlist01.txt --i3d i3d.safetensors
  bsq eval --model bsq36 --data clips --frames 16 --every-window
  bsq eval --samples samples.npz --reference VIRTUAL_imagenet128_labeled.npz --convention adm \\
           --inception pt_inception-2015-12-05-6726825d.pth")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// Folder of pictures or clips, searched to the bottom
    #[arg(long, value_name = "DIR", required_unless_present = "samples")]
    data: Option<PathBuf>,
    /// Generated pictures to measure instead: `arr_0`, `u8[count, height, width, 3]`
    #[arg(long, value_name = "FILE.npz", requires = "reference", conflicts_with_all = ["data", "lpips", "html", "save_statistics"])]
    samples: Option<PathBuf>,
    /// What to measure [default: what the given weights allow]
    #[arg(long, value_name = "METRIC,..", value_delimiter = ',')]
    metrics: Vec<Metric>,
    /// Weights of LPIPS: what lpips.LPIPS(net='alex') saves, or torchvision's network and the heads
    #[arg(long, value_name = "FILE", num_args = 1..)]
    lpips: Vec<PathBuf>,
    /// LPIPS's network; figures of different ones do not compare
    #[arg(long, value_enum, default_value = "alex", requires = "lpips")]
    lpips_net: LpipsNet,
    /// Measure clips, so many frames of each [default: 16 if the model is one of clips]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with_all = ["samples", "html", "inception"])]
    frames: Option<u16>,
    /// Measure all of each clip, in pieces of --frames frames, instead of its middle
    #[arg(long, conflicts_with = "samples")]
    every_window: bool,
    /// Measure the clips that a file names, a path within --data on each line
    #[arg(long, value_name = "FILE", conflicts_with = "samples")]
    list: Option<PathBuf>,
    /// Weights of FVD's I3D
    #[arg(long, value_name = "FILE", conflicts_with = "samples")]
    i3d: Option<PathBuf>,
    /// Weights of FID's Inception: pytorch-fid's file
    #[arg(long, value_name = "FILE")]
    inception: Option<PathBuf>,
    /// How Inception is given pictures
    #[arg(
        long,
        value_enum,
        default_value = "pytorch-fid",
        requires = "inception"
    )]
    convention: ConventionArgument,
    /// Statistics to take the distance to, instead of the originals' own; with --samples also pictures
    #[arg(long, value_name = "FILE.npz", requires = "inception")]
    reference: Option<PathBuf>,
    /// Write the originals' statistics
    #[arg(long, value_name = "FILE.npz", requires = "inception")]
    save_statistics: Option<PathBuf>,
    /// Fail if a picture cannot be read, instead of leaving it out
    #[arg(long)]
    strict: bool,
    /// Write a page with all figures and the worst pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgument,
}

/// LPIPS's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LpipsNet {
    /// AlexNet, as figures of papers are
    Alex,
    /// VGG16, which training takes
    Vgg,
    /// SqueezeNet
    Squeeze,
}

impl LpipsNet {
    fn get(self) -> Backbone {
        match self {
            LpipsNet::Alex => Backbone::AlexNet,
            LpipsNet::Vgg => Backbone::Vgg16,
            LpipsNet::Squeeze => Backbone::SqueezeNet,
        }
    }
}

/// How Inception is given pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConventionArgument {
    /// As pytorch-fid does
    PytorchFid,
    /// As the suite of ADM does, in TensorFlow
    Adm,
}

impl ConventionArgument {
    fn get(self) -> Convention {
        match self {
            ConventionArgument::PytorchFid => Convention::PytorchFid,
            ConventionArgument::Adm => Convention::Adm,
        }
    }
}

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Metric {
    Psnr,
    Ssim,
    MsSsim,
    Lpips,
    Fid,
    Is,
    PrecisionRecall,
    Fvd,
}

impl Metric {
    /// Its name in tables.
    fn title(self) -> &'static str {
        match self {
            Metric::Psnr => "PSNR",
            Metric::Ssim => "SSIM",
            Metric::MsSsim => "MS-SSIM",
            Metric::Lpips => "LPIPS",
            Metric::Fid => "FID",
            Metric::Is => "inception score",
            Metric::PrecisionRecall => "precision and recall",
            Metric::Fvd => "FVD",
        }
    }

    fn is_of_sets(self) -> bool {
        matches!(self, Metric::Fid | Metric::Is | Metric::PrecisionRecall)
    }
}

impl Arguments {
    fn wants(&self, metric: Metric) -> bool {
        self.metrics.is_empty() || self.metrics.contains(&metric)
    }

    /// That what is asked for can be measured.
    fn check(&self) -> Result<(), CliError> {
        let needs = |what: &str, option: &str| {
            Err(CliError::new(format_args!(
                "{what} needs weights, which are not part of this program: give {option}"
            )))
        };
        let asked = |metric: &Metric| self.metrics.contains(metric);
        if asked(&Metric::Lpips) && self.lpips.is_empty() {
            return needs("--metrics lpips", "--lpips FILE");
        }
        if asked(&Metric::Fvd) && self.i3d.is_none() {
            return needs("--metrics fvd", "--i3d FILE");
        }
        match self.metrics.iter().find(|metric| metric.is_of_sets()) {
            Some(metric) if self.inception.is_none() => needs(metric.title(), "--inception FILE"),
            _ => Ok(()),
        }
    }
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    if let Some(samples) = &arguments.samples {
        return samples::run(samples, &arguments, output);
    }
    ranks::together(Work::Files, output, |ranks, output| {
        run_rank(arguments, ranks, output)
    })
}

fn run_rank(arguments: Arguments, ranks: &Ranks, output: &Output) -> Result<Verdict, CliError> {
    arguments.check()?;
    let reference = arguments
        .reference
        .as_deref()
        .map(FeatureStatistics::read)
        .transpose()?;
    let model = arguments.model.open(output)?;
    let size = model.config.model.encoder.image_size;
    if size.width != size.height {
        let message = format!(
            "{}: its pictures are {}x{}, and only square ones are measured",
            model.name, size.width, size.height
        );
        return Err(CliError::new(message));
    }
    let options = CompileOptions {
        threads: output.threads,
        device: arguments.device.open(output)?,
        ..CompileOptions::default()
    };
    if model.tokenizer.frames() > 1 || arguments.frames.is_some() {
        return clips::run(&model, &arguments, &options, ranks, output);
    }
    for (is_given, option) in [
        (arguments.i3d.is_some(), "--i3d"),
        (arguments.list.is_some(), "--list"),
        (arguments.every_window, "--every-window"),
    ] {
        if is_given {
            let name = &model.name;
            return Err(CliError::new(format_args!(
                "{option} is for clips, and {name} is a model of pictures: give --frames too"
            )));
        }
    }
    let of_lpips: &[PathBuf] = if arguments.wants(Metric::Lpips) {
        &arguments.lpips
    } else {
        &[]
    };
    let mut evaluation = Evaluation::new(
        &model,
        (of_lpips, arguments.lpips_net.get()),
        options.clone(),
    )?;
    let of_sets = [Metric::Fid, Metric::Is, Metric::PrecisionRecall];
    let wanted = of_sets.into_iter().any(|metric| arguments.wants(metric));
    let weights = arguments.inception.as_deref().filter(|_| wanted);
    let sets = weights.map(|weights| {
        Sets::new(
            weights,
            arguments.convention.get(),
            evaluation.side(),
            &options,
        )
    });
    let mut sets = sets.transpose()?;

    let listing = list_folder(arguments.data.as_deref().unwrap_or(Path::new("")))?;
    listing.notices.iter().for_each(|line| output.note(line));
    let progress = Progress::new("measuring", "pictures", listing.paths.len());
    let mut files = Files::new(ranks, output);
    let (mut number, mut own_worst) = (0, Worst::default());
    let one = |path: &Path, output: &Output| {
        progress.set(number);
        number += ranks.size();
        let (figures, pair) = match evaluation.measure(path) {
            Err(error) if !arguments.strict => {
                output.note(format_args!("left out: {error}"));
                return Ok(None);
            }
            measured => measured?,
        };
        let seen = sets.as_mut().map(|sets| sets.see(&pair)).transpose()?;
        let is_shown = arguments.html.is_some() && own_worst.add(figures.psnr, ());
        let shown = is_shown.then(|| pair.to_png());
        Ok(Some((figures, seen, shown)))
    };
    let paths = listing.paths.iter().map(|path| (&**path, &**path));
    let measured = files.each(paths, one)?;
    drop(progress);
    let mut broken: Vec<String> = Vec::new();
    let mut figures: Vec<PictureFigures> = Vec::new();
    let mut worst = Worst::default();
    for (path, measured) in measured {
        let Some((own, seen, shown)) = measured else {
            broken.push(path.display().to_string());
            continue;
        };
        if let (Some(sets), Some(seen)) = (&mut sets, &seen) {
            sets.add(seen);
        }
        if let Some(shown) = shown {
            worst.add(own.psnr, (own.clone(), shown));
        }
        figures.push(own);
    }
    if !ranks.is_first() {
        return Ok(Verdict::Good);
    }
    let of_sets = sets.as_ref().map(|sets| sets.figures(reference.as_ref()));
    if let (Some(path), Some(sets)) = (&arguments.save_statistics, &sets) {
        match sets.statistics() {
            Some(statistics) => statistics.write(path)?,
            None => output.note("fewer than two pictures have no statistics: none are written"),
        }
    }
    if let Some(path) = &arguments.html {
        let worst = worst.into_pictures();
        let page = html_page(&model.name, &figures, of_sets.as_ref(), &worst);
        bsq::image_io::write_atomically(path, page.as_bytes())?;
    }
    say(&figures, of_sets.as_ref(), &arguments, output)?;
    let value = json!({
        "model": model.name,
        "side": evaluation.side(),
        "pictures": figures,
        "broken_pictures": broken,
        "means": means(&figures),
        "sets": of_sets,
    });
    files.finish(value, Verdict::Good)
}

/// Means and deviations by name.
fn means(figures: &[PictureFigures]) -> Value {
    let mut means = serde_json::Map::new();
    for (name, values) in columns(figures) {
        if let Some((mean, deviation)) = spread(values.into_iter().flatten()) {
            means.insert(
                name.to_string(),
                json!({ "mean": mean, "deviation": deviation }),
            );
        }
    }
    Value::Object(means)
}

fn say(
    figures: &[PictureFigures],
    sets: Option<&SetFigures>,
    arguments: &Arguments,
    output: &Output,
) -> Result<(), CliError> {
    let titles = [Metric::Psnr, Metric::Ssim, Metric::MsSsim, Metric::Lpips];
    let wanted = |name: &str| {
        titles
            .iter()
            .any(|own| own.title() == name && arguments.wants(*own))
    };
    let shown = columns(figures);
    let has_any = |values: &[Option<f64>]| values.iter().any(Option::is_some);
    let shown: Vec<_> = shown
        .into_iter()
        .filter(|(name, values)| wanted(name) && has_any(values))
        .collect();
    for (row, own) in figures.iter().enumerate() {
        let mut line = own.path.clone();
        for (name, values) in &shown {
            let value = values[row].map_or("-".to_string(), |value| format!("{value:.4}"));
            line += &format!("  {name} {value}");
        }
        output.say(line)?;
    }
    for (name, values) in shown {
        if let Some((mean, deviation)) = spread(values.into_iter().flatten()) {
            output.say(format_args!(
                "{name}: mean {mean:.4}, deviation {deviation:.4}"
            ))?;
        }
    }
    match sets {
        Some(sets) => say_sets(sets, arguments, output),
        None => Ok(()),
    }
}

fn say_sets(sets: &SetFigures, arguments: &Arguments, output: &Output) -> Result<(), CliError> {
    for (metric, name, value) in [
        (Metric::Fid, "FID", sets.fid),
        (Metric::Is, "inception score", sets.inception_score),
        (Metric::PrecisionRecall, "precision", sets.precision),
        (Metric::PrecisionRecall, "recall", sets.recall),
    ] {
        if let Some(value) = value.filter(|_| arguments.wants(metric)) {
            output.say(format_args!("{name}: {value:.4}"))?;
        }
    }
    Ok(())
}
