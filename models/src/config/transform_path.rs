//! The linear path beside a tokenizer's transformers.

use super::checks::{Checked, between, require};
use super::section::section;
use super::{QuantizerConfig, VitConfig};

/// Bits that one coordinate can have: with more, its finest cells are lost in `f32`'s rounding of the
/// compander.
const MOST_BITS: usize = 12;

section! {
    /// A linear transform of patches with scalar quantizers whose bits are the token's, beside the
    /// transformers, which start at zero: before training the model is a transform coder.
    pub struct TransformPathConfig {
        /// Bits of each coordinate that has any, not ascending; together embed_dim.
        bits: Vec<usize>,
        /// How much the filters across the borders of patches take out: 1 is the lapped orthogonal
        /// transform.
        steepness: f64 = 1.3,
        /// Of a clip, whether patches of frames after the first may be the signs of what the frame before
        /// lacks; the last coordinate's bit says which are. For models of several frames.
        frame_delta: bool = false,
    }
}

impl TransformPathConfig {
    /// Coordinates that have bits.
    pub fn coordinates(&self) -> usize {
        self.bits.len()
    }

    /// Coordinates that have more than `level` bits: they are the first.
    pub fn deeper_than(&self, level: usize) -> usize {
        self.bits.partition_point(|&bits| bits > level)
    }

    /// Bits of the first coordinate, which has most.
    pub fn depth(&self) -> usize {
        self.bits.first().copied().unwrap_or(0)
    }

    /// That its numbers make sense for the encoder's patches and frames.
    pub(super) fn check(&self, quantizer: &QuantizerConfig, encoder: &VitConfig) -> Checked {
        let (patch, frames) = (encoder.patch_size, encoder.num_frames);
        let key = "model.transform.bits";
        let QuantizerConfig::Bsq(bsq) = quantizer else {
            return require(false, "model.transform", || {
                "needs model.quantizer = \"bsq\"".into()
            });
        };
        require(bsq.l2_norm, "model.transform", || {
            "needs model.l2_norm = true".into()
        })?;
        between(self.depth(), 1, MOST_BITS, key)?;
        let ordered = self.bits.is_sorted_by(|a, b| a >= b) && !self.bits.contains(&0);
        require(ordered, key, || {
            "must not ascend, and each must be at least 1".into()
        })?;
        let sum: usize = self.bits.iter().sum();
        require(sum == bsq.embed_dim, key, || {
            format!("are {sum} together, but embed_dim is {}", bsq.embed_dim)
        })?;
        between(self.coordinates(), 1, 3 * patch * patch, key)?;
        require(
            patch.is_multiple_of(2),
            "model.vitconfig.patch_size",
            || format!("{patch} is odd: the filters of model.transform need an even one"),
        )?;
        if self.frame_delta {
            let key = "model.transform.frame_delta";
            require(frames > 1, key, || {
                "needs model.vitconfig.num_frames above 1".into()
            })?;
            require(self.bits.last() == Some(&1), key, || {
                "needs a last coordinate of one bit in model.transform.bits".into()
            })?;
            let coordinates = sum - 1;
            require(
                (self.coordinates()..=3 * patch * patch).contains(&coordinates),
                key,
                || format!("{coordinates} coordinates of a patch cannot have a bit each"),
            )?;
        }
        let steep = self.steepness;
        require(
            (0.5..=4.0).contains(&steep),
            "model.transform.steepness",
            || format!("{steep} is not between 0.5 and 4"),
        )
    }
}
