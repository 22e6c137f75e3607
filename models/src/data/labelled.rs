//! Pictures with classes: a folder with a folder for each class, or IDX files.

use super::{DataError, fingerprint, folder::list_folder, idx};
use crate::image_io::{self, ImageError, Picture};
use bsq_nn::data::DataFingerprint;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pictures and the class of each.
#[derive(Debug)]
pub struct LabelledPictures {
    pictures: Pictures,
    /// The number of each picture's class; all 0 where there are no classes.
    pub labels: Vec<usize>,
    /// Names of the classes, in the order of their numbers: of folders, sorted, or the labels of IDX
    /// files as digits. Empty if the pictures have no classes.
    pub classes: Vec<String>,
    fingerprint: DataFingerprint,
    /// What was left out, a line each.
    pub notices: Vec<String>,
}

#[derive(Debug)]
enum Pictures {
    Files(Vec<PathBuf>),
    Decoded(Vec<Arc<Picture>>),
}

impl LabelledPictures {
    /// Those of a folder whose folders are classes, of a folder of pictures without classes, or of
    /// IDX files: the file of pictures, with that of labels beside it, or a folder with both.
    ///
    /// # Errors
    /// If there are no pictures, or the files are none.
    pub fn open(path: &Path) -> Result<LabelledPictures, DataError> {
        match idx::pictures_file(path) {
            Some(file) => LabelledPictures::of_idx(&file),
            None => LabelledPictures::of_folder(path),
        }
    }

    fn of_idx(path: &Path) -> Result<LabelledPictures, DataError> {
        let pictures = idx::read_pictures(path)?;
        let labels = idx::read_labels(path, pictures.len())?;
        let known = labels.iter().flatten().max();
        let classes = known.map_or(0, |&label| usize::from(label) + 1);
        let labels = labels.unwrap_or_else(|| vec![0; pictures.len()]);
        Ok(LabelledPictures {
            fingerprint: fingerprint::of_pictures(&pictures),
            pictures: Pictures::Decoded(pictures),
            labels: labels.into_iter().map(usize::from).collect(),
            classes: (0..classes).map(|class| class.to_string()).collect(),
            notices: Vec::new(),
        })
    }

    fn of_folder(folder: &Path) -> Result<LabelledPictures, DataError> {
        let listing = list_folder(folder)?;
        let unreadable = |reason| DataError::Unreadable {
            path: folder.into(),
            reason,
        };
        let mut classes = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let is_class = |path: &PathBuf| path.starts_with(folder.join(&name));
            if folder.join(&name).is_dir() && listing.paths.iter().any(is_class) {
                classes.push(name.to_string_lossy().into_owned());
            }
        }
        classes.sort();
        let class_of = |path: &PathBuf| {
            let class = |name: &String| path.starts_with(folder.join(name));
            classes.iter().position(class)
        };
        let labels: Vec<Option<usize>> = listing.paths.iter().map(class_of).collect();
        if let (false, Some(at)) = (classes.is_empty(), labels.iter().position(Option::is_none)) {
            return Err(DataError::NoClass {
                path: listing.paths[at].clone(),
            });
        }
        let names = listing.paths.iter().map(|path| {
            let name = path.strip_prefix(folder).unwrap_or(path);
            (name, fs::metadata(path).map_or(0, |file| file.len()))
        });
        Ok(LabelledPictures {
            fingerprint: fingerprint::of_files(names),
            labels: labels.into_iter().map(Option::unwrap_or_default).collect(),
            pictures: Pictures::Files(listing.paths),
            classes,
            notices: listing.notices,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// One of them.
    ///
    /// # Errors
    /// If it cannot be decoded.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn picture(&self, index: usize) -> Result<Arc<Picture>, ImageError> {
        match &self.pictures {
            Pictures::Files(paths) => Ok(Arc::new(image_io::load(&paths[index])?.picture)),
            Pictures::Decoded(pictures) => Ok(pictures[index].clone()),
        }
    }

    /// What tells these pictures from others.
    pub fn fingerprint(&self) -> DataFingerprint {
        self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::save_png;

    #[test]
    fn folders_are_classes() {
        let folder = tempfile::tempdir().unwrap();
        for (class, name) in [("dog", "a"), ("cat", "z"), ("dog", "b")] {
            let own = folder.path().join(class);
            fs::create_dir_all(&own).unwrap();
            let picture = Picture::new(4, 4, vec![7; 48]);
            save_png(&picture, own.join(format!("{name}.png"))).unwrap();
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        let pictures = LabelledPictures::open(folder.path()).unwrap();
        assert_eq!(pictures.classes, ["cat", "dog"]);
        assert_eq!(pictures.labels, [0, 1, 1]);
        assert_eq!(pictures.picture(2).unwrap().rgb[0], 7);

        let alone = LabelledPictures::open(&folder.path().join("dog")).unwrap();
        assert!(alone.classes.is_empty());
        assert_eq!(alone.count(), 2);

        let stray = folder.path().join("stray.png");
        fs::copy(folder.path().join("dog/a.png"), &stray).unwrap();
        let message = LabelledPictures::open(folder.path()).unwrap_err();
        assert!(message.to_string().contains("stray.png"), "{message}");
    }

    #[test]
    fn idx_files_bring_their_labels() {
        let folder = tempfile::tempdir().unwrap();
        idx::tests::write_set(folder.path(), 5);
        let pictures = LabelledPictures::open(folder.path()).unwrap();
        assert_eq!(pictures.classes, ["0", "1", "2"]);
        assert_eq!(pictures.labels, [0, 1, 2, 0, 1]);
        assert_eq!(pictures.picture(3).unwrap().rgb[0], 3);
    }
}
