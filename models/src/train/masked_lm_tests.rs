//! Dropout in the training of a masked language model.

use super::*;
use crate::config::MaskedLmDefaults;

fn config(dropout: f64) -> MaskedLmConfig {
    let text = format!(
        "[masked_lm]\nwidth = 16\nlayers = 1\nheads = 2\ngroups = 1\ndropout = {dropout}\n[data]\nbatch_size = 1\n"
    );
    let defaults = MaskedLmDefaults {
        bits: 4,
        tokens: 4,
        classes: vec!["a".into()],
    };
    MaskedLmConfig::from_toml_for(&text, &defaults).unwrap()
}

/// Key and counter of a step's batch.
fn drawn(config: &MaskedLmConfig, step: u64, index: u64) -> Vec<u64> {
    let task = MaskedLmTask {
        config,
        tokenizer: String::new(),
    };
    let count = config.masked_lm.tokens * config.masked_lm.groups;
    let batch = MaskedBatch {
        tokens: vec![0; count],
        targets: vec![0; count],
        classes: vec![0],
    };
    let inputs = task.inputs(step, index, batch).unwrap();
    let own = inputs.iter().filter(|(name, _)| DROPOUT.contains(name));
    own.map(|(_, number)| number.as_slice::<u64>().unwrap()[0])
        .collect()
}

/// Micro-batches of one step drop other elements, and so does every step.
#[test]
fn every_batch_draws_what_it_drops() {
    let config = self::config(0.1);
    let first = drawn(&config, 0, 0);
    assert_eq!(first.len(), 2);
    assert_eq!(first, drawn(&config, 0, 0));
    assert_ne!(first, drawn(&config, 0, 1));
    assert_eq!(drawn(&config, 1, 2), drawn(&config, 0, 2));
    assert!(drawn(&self::config(0.0), 0, 0).is_empty());
}

#[test]
fn a_step_takes_what_it_needs_to_drop() {
    let inputs = |dropout: f64| {
        let function = masked_lm_step_function(&config(dropout));
        let names = function.inputs().map(|(_, name, _)| name.to_string());
        names
            .filter(|name| DROPOUT.contains(&name.as_str()))
            .count()
    };
    assert_eq!((inputs(0.0), inputs(0.1)), (0, 2));
}
