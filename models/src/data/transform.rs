//! From a photograph to a training crop: which resize, which rectangle, mirrored or not.

use super::draw::Draw;
use crate::{
    config::{DataConfig, ImageSize},
    image_io::{
        Picture, crop, pad_with_black,
        resize::{Filter, resize, resize_and_crop, size_for_shorter_side},
    },
};

/// How crops are drawn.
#[derive(Clone, Debug)]
pub(super) struct Transform {
    size: ImageSize,
    shorter_sides: (usize, usize),
    random_area: bool,
    mirror: bool,
    filter: Filter,
    gain_jitter: f64,
    pad: usize,
}

impl Transform {
    pub fn new(config: &DataConfig, size: ImageSize) -> Transform {
        Transform {
            size,
            shorter_sides: config.shorter_sides(size),
            random_area: config.use_rrc,
            mirror: config.use_hflip,
            filter: config.resize_filter,
            gain_jitter: config.gain_jitter,
            pad: config.pad,
        }
    }

    /// A crop of the picture, `size` large; the numbers drawn decide which.
    pub fn apply(&self, picture: &Picture, draw: &mut Draw) -> Picture {
        let padded;
        let picture = match self.pad {
            0 => picture,
            margin => {
                padded = pad_with_black(picture, margin);
                &padded
            }
        };
        let mut result = if self.random_area {
            self.crop_of_random_area(picture, draw)
        } else {
            self.crop_of_resized(picture, draw)
        };
        if self.mirror && draw.below(2) == 1 {
            mirror(&mut result);
        }
        if self.gain_jitter > 0.0 {
            self.change_gains(&mut result, draw);
        }
        result
    }

    /// Multiplies samples; what is beyond white is white.
    fn change_gains(&self, picture: &mut Picture, draw: &mut Draw) {
        let all = draw.uniform(-self.gain_jitter, self.gain_jitter);
        let apart = self.gain_jitter / 4.0;
        for channel in 0..3 {
            let gain = libm::exp(all + draw.uniform(-apart, apart));
            // `as` saturates.
            let table: [u8; 256] = std::array::from_fn(|x| libm::rint(x as f64 * gain) as u8);
            let samples = picture.rgb.iter_mut().skip(channel).step_by(3);
            samples.for_each(|sample| *sample = table[usize::from(*sample)]);
        }
    }

    /// Resizes the shorter side to a drawn length and cuts anywhere. Only the cut is computed.
    fn crop_of_resized(&self, picture: &Picture, draw: &mut Draw) -> Picture {
        let (low, high) = self.shorter_sides;
        // Beyond its own size a picture has nothing more to show.
        let high = high.min(picture.width.min(picture.height)).max(low);
        let side = draw.between(low, high);
        let (width, height) = size_for_shorter_side(picture.width, picture.height, side);
        let left = draw.between(0, width - self.size.width);
        let top = draw.between(0, height - self.size.height);
        resize_and_crop(
            picture,
            width,
            height,
            self.filter,
            left..left + self.size.width,
            top..top + self.size.height,
        )
    }

    /// torchvision's RandomResizedCrop: 8 to 100 % of the area at 3:4 to 4:3, resized to `size`;
    /// after ten rectangles that do not fit, the largest in the middle that does.
    fn crop_of_random_area(&self, picture: &Picture, draw: &mut Draw) -> Picture {
        let (width, height) = (picture.width as f64, picture.height as f64);
        let (narrowest, widest) = (libm::log(3.0 / 4.0), libm::log(4.0 / 3.0));
        let mut rectangle = None;
        for _ in 0..10 {
            let area = width * height * draw.uniform(0.08, 1.0);
            let ratio = libm::exp(draw.uniform(narrowest, widest));
            let columns = libm::rint((area * ratio).sqrt()) as usize;
            let rows = libm::rint((area / ratio).sqrt()) as usize;
            if (1..=picture.width).contains(&columns) && (1..=picture.height).contains(&rows) {
                let top = draw.between(0, picture.height - rows);
                let left = draw.between(0, picture.width - columns);
                rectangle = Some((left, top, columns, rows));
                break;
            }
        }
        let (left, top, columns, rows) = rectangle.unwrap_or_else(|| {
            let ratio = (width / height).clamp(3.0 / 4.0, 4.0 / 3.0);
            let columns = width.min(libm::rint(height * ratio)).max(1.0) as usize;
            let rows = height.min(libm::rint(width / ratio)).max(1.0) as usize;
            let (left, top) = (picture.width - columns, picture.height - rows);
            (left / 2, top / 2, columns, rows)
        });
        let part = crop(picture, left, top, columns, rows);
        resize(&part, self.size.width, self.size.height, self.filter)
    }
}

/// Exchanges left and right.
fn mirror(picture: &mut Picture) {
    for row in picture.rgb.chunks_exact_mut(3 * picture.width) {
        row.as_chunks_mut::<3>().0.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::*;
    use proptest::prelude::*;

    fn transform(side: usize, low: usize, high: usize) -> Transform {
        Transform {
            size: ImageSize::square(side),
            shorter_sides: (low, high),
            random_area: false,
            filter: Filter::Bilinear,
            gain_jitter: 0.0,
            pad: 0,
            mirror: false,
        }
    }

    /// A picture whose pixels say where they are.
    fn coordinates(width: usize, height: usize) -> Picture {
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 7]));
        Picture::new(width, height, rgb.collect())
    }

    fn crops(transform: &Transform, picture: &Picture) -> Vec<Picture> {
        (0..200)
            .map(|index| transform.apply(picture, &mut Draw::new(1, Purpose::Crop, index)))
            .collect()
    }

    #[test]
    fn at_its_own_size_a_picture_is_cut_without_resampling_everywhere() {
        let picture = coordinates(20, 12);
        let (mut lefts, mut tops) = ([false; 13], [false; 5]);
        for part in crops(&transform(8, 12, 12), &picture) {
            let [left, top, _] = part.pixel(0, 0);
            lefts[usize::from(left)] = true;
            tops[usize::from(top)] = true;
            let expected = crop(&picture, left.into(), top.into(), 8, 8);
            assert_eq!(part, expected);
        }
        assert_eq!((lefts, tops), ([true; 13], [true; 5]));
    }

    #[test]
    fn gains_are_between_their_limits_and_differ() {
        let mut transform = transform(8, 8, 8);
        transform.gain_jitter = 0.4;
        let picture = Picture::new(8, 8, vec![100; 192]);
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..50 {
            let mut draw = Draw::new(1, Purpose::Crop, index);
            let crop = transform.apply(&picture, &mut draw);
            seen.insert(crop.rgb[..3].to_vec());
            let gains = crop.rgb.iter().map(|&sample| f64::from(sample) / 100.0);
            assert!({ gains }.all(|gain| (libm::exp(-0.51)..libm::exp(0.51)).contains(&gain)));
        }
        assert!(seen.len() > 40, "{}", seen.len());
    }

    #[test]
    fn pictures_are_enlarged_only_as_far_as_the_smallest_side_needs() {
        // The shorter side 10 lies below the range: every crop is of the picture at side 16.
        let picture = coordinates(10, 30);
        let enlarged = resize(&picture, 16, 48, Filter::Bilinear);
        for part in crops(&transform(16, 16, 64), &picture) {
            let found = (0..=32).any(|top| part == crop(&enlarged, 0, top, 16, 16));
            assert!(found);
        }
    }

    #[test]
    fn half_of_the_crops_are_mirrored_if_asked() {
        let mut with_mirror = transform(8, 8, 8);
        with_mirror.mirror = true;
        let picture = coordinates(8, 8);
        let parts = crops(&with_mirror, &picture);
        let mirrored = parts.iter().filter(|part| part.pixel(0, 0)[0] == 7).count();
        assert!((70..130).contains(&mirrored), "{mirrored} of 200");
        assert!(parts.iter().all(|part| part.pixel(0, 3)[1] == 3));
    }

    proptest! {
        #[test]
        fn every_picture_gives_a_crop_of_the_right_size(
            width in 1_usize..60, height in 1_usize..60, index: u64, random_area: bool,
        ) {
            let mut transform = transform(8, 8, 40);
            transform.random_area = random_area;
            let mut draw = Draw::new(9, Purpose::Crop, index);
            let part = transform.apply(&coordinates(width, height), &mut draw);
            prop_assert_eq!((part.width, part.height), (8, 8));
        }
    }
}
