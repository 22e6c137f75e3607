//! `bsq generate`: pictures sampled from a class.

use super::error::{CliError, Context};
use super::interrupt::uninterrupted;
use super::output::Output;
use super::paths::{check_folder, check_png};
use super::progress::Progress;
use super::run_arguments::DeviceOptions;
use super::{Verdict, model};
use bsq::data::LabelledPictures;
use bsq::image_io::{Picture, load, picture_grid, save_gif, save_png};
use bsq::masked_lm::{Generator, Guidance, Inpainting, MaskedLmFile, SampleSettings, Start};
use bsq::metrics::sets::write_pictures;
use bsq::pipeline::ModelFile;
use bsq::pretrained;
use bsq_runtime::names::nearest;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DEFAULT: &str = "fashion";
const DEFAULT_STEPS: usize = 12;
/// How long a frame of an animation stays.
const FRAME: Duration = Duration::from_millis(250);

/// Makes pictures of a class: a masked language model draws tokens, a tokenizer makes pixels of them.
#[derive(Args)]
#[command(long_about = "\
Makes pictures of a class: a masked language model draws tokens, a tokenizer makes pixels of them.

The default model makes pieces of clothing, as small as those of Fashion-MNIST, that it was trained \
on: t-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, boot. Without --class there \
is a row of --count pictures for each class. A seed stands for the same pictures on every machine, \
and picture 5 of 64 is picture 5 of 6.

Everything begins masked. Each step draws all masked tokens and keeps those that are surest, with \
noise of --temperature on what is sure, which falls to 0 with the steps. --guidance A goes beyond the \
class: logits are l0 + (1 + A) (l - l0), with l those of the class and l0 those without any.

--inpaint makes a part of a picture anew: where the picture --mask, of the same size, is white. With \
the --class of something else, that part becomes something else.")]
#[command(after_long_help = "\
Examples:
  bsq generate --grid all.png                            a row for each class
  bsq generate --class sneaker --count 16 --grid out.png
  bsq generate --class 3 --count 1 --grid dress.png --steps 32 --seed 7
  bsq generate --class bag --grid bags.png --animate bags.gif
  bsq generate --no-class --count 64 --grid any.png      whatever comes
  bsq generate --inpaint shirt.png --mask sleeves.png --class dress --count 4 --grid out.png
  bsq generate --model run --tokenizer tokenizer --grid out.png")]
pub struct Arguments {
    /// The masked language model: one that ships (fashion), the folder of a training, or a file
    #[arg(long, value_name = "NAME|PATH", default_value = DEFAULT)]
    model: String,
    /// The tokenizer whose tokens it knows [default: the one that ships for it]
    #[arg(long, value_name = "NAME|PATH")]
    tokenizer: Option<String>,
    /// What to make: a class by its name, or by its number from 0 [default: each of them; none with
    /// --inpaint]
    #[arg(long, value_name = "NAME|N")]
    class: Option<String>,
    /// Pictures of whatever the model likes: it is not told a class
    #[arg(long, conflicts_with = "class")]
    no_class: bool,
    /// How many pictures, of each class if none is named
    #[arg(long, value_name = "K", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// The PNG file to write, all pictures in one
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Pixels of the file for each pixel of a picture, across and down
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    scale: u32,
    /// Steps: more are slower, and often better [default: 12, or as many as there are masked entries]
    #[arg(long, value_name = "S")]
    steps: Option<usize>,
    /// Noise on what is sure: more is more varied and less good
    #[arg(long, value_name = "T", default_value_t = SampleSettings::default().temperature)]
    temperature: f64,
    /// How far to go beyond the class; 0 is the class alone, in half the time [default: 0.5; 0 without
    /// a class]
    #[arg(long, value_name = "A")]
    guidance: Option<f64>,
    /// Guidance that rises with the steps, from 0 to --guidance: as (1 - cos(pi (k/S)^P)) / 2
    #[arg(long, value_name = "P")]
    guidance_ramp: Option<f64>,
    /// Which noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// A picture of which a part is made anew
    #[arg(long, value_name = "IMAGE", requires = "mask")]
    inpaint: Option<PathBuf>,
    /// Which part: white, in a picture of the same size
    #[arg(long, value_name = "IMAGE", requires = "inpaint")]
    mask: Option<PathBuf>,
    /// Write what each step has drawn, too, as an animated GIF
    #[arg(long, value_name = "FILE")]
    animate: Option<PathBuf>,
    /// Write the pictures as an array u8 [count, height, width, 3], arr_0 of an .npz, too: what the
    /// evaluation of ADM reads
    #[arg(long, value_name = "FILE")]
    npz: Option<PathBuf>,
    /// Write a second grid to FILE: below each picture the nearest of --neighbours-of, by pixels
    #[arg(long, value_name = "FILE", requires = "neighbours_of")]
    neighbours: Option<PathBuf>,
    /// Training pictures: a folder, or IDX files
    #[arg(long, value_name = "PATH", requires = "neighbours")]
    neighbours_of: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    check_png(&arguments.grid)?;
    let written = [&arguments.animate, &arguments.npz, &arguments.neighbours];
    for path in written.into_iter().flatten().chain([&arguments.grid]) {
        check_folder(path)?;
    }
    let file = open(&arguments.model)?;
    let tokenizer = arguments.tokenizer_of(&file)?;
    let mut generator = Generator::new(&file, &tokenizer, &arguments.device.options(output)?)?;
    let class = arguments.class_of(&file)?;
    let count = arguments.count as usize;
    let inpainting = arguments.inpainting(&mut generator, class)?;
    let classes: Vec<Option<usize>> =
        match (class, &inpainting, file.config.masked_lm.classes.len()) {
            (Some(class), ..) => vec![Some(class)],
            (None, Some(_), _) | (None, None, 0) => vec![None],
            (None, None, _) if arguments.no_class => vec![None],
            (None, None, all) => (0..all).map(Some).collect(),
        };
    let starts: Vec<Start> = classes
        .iter()
        .flat_map(|&class| {
            let start = match &inpainting {
                Some(inpainting) => inpainting.start.clone(),
                None => Start::empty(&file.model, class),
            };
            vec![start; count]
        })
        .collect();
    let settings = arguments.settings(&file, &starts[0]);

    let begun = Instant::now();
    let all_steps = settings.steps * generator.batches(starts.len());
    let progress = Progress::new("sampling", "steps", all_steps);
    let mut frames: Vec<Vec<Vec<i32>>> = vec![Vec::new(); settings.steps];
    let mut done = 0;
    let mut each_step = |step: usize, drawn: &[&[i32]]| {
        done += 1;
        progress.set(done);
        if arguments.animate.is_some() {
            frames[step].extend(drawn.iter().map(|picture| picture.to_vec()));
        }
    };
    let tokens = generator.tokens(&starts, 0, &settings, &mut each_step)?;
    let merged = |pictures: Vec<Picture>| match &inpainting {
        Some(inpainting) => pictures.iter().map(|x| inpainting.merged(x)).collect(),
        None => pictures,
    };
    let pictures = merged(generator.pictures(&tokens)?);
    drop(progress);
    let seconds = begun.elapsed().as_secs_f64();

    let columns = match classes.len() {
        1 => (count as f64).sqrt().ceil() as usize,
        _ => count,
    };
    let scale = arguments.scale as usize;
    let grid = |pictures: &[Picture]| picture_grid(pictures, columns, scale);
    uninterrupted(|| save_png(&grid(&pictures), &arguments.grid))?;
    if let Some(path) = &arguments.animate {
        let mut grids = Vec::new();
        for drawn in &frames {
            grids.push(grid(&merged(generator.drawn(drawn)?)));
        }
        uninterrupted(|| save_gif(&grids, FRAME, path))?;
    }
    if let Some(path) = &arguments.npz {
        uninterrupted(|| write_pictures(&pictures, path))?;
    }
    if let (Some(path), Some(of)) = (&arguments.neighbours, &arguments.neighbours_of) {
        let near = nearest_pictures(&generator, &pictures, of)?;
        let rows = pictures.chunks(columns).zip(near.chunks(columns));
        let rows: Vec<Picture> = rows.flat_map(|(a, b)| [a, b].concat()).collect();
        uninterrupted(|| save_png(&grid(&rows), path))?;
    }
    let name = |class: &Option<usize>| class.map(|class| &file.config.masked_lm.classes[class]);
    let names: Vec<Option<&String>> = classes.iter().map(name).collect();
    let compiling = generator.compile_time().as_secs_f64();
    output.say(format_args!(
        "{}: {} pictures in {} steps, {seconds:.2} s, of which {compiling:.2} s compiling",
        arguments.grid.display(),
        pictures.len(),
        settings.steps,
    ))?;
    output.value(&json!({
        "grid": arguments.grid.display().to_string(),
        "model": file.name,
        "tokenizer": tokenizer.name,
        "classes": names,
        "pictures": pictures.len(),
        "steps": settings.steps,
        "temperature": settings.temperature,
        "guidance": arguments.guidance,
        "seed": settings.seed,
        "seconds": seconds,
        "compile_seconds": compiling,
    }))?;
    Ok(Verdict::Good)
}

/// The model of a name or path.
fn open(name: &str) -> Result<MaskedLmFile, CliError> {
    let shipped: Vec<&str> = pretrained::masked_lm_names().collect();
    if !Path::new(name).exists() && !shipped.contains(&name) {
        return Err(CliError::new(format_args!(
            "{name}: neither a file nor a masked language model that ships ({})",
            shipped.join(", ")
        )));
    }
    Ok(pretrained::open_masked_lm(name)?)
}

impl Arguments {
    /// The tokenizer that is named, or the one that ships and whose tokens the model knows.
    fn tokenizer_of(&self, file: &MaskedLmFile) -> Result<ModelFile, CliError> {
        if let Some(name) = &self.tokenizer {
            return model::open(name, None);
        }
        let known = u64::from_str_radix(&file.tokenizer, 16).ok();
        let shipped = known
            .map(pretrained::with_fingerprint)
            .transpose()?
            .flatten();
        shipped.ok_or_else(|| {
            CliError::new(format_args!(
                "{}: knows the tokens of the tokenizer {}, which does not ship: give it with --tokenizer",
                file.name, file.tokenizer
            ))
        })
    }

    /// The number of the class that is named.
    fn class_of(&self, file: &MaskedLmFile) -> Result<Option<usize>, CliError> {
        let Some(name) = &self.class else {
            return Ok(None);
        };
        let classes = &file.config.masked_lm.classes;
        if classes.is_empty() {
            return Err(CliError::new(format_args!(
                "--class {name}: {} has no classes: leave it out",
                file.name
            )));
        }
        if let Some(class) = classes.iter().position(|class| class == name) {
            return Ok(Some(class));
        }
        if let Ok(number) = name.parse::<usize>() {
            return match number < classes.len() {
                true => Ok(Some(number)),
                false => Err(CliError::new(format_args!(
                    "--class {number}: {} has the classes 0 to {}",
                    file.name,
                    classes.len() - 1
                ))),
            };
        }
        let names = classes.iter().map(String::as_str);
        let suggestion = match nearest(&name.to_lowercase(), names) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it has {}", classes.join(", ")),
        };
        Err(CliError::new(format_args!(
            "--class {name}: no class of {}; {suggestion}",
            file.name
        )))
    }

    fn inpainting(
        &self,
        generator: &mut Generator,
        class: Option<usize>,
    ) -> Result<Option<Inpainting>, CliError> {
        let (Some(picture), Some(mask)) = (&self.inpaint, &self.mask) else {
            return Ok(None);
        };
        let (whole, part) = (load(picture)?.picture, load(mask)?.picture);
        let inpainting = generator.inpainting(&whole, &part, class);
        Ok(Some(inpainting.in_(mask.display())?))
    }

    fn settings(&self, file: &MaskedLmFile, start: &Start) -> SampleSettings {
        let config = &file.config.masked_lm;
        let strength = match start.class {
            Some(_) => self.guidance.unwrap_or(0.5),
            None => self.guidance.unwrap_or(0.0),
        };
        let masked = start.masked_entries(config);
        SampleSettings {
            seed: self.seed,
            steps: self.steps.unwrap_or(DEFAULT_STEPS.min(masked)),
            temperature: self.temperature,
            guidance: match self.guidance_ramp {
                Some(power) => Guidance::Ramp {
                    scale: strength,
                    power,
                },
                None => Guidance::Constant(strength),
            },
            ..SampleSettings::default()
        }
    }
}

/// Of each picture the nearest of some, by the squares of differences of pixels.
fn nearest_pictures(
    generator: &Generator,
    pictures: &[Picture],
    of: &Path,
) -> Result<Vec<Picture>, CliError> {
    let others = LabelledPictures::open(of)?;
    let progress = Progress::new("neighbours", "pictures", others.count());
    let mut best: Vec<(u64, Option<Picture>)> = vec![(u64::MAX, None); pictures.len()];
    for index in 0..others.count() {
        let other = generator.window(&*others.picture(index)?);
        for (picture, best) in pictures.iter().zip(&mut best) {
            let pairs = picture.rgb.iter().zip(&other.rgb);
            let distance: u64 = pairs.map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
            if distance < best.0 {
                *best = (distance, Some(other.clone()));
            }
        }
        progress.set(index + 1);
    }
    Ok(best
        .into_iter()
        .filter_map(|(_, picture)| picture)
        .collect())
}
