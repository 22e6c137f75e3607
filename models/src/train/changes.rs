//! Which settings of a training may change when it is resumed, and which have changed.

use crate::config::{Config, ConfigError, MaskedLmConfig, PriorConfig, TransformCodecConfig};
use bsq_nn::train::Change;
use std::collections::{BTreeMap, BTreeSet};

/// Keys of the model's sections that only training reads.
const TRAINING_ONLY: [&str; 13] = [
    "model.beta",
    "model.beta_compat",
    "model.gamma0",
    "model.gamma",
    "model.zeta",
    "model.inv_temperature",
    "model.persample_entropy_compute",
    "model.cb_entropy_compute",
    "prior.truncation",
    "masked_lm.schedule",
    "masked_lm.label_smoothing",
    "masked_lm.loss_on_known",
    "masked_lm.class_dropout",
];

/// Keys of other sections that decide what the parameters mean or which state there is of them.
const FIXED: [&str; 13] = [
    "data.zero_mean",
    "optimizer.kind",
    "optimizer.adamw_keys",
    "train.freeze",
    "train.use_ema",
    "loss.skip_disc",
    "loss.disc_type",
    "loss.disc_input_size",
    "loss.disc_in_channels",
    "loss.disc_channel_base",
    "loss.disc_num_layers",
    "loss.disc_ndf",
    "loss.use_actnorm",
];

/// Whether a checkpoint of one setting of a key is none of another. Everything in a section of the
/// model is, but for what is known to matter to training alone.
fn makes_another_model(key: &str) -> bool {
    FIXED.contains(&key) || is_of_model(key) && !TRAINING_ONLY.contains(&key)
}

/// Whether a key is in a section of the model.
pub(super) fn is_of_model(key: &str) -> bool {
    ["model.", "prior.", "transform_codec.", "masked_lm."]
        .iter()
        .any(|section| key.starts_with(section))
}

/// The changes from one complete configuration to another, by key. Texts of a former version are
/// read as this one reads them.
///
/// # Errors
/// If `old` is no configuration that this version can read.
pub(super) fn changes(old: &str, new: &str) -> Result<Vec<Change>, ConfigError> {
    let (old, new) = (settings(&complete(old)?), settings(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |key: &String| Change {
        key: key.clone(),
        old: old.get(key).cloned(),
        new: new.get(key).cloned(),
        is_another_model: makes_another_model(key),
    };
    let all = keys.into_iter().map(change);
    Ok(all.filter(|change| change.old != change.new).collect())
}

/// The same configuration with every key.
fn complete(text: &str) -> Result<String, ConfigError> {
    if PriorConfig::is_prior(text) {
        return Ok(PriorConfig::from_toml(text)?.to_toml());
    }
    if MaskedLmConfig::is_masked_lm(text) {
        return Ok(MaskedLmConfig::from_toml(text)?.to_toml());
    }
    if TransformCodecConfig::is_transform_codec(text) {
        return Ok(TransformCodecConfig::from_toml(text)?.to_toml());
    }
    Ok(Config::from_toml(text)?.to_toml())
}

/// The values of a configuration by their full keys.
fn settings(text: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    // What `to_toml` writes is TOML.
    let table = text.parse().unwrap_or_default();
    collect("", &toml::Value::Table(table), &mut settings);
    settings
}

fn collect(path: &str, value: &toml::Value, settings: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let separator = if path.is_empty() { "" } else { "." };
                collect(&format!("{path}{separator}{key}"), value, settings);
            }
        }
        value => _ = settings.insert(path.to_string(), value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_default(from: &str, to: &str) -> Vec<Change> {
        let text = include_str!("../../configs/default-1.toml");
        assert!(text.contains(from), "{from}");
        let new = Config::from_toml(&text.replacen(from, to, 1)).unwrap();
        changes(text, &new.to_toml()).unwrap()
    }

    #[test]
    fn changes_are_named_with_both_values() {
        assert_eq!(of_default("seed = 1", "seed = 1"), []);
        let change = &of_default("lr = 2e-3", "lr = 1e-3")[0];
        assert_eq!(change.to_string(), "optimizer.lr: 0.002 -> 0.001");
        let change = &of_default("lr = 2e-3\n", "")[0];
        assert_eq!(change.to_string(), "optimizer.lr: 0.002 -> not set");
        // A key that is written out as its default is no change.
        assert_eq!(of_default("seed = 1", "seed = 1\nvis_freq = 0"), []);
    }

    #[test]
    fn what_makes_another_model_is_told_from_what_only_trains_it() {
        for (from, to, another) in [
            ("lr = 2e-3", "lr = 1e-3", false),
            ("max_iter = 4000", "max_iter = 8000", false),
            ("embed_dim = 36", "embed_dim = 36\ngamma = 0.5", false),
            ("embed_group_size = 9", "embed_group_size = 4", true),
            ("heads = 4", "heads = 2", true),
            ("use_ema = true", "use_ema = false", true),
            ("\"quant_embed.\"", "\"decoder.\"", true),
            ("print_freq = 50", "print_freq = 5", false),
            (
                "batch_size = 64",
                "batch_size = 64\nzero_mean = false",
                true,
            ),
        ] {
            let found = of_default(from, to);
            assert!(!found.is_empty(), "{to}");
            assert_eq!(
                found.iter().any(|change| change.is_another_model),
                another,
                "{to}"
            );
        }
    }
}
