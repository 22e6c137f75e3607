//! A folder of pictures as an endless sequence of batches.

use super::{
    Batches, DataError,
    draw::{Draw, Purpose},
    folder::list_images,
    transform::Transform,
};
use crate::{
    config::{DataConfig, ImageSize},
    image_io::{self, Picture, Range, append_planar},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, atomic::AtomicUsize, atomic::Ordering},
};

/// Decoded pictures are kept up to this many bytes; what does not fit is decoded each time.
const CACHE_BYTES: usize = 1 << 30;

/// Crops for one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Values `[batch, 3, height, width]` in the configured range.
    pub images: Vec<f32>,
    /// `[batch, 3, height, width]`.
    pub shape: [usize; 4],
}

/// The pictures of a folder, and how batches are made of them; see the module for the order.
#[derive(Debug)]
pub struct Dataset {
    paths: Vec<PathBuf>,
    decoded: Vec<OnceLock<Arc<Picture>>>,
    cached_bytes: AtomicUsize,
    transform: Transform,
    size: ImageSize,
    batch_size: usize,
    range: Range,
    seed: u64,
    /// The shuffled orders of the last two epochs that were asked for.
    orders: Mutex<Vec<(u64, Arc<Vec<u32>>)>>,
}

impl Dataset {
    /// Lists a folder. `size` is the model's picture size, `seed` the training's.
    ///
    /// Pictures are decoded when they are first needed, so a broken one is an error of the batch
    /// that it belongs to.
    pub fn open(
        folder: impl AsRef<Path>,
        config: &DataConfig,
        size: ImageSize,
        seed: u64,
    ) -> Result<Dataset, DataError> {
        let paths = list_images(folder)?;
        Ok(Dataset {
            decoded: paths.iter().map(|_| OnceLock::new()).collect(),
            paths,
            cached_bytes: AtomicUsize::new(0),
            transform: Transform::new(config, size),
            size,
            batch_size: config.batch_size,
            range: if config.zero_mean {
                Range::MinusOneToOne
            } else {
                Range::ZeroToOne
            },
            seed,
            orders: Mutex::new(Vec::new()),
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
            shape: [self.batch_size, 3, height, width],
        })
    }

    fn sample(&self, sample: u64) -> Result<Picture, DataError> {
        let count = self.paths.len() as u64;
        let order = self.order(sample / count);
        let picture = self.picture(order[(sample % count) as usize] as usize)?;
        let mut draw = Draw::new(self.seed, Purpose::Crop, sample);
        Ok(self.transform.apply(&picture, &mut draw))
    }

    fn order(&self, epoch: u64) -> Arc<Vec<u32>> {
        // A panic elsewhere cannot leave an order half written: it is pushed when complete.
        let mut orders = self
            .orders
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, order)) = orders.iter().find(|(known, _)| *known == epoch) {
            return order.clone();
        }
        let mut draw = Draw::new(self.seed, Purpose::Shuffle, epoch);
        let order = Arc::new(draw.permutation(self.paths.len()));
        orders.push((epoch, order.clone()));
        if orders.len() > 2 {
            orders.remove(0);
        }
        order
    }

    fn picture(&self, index: usize) -> Result<Arc<Picture>, DataError> {
        if let Some(picture) = self.decoded[index].get() {
            return Ok(picture.clone());
        }
        let picture = Arc::new(image_io::load(&self.paths[index])?.picture);
        let bytes = picture.rgb.len();
        if self.cached_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= CACHE_BYTES {
            // Another thread may have been first; both decoded the same file.
            let _ = self.decoded[index].set(picture.clone());
        } else {
            self.cached_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(picture)
    }
}

impl Batches for Dataset {
    type Batch = Batch;

    fn batch(&self, step: u64) -> Result<Batch, DataError> {
        Dataset::batch(self, step)
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

    #[test]
    fn a_broken_picture_is_named() {
        let folder = flat_pictures(1);
        std::fs::write(folder.path().join("001.png"), "not a picture").unwrap();
        let error = open(folder.path(), 2, 0).batch(0).unwrap_err().to_string();
        assert!(
            error.contains("001.png: not a PNG or JPEG image"),
            "{error}"
        );
    }
}
