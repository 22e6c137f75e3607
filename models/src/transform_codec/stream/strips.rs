//! A picture cut into strips, which are coded one after another.

use crate::image_io::ImageSize;
use crate::transform_codec::TransformCodec;
use std::ops::Range;

/// The rows of pixels of a strip.
pub const STRIP: usize = 512;

/// The strips of a picture of one codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strips {
    /// The picture.
    pub size: ImageSize,
    /// Its rows and columns with those that are made up at the lower and right edges.
    pub padded: [usize; 2],
    /// Rows around a strip that its levels depend on; and its pixels.
    reach: [usize; 2],
}

impl Strips {
    pub fn new(codec: &TransformCodec, size: ImageSize) -> Strips {
        let config = codec.config();
        // A block of a network reaches a cell of 16 pixels, a lapped transform half a patch.
        let [coarse, patch, cell] = [32, 8, 16];
        let encoder = cell * config.encoder_blocks + (coarse + patch) / 2;
        let decoder = cell * config.decoder_blocks + (coarse + patch) / 2 + patch;
        let alignment = config.alignment();
        Strips {
            reach: [encoder, decoder].map(|reach| reach.next_multiple_of(alignment)),
            ..Strips::of_size(size, alignment)
        }
    }

    /// Strips of whose surroundings nothing is known.
    pub(super) fn of_size(size: ImageSize, alignment: usize) -> Strips {
        Strips {
            size,
            padded: [size.height, size.width].map(|side| side.next_multiple_of(alignment)),
            reach: [0; 2],
        }
    }

    pub fn count(&self) -> usize {
        self.padded[0].div_ceil(STRIP)
    }

    /// The rows of a strip.
    pub fn rows(&self, strip: usize) -> Range<usize> {
        let start = strip * STRIP;
        start..(start + STRIP).min(self.padded[0])
    }

    /// The rows that a strip's levels are made of.
    pub fn seen_by_levels(&self, strip: usize) -> Range<usize> {
        self.around(strip, self.reach[0])
    }

    /// The rows whose levels a strip's pixels are made of.
    pub fn seen_by_pixels(&self, strip: usize) -> Range<usize> {
        self.around(strip, self.reach[1])
    }

    fn around(&self, strip: usize, reach: usize) -> Range<usize> {
        let rows = self.rows(strip);
        rows.start.saturating_sub(reach)..(rows.end + reach).min(self.padded[0])
    }
}
