//! A folder of pictures as an endless sequence of batches.

use super::{
    DataError,
    draw::{Draw, Purpose},
    fingerprint,
    folder::Listing,
    idx,
    split::training_pictures,
    transform::Transform,
    usable::{Usable, all_broken},
};
use crate::{
    config::{DataConfig, ImageSize},
    image_io::{self, ImageError, Picture, PixelRange, append_planar},
};
use bsq_nn::{
    BoxError,
    data::{Batches, DataFingerprint, EpochOrders},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Decoded pictures are kept up to this many bytes; what does not fit is decoded each time.
const CACHE_BYTES: usize = 1 << 30;

/// Crops for one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Values `[batch, 3, height, width]` in the configured range.
    pub images: Vec<f32>,
    /// `[batch, 3, height, width]`; of clips `[batch, 3, frames, height, width]`.
    pub shape: Vec<usize>,
}

/// The pictures of a folder, and how batches are made of them; see the module for the order.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    paths: Vec<PathBuf>,
    /// The pictures that are kept in memory: those of the first paths.
    decoded: Vec<Arc<Picture>>,
    fingerprint: DataFingerprint,
    transform: Transform,
    size: ImageSize,
    batch_size: usize,
    range: PixelRange,
    seed: u64,
    orders: EpochOrders,
    findings: Mutex<Findings>,
}

/// What was found out about the folder.
#[derive(Debug, Default)]
struct Findings {
    /// Lines that nobody has asked for yet.
    notices: Vec<String>,
    /// Pictures that were left out at the start, and positions of those found broken later.
    left_out: usize,
    broken: BTreeSet<usize>,
}

impl Dataset {
    /// Lists a folder and decodes its pictures, as far as they are kept in memory; or reads IDX
    /// files, whose pictures are all kept. `size` is the model's picture size, `seed` the training's.
    ///
    /// Pictures that are found broken here are left out with a notice; see the module.
    ///
    /// # Errors
    /// If the folder cannot be read, or holds no picture that can be.
    pub fn open(
        folder: impl AsRef<Path>,
        config: &DataConfig,
        size: ImageSize,
        seed: u64,
    ) -> Result<Dataset, DataError> {
        Dataset::open_keeping(CACHE_BYTES, folder.as_ref(), config, size, seed)
    }

    /// [`open`](Self::open) with a limit for what is kept in memory.
    fn open_keeping(
        bytes: usize,
        folder: &Path,
        config: &DataConfig,
        size: ImageSize,
        seed: u64,
    ) -> Result<Dataset, DataError> {
        let mut findings = Findings::default();
        let (usable, fingerprint) = match idx::pictures_file(folder) {
            Some(file) => {
                let usable = Usable::of_idx(&file)?;
                let fingerprint = fingerprint::of_pictures(&usable.decoded);
                (usable, fingerprint)
            }
            None => {
                let Listing { paths, notices } = training_pictures(folder, config)?;
                findings.notices = notices;
                let usable = Usable::among(paths, folder, bytes)?;
                let names = usable.paths.iter().map(|path| {
                    let name = path.strip_prefix(folder).unwrap_or(path);
                    (name, fs::metadata(path).map_or(0, |file| file.len()))
                });
                let fingerprint = fingerprint::of_files(names);
                (usable, fingerprint)
            }
        };
        findings.left_out = usable.broken.len();
        findings.notices.extend(usable.broken);
        Ok(Dataset {
            folder: folder.into(),
            fingerprint,
            orders: EpochOrders::new(usable.paths.len(), seed),
            decoded: usable.decoded,
            paths: usable.paths,
            transform: Transform::new(config, size),
            size,
            batch_size: config.batch_size,
            range: config.pixel_range(),
            seed,
            findings: Mutex::new(findings),
        })
    }

    /// The picture files, in the order of the folder.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The crops of a step: a function of the pictures, the configuration, the seed and the step.
    pub fn batch(&self, step: u64) -> Result<Batch, DataError> {
        let ImageSize { height, width } = self.size;
        let mut images = Vec::with_capacity(self.batch_size * 3 * height * width);
        let first = step * self.batch_size as u64;
        for sample in first..first + self.batch_size as u64 {
            append_planar(&self.sample(sample)?, self.range, &mut images);
        }
        Ok(Batch {
            images,
            shape: vec![self.batch_size, 3, height, width],
        })
    }

    /// The crop of a place in the sequence. Where its picture is broken the next of the epoch
    /// stands in, so that every other place keeps its own.
    fn sample(&self, sample: u64) -> Result<Picture, DataError> {
        let count = self.paths.len() as u64;
        let order = self.orders.epoch(sample / count);
        let mut first = None;
        for place in sample..sample + count {
            let index = order[(place % count) as usize] as usize;
            match self.picture(index) {
                Ok(picture) => {
                    let mut draw = Draw::new(self.seed, Purpose::Crop, sample);
                    return Ok(self.transform.apply(&picture, &mut draw));
                }
                Err(error) => {
                    self.found_broken(index, &error);
                    first.get_or_insert(error);
                }
            }
        }
        Err(all_broken(&self.folder, self.paths.len(), first))
    }

    fn picture(&self, index: usize) -> Result<Arc<Picture>, ImageError> {
        match self.decoded.get(index) {
            Some(picture) => Ok(picture.clone()),
            None => Ok(Arc::new(image_io::load(&self.paths[index])?.picture)),
        }
    }

    /// Says so once; later turns of the picture are passed on without a word.
    fn found_broken(&self, index: usize, error: &ImageError) {
        let mut findings = self.findings();
        if findings.broken.insert(index) {
            let notice = format!("{error}: left out, the next picture of the epoch stands in");
            findings.notices.push(notice);
        }
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        // A panic elsewhere cannot leave findings half written.
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batches for Dataset {
    type Batch = Batch;

    fn batch(&self, step: u64) -> Result<Batch, BoxError> {
        Ok(Dataset::batch(self, step)?)
    }

    fn fingerprint(&self) -> DataFingerprint {
        self.fingerprint
    }

    fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.findings().notices)
    }

    fn broken(&self) -> usize {
        let findings = self.findings();
        findings.left_out + findings.broken.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::image_io::save_png;

    /// A folder of flat pictures: picture i has the colour i everywhere.
    pub fn flat_pictures(count: u8) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..count {
            let side = 9 + usize::from(i % 3);
            let picture = Picture::new(side, 8, vec![i; 3 * 8 * side]);
            save_png(&picture, folder.path().join(format!("{i:03}.png"))).unwrap();
        }
        folder
    }

    pub fn open(folder: &Path, batch_size: usize, seed: u64) -> Dataset {
        let config = crate::config::Config::from_toml(&format!(
            "[model]\nembed_dim = 9\n[model.vitconfig]\nimage_size = 8\npatch_size = 8\nwidth = 8\n\
             layers = 1\nheads = 1\nmlp_ratio = 1\n[data]\nbatch_size = {batch_size}\n"
        ));
        let config = config.unwrap();
        Dataset::open(folder, &config.data, config.model.encoder.image_size, seed).unwrap()
    }

    /// Which picture each sample of a batch came from.
    fn sources(batch: &Batch) -> Vec<u8> {
        let samples = batch.images.chunks_exact(3 * 8 * 8);
        samples
            .map(|sample| ((sample[0] + 1.0) * 127.5).round() as u8)
            .collect()
    }

    #[test]
    fn every_epoch_shows_every_picture_once_in_another_order() {
        let folder = flat_pictures(12);
        let dataset = open(folder.path(), 4, 7);
        assert_eq!(dataset.batch(0).unwrap().shape, [4, 3, 8, 8]);
        let epoch = |first: u64| -> Vec<u8> {
            (first..first + 3)
                .flat_map(|step| sources(&dataset.batch(step).unwrap()))
                .collect()
        };
        let (first, second) = (epoch(0), epoch(3));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert!(order.into_iter().eq(0..12));
        }
    }

    #[test]
    fn a_batch_may_be_larger_than_the_folder() {
        let folder = flat_pictures(3);
        let dataset = open(folder.path(), 8, 0);
        let sequence: Vec<u8> = (0..3)
            .flat_map(|step| sources(&dataset.batch(step).unwrap()))
            .collect();
        for epoch in sequence.chunks_exact(3) {
            assert_eq!(epoch.iter().map(|&x| u32::from(x)).sum::<u32>(), 3);
        }
    }

    #[test]
    fn a_batch_is_a_function_of_seed_and_step() {
        let folder = flat_pictures(10);
        let dataset = open(folder.path(), 4, 7);
        let later = dataset.batch(1_000_000).unwrap();
        let earlier = dataset.batch(5).unwrap();
        let fresh = open(folder.path(), 4, 7);
        assert_eq!(fresh.batch(5).unwrap(), earlier);
        assert_eq!(fresh.batch(1_000_000).unwrap(), later);
        assert_ne!(open(folder.path(), 4, 8).batch(5).unwrap(), earlier);
    }

    /// The sources of the first samples, with at most `bytes` of decoded pictures in memory.
    fn sequence(folder: &Path, bytes: usize) -> (Vec<u8>, Dataset) {
        let config = crate::config::Config::from_toml(
            "[model]\nembed_dim = 9\n[model.vitconfig]\nimage_size = 8\npatch_size = 8\n\
             width = 8\nlayers = 1\nheads = 1\nmlp_ratio = 1\n",
        );
        let config = config.unwrap();
        let size = config.model.encoder.image_size;
        let dataset = Dataset::open_keeping(bytes, folder, &config.data, size, 3).unwrap();
        let batches = (0..40).flat_map(|step| sources(&dataset.batch(step).unwrap()));
        (batches.collect(), dataset)
    }

    #[test]
    fn a_broken_picture_is_named_and_leaves_the_training_of_the_others() {
        let folder = flat_pictures(12);
        let broken = folder.path().join("005b.png");
        let good = std::fs::read(folder.path().join("006.png")).unwrap();
        let (expected, without) = sequence(folder.path(), CACHE_BYTES);
        for content in [&b"not a picture"[..], b"", &good[..good.len() / 2]] {
            std::fs::write(&broken, content).unwrap();
            let (found, dataset) = sequence(folder.path(), CACHE_BYTES);
            assert_eq!(found, expected);
            assert_eq!(dataset.fingerprint(), without.fingerprint());
            assert_eq!(dataset.broken(), 1);
            let notices = dataset.notices();
            assert!(notices[0].contains("005b.png"), "{notices:?}");
            assert!(notices[0].ends_with("left out"), "{notices:?}");
            assert_eq!(dataset.notices(), [""; 0]);
        }
    }

    #[test]
    fn where_pictures_do_not_fit_in_memory_a_broken_one_changes_its_own_turns_only() {
        let folder = flat_pictures(12);
        let (expected, _) = sequence(folder.path(), 0);
        assert_eq!(expected, sequence(folder.path(), CACHE_BYTES).0);
        assert_eq!(expected, sequence(folder.path(), 2000).0);
        std::fs::write(folder.path().join("005.png"), "not a picture").unwrap();
        let (found, dataset) = sequence(folder.path(), 500);
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected == found, *expected != 5, "{expected} {found}");
        }
        assert_eq!(dataset.broken(), 1);
        let notices = dataset.notices();
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains("005.png: not a"), "{notices:?}");
    }

    #[test]
    fn a_folder_of_broken_pictures_is_an_error() {
        let folder = flat_pictures(0);
        for name in ["a.png", "b.jpg"] {
            std::fs::write(folder.path().join(name), "not a picture").unwrap();
        }
        let config = crate::config::Config::from_toml(include_str!("../../configs/default-1.toml"));
        let (data, size) = (config.unwrap().data, ImageSize::square(8));
        for bytes in [CACHE_BYTES, 0] {
            let opened = Dataset::open_keeping(bytes, folder.path(), &data, size, 0);
            let error = opened.and_then(|dataset| dataset.batch(0)).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("none of its 2 pictures"), "{error}");
            assert!(
                error.contains("a.png: not a") || error.contains("b.jpg: not a"),
                "{error}"
            );
        }
    }
}
