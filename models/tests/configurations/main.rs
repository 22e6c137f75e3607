//! Configurations with any value at any key: each is refused by the name of a key, or gives a model
//! that compiles and runs, forwards and in training, in every format, and as PTX. Never a panic.
//!
//! `BSQ_CONFIGURATIONS=N` tries N of each kind instead of a few, and `BSQ_FINDS=FOLDER` writes
//! what fails there, each as the TOML file that does it.

mod sensible;
mod values;
mod works;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};
use std::panic::{AssertUnwindSafe, catch_unwind};
use values::{Base, Setting, text};
use works::Tried;

/// Of each kind, where nothing else is asked for: some seconds.
const CASES: u32 = 24;

/// What has to hold of a configuration, or why it does not.
fn check(base: &Base, settings: &[Setting], choice: u64) -> Result<Tried, String> {
    let text = text(base, settings);
    let tried = catch_unwind(AssertUnwindSafe(|| works::try_out(&text, choice)));
    match tried {
        Ok(Err(refusal)) if !base.names_a_key(&refusal) => {
            Err(format!("refused without the name of a key: {refusal}"))
        }
        Ok(Err(_)) => Ok(Tried::Refused),
        Ok(Ok(tried)) => Ok(tried),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panic: {}", text.unwrap_or("without a text")))
        }
    }
}

/// The same cases on every machine: a fixed seed, and proptest's own shrinking.
fn every_configuration(base: &Base) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let cases = number("BSQ_CONFIGURATIONS").unwrap_or(CASES);
    let seed = number("BSQ_SEED").unwrap_or(0).to_le_bytes();
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed);
    let finds = std::env::var_os("BSQ_FINDS");
    let mut tried = [0; 3];
    let strategy = (values::settings(base), any::<u64>());
    let mut runner = TestRunner::new_with_rng(
        Cases {
            cases,
            failure_persistence: None,
            ..Cases::default()
        },
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
    );
    for case in 0..cases {
        let mut tree = strategy.new_tree(&mut runner).unwrap();
        let mut failure: Option<(Vec<Setting>, u64, String)> = None;
        for _ in 0..100 {
            let (settings, choice) = tree.current();
            match check(base, &settings, choice) {
                Ok(kind) => {
                    if failure.is_none() {
                        tried[kind as usize] += 1;
                        break;
                    }
                    if !tree.complicate() {
                        break;
                    }
                }
                Err(message) => {
                    failure = Some((settings, choice, message));
                    if !tree.simplify() {
                        break;
                    }
                }
            }
        }
        if let Some((settings, choice, message)) = failure {
            let text = text(base, &settings);
            let report = format!(
                "# {}\n# choice = {choice}\n{text}",
                message.replace('\n', "\n# ")
            );
            match &finds {
                None => panic!("{report}"),
                Some(folder) => {
                    let name = format!("config-{}-{}-{case}.toml", base.name, seed[0]);
                    std::fs::write(std::path::Path::new(folder).join(name), report).unwrap();
                }
            }
        }
    }
    let [refused, large, worked] = tried;
    println!(
        "{}: {refused} refused, {large} too large to try, {worked} worked",
        base.name
    );
    assert!(worked > 0, "none of them was a model");
}

#[test]
fn tokenizers_with_binary_codes() {
    every_configuration(&Base::bsq());
}

#[test]
fn tokenizers_with_a_table_of_codes() {
    every_configuration(&Base::vq());
}

#[test]
fn tokenizers_with_rounded_features() {
    every_configuration(&Base::fsq());
}

#[test]
fn priors() {
    every_configuration(&Base::prior());
}
