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

impl FeatureStatistics {
    /// Reads `mu` and `sigma`, of `f32` or `f64`, and ignores what is beside them.
    ///
    /// # Errors
    /// If the file cannot be read, or has not these arrays.
    pub fn read(path: &Path) -> Result<FeatureStatistics, NpzError> {
        let io = |error| NpzError::Io {
            path: path.into(),
            error,
        };
        let zip = |error| NpzError::Zip {
            path: path.into(),
            error,
        };
        let content = |reason: String| NpzError::Content {
            path: path.into(),
            reason,
        };
        let mut archive = zip::ZipArchive::new(File::open(path).map_err(io)?).map_err(zip)?;
        let mut array = |name: &str| {
            let mut entry =
                archive
                    .by_name(&format!("{name}.npy"))
                    .map_err(|error| match error {
                        ZipError::FileNotFound => content(format!(
                            "has no array `{name}`: statistics are `mu` and `sigma`"
                        )),
                        error => zip(error),
                    })?;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(io)?;
            numbers(&bytes).map_err(|reason| content(format!("`{name}`: {reason}")))
        };
        let (mean, mean_shape) = array("mu")?;
        let (covariance, shape) = array("sigma")?;
        let features = mean.len() as u64;
        if mean_shape != [features] || shape != [features; 2] || features == 0 {
            return Err(content(format!(
                "`mu` {mean_shape:?} and `sigma` {shape:?} are no mean [n] and covariance [n, n]"
            )));
        }
        Ok(FeatureStatistics { mean, covariance })
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
