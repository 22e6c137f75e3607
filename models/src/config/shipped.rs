//! The configurations that ship inside the program.

/// Names of the configurations that ship, and their files.
const SHIPPED: [(&str, &str); 14] = [
    ("default", include_str!("../../configs/default.toml")),
    (
        "default_ms_ssim",
        include_str!("../../configs/default_ms_ssim.toml"),
    ),
    (
        "default_clips",
        include_str!("../../configs/default_clips.toml"),
    ),
    ("default-1", include_str!("../../configs/default-1.toml")),
    ("bsq36", include_str!("../../configs/bsq36.toml")),
    ("bsq18", include_str!("../../configs/bsq18.toml")),
    (
        "bsq18_perceptual",
        include_str!("../../configs/bsq18_perceptual.toml"),
    ),
    ("video36", include_str!("../../configs/video36.toml")),
    ("prior", include_str!("../../configs/prior.toml")),
    (
        "prior_clips",
        include_str!("../../configs/prior_clips.toml"),
    ),
    (
        "prior_paper",
        include_str!("../../configs/prior_paper.toml"),
    ),
    ("fashion", include_str!("../../configs/fashion.toml")),
    (
        "fashion_masked_lm",
        include_str!("../../configs/fashion_masked_lm.toml"),
    ),
    (
        "masked_lm_paper",
        include_str!("../../configs/masked_lm_paper.toml"),
    ),
];

/// The configurations of the reference implementation, in its own YAML.
const REFERENCE: [(&str, &str); 5] = [
    (
        "bsq_128_b18",
        include_str!("../../configs/reference/bsq_128_b18.yaml"),
    ),
    (
        "bsq_256_b18g18",
        include_str!("../../configs/reference/bsq_256_b18g18.yaml"),
    ),
    (
        "bsq_256_b18g2",
        include_str!("../../configs/reference/bsq_256_b18g2.yaml"),
    ),
    (
        "bsq_256_b36g36",
        include_str!("../../configs/reference/bsq_256_b36g36.yaml"),
    ),
    (
        "vq_256_leech",
        include_str!("../../configs/reference/vq_256_leech.yaml"),
    ),
];

/// Names of the reference implementation's configurations that ship.
pub fn reference_names() -> impl Iterator<Item = &'static str> {
    REFERENCE.iter().map(|(name, _)| *name)
}

/// The YAML text of the reference implementation's configuration of that name, if it ships.
pub fn reference(name: &str) -> Option<&'static str> {
    let found = REFERENCE.iter().find(|(shipped, _)| *shipped == name);
    found.map(|(_, text)| *text)
}

/// Names of the configurations that ship: those of the two stages of the default codec, tokenizers',
/// priors' and a masked language model's.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
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
    let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    found.map(|(_, text)| *text)
}
