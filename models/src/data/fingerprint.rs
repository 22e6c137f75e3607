//! What tells training data from other data without reading all of it.

use crate::image_io::Picture;
use crate::pipeline::Fnv;
use crate::token_grid::TokenGrid;
use bsq_nn::data::DataFingerprint;
use std::path::Path;
use std::sync::Arc;

/// That of picture files, in order: their names within their folder, and their sizes.
pub(super) fn of_files<'a>(files: impl Iterator<Item = (&'a Path, u64)>) -> DataFingerprint {
    let (mut hash, mut samples) = (Fnv::default(), 0);
    for (name, bytes) in files {
        // Part by part, so that the separator of a system does not matter.
        for part in name {
            hash.bytes(part.as_encoded_bytes());
        }
        hash.number(bytes);
        samples += 1;
    }
    let hash = hash.0;
    DataFingerprint { samples, hash }
}

/// That of decoded pictures: all their pixels.
pub(super) fn of_pictures(pictures: &[Arc<Picture>]) -> DataFingerprint {
    let mut hash = Fnv::default();
    for picture in pictures {
        hash.numbers(&[picture.width, picture.height]);
        hash.bytes(&picture.rgb);
    }
    let (samples, hash) = (pictures.len(), hash.0);
    DataFingerprint { samples, hash }
}

/// That of grids of tokens: columns and tokens of each.
pub(super) fn of_tokens(grids: &[TokenGrid]) -> DataFingerprint {
    let (mut hash, mut samples) = (Fnv::default(), 0);
    for TokenGrid { shape, indices, .. } in grids {
        hash.numbers(&[shape.columns, indices.len()]);
        indices.iter().for_each(|&token| hash.number(token));
        samples += 1;
    }
    let hash = hash.0;
    DataFingerprint { samples, hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sizes_and_order_count() {
        let of = |files: &[(&str, u64)]| {
            of_files(files.iter().map(|(name, bytes)| (Path::new(*name), *bytes)))
        };
        let first = of(&[("a.png", 3), ("b/c.png", 4)]);
        assert_eq!(first.samples, 2);
        for other in [
            of(&[("a.png", 3)]),
            of(&[("a.png", 3), ("b/c.png", 5)]),
            of(&[("a.png", 3), ("b/d.png", 4)]),
            of(&[("b/c.png", 4), ("a.png", 3)]),
        ] {
            assert_ne!(first, other);
        }
    }
}
