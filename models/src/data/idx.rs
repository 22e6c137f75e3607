//! IDX files, in which MNIST and its kin come: pictures of one size, and a file of their labels.
//!
//! Numbers are big-endian. Pictures: 0x00000803, how many, rows, columns, then a byte for each pixel;
//! labels: 0x00000801, how many, then a byte each. Either may be packed by gzip, whose name then ends
//! in `.gz`.

use super::DataError;
use crate::image_io::Picture;
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PICTURES: &str = "images-idx3-ubyte";
const LABELS: &str = "labels-idx1-ubyte";
/// Which of a folder's files are for training.
const TRAINING: &str = "train-";

/// The file of pictures that a path means: itself, or that of a folder's training set.
pub(super) fn pictures_file(path: &Path) -> Option<PathBuf> {
    let is_named = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.contains(PICTURES))
    };
    if path.is_file() {
        return is_named(path).then(|| path.to_path_buf());
    }
    let names = ["", ".gz"].map(|end| path.join(format!("{TRAINING}{PICTURES}{end}")));
    names.into_iter().find(|path| path.is_file())
}

/// The pictures of a file, grey as three equal channels.
pub(super) fn read_pictures(path: &Path) -> Result<Vec<Arc<Picture>>, DataError> {
    let ([count, rows, columns], bytes) = read(path, 0x803)?;
    if rows == 0 || columns == 0 || count == 0 {
        return Err(wrong(
            path,
            format!("{count} pictures of {columns}x{rows} pixels"),
        ));
    }
    let pictures = bytes.chunks_exact(rows * columns).map(|grey| {
        let rgb = grey.iter().flat_map(|&x| [x; 3]).collect();
        Arc::new(Picture::new(columns, rows, rgb))
    });
    Ok(pictures.collect())
}

/// The labels of the pictures of a file, of which there are `count`; `None` if there is no file of
/// them beside it.
pub(super) fn read_labels(pictures: &Path, count: usize) -> Result<Option<Vec<u8>>, DataError> {
    let name = pictures.file_name().unwrap_or_default().to_string_lossy();
    let name = name.replace(PICTURES, LABELS);
    let plain = name.trim_end_matches(".gz").to_string();
    let names = [name.clone(), plain.clone(), format!("{plain}.gz")];
    let mut paths = names.iter().map(|name| pictures.with_file_name(name));
    let Some(path) = paths.find(|path| path.is_file()) else {
        return Ok(None);
    };
    let ([labels], bytes) = read(&path, 0x801)?;
    match labels == count {
        true => Ok(Some(bytes)),
        false => Err(wrong(&path, format!("{labels} labels of {count} pictures"))),
    }
}

/// The sizes in the head of a file, and what they count.
fn read<const AXES: usize>(path: &Path, magic: u32) -> Result<([usize; AXES], Vec<u8>), DataError> {
    let unreadable = |reason| DataError::Unreadable {
        path: path.into(),
        reason,
    };
    let file = File::open(path).map_err(unreadable)?;
    let packed = path.extension().is_some_and(|end| end == "gz");
    let mut file: Box<dyn Read> = match packed {
        true => Box::new(GzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut head = vec![0; 4 * (1 + AXES)];
    let short = |_| wrong(path, "ends within its first line of numbers".to_string());
    file.read_exact(&mut head).map_err(short)?;
    let (numbers, _) = head.as_chunks::<4>();
    let number = |at: usize| u32::from_be_bytes(numbers[at]);
    if number(0) != magic {
        let reason = format!("begins with {:#010x}, not {magic:#010x}", number(0));
        return Err(wrong(path, reason));
    }
    let sizes: [usize; AXES] = std::array::from_fn(|axis| number(1 + axis) as usize);
    let total = sizes
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size));
    let total = total.ok_or_else(|| wrong(path, format!("{sizes:?} are too many")))?;
    // A byte more than belongs there, to see that there is none.
    let mut bytes = Vec::new();
    let limit = total as u64 + 1;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    match bytes.len() == total {
        true => Ok((sizes, bytes)),
        false => {
            let than = if bytes.len() < total { "fewer" } else { "more" };
            Err(wrong(path, format!("has {than} bytes than {sizes:?} take")))
        }
    }
}

fn wrong(path: &Path, reason: String) -> DataError {
    DataError::Idx {
        path: path.into(),
        reason,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// The bytes of a file.
    fn idx(magic: u32, sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let numbers = [magic].into_iter().chain(sizes.iter().copied());
        let mut file: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
        file.extend_from_slice(bytes);
        file
    }

    /// `count` pictures of 3x2 pixels, picture i all i, and label i mod 3, both packed.
    pub fn write_set(folder: &Path, count: u8) {
        let pixels: Vec<u8> = (0..count).flat_map(|i| [i; 6]).collect();
        let labels: Vec<u8> = (0..count).map(|i| i % 3).collect();
        let count = u32::from(count);
        for (name, bytes) in [
            (PICTURES, idx(0x803, &[count, 2, 3], &pixels)),
            (LABELS, idx(0x801, &[count], &labels)),
        ] {
            let file = File::create(folder.join(format!("train-{name}.gz"))).unwrap();
            let mut packed = GzEncoder::new(file, Default::default());
            packed.write_all(&bytes).unwrap();
            packed.finish().unwrap();
        }
    }

    #[test]
    fn packed_files_are_read_with_their_labels() {
        let folder = tempfile::tempdir().unwrap();
        write_set(folder.path(), 5);
        let path = pictures_file(folder.path()).unwrap();
        assert_eq!(pictures_file(&path), Some(path.clone()));
        let pictures = read_pictures(&path).unwrap();
        assert_eq!(pictures.len(), 5);
        assert_eq!((pictures[4].width, pictures[4].height), (3, 2));
        assert!(pictures[4].rgb.iter().all(|&x| x == 4));
        let labels = read_labels(&path, 5).unwrap();
        assert_eq!(labels, Some(vec![0, 1, 2, 0, 1]));
    }

    #[test]
    fn what_is_no_such_file_is_called_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train-images-idx3-ubyte");
        for (bytes, words) in [
            (
                idx(0x803, &[2, 2, 3], &[0; 11]),
                "fewer bytes than [2, 2, 3]",
            ),
            (idx(0x803, &[2, 2, 3], &[0; 13]), "more bytes"),
            (idx(0x801, &[2, 2, 3], &[0; 12]), "begins with 0x00000801"),
            (idx(0x803, &[0, 2, 3], &[]), "0 pictures"),
            (vec![0; 9], "ends within"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let message = read_pictures(&path).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(read_labels(&path, 2).unwrap(), None);
        let labels = folder.path().join("train-labels-idx1-ubyte");
        std::fs::write(&labels, idx(0x801, &[3], &[0; 3])).unwrap();
        let message = read_labels(&path, 2).unwrap_err().to_string();
        assert!(message.contains("3 labels of 2 pictures"), "{message}");
    }
}
