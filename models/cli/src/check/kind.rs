//! What a recorded case is about, told by the keys of its description.

use serde_json::Value;
use std::fmt;

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole image tokenizer, forward and backward.
    Tokenizer,
    /// A large image tokenizer with weights made by a formula, forward.
    FullSize,
    /// AdamW on given gradients.
    AdamW,
    /// Whole training steps of a tokenizer.
    Training,
    /// Clipped gradients.
    GradientClipping,
    /// A table of learning rates.
    LearningRate,
    /// Quality metrics of pairs of pictures.
    Metrics,
    /// A tokenizer of clips.
    VideoTokenizer,
    /// A discriminator with its losses and gradient penalty.
    Discriminator,
    /// A step of a tokenizer against a discriminator.
    AdversarialStep,
    /// A perceptual distance.
    Perceptual,
    /// The distance of Fréchet between features of two sets.
    FrechetDistance,
    /// Scores of class probabilities.
    InceptionScore,
    /// Neighbours in two sets.
    PrecisionRecall,
    /// The network of FVD.
    VideoFeatures,
    /// A masked language model, forward and backward.
    MaskedLm,
    /// Steps of its sampler.
    MaskedLmSampling,
}

impl Kind {
    /// The kind of a description; `None` if it is none of these.
    pub(super) fn of(description: &Value) -> Option<Kind> {
        let has = |key: &str| description.get(key).is_some();
        // Of any entry that is a table.
        let any = |key: &str| {
            let entries = description
                .as_object()
                .into_iter()
                .flat_map(|object| object.values());
            entries.into_iter().any(|entry| entry.get(key).is_some())
        };
        let frames = |vit: &str| &description["model"][vit]["num_frames"];
        let is_clip = |vit: &str| frames(vit).as_u64().is_some_and(|frames| frames > 1);
        Some(match description {
            _ if has("model") && has("logs") => Kind::AdversarialStep,
            _ if has("model") && (is_clip("vitconfig") || is_clip("dvitconfig")) => {
                Kind::VideoTokenizer
            }
            _ if has("model") && has("hp") => Kind::Training,
            _ if has("model") => Kind::Tokenizer,
            _ if has("vocabulary_per_group") => Kind::MaskedLm,
            _ if has("guidance_alpha") => Kind::MaskedLmSampling,
            _ if has("config") && has("formula") => Kind::FullSize,
            _ if has("hp") => Kind::AdamW,
            _ if has("max_norm") => Kind::GradientClipping,
            _ if has("params") && has("table") => Kind::LearningRate,
            _ if has("table") => Kind::Metrics,
            _ if has("kind") => Kind::Discriminator,
            _ if has("equal") || has("adm") => Kind::InceptionScore,
            _ if has("k") => Kind::PrecisionRecall,
            _ if has("clips") => Kind::VideoFeatures,
            _ if any("fid") || any("fid_symmetric") => Kind::FrechetDistance,
            _ if has("chns") || has("layer_terms") || has("value") || has("net") => {
                Kind::Perceptual
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Tokenizer => "image tokenizer",
            Kind::FullSize => "full-size image tokenizer",
            Kind::AdamW => "AdamW",
            Kind::Training => "training steps",
            Kind::GradientClipping => "gradient clipping",
            Kind::LearningRate => "learning rate",
            Kind::Metrics => "metrics",
            Kind::VideoTokenizer => "video tokenizer",
            Kind::Discriminator => "discriminator",
            Kind::AdversarialStep => "adversarial training step",
            Kind::Perceptual => "perceptual distance",
            Kind::FrechetDistance => "distance of Fréchet",
            Kind::InceptionScore => "inception score",
            Kind::PrecisionRecall => "precision and recall",
            Kind::VideoFeatures => "features of clips",
            Kind::MaskedLm => "masked language model",
            Kind::MaskedLmSampling => "sampling of a masked language model",
        })
    }
}
