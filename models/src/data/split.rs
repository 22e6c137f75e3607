//! A part of a folder's pictures that is kept apart, to evaluate on.

use super::{DataError, Listing, list_folder};
use crate::config::DataConfig;
use crate::pipeline::Fnv;
use std::path::Path;

impl Listing {
    /// These pictures of `folder` in two parts: those to train on, and a share of them, rounded up,
    /// that is kept apart. Neither is empty where there are two pictures.
    ///
    /// Which ones is a function of their names below the folder: a picture keeps its side as others
    /// come and go, but for those at the border.
    pub fn split(self, folder: &Path, share: f64) -> (Listing, Listing) {
        let Listing { paths, notices } = self;
        let mut ranked: Vec<_> = paths
            .into_iter()
            .map(|path| {
                let mut hash = Fnv::default();
                let name = path.strip_prefix(folder).unwrap_or(&path);
                hash.bytes(name.to_string_lossy().as_bytes());
                (hash.0, path)
            })
            .collect();
        ranked.sort();
        let wanted = (ranked.len() as f64 * share).ceil() as usize;
        let most = ranked.len().saturating_sub(1);
        let rest = ranked.split_off(wanted.min(most));
        let listing = |ranked: Vec<(u64, _)>, notices| {
            let mut paths: Vec<_> = ranked.into_iter().map(|(_, path)| path).collect();
            paths.sort();
            Listing { paths, notices }
        };
        (listing(rest, notices), listing(ranked, Vec::new()))
    }
}

/// The pictures of a folder that a configuration trains on.
pub(super) fn training_pictures(folder: &Path, config: &DataConfig) -> Result<Listing, DataError> {
    let listing = list_folder(folder)?;
    match splits(config) {
        true => Ok(listing.split(folder, config.val_fraction).0),
        false => Ok(listing),
    }
}

/// The pictures that a configuration evaluates on while it trains on those of `folder`, if there are
/// any: those of `data.val_root`, or the share of the folder that is kept apart.
///
/// # Errors
/// If a folder cannot be read, or holds no pictures, or one alone that were to be divided.
pub fn held_out_pictures(folder: &Path, config: &DataConfig) -> Result<Option<Listing>, DataError> {
    if let Some(folder) = &config.val_root {
        return list_folder(folder).map(Some);
    }
    if !splits(config) {
        return Ok(None);
    }
    let (_, held_out) = list_folder(folder)?.split(folder, config.val_fraction);
    match held_out.paths.is_empty() {
        false => Ok(Some(held_out)),
        true => Err(DataError::Indivisible {
            path: folder.into(),
        }),
    }
}

fn splits(config: &DataConfig) -> bool {
    config.val_root.is_none() && config.val_fraction > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    fn listing(names: impl Iterator<Item = usize>) -> Listing {
        let paths = names.map(|i| PathBuf::from(format!("photos/{i}.png")));
        Listing {
            paths: paths.collect(),
            notices: vec!["a pipe".into()],
        }
    }

    fn held(listing: Listing, share: f64) -> BTreeSet<PathBuf> {
        let all = listing.paths.len();
        let (training, held_out) = listing.split(Path::new("photos"), share);
        assert_eq!(training.paths.len() + held_out.paths.len(), all);
        assert!(training.paths.is_sorted() && held_out.paths.is_sorted());
        assert_eq!(training.notices.len() + held_out.notices.len(), 1);
        held_out.paths.into_iter().collect()
    }

    #[test]
    fn a_share_is_kept_apart_and_something_is_left_on_both_sides() {
        assert_eq!(held(listing(0..40), 0.1).len(), 4);
        assert_eq!(held(listing(0..41), 0.1).len(), 5);
        assert_eq!(held(listing(0..2), 0.9).len(), 1);
        assert_eq!(held(listing(0..1), 0.5).len(), 0);
    }

    #[test]
    fn a_picture_keeps_its_side_when_others_come() {
        let (few, many) = (held(listing(0..100), 0.1), held(listing(0..110), 0.1));
        assert!(few.intersection(&many).count() >= 8, "{few:?} {many:?}");
    }
}
