//! Parts of pictures that are looked at.

use bsq::image_io::{Picture, crop};

/// Side of a part.
const SIDE: usize = 256;
/// Side of the tiles whose detail is counted: parts begin at multiples of it.
const TILE: usize = 64;
/// Bits per pixel at which codecs are looked at: where their faults are seen.
const RATE: f64 = 0.2;

/// A picture that was measured.
#[derive(Clone, Debug)]
pub struct Original {
    pub name: String,
    pub parts: Vec<Part>,
    /// What is in each of its parts.
    pub views: Vec<Picture>,
    /// The rung at which codecs' parts are shown.
    pub rung: usize,
}

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What is to be seen there.
    pub what: &'static str,
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Part {
    /// The middle, and where there is most and least detail; of a small picture all.
    pub(super) fn of(picture: &Picture) -> Vec<Part> {
        let (width, height) = (picture.width.min(SIDE), picture.height.min(SIDE));
        let part = |what, left, top| Part {
            what,
            left,
            top,
            width,
            height,
        };
        let (right, bottom) = (picture.width - width, picture.height - height);
        if (right, bottom) == (0, 0) {
            return vec![part("all of it", 0, 0)];
        }
        let places = (0..=bottom / TILE).flat_map(|y| (0..=right / TILE).map(move |x| (x, y)));
        let detail = Detail::of(picture);
        let mut places: Vec<(usize, usize)> = places.collect();
        places.sort_by_key(|&place| {
            detail.within(place, width.div_ceil(TILE), height.div_ceil(TILE))
        });
        let at = |what, (x, y): (usize, usize)| part(what, x * TILE, y * TILE);
        vec![
            part("the middle", right / 2, bottom / 2),
            at("most detail", places[places.len() - 1]),
            at("least detail", places[0]),
        ]
    }

    pub(super) fn view(self, picture: &Picture) -> Picture {
        crop(picture, self.left, self.top, self.width, self.height)
    }
}

/// Sums of differences of neighbours in each tile of a picture.
struct Detail {
    sums: Vec<u64>,
    /// Tiles in a row.
    across: usize,
}

impl Detail {
    fn of(picture: &Picture) -> Detail {
        let across = picture.width.div_ceil(TILE);
        let mut sums = vec![0; across * picture.height.div_ceil(TILE)];
        for y in 0..picture.height {
            for x in 1..picture.width {
                let (a, b) = (picture.pixel(x - 1, y), picture.pixel(x, y));
                let differences = a.iter().zip(&b).map(|(a, b)| u64::from(a.abs_diff(*b)));
                sums[y / TILE * across + x / TILE] += differences.sum::<u64>();
            }
        }
        Detail { sums, across }
    }

    fn within(&self, (x, y): (usize, usize), width: usize, height: usize) -> u64 {
        let rows = self.sums.chunks(self.across).skip(y).take(height);
        rows.map(|row| row.iter().skip(x).take(width).sum::<u64>())
            .sum()
    }
}

/// The rung whose rate is nearest to the one at which codecs are looked at.
pub(super) fn rung_shown(rates: &[f64]) -> usize {
    let distance = |rung: &usize| (rates[*rung] / RATE).ln().abs();
    let rungs = 0..rates.len();
    let nearest = rungs.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_show_most_and_least_detail() {
        // Stripes right of x = 512, nothing left of it.
        let sample = |i: usize| {
            if i / 3 % 800 > 512 {
                (i / 3 % 2) as u8 * 200
            } else {
                90
            }
        };
        let picture = Picture::new(800, 300, (0..3 * 800 * 300).map(sample).collect());
        let parts = Part::of(&picture);
        let lefts: Vec<_> = parts.iter().map(|part| (part.what, part.left)).collect();
        assert_eq!(lefts[0], ("the middle", 272));
        assert_eq!(lefts[1], ("most detail", 512));
        assert!(lefts[2].0 == "least detail" && lefts[2].1 + 256 <= 512);
        let view = parts[1].view(&picture);
        assert_eq!((view.width, view.height), (256, 256));
    }

    #[test]
    fn small_pictures_are_shown_whole() {
        let picture = Picture::new(20, 256, vec![0; 3 * 20 * 256]);
        let parts = Part::of(&picture);
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].view(&picture), picture);
    }

    #[test]
    fn the_rate_shown_is_the_nearest() {
        assert_eq!(rung_shown(&[1.0, 0.3, 0.19, 0.05]), 2);
        assert_eq!(rung_shown(&[0.9]), 0);
    }
}
