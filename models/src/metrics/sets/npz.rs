//! Statistics in NumPy's files, as pytorch-fid and the suite of ADM keep them: `mu`, `sigma`.

use super::FeatureStatistics;
use crate::image_io::Picture;
use bsq_runtime::atomic_file::write_atomically;
use npyz::WriterBuilder;
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

/// Why statistics cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpzError {
    #[error("{}: {error}", path.display())]
    Io {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}: no .npz file: {error}", path.display())]
    Zip { path: PathBuf, error: ZipError },
    /// The arrays are not those of statistics.
    #[error("{}: {reason}", path.display())]
    Content { path: PathBuf, reason: String },
}

/// The bytes of an array in a file, if it has it.
fn array(path: &Path, name: &str) -> Result<Option<Vec<u8>>, NpzError> {
    let io = |error| NpzError::Io {
        path: path.into(),
        error,
    };
    let zip = |error| NpzError::Zip {
        path: path.into(),
        error,
    };
    let mut archive = zip::ZipArchive::new(File::open(path).map_err(io)?).map_err(zip)?;
    let mut entry = match archive.by_name(&format!("{name}.npy")) {
        Err(ZipError::FileNotFound) => return Ok(None),
        entry => entry.map_err(zip)?,
    };
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(io)?;
    Ok(Some(bytes))
}

fn content(path: &Path, reason: impl Into<String>) -> NpzError {
    NpzError::Content {
        path: path.into(),
        reason: reason.into(),
    }
}

/// Pictures of one size in a file of ADM's suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpzPictures {
    /// How many, their height, and their width.
    pub shape: [usize; 3],
    /// `u8[count, height, width, 3]`.
    pub bytes: Vec<u8>,
}

impl NpzPictures {
    /// Reads `arr_0`, `u8[count, height, width, 3]`; none if there is no such array.
    ///
    /// # Errors
    /// If the file cannot be read, or the array is of another type or shape.
    pub fn read(path: &Path) -> Result<Option<NpzPictures>, NpzError> {
        let Some(bytes) = array(path, "arr_0")? else {
            return Ok(None);
        };
        let wrong = |found: String| {
            content(
                path,
                format!("`arr_0` is {found}, not u8[count, height, width, 3]"),
            )
        };
        let file = npyz::NpyFile::new(&bytes[..])
            .map_err(|error| content(path, format!("`arr_0`: {error}")))?;
        let shape = file.shape().to_vec();
        let dtype = file.dtype().descr();
        let &[count, height, width, 3] = &shape[..] else {
            return Err(wrong(format!("{shape:?}")));
        };
        if file.order() != npyz::Order::C
            || dtype.trim_matches(|c: char| "|\'\"".contains(c)) != "u1"
        {
            return Err(wrong(dtype));
        }
        let bytes = file
            .into_vec::<u8>()
            .map_err(|error| content(path, format!("`arr_0`: {error}")))?;
        let shape = [count, height, width].map(|side| side as usize);
        Ok(Some(NpzPictures { shape, bytes }))
    }
}

impl FeatureStatistics {
    /// Reads `mu` and `sigma`, of `f32` or `f64`, and ignores what is beside them.
    ///
    /// # Errors
    /// If the file cannot be read, or has not these arrays.
    pub fn read(path: &Path) -> Result<FeatureStatistics, NpzError> {
        match FeatureStatistics::read_if_there(path)? {
            Some(statistics) => Ok(statistics),
            None => Err(content(
                path,
                "has no arrays `mu` and `sigma`, which statistics are",
            )),
        }
    }

    /// The same; none if there are neither.
    ///
    /// # Errors
    /// If the file cannot be read, or the arrays are no statistics.
    pub fn read_if_there(path: &Path) -> Result<Option<FeatureStatistics>, NpzError> {
        let (Some(mean), Some(covariance)) = (array(path, "mu")?, array(path, "sigma")?) else {
            return Ok(None);
        };
        let read = |name: &str, bytes: Vec<u8>| {
            numbers(&bytes).map_err(|reason| content(path, format!("`{name}`: {reason}")))
        };
        let (mean, mean_shape) = read("mu", mean)?;
        let (covariance, shape) = read("sigma", covariance)?;
        let features = mean.len() as u64;
        if mean_shape != [features] || shape != [features; 2] || features == 0 {
            return Err(content(
                path,
                format!(
                    "`mu` {mean_shape:?} and `sigma` {shape:?} are no mean [n] and covariance [n, n]"
                ),
            ));
        }
        Ok(Some(FeatureStatistics { mean, covariance }))
    }

    /// Writes `mu` and `sigma` as `f64`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), NpzError> {
        let io = |error| NpzError::Io {
            path: path.into(),
            error,
        };
        let zip = |error| NpzError::Zip {
            path: path.into(),
            error,
        };
        let features = self.mean.len() as u64;
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, values, shape) in [
            ("mu", &self.mean, vec![features]),
            ("sigma", &self.covariance, vec![features; 2]),
        ] {
            let mut bytes = Vec::new();
            let writer = npyz::WriteOptions::new().default_dtype().shape(&shape);
            let mut writer = writer.writer(&mut bytes).begin_nd().map_err(io)?;
            writer.extend(values.iter().copied()).map_err(io)?;
            writer.finish().map_err(io)?;
            let options = SimpleFileOptions::default();
            archive
                .start_file(format!("{name}.npy"), options)
                .map_err(zip)?;
            archive.write_all(&bytes).map_err(io)?;
        }
        let bytes = archive.finish().map_err(zip)?.into_inner();
        write_atomically(path, |file| file.write_all(&bytes)).map_err(io)
    }
}

/// Writes pictures of one size as `arr_0`, `u8[count, height, width, 3]`: the samples that the
/// evaluation of ADM (Dhariwal and Nichol, 2021) reads.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If there are no pictures.
#[track_caller]
pub fn write_pictures(pictures: &[Picture], path: &Path) -> Result<(), NpzError> {
    let io = |error| NpzError::Io {
        path: path.into(),
        error,
    };
    let zip = |error| NpzError::Zip {
        path: path.into(),
        error,
    };
    let first = pictures.first().expect("at least one picture");
    let shape = [pictures.len(), first.height, first.width, 3].map(|side| side as u64);
    let mut bytes = Vec::new();
    let writer = npyz::WriteOptions::new().default_dtype().shape(&shape);
    let mut writer = writer.writer(&mut bytes).begin_nd().map_err(io)?;
    let samples = pictures
        .iter()
        .flat_map(|picture| picture.rgb.iter().copied());
    writer.extend(samples).map_err(io)?;
    writer.finish().map_err(io)?;
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive
        .start_file("arr_0.npy", SimpleFileOptions::default())
        .map_err(zip)?;
    archive.write_all(&bytes).map_err(io)?;
    let bytes = archive.finish().map_err(zip)?.into_inner();
    write_atomically(path, |file| file.write_all(&bytes)).map_err(io)
}

/// The numbers of an array, row-major, and its shape.
fn numbers(bytes: &[u8]) -> Result<(Vec<f64>, Vec<u64>), String> {
    let file = npyz::NpyFile::new(bytes).map_err(|error| error.to_string())?;
    let shape = file.shape().to_vec();
    if file.order() != npyz::Order::C && shape.len() > 1 {
        // A covariance is its own transpose.
        if shape.len() != 2 || shape[0] != shape[1] {
            return Err("is in the order of Fortran".into());
        }
    }
    let dtype = file.dtype().descr();
    let values = match dtype.trim_matches(|c: char| "<>=|'\"".contains(c)) {
        "f8" => file.into_vec::<f64>(),
        "f4" => file
            .into_vec::<f32>()
            .map(|values| values.into_iter().map(f64::from).collect()),
        other => return Err(format!("is {other}, not f4 or f8")),
    };
    Ok((values.map_err(|error| error.to_string())?, shape))
}
