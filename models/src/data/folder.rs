//! The picture files of a folder, in an order that every machine agrees on.

use super::DataError;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders inside folders are searched this deep; links that lead in circles end here.
const DEEPEST: usize = 8;

/// All PNG and JPEG files of a folder and of the folders in it, sorted by path.
///
/// Files are recognised by their names' endings; names that begin with a dot are left out.
pub fn list_images(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, DataError> {
    let folder = folder.as_ref();
    if folder.is_file() {
        return Err(DataError::NotAFolder {
            path: folder.into(),
        });
    }
    let mut found = Vec::new();
    collect(folder, DEEPEST, &mut found)?;
    if found.is_empty() {
        return Err(DataError::NoImages {
            path: folder.into(),
        });
    }
    // The order of a directory is the file system's; paths compare part by part, as bytes.
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, deeper: usize, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let unreadable = |reason| DataError::Unreadable {
        path: folder.into(),
        reason,
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            if deeper > 0 {
                collect(&path, deeper - 1, found)?;
            }
        } else if has_image_name(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn has_image_name(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| {
        ["png", "jpg", "jpeg"]
            .iter()
            .any(|&known| extension == known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_all_folders_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        for name in [
            "b/deep/1.png",
            "b.jpg",
            "a.JPEG",
            "notes.txt",
            ".hidden.png",
            "b/0.jpg",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let listed = list_images(root).unwrap();
        let names: Vec<_> = listed
            .iter()
            .map(|path| path.strip_prefix(root).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a.JPEG", "b/0.jpg", "b/deep/1.png", "b.jpg"]);
    }

    #[test]
    fn what_is_no_folder_of_pictures_is_called_so() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| list_images(path).unwrap_err().to_string();
        assert!(message(folder.path()).contains("no PNG or JPEG files"));
        assert!(message(&folder.path().join("gone")).contains("cannot be read"));
        let file = folder.path().join("a.png");
        fs::write(&file, "").unwrap();
        assert!(message(&file).contains("is not a folder of pictures"));
    }
}
