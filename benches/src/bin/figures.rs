//! The README's table of rates: what `bsq bench codec` measures of a folder of photos, in short.
//!
//! `cargo run --release -p bsq-benches --bin figures -- FOLDER` prints Markdown; with `--lpips FILE` (AlexNet,
//! which is no part of this program) LPIPS, too, and with `--readme` it also replaces what stands between the
//! markers in README.md.

use bsq::data::list_images;
use bsq::lpips::{Backbone, Network};
use bsq::metrics::Lpips;
use bsq::pipeline::CompileOptions;
use bsq::pretrained;
use bsq::transform_codec::stream::Effort;
use bsq_cli::rate_distortion::{Choice, Ours, compare, markdown_table};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

const MARKERS: [&str; 2] = ["<!-- figures: start -->\n", "<!-- figures: end -->"];

const CODECS: [Choice; 3] = [Choice::Jpeg, Choice::WebP, Choice::Jpeg2000];
/// JPEG XL takes many minutes: `bsq bench codec` has it.
const SLOW_CODECS: [Choice; 2] = [Choice::Jpeg2000, Choice::Avif];

/// Qualities of our files.
const RUNGS: [usize; 3] = [62, 38, 25];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let readme = arguments.iter().position(|argument| argument == "--readme");
    if let Some(position) = readme {
        arguments.remove(position);
    }
    let (folder, lpips) = match &arguments[..] {
        [folder] => (folder, None),
        [folder, option, file] if option == "--lpips" => (folder, Some(Path::new(file))),
        _ => return Err("usage: figures FOLDER [--lpips FILE] [--readme]".into()),
    };
    let text = figures(Path::new(folder), lpips)?;
    if readme.is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let old = std::fs::read_to_string(&path)?;
        let start = old
            .find(MARKERS[0])
            .ok_or("README.md has no start marker")?;
        let end = old.find(MARKERS[1]).ok_or("README.md has no end marker")?;
        let head = &old[..start + MARKERS[0].len()];
        std::fs::write(&path, format!("{head}{text}{}", &old[end..]))?;
    }
    Ok(())
}

/// The tables of means, without a search and with one, and below each who was measured; each is printed when it is done.
fn figures(folder: &Path, lpips: Option<&Path>) -> Result<String, Box<dyn Error>> {
    let open = |file| {
        let network = Network::new(Backbone::AlexNet);
        Lpips::with(network, &[file], &CompileOptions::default())
    };
    let mut lpips = lpips.map(open).transpose()?;
    let plain = table(folder, Effort::default(), &CODECS, lpips.as_mut())?;
    let plain = wrapped(&format!("{plain}\n\n"));
    print!("{plain}");
    let effort = Effort::new(5).expect("there is");
    let searched = table(folder, effort, &SLOW_CODECS, lpips.as_mut())?;
    let searched = wrapped(&format!("With `--effort 5`:\n\n{searched}"));
    print!("{searched}");
    Ok(plain + &searched)
}

fn table(
    folder: &Path,
    effort: Effort,
    codecs: &[Choice],
    lpips: Option<&mut Lpips>,
) -> Result<String, Box<dyn Error>> {
    let file = pretrained::open_codec("default")?;
    let mut ours = Ours::levels(&file, effort, &CompileOptions::default())?;
    let pictures = list_images(folder)?;
    let mut progress = |done, total| {
        eprint!("\r{done} of {total} files");
        ControlFlow::Continue(())
    };
    let comparison = compare(&mut ours, &RUNGS, &pictures, codecs, lpips, &mut progress)?;
    eprintln!();
    // Times are the machine's affair: `bsq bench codec` prints them.
    let mut text = markdown_table(&comparison, &[0, 1, 2], false);
    text += &format!("\n{} photos.", pictures.len());
    for codec in &comparison.codecs {
        let missing = if codec.missing { "not measured: " } else { "" };
        text += &format!(" {}: {missing}{}.", codec.name, codec.description);
    }
    Ok(text)
}

/// Lines of at most 100 columns; those of the table stay as they are.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with('|') {
            out += line;
        } else {
            let mut column = 0;
            for word in line.split(' ') {
                if column > 0 && column + 1 + word.len() > 100 {
                    out.push('\n');
                    column = 0;
                } else if column > 0 {
                    out.push(' ');
                    column += 1;
                }
                out += word;
                column += word.len();
            }
        }
        out.push('\n');
    }
    out
}
