//! The configurations that ship inside the program.

/// Names of the configurations that ship, and their files.
const SHIPPED: [(&str, &str); 10] = [
    ("default", include_str!("../../configs/default.toml")),
    ("bsq36", include_str!("../../configs/bsq36.toml")),
    ("bsq18", include_str!("../../configs/bsq18.toml")),
    ("video36", include_str!("../../configs/video36.toml")),
    ("prior", include_str!("../../configs/prior.toml")),
    (
        "prior_paper",
        include_str!("../../configs/prior_paper.toml"),
    ),
    (
        "transform_codec",
        include_str!("../../configs/transform_codec.toml"),
    ),
    (
        "transform_codec_ms_ssim",
        include_str!("../../configs/transform_codec_ms_ssim.toml"),
    ),
    ("fashion", include_str!("../../configs/fashion.toml")),
    (
        "fashion_masked_lm",
        include_str!("../../configs/fashion_masked_lm.toml"),
    ),
];

/// Names of the configurations that ship: tokenizers', priors', a masked language model's, and those of
/// the transform codec's two stages.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The TOML text of the configuration of that name, if it ships.
///
/// ```
/// use bsq::config::{Config, shipped};
///
/// let config = Config::from_toml(shipped("default").unwrap())?;
/// assert_eq!(config.model.quantizer.bits_per_token(), 36);
/// # Ok::<(), bsq::config::ConfigError>(())
/// ```
pub fn shipped(name: &str) -> Option<&'static str> {
    let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    found.map(|(_, text)| *text)
}
