//! The picture files of a folder, each once, in an order that every machine agrees on.

use super::DataError;
use crate::video_io::has_clip_name;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What names of picture files end in.
pub(super) const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "gif", "jxl"];

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The picture files, sorted by path.
    pub paths: Vec<PathBuf>,
    /// What was left out and why, a line each: links that lead nowhere, pipes and sockets.
    pub notices: Vec<String>,
}

/// The picture files of a folder and of the folders in it, however deep; see [`list_folder`].
///
/// # Errors
/// If a folder cannot be read, or there are no pictures.
pub fn list_images(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, DataError> {
    Ok(list_folder(folder)?.paths)
}

/// All picture files of a folder and of the folders in it, sorted by path, and notices of
/// what was left out.
///
/// Files are recognised by their names' endings; names that begin with a dot are left out. Links
/// are followed, but every folder and every file is taken once, whatever leads to it: under its
/// own name where that is in the folder, otherwise under the first of its links in the order of
/// paths. So links that lead in circles end.
///
/// # Errors
/// If a folder cannot be read, or there are no pictures.
pub fn list_folder(folder: impl AsRef<Path>) -> Result<Listing, DataError> {
    let folder = folder.as_ref();
    let found = list(folder, has_image_name)?;
    match found.paths.is_empty() {
        true => Err(DataError::NoImages {
            path: folder.into(),
        }),
        false => Ok(found),
    }
}

/// The same of files that are clips.
///
/// # Errors
/// If a folder cannot be read, or there are no clips.
pub fn list_clips(folder: impl AsRef<Path>) -> Result<Listing, DataError> {
    let folder = folder.as_ref();
    let found = list(folder, has_clip_name)?;
    match found.paths.is_empty() {
        true => Err(DataError::NoClipFiles {
            path: folder.into(),
        }),
        false => Ok(found),
    }
}

/// All files of a folder with names that are wanted.
fn list(folder: &Path, is_wanted: fn(&Path) -> bool) -> Result<Listing, DataError> {
    if folder.is_file() {
        return Err(DataError::NotAFolder {
            path: folder.into(),
        });
    }
    let mut walk = Walk {
        is_wanted,
        found: Listing::default(),
        taken: BTreeSet::new(),
        folder_links: BTreeSet::new(),
        file_links: BTreeSet::new(),
    };
    walk.folder(folder)?;
    walk.linked_folders()?;
    walk.linked_files();
    let Walk { mut found, .. } = walk;
    // The order of a directory is the file system's; paths compare part by part, as bytes.
    found.paths.sort();
    found.notices.sort();
    Ok(found)
}

/// A folder being searched: first what is really in it, then what links lead to.
struct Walk {
    /// Which files are taken, by their names.
    is_wanted: fn(&Path) -> bool,
    found: Listing,
    /// The real paths of the folders and files that were taken.
    taken: BTreeSet<PathBuf>,
    /// Links to folders that are still to be followed, and links to pictures.
    folder_links: BTreeSet<PathBuf>,
    file_links: BTreeSet<PathBuf>,
}

impl Walk {
    /// A folder and all below it without following links. What was taken already is left out.
    fn folder(&mut self, top: &Path) -> Result<(), DataError> {
        let mut open = vec![top.to_path_buf()];
        while let Some(folder) = open.pop() {
            let unreadable = |reason| DataError::Unreadable {
                path: folder.clone(),
                reason,
            };
            let real = folder.canonicalize().map_err(unreadable)?;
            if !self.taken.insert(real.clone()) {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let name = entry.file_name();
                if name.to_string_lossy().starts_with('.') {
                    continue;
                }
                let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
                if kind.is_symlink() {
                    self.link(path);
                } else if kind.is_dir() {
                    open.push(path);
                } else if (self.is_wanted)(&path) {
                    match kind.is_file() {
                        true => {
                            self.taken.insert(real.join(&name));
                            self.found.paths.push(path);
                        }
                        false => self.leave_out(&path, "no regular file"),
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts a link aside until all that needs no link has been taken.
    fn link(&mut self, path: PathBuf) {
        let target = match fs::metadata(&path) {
            Ok(target) => target,
            Err(reason) => {
                let why = format!("a link that leads nowhere: {reason}");
                return self.leave_out(&path, &why);
            }
        };
        if target.is_dir() {
            self.folder_links.insert(path);
        } else if (self.is_wanted)(&path) {
            match target.is_file() {
                true => _ = self.file_links.insert(path),
                false => self.leave_out(&path, "a link to no regular file"),
            }
        }
    }

    fn linked_folders(&mut self) -> Result<(), DataError> {
        while let Some(link) = self.folder_links.pop_first() {
            self.folder(&link)?;
        }
        Ok(())
    }

    fn linked_files(&mut self) {
        for link in std::mem::take(&mut self.file_links) {
            match link.canonicalize() {
                Ok(real) => {
                    if self.taken.insert(real) {
                        self.found.paths.push(link);
                    }
                }
                Err(reason) => self.leave_out(&link, &reason.to_string()),
            }
        }
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        let notice = format!("{}: left out: {why}", path.display());
        self.found.notices.push(notice);
    }
}

fn has_image_name(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| ENDINGS.iter().any(|&known| extension == known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path, paths: &[PathBuf]) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().into();
        paths.iter().map(name).collect()
    }

    #[test]
    fn pictures_of_all_folders_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        for name in [
            "b/deep/1.png",
            "b.jpg",
            "a.JPEG",
            "c.JXL",
            "notes.txt",
            ".hidden.png",
            "b/0.jpg",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let listed = list_images(root).unwrap();
        let expected = ["a.JPEG", "b/0.jpg", "b/deep/1.png", "b.jpg", "c.JXL"];
        assert_eq!(names(root, &listed), expected);
    }

    #[test]
    fn what_is_no_folder_of_pictures_is_called_so() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| list_images(path).unwrap_err().to_string();
        assert!(message(folder.path()).contains("no pictures in this folder"));
        assert!(message(&folder.path().join("gone")).contains("cannot be read"));
        let file = folder.path().join("a.png");
        fs::write(&file, "").unwrap();
        assert!(message(&file).contains("is not a folder of pictures"));
    }

    #[test]
    fn folders_are_searched_to_the_bottom() {
        let folder = tempfile::tempdir().unwrap();
        let mut path = folder.path().to_path_buf();
        for level in 0..40 {
            path.push(format!("level {level}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("x.png"), "").unwrap();
        }
        assert_eq!(list_images(folder.path()).unwrap().len(), 40);
    }

    #[cfg(unix)]
    #[test]
    fn whatever_leads_to_a_picture_it_is_listed_once() {
        use std::os::unix::fs::symlink;
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = folder.path();
        fs::create_dir_all(root.join("real/inner")).unwrap();
        fs::create_dir_all(elsewhere.path().join("more")).unwrap();
        for path in [
            root.join("real/a.png"),
            root.join("real/inner/b.png"),
            elsewhere.path().join("c.png"),
            elsewhere.path().join("more/d.png"),
        ] {
            fs::write(path, "").unwrap();
        }
        // A circle, a parent, a twin, a link to a picture that is there, one to a picture that a
        // linked folder brings, and one that sorts before what it leads to.
        symlink(root, root.join("real/loop")).unwrap();
        symlink("..", root.join("real/inner/up")).unwrap();
        symlink("real", root.join("a twin")).unwrap();
        symlink("real/a.png", root.join("0.png")).unwrap();
        symlink(elsewhere.path(), root.join("linked")).unwrap();
        symlink(elsewhere.path().join("more"), root.join("linked more")).unwrap();
        symlink(elsewhere.path().join("c.png"), root.join("1.png")).unwrap();
        let listed = list_folder(root).unwrap();
        let expected = [
            "linked/c.png",
            "linked/more/d.png",
            "real/a.png",
            "real/inner/b.png",
        ];
        assert_eq!(names(root, &listed.paths), expected);
        assert_eq!(listed.notices, [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_left_out_is_said() {
        use std::os::unix::{fs::symlink, net::UnixListener};
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a.png"), "").unwrap();
        symlink("gone.png", root.join("broken.png")).unwrap();
        symlink("itself", root.join("itself")).unwrap();
        symlink("gone", root.join(".hidden")).unwrap();
        let _socket = UnixListener::bind(root.join("socket.png")).unwrap();
        let Listing { paths, notices } = list_folder(root).unwrap();
        assert_eq!(names(root, &paths), ["a.png"]);
        assert_eq!(notices.len(), 3, "{notices:?}");
        for (notice, name) in notices.iter().zip(["broken.png", "itself", "socket.png"]) {
            assert!(notice.contains(&format!("{name}: left out")), "{notice}");
        }
    }
}
