//! Where results are written: beside the input, to a file, or into a folder.

use super::error::{CliError, Context};
use super::output::Output;
use bsq::data::{DataError, list_clips, list_images};
use std::collections::BTreeMap;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PNG, named after its input as `STEM.bsq.png`; that of a stream `photo.bsq` too.
    Picture,
    /// PNG, named `STEM.side-by-side.png`.
    SideBySide,
    /// A stream, `STEM.bsq`.
    Stream,
}

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Kind::Picture => "bsq.png",
            Kind::SideBySide => "side-by-side.png",
            Kind::Stream => "bsq",
        }
    }
}

/// Pictures as a command line names them, without those that an earlier run wrote, which a pattern such
/// as *.png takes too; what is left out is said. One alone is taken, whatever it is called.
pub fn without_results(images: &mut Vec<PathBuf>, output: &Output) {
    let written = [Kind::Picture, Kind::SideBySide].map(|kind| format!(".{}", kind.suffix()));
    let is_result = |path: &PathBuf| {
        let name = path.to_string_lossy();
        written.iter().any(|suffix| name.ends_with(suffix))
    };
    if images.iter().all(is_result) {
        return;
    }
    images.retain(|path| {
        if is_result(path) {
            output.note(format_args!(
                "{}: left out: its name is that of a picture of an earlier run",
                path.display()
            ));
        }
        !is_result(path)
    });
}

/// Puts the pictures of folders in their place, and where there are none the clips.
///
/// # Errors
/// If a folder cannot be read, or has neither.
pub fn with_contents_of_folders(files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    for path in std::mem::take(files) {
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        match list_images(&path) {
            Ok(images) => files.extend(images),
            Err(none @ DataError::NoImages { .. }) => {
                files.extend(list_clips(&path).map_err(|_| none)?.paths);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One output path for each of `inputs`, all different and none an input.
///
/// Without `-o` that is `STEM.SUFFIX` beside the input. With it, the file itself for one input,
/// and `STEM.SUFFIX` in a folder for any number: one that exists, or one that [`make_folder`] makes
/// when something is written, if the name ends with a slash or is the name of no file.
pub fn outputs(
    inputs: &[PathBuf],
    given: Option<&Path>,
    kind: Kind,
) -> Result<Vec<PathBuf>, CliError> {
    let named = |input: &PathBuf| {
        let mut name = input
            .file_stem()
            .unwrap_or(input.as_os_str())
            .to_os_string();
        name.push(".");
        name.push(kind.suffix());
        name
    };
    let outputs: Vec<PathBuf> = match (given, inputs) {
        (None, _) => inputs
            .iter()
            .map(|input| input.with_file_name(named(input)))
            .collect(),
        (Some(folder), _) if folder.is_dir() || is_new_folder(folder, inputs.len()) => inputs
            .iter()
            .map(|input| folder.join(named(input)))
            .collect(),
        (Some(file), [_]) => vec![file.to_path_buf()],
        (Some(file), _) => {
            return Err(CliError::new(format_args!(
                "{}: not a folder: with several pictures -o must name an existing folder, or a new one with a / at its end",
                file.display()
            )));
        }
    };
    let mut taken: BTreeMap<&PathBuf, &PathBuf> = BTreeMap::new();
    for (input, output) in inputs.iter().zip(&outputs) {
        match kind {
            Kind::Picture | Kind::SideBySide => check_png(output)?,
            Kind::Stream => check_stream(output)?,
        }
        if !given.is_some_and(|folder| is_new_folder(folder, inputs.len())) {
            check_folder(output)?;
        }
        if let Some(other) = taken.insert(output, input) {
            return Err(CliError::new(format_args!(
                "{} and {} would both be written to {}",
                other.display(),
                input.display(),
                output.display()
            )));
        }
        if inputs.iter().any(|input| is_same_file(input, output)) {
            return Err(CliError::new(format_args!(
                "{}: would overwrite an input: name another file with -o",
                output.display()
            )));
        }
    }
    Ok(outputs)
}

/// Whether `-o` names a folder that is to be made.
fn is_new_folder(path: &Path, inputs: usize) -> bool {
    let slash = path.to_string_lossy().ends_with(['/', MAIN_SEPARATOR]);
    !path.exists() && (slash || inputs > 1 && path.extension().is_none())
}

/// Makes the folder of a file that is about to be written, if there is none.
pub fn make_folder(path: &Path) -> Result<(), CliError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            std::fs::create_dir_all(folder).in_(folder.display())
        }
        _ => Ok(()),
    }
}

/// Pictures are written as PNG, so a name must not say otherwise.
pub fn check_png(path: &Path) -> Result<(), CliError> {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    match extension.is_some_and(|e| e == "png") {
        true => Ok(()),
        false => Err(CliError::new(format_args!(
            "{}: pictures are written as PNG: name the file {}",
            path.display(),
            path.with_extension("png").display()
        ))),
    }
}

/// A stream in a file named as a picture would be taken for one.
fn check_stream(path: &Path) -> Result<(), CliError> {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    match extension.is_some_and(|e| ["png", "jpg", "jpeg"].iter().any(|x| e == *x)) {
        false => Ok(()),
        true => Err(CliError::new(format_args!(
            "{}: this is no PNG or JPEG file: name it {}",
            path.display(),
            path.with_extension("bsq").display()
        ))),
    }
}

/// A missing folder is found before the work and not after it.
pub fn check_folder(path: &Path) -> Result<(), CliError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(CliError::new(format_args!(
                "{}: there is no folder {}",
                path.display(),
                folder.display()
            )))
        }
        _ => Ok(()),
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<Vec<PathBuf>, CliError>) -> String {
        match result {
            Err(CliError::Message(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn outputs_stand_beside_inputs_or_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [folder.path().join("a.jpg"), folder.path().join("b.png")];
        let beside = outputs(&inputs, None, Kind::Picture).unwrap();
        assert_eq!(beside[0], folder.path().join("a.bsq.png"));
        let other = tempfile::tempdir().unwrap();
        let inside = outputs(&inputs, Some(other.path()), Kind::Picture).unwrap();
        assert_eq!(inside[1], other.path().join("b.bsq.png"));
        let file = folder.path().join("x.png");
        let one = outputs(&inputs[..1], Some(&file), Kind::Picture).unwrap();
        assert_eq!(one[0], file);
        assert!(message(outputs(&inputs, Some(&file), Kind::Picture)).contains("existing folder"));
        // A folder that is not there yet: by its slash, or because it is the name of no picture.
        let new = folder.path().join("new");
        let slash = folder.path().join("new.png/");
        let several = outputs(&inputs, Some(&new), Kind::Picture).unwrap();
        assert_eq!(several[0], new.join("a.bsq.png"));
        let one = outputs(&inputs[..1], Some(&slash), Kind::Picture).unwrap();
        assert_eq!(one[0], slash.join("a.bsq.png"));
        make_folder(&one[0]).unwrap();
        assert!(slash.is_dir());
    }

    #[test]
    fn nothing_is_overwritten_by_accident() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.jpg", "a.png"].map(|name| folder.path().join(name));
        let both = message(outputs(&[a.clone(), b.clone()], None, Kind::Picture));
        assert!(both.contains("would both be written"), "{both}");
        std::fs::write(&b, "picture").unwrap();
        let own = message(outputs(std::slice::from_ref(&b), Some(&b), Kind::Picture));
        assert!(own.contains("would overwrite an input"), "{own}");
        let jpeg = message(outputs(&[b], Some(&a), Kind::Picture));
        assert!(jpeg.contains("written as PNG"), "{jpeg}");
        let missing = folder.path().join("no").join("x.png");
        let missing = message(outputs(&[a], Some(&missing), Kind::Picture));
        assert!(missing.contains("there is no folder"), "{missing}");
    }
}
