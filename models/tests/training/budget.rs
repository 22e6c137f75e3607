//! Trainings within a budget of memory.

use crate::adversarial::{STYLEGAN, against};
use crate::adversarial_clips::{self as clips, STYLEGAN3D};
use crate::ranks::with;
use crate::{CONFIG, pictures, training};
use bsq::train::{FILE_NAME, Silent, TrainError, TrainOptions, run_with};
use bsq_nn::train::TrainError as Loop;
use std::fs;

/// Checkpoints are the same bytes with any budget, of a step that is one program, or two, or more.
#[test]
fn a_training_within_a_budget_has_the_bits_of_one_without() {
    let data = pictures();
    let deep = |config: &str| config.replace("layers = 1", "layers = 6");
    for (name, config) in [
        ("one program", deep(CONFIG)),
        ("two", deep(&with(CONFIG, "micro_batches = 2"))),
        ("a discriminator", deep(&against(STYLEGAN))),
        ("one of clips", deep(&clips::against(STYLEGAN3D))),
    ] {
        let trained = |memory: Option<usize>| -> Result<Vec<u8>, TrainError> {
            let folder = tempfile::tempdir().unwrap();
            let mut run = training(&config, data.path(), &folder.path().join("run"));
            run.steps = Some(2);
            let options = TrainOptions {
                memory,
                ..TrainOptions::default()
            };
            run_with(&run, &options, &mut Silent)?;
            Ok(fs::read(run.out.join(FILE_NAME)).unwrap())
        };
        let Err(TrainError::Loop(Loop::Memory { smallest, .. })) = trained(Some(1)) else {
            panic!("{name}: a step in one byte");
        };
        let bytes = trained(None).unwrap();
        assert!(bytes == trained(Some(smallest)).unwrap(), "{name}");
        assert!(trained(Some(smallest - 1)).is_err(), "{name}");
    }
}
