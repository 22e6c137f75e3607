//! The codebook's entropy over a micro-batch and over a step.

use crate::ranks::{together, with};
use crate::{CONFIG, pictures, training};
use bsq::train::{FILE_NAME, Silent, TrainingCheckpoint, run_with};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;
use std::fs;

/// The codebook's entropy over a step is that over one batch of all its samples; over micro-batches it is
/// another.
#[test]
fn the_entropy_of_a_step_is_that_of_one_large_batch() {
    let data = pictures();
    let config = |more: &str, batch_size: usize, micro_batches: usize| {
        let loss = format!("[loss]\n{more}");
        let train = format!("micro_batches = {micro_batches}");
        with(CONFIG, &train)
            .replace("[loss]\n", &loss)
            .replace("batch_size = 6", &format!("batch_size = {batch_size}"))
            .replace("codebook_weight = 0.1", "codebook_weight = 1.0")
            .replace(
                "embed_dim = 8",
                "embed_dim = 8\ngamma = 20.0\ninv_temperature = 10.0",
            )
            .replace("lr = 1e-3", "lr = 1e-2\nkind = \"sgd\"")
    };
    let of = |size: usize, config: &str| {
        let checkpoint = together(size, |out, options| {
            let mut run = training(config, data.path(), out);
            run.steps = Some(2);
            run_with(&run, options, &mut Silent)
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, &checkpoint).unwrap();
        (checkpoint, TrainingCheckpoint::read(path).unwrap().tensors)
    };
    let distance = |a: &Tensors, b: &Tensors| {
        let of_one = |(name, a): (&String, &HostTensor)| {
            let b = b[name].as_slice::<f32>().unwrap();
            let pairs = a.as_slice::<f32>().unwrap().iter().zip(b);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        let weights = a.iter().filter(|(name, _)| !name.starts_with("optimizer."));
        weights.map(of_one).fold(0.0, f32::max)
    };
    let over_step = "entropy_over = \"step\"\n";
    let large = of(1, &config("", 8, 1)).1;
    let (bytes, step) = of(1, &config(over_step, 2, 4));
    let (_, micro_batch) = of(1, &config("", 2, 4));
    let (near, far) = (distance(&large, &step), distance(&large, &micro_batch));
    assert!(near < 2e-6 && far > 1e-3, "{near} {far}");
    for size in [2, 4] {
        assert!(
            bytes == of(size, &config(over_step, 2, 4)).0,
            "{size} ranks"
        );
    }
}
