//! Which pictures of a folder can be trained on.

use super::{DataError, idx};
use crate::image_io::{self, ImageError, Picture};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The pictures that can be decoded, and of the first of them what they are decoded to.
#[derive(Default)]
pub(super) struct Usable {
    pub paths: Vec<PathBuf>,
    pub decoded: Vec<Arc<Picture>>,
    /// Why the others are not here, a line each.
    pub broken: Vec<String>,
}

impl Usable {
    /// The pictures of an IDX file, all of them.
    ///
    /// # Errors
    /// If it is none.
    pub fn of_idx(file: &Path) -> Result<Usable, DataError> {
        let decoded = idx::read_pictures(file)?;
        Ok(Usable {
            paths: vec![file.to_path_buf(); decoded.len()],
            decoded,
            broken: Vec::new(),
        })
    }

    /// Decodes in the order of paths until `bytes` are kept; of the rest only what cannot be
    /// opened, or holds nothing, is found here.
    ///
    /// # Errors
    /// If none of them is usable.
    pub fn among(
        paths: Vec<PathBuf>,
        folder: &Path,
        mut bytes: usize,
    ) -> Result<Usable, DataError> {
        let (listed, mut first) = (paths.len(), None);
        let mut usable = Usable::default();
        for path in paths {
            let looked_at = match bytes {
                0 => look_at(&path).map(|()| None),
                _ => image_io::load(&path).map(|loaded| Some(loaded.picture)),
            };
            match looked_at {
                Ok(picture) => {
                    // The first that does not fit ends it: positions tell what is kept.
                    match picture.filter(|picture| picture.rgb.len() <= bytes) {
                        Some(picture) => {
                            bytes -= picture.rgb.len();
                            usable.decoded.push(Arc::new(picture));
                        }
                        None => bytes = 0,
                    }
                    usable.paths.push(path);
                }
                Err(error) => {
                    usable.broken.push(format!("{error}: left out"));
                    first.get_or_insert(error);
                }
            }
        }
        match usable.paths.is_empty() {
            true => Err(all_broken(folder, listed, first)),
            false => Ok(usable),
        }
    }
}

/// Whether there is a file that can be opened and holds something.
fn look_at(path: &Path) -> Result<(), ImageError> {
    let length = fs::File::open(path).and_then(|file| Ok(file.metadata()?.len()));
    match length {
        Ok(0) => Err(ImageError::NotAnImage { path: path.into() }),
        Ok(_) => Ok(()),
        Err(reason) => Err(ImageError::Unreadable {
            path: path.into(),
            reason,
        }),
    }
}

pub(super) fn all_broken(folder: &Path, count: usize, first: Option<ImageError>) -> DataError {
    match first {
        Some(first) => DataError::AllBroken {
            path: folder.into(),
            count,
            first: Box::new(first),
        },
        None => DataError::NoImages {
            path: folder.into(),
        },
    }
}
