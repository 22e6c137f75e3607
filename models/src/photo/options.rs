//! How photos are encoded and decoded.

use super::{PhotoCodec, PhotoError};
use crate::codec::MAX_PIXELS;
use crate::transform_codec::stream::{Effort, Target};

/// How to encode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EncodeOptions {
    /// What a transform codec is to reach; [`Target::DEFAULT`] if `None`.
    pub target: Option<Target>,
    /// How hard a transform codec searches.
    pub effort: Effort,
    /// Sub-tokens of every token that a tokenizer's stream has; all if `None`. The decoder makes up
    /// the others.
    pub keep: Option<usize>,
}

/// How to decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Fills in what is damaged, instead of failing.
    pub recover: bool,
    /// Larger pictures are refused.
    pub max_pixels: u64,
}

impl Default for DecodeOptions {
    /// Nothing damaged, 128 megapixels.
    fn default() -> DecodeOptions {
        DecodeOptions {
            recover: false,
            max_pixels: MAX_PIXELS,
        }
    }
}

impl EncodeOptions {
    /// Whether a codec has them.
    pub(super) fn check(&self, codec: &PhotoCodec) -> Result<(), PhotoError> {
        let (kind, others) = match codec {
            PhotoCodec::Levels(_) => ("transform codec", [("keep", self.keep.is_some())].to_vec()),
            PhotoCodec::Tokens(_) => {
                let has_effort = self.effort != Effort::default();
                let target = ("target", self.target.is_some());
                ("tokenizer", [target, ("effort", has_effort)].to_vec())
            }
        };
        if let Some(&(option, _)) = others.iter().find(|(_, is_given)| *is_given) {
            return Err(PhotoError::OtherOption {
                option,
                name: codec.name().to_string(),
                kind,
            });
        }
        match codec {
            PhotoCodec::Levels(_) => Ok(()),
            PhotoCodec::Tokens(codec) => Ok(codec.check(self.keep)?),
        }
    }
}
