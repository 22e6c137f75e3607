//! What values of settings are checked with.

use super::ConfigError;

pub(super) type Checked = Result<(), ConfigError>;

/// Fails with a reason unless a condition holds.
pub(super) fn require(condition: bool, key: &str, reason: impl FnOnce() -> String) -> Checked {
    if condition {
        Ok(())
    } else {
        Err(ConfigError::invalid(key, reason()))
    }
}

pub(super) fn between(value: usize, low: usize, high: usize, key: &str) -> Checked {
    require((low..=high).contains(&value), key, || {
        format!("{value} is not between {low} and {high}")
    })
}

pub(super) fn not_negative(value: f64, key: &str) -> Checked {
    require(value >= 0.0, key, || format!("{value} is negative"))
}

pub(super) fn below_one(value: f64, key: &str) -> Checked {
    require((0.0..1.0).contains(&value), key, || {
        format!("{value} is not at least 0 and below 1")
    })
}
