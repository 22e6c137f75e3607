//! Pictures to evaluate on while training. Of several ranks each reads its own; what all make of them comes
//! together in their order.

use super::TrainError;
use super::shared::{gathered, is_own};
use crate::config::ConfigError;
use crate::data::Listing;
use crate::image_io::{Picture, load};
use bsq_collectives::Ranks;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// The pictures of a listing.
pub(super) struct HeldOut {
    paths: Vec<PathBuf>,
    /// This rank's own with their places in the listing; none where one cannot be read.
    own: Vec<(usize, Option<Picture>)>,
    /// What was left out, a line each.
    notices: Vec<String>,
    broken: usize,
    ranks: Ranks,
}

impl HeldOut {
    /// Reads them; all ranks call it together, and hear of those that cannot be read.
    ///
    /// # Errors
    /// If none of them can be.
    pub fn read(
        Listing { paths, mut notices }: Listing,
        ranks: &Ranks,
    ) -> Result<HeldOut, TrainError> {
        let (mut own, mut failed) = (Vec::new(), Vec::new());
        for (index, path) in paths.iter().enumerate() {
            if is_own(ranks, index) {
                let (picture, error) = match load(path) {
                    Ok(loaded) => (Some(loaded.picture), None),
                    Err(error) => (None, Some(error.to_string())),
                };
                own.push((index, picture));
                failed.push(error);
            }
        }
        let failed: Vec<String> = gathered(ranks, failed)?.into_iter().flatten().collect();
        if let (Some(first), true) = (failed.first(), failed.len() == paths.len()) {
            let count = paths.len();
            let reason =
                format!("none of the {count} pictures to evaluate on can be read: {first}");
            return Err(ConfigError::invalid("data.val_root", reason).into());
        }
        let broken = failed.len();
        notices.extend(
            failed
                .iter()
                .map(|error| format!("left out of evaluations: {error}")),
        );
        Ok(HeldOut {
            paths,
            own,
            notices,
            broken,
            ranks: ranks.clone(),
        })
    }

    /// What was left out, a line each.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// How many could not be read.
    pub fn broken(&self) -> usize {
        self.broken
    }

    /// What `one` makes of each that can be read, told its place in the listing, on this rank and on others;
    /// all call it together.
    pub fn each<T: Serialize + DeserializeOwned>(
        &self,
        mut one: impl FnMut(usize, &Picture) -> Result<T, TrainError>,
    ) -> Result<Vec<(&PathBuf, T)>, TrainError> {
        let own = self.own.iter();
        let own =
            own.map(|(index, picture)| picture.as_ref().map(|own| one(*index, own)).transpose());
        let own: Vec<Option<T>> = own.collect::<Result<_, TrainError>>()?;
        let all = self.paths.iter().zip(gathered(&self.ranks, own)?);
        Ok(all.filter_map(|(path, made)| Some((path, made?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_io::save_png;
    use bsq_collectives::threads;
    use std::fs;

    /// Five files, of which those named are no pictures.
    fn found(
        ranks: &Ranks,
        broken: &[usize],
    ) -> Result<(Vec<usize>, usize, Vec<String>), TrainError> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..5)
            .map(|i| folder.path().join(format!("{i}.png")))
            .collect();
        for (number, path) in paths.iter().enumerate() {
            match broken.contains(&number) {
                true => fs::write(path, "no picture").unwrap(),
                false => {
                    let picture = Picture::new(number + 1, 1, vec![0; 3 * (number + 1)]);
                    save_png(&picture, path).unwrap();
                }
            }
        }
        let listing = Listing {
            paths,
            notices: Vec::new(),
        };
        let held_out = HeldOut::read(listing, ranks)?;
        let widths = held_out.each(|index, picture| {
            assert_eq!(index + 1, picture.width);
            Ok(picture.width)
        })?;
        for (path, width) in &widths {
            assert!(path.ends_with(format!("{}.png", width - 1)));
        }
        let widths = widths.into_iter().map(|(_, width)| width).collect();
        Ok((widths, held_out.broken(), held_out.notices().to_vec()))
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_named_on_all_ranks() {
        for (size, broken, widths) in [
            (1, &[][..], &[1, 2, 3, 4, 5][..]),
            (1, &[1], &[1, 3, 4, 5]),
            (2, &[0, 3], &[2, 3, 5]),
            (3, &[4], &[1, 2, 3, 4]),
        ] {
            let all = std::thread::scope(|scope| {
                let start = |rank| scope.spawn(move || found(&Ranks::new(rank), broken).unwrap());
                let running: Vec<_> = threads(size).into_iter().map(start).collect();
                let found = running.into_iter().map(|rank| rank.join().unwrap());
                found.collect::<Vec<_>>()
            });
            for (found, count, notices) in all {
                assert_eq!((&found[..], count), (widths, broken.len()));
                assert_eq!(notices.len(), broken.len());
                for (notice, number) in notices.iter().zip(broken) {
                    assert!(notice.contains(&format!("{number}.png")), "{notice}");
                }
            }
        }
        let error = found(&Ranks::default(), &[0, 1, 2, 3, 4]).unwrap_err();
        assert!(error.to_string().contains("none of the 5"), "{error}");
    }
}
