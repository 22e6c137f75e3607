//! `bsq detokenize`: a file of tokens to photos.

use super::error::CliError;
use super::failures::Failures;
use super::output::Output;
use super::picture::PictureFile;
use super::precision::RoundingArguments;
use super::progress::Progress;
use super::run_arguments::RunArguments;
use super::{Verdict, paths};
use bsq::image_io::ImageSize;
use bsq::photo::PhotoError;
use bsq::pipeline::{NamedTokens, TokenFile, TokenizerSession};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A file of tokens back to photos.
#[derive(Args)]
#[command(long_about = "\
A file of tokens back to photos.

The model must be the one that made the tokens, down to the last bit of its weights; the file says \
which one that was. The pictures are those that `bsq reconstruct` writes, bit for bit, in the same \
precision. Tokens that were made in one precision may be read in any.")]
#[command(after_long_help = "\
Examples:
  bsq detokenize photo.safetensors -o photo.png
  bsq detokenize all.safetensors -o folder --model my.safetensors")]
pub struct Arguments {
    /// A token file that `bsq tokens` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The PNG file to write; a folder if there are several pictures
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    rounding: RoundingArguments,
}

pub fn run(arguments: Arguments, output: &Output) -> Result<Verdict, CliError> {
    let options = arguments.run.options_in(arguments.rounding, output)?;
    let model = arguments.run.model.open(output)?;
    let file = TokenFile::load(&arguments.file, &model)?;
    let names: Vec<PathBuf> = file.pictures.iter().enumerate().map(plain_name).collect();
    let outputs = paths::outputs(&names, Some(&arguments.output), paths::Kind::Picture)?;
    let mut session = TokenizerSession::new(&model, options);
    let (mut results, mut failures) = (Vec::new(), Failures::default());
    let mut one = |NamedTokens { name, tokens }: &NamedTokens, path: &Path| {
        let windows = session.windows(tokens.size).count();
        let progress = Progress::new(name, "windows", windows);
        let mut file = PictureFile::create(path, tokens.size)?;
        let mut write = |row: &[u8]| Ok(file.write_row(row)?);
        let mut done = |done| progress.set(done);
        session.decode_grid::<PhotoError>(tokens, &mut write, &mut done)?;
        drop(progress);
        file.finish()?;
        let ImageSize { height, width } = tokens.size;
        output.say(format_args!(
            "{name} -> {}: {width}x{height}",
            path.display()
        ))?;
        Ok(json!({
            "name": name,
            "output": path.display().to_string(),
            "width": width,
            "height": height,
        }))
    };
    for (picture, path) in file.pictures.iter().zip(&outputs) {
        let result = one(picture, path);
        results.extend(failures.keep(Path::new(&picture.name), result)?);
    }
    let value = json!({ "model": model.name, "images": results });
    failures.finish(output, value, Verdict::Good)
}

/// The name of a picture without folders: a file from elsewhere must not say where to write.
fn plain_name((number, picture): (usize, &NamedTokens)) -> PathBuf {
    let name = picture.name.rsplit(['/', '\\']).next().unwrap_or_default();
    match Path::new(name).file_stem() {
        Some(_) => PathBuf::from(name),
        None => PathBuf::from(format!("picture-{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq::pipeline::PictureTokens;
    use bsq::token_grid::{GridShape, TokenGrid};

    #[test]
    fn names_lose_their_folders() {
        for (name, plain) in [
            ("a.png", "a.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\b.jpg", "b.jpg"),
            ("x/..", "picture-3"),
            ("", "picture-3"),
        ] {
            let tokens = PictureTokens {
                size: ImageSize::square(1),
                grid: TokenGrid::new(GridShape::still(1, 1), vec![0]),
            };
            let picture = NamedTokens {
                name: name.to_string(),
                tokens,
            };
            assert_eq!(plain_name((3, &picture)), Path::new(plain), "{name}");
        }
    }
}
