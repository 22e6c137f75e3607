//! Between interleaved 8-bit pictures and the planar f32 arrays that models consume.

use super::Picture;

/// Which numbers black and white become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PixelRange {
    /// Black -1, white 1: what the tokenizer is trained on ("zero mean").
    #[default]
    MinusOneToOne,
    /// Black 0, white 1: what the logit-Laplace head needs.
    ZeroToOne,
}

impl PixelRange {
    /// The f32 value of a 16-bit sample: one rounded division by 65,535, then `(x - 0.5) / 0.5`.
    ///
    /// An 8-bit sample `s` is the 16-bit sample `257 s`, whose quotient is `s / 255`: the same value
    /// bit for bit, because a division rounds what is exactly one number to one float.
    pub(crate) fn value(self, sample: u16) -> f32 {
        let unit = f32::from(sample) / 65_535.0;
        match self {
            PixelRange::MinusOneToOne => (unit - 0.5) / 0.5,
            PixelRange::ZeroToOne => unit,
        }
    }

    /// The f32 value of each 8-bit sample.
    pub(crate) fn table(self) -> [f32; 256] {
        std::array::from_fn(|sample| self.value(257 * sample as u16))
    }

    /// The nearest 8-bit sample (halves away from zero), clamped; not-a-number becomes black.
    fn quantize(self, value: f32) -> u8 {
        let scaled = match self {
            PixelRange::MinusOneToOne => (value + 1.0) * 127.5,
            PixelRange::ZeroToOne => value * 255.0,
        };
        // `as` saturates and sends NaN to zero.
        scaled.round() as u8
    }
}

/// A picture as `[3, height, width]` f32.
pub fn to_planar(picture: &Picture, range: PixelRange) -> Vec<f32> {
    let mut planes = Vec::with_capacity(picture.rgb.len());
    append_planar(picture, range, &mut planes);
    planes
}

/// [`to_planar`] at the end of a batch that is being filled.
pub fn append_planar(picture: &Picture, range: PixelRange, batch: &mut Vec<f32>) {
    let table = range.table();
    for channel in 0..3 {
        let samples = picture.rgb[channel..].iter().step_by(3);
        batch.extend(samples.map(|&sample| table[usize::from(sample)]));
    }
}

/// A window of 16-bit samples, row by row red, green and blue of every pixel, as `[3, height, width]`
/// at the end of a batch that is being filled.
pub fn append_window<'a>(
    rows: impl Iterator<Item = &'a [u16]> + Clone,
    range: PixelRange,
    batch: &mut Vec<f32>,
) {
    for channel in 0..3 {
        for row in rows.clone() {
            let samples = row[channel..].iter().step_by(3);
            batch.extend(samples.map(|&sample| range.value(sample)));
        }
    }
}

/// The picture nearest to `[3, height, width]` f32 values: rounded to 8 bits and clamped.
///
/// # Panics
/// When the number of values is not `3 * width * height`.
#[track_caller]
pub fn from_planar(planes: &[f32], width: usize, height: usize, range: PixelRange) -> Picture {
    let pixels = width * height;
    assert_eq!(
        planes.len(),
        3 * pixels,
        "a {width}x{height} RGB picture has {} values, not {}",
        3 * pixels,
        planes.len()
    );
    let rgb = (0..pixels)
        .flat_map(|at| [0, 1, 2].map(|channel| range.quantize(planes[channel * pixels + at])))
        .collect();
    Picture::new(width, height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_survives_the_round_trip_in_both_ranges() {
        let picture = Picture::new(16, 16, (0..768).map(|x| (x * 7 % 256) as u8).collect());
        for range in [PixelRange::MinusOneToOne, PixelRange::ZeroToOne] {
            let planes = to_planar(&picture, range);
            assert_eq!(from_planar(&planes, 16, 16, range), picture);
        }
    }

    #[test]
    fn samples_of_eight_bits_mean_the_same_in_sixteen() {
        for (sample, &value) in PixelRange::ZeroToOne.table().iter().enumerate() {
            assert_eq!(value.to_bits(), (sample as f32 / 255.0).to_bits());
            let centred = PixelRange::MinusOneToOne.table()[sample];
            assert_eq!(centred.to_bits(), ((value - 0.5) / 0.5).to_bits());
        }
    }

    #[test]
    fn channels_become_planes() {
        let picture = Picture::new(2, 1, vec![255, 0, 0, 0, 255, 0]);
        assert_eq!(
            to_planar(&picture, PixelRange::MinusOneToOne),
            [1.0, -1.0, -1.0, 1.0, -1.0, -1.0]
        );
        assert_eq!(
            to_planar(&picture, PixelRange::ZeroToOne),
            [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn values_outside_the_range_are_clamped() {
        let planes = [-7.0, f32::NAN, 2.0];
        let picture = from_planar(&planes, 1, 1, PixelRange::MinusOneToOne);
        assert_eq!(picture.rgb, [0, 0, 255]);
    }
}
