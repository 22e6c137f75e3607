//! The configurations that ship inside the program.

/// A configuration that ships.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    pub name: &'static str,
    /// What it trains, for a list.
    pub trains: &'static str,
    /// TOML; of the reference implementation's its own YAML.
    pub text: &'static str,
}

const SHIPPED: [Shipped; 14] = [
    Shipped {
        name: "default",
        trains: "a codec for photos: the transform codec, transform and probabilities in one model",
        text: include_str!("../../configs/default.toml"),
    },
    Shipped {
        name: "default_ms_ssim",
        trains: "its second stage, with MS-SSIM; begins with the first (--init-from)",
        text: include_str!("../../configs/default_ms_ssim.toml"),
    },
    Shipped {
        name: "default_clips",
        trains: "what codes predicted frames of clips beside it (--predicted of `bsq encode`); from clips and pictures",
        text: include_str!("../../configs/default_clips.toml"),
    },
    Shipped {
        name: "default-1",
        trains: "a tokenizer of 36 bits a patch of 8x8 pixels, about a million parameters",
        text: include_str!("../../configs/default-1.toml"),
    },
    Shipped {
        name: "bsq36",
        trains: "a tokenizer of 36 bits a patch of 8x8 pixels, a linear path and transformers",
        text: include_str!("../../configs/bsq36.toml"),
    },
    Shipped {
        name: "bsq18",
        trains: "the same with 18 bits a patch",
        text: include_str!("../../configs/bsq18.toml"),
    },
    Shipped {
        name: "bsq18_perceptual",
        trains: "bsq18 in small with the losses of the paper: LPIPS (--lpips) and a discriminator",
        text: include_str!("../../configs/bsq18_perceptual.toml"),
    },
    Shipped {
        name: "video36",
        trains: "a tokenizer of clips of 8 frames, 36 bits a patch; begins with bsq36 (--init-from)",
        text: include_str!("../../configs/video36.toml"),
    },
    Shipped {
        name: "prior",
        trains: "a prior, which tokens are coded with, of the tokenizer that --model says",
        text: include_str!("../../configs/prior.toml"),
    },
    Shipped {
        name: "prior_clips",
        trains: "a prior of clips, which sees the frame before; from their tokens (--tokens)",
        text: include_str!("../../configs/prior_clips.toml"),
    },
    Shipped {
        name: "prior_paper",
        trains: "a prior in the size of the paper, for tokens of 18 bits of 256x256 pixels",
        text: include_str!("../../configs/prior_paper.toml"),
    },
    Shipped {
        name: "fashion",
        trains: "a tokenizer of pictures of 32x32 pixels, 16 tokens of 40 bits",
        text: include_str!("../../configs/fashion.toml"),
    },
    Shipped {
        name: "fashion_masked_lm",
        trains: "a masked language model of its tokens, for `bsq generate`; from pictures with classes",
        text: include_str!("../../configs/fashion_masked_lm.toml"),
    },
    Shipped {
        name: "masked_lm_paper",
        trains: "a masked language model in the size of the paper, for 1,000 classes",
        text: include_str!("../../configs/masked_lm_paper.toml"),
    },
];

/// The configurations of the reference implementation, in its own YAML.
const REFERENCE: [Shipped; 5] = [
    Shipped {
        name: "bsq_128_b18",
        trains: "a tokenizer of the paper: 128x128 pixels, 18 bits a patch of 8x8, two groups",
        text: include_str!("../../configs/reference/bsq_128_b18.yaml"),
    },
    Shipped {
        name: "bsq_256_b18g18",
        trains: "a tokenizer of the paper: 256x256 pixels, 18 bits a patch, groups of one bit",
        text: include_str!("../../configs/reference/bsq_256_b18g18.yaml"),
    },
    Shipped {
        name: "bsq_256_b18g2",
        trains: "a tokenizer of the paper: 256x256 pixels, 18 bits a patch, two groups",
        text: include_str!("../../configs/reference/bsq_256_b18g2.yaml"),
    },
    Shipped {
        name: "bsq_256_b36g36",
        trains: "a tokenizer of the paper: 256x256 pixels, 36 bits a patch, groups of one bit",
        text: include_str!("../../configs/reference/bsq_256_b36g36.yaml"),
    },
    Shipped {
        name: "vq_256_leech",
        trains: "a tokenizer of 256x256 pixels with codes of the Leech lattice, 17.6 bits a patch",
        text: include_str!("../../configs/reference/vq_256_leech.yaml"),
    },
];

/// All configurations that ship, the reference implementation's last.
pub fn shipped_configurations() -> impl Iterator<Item = Shipped> {
    SHIPPED.into_iter().chain(REFERENCE)
}

/// Names of the reference implementation's configurations that ship.
pub fn reference_names() -> impl Iterator<Item = &'static str> {
    REFERENCE.iter().map(|shipped| shipped.name)
}

/// The YAML text of the reference implementation's configuration of that name, if it ships.
pub fn reference(name: &str) -> Option<&'static str> {
    let found = REFERENCE.iter().find(|shipped| shipped.name == name);
    found.map(|shipped| shipped.text)
}

/// Names of the configurations that ship: those of the two stages of the default codec, tokenizers',
/// priors' and a masked language model's.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|shipped| shipped.name)
}

/// The TOML text of the configuration of that name, if it ships.
///
/// ```
/// use bsq::config::{Config, shipped};
///
/// let config = Config::from_toml(shipped("bsq36").unwrap())?;
/// assert_eq!(config.model.quantizer.bits_per_token(), 36);
/// # Ok::<(), bsq::config::ConfigError>(())
/// ```
pub fn shipped(name: &str) -> Option<&'static str> {
    let found = SHIPPED.iter().find(|shipped| shipped.name == name);
    found.map(|shipped| shipped.text)
}
