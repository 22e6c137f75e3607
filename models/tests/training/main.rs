//! Training from end to end, with a tiny model on pictures that are made here.

mod adversarial;
mod adversarial_clips;
mod budget;
mod clips;
mod entropy;
mod optimizers;
mod precision;
mod ranks;
mod rate;
mod resume;
mod starts;
mod transform_codec;
mod trouble;

use bsq::config::Config;
use bsq::image_io::{Picture, save_png};
use bsq::train::{Progress, Silent, TrainError, TrainOutcome, TrainRun, run};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

const CONFIG: &str = r#"
[model]
embed_dim = 8
embed_group_size = 4
l2_norm = true
post_q_l2_norm = true
[model.vitconfig]
image_size = 16
patch_size = 4
width = 48
layers = 1
heads = 2
mlp_ratio = 4
ln_pre = false
[model.dvitconfig]
image_size = 16
patch_size = 4
width = 48
layers = 1
heads = 2
mlp_ratio = 4
ln_pre = false
ln_post = false
use_ffn_output = false
[loss]
reconstruction = "mse"
perceptual_weight = 0.0
skip_disc = true
codebook_weight = 0.1
[data]
batch_size = 6
resize_min = 16
resize_max = 24
[optimizer]
lr = 1e-3
max_iter = 6
[optimizer.schedule]
warm_up_steps = 2
lr_start = 0.5
max_decay_steps = 6
[train]
use_ema = true
ema_decay = 0.5
print_freq = 1
save_freq = 2
eval_freq = 0
"#;

/// Gradients with stripes: what a transform coder can code.
fn pictures() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4_usize {
        let pixel = |i: usize| {
            let (x, y) = (i % 40, i / 40);
            let stripe = if (x / (number + 1) + y / 3) % 2 == 0 {
                40
            } else {
                0
            };
            [5 * x + stripe, 4 * y + stripe, 60 * number].map(|v| v.min(255) as u8)
        };
        let picture = Picture::new(40, 30, (0..1200).flat_map(pixel).collect());
        save_png(&picture, folder.path().join(format!("{number}.png"))).unwrap();
    }
    folder
}

fn training(config: &str, data: &Path, out: &Path) -> TrainRun {
    TrainRun {
        config: Config::from_toml(config).unwrap(),
        data: data.into(),
        out: out.into(),
        resume: false,
        steps: None,
        threads: 1,
        device: bsq_runtime::Device::Cpu,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn train(task: &TrainRun) -> Result<TrainOutcome, TrainError> {
    run(task, &mut Silent)
}

/// Keeps what a training says.
#[derive(Default)]
struct Heard(Vec<String>);

impl Progress for Heard {
    fn note(&mut self, line: &str) {
        self.0.push(line.to_string());
    }
}
