//! Training against a discriminator, and with a perceptual loss.

use crate::{CONFIG, Heard, pictures, train, training};
use bsq::lpips::{Backbone, Network};
use bsq::train::{
    FILE_NAME, Silent, TrainError, TrainOptions, TrainRun, TrainingCheckpoint, run_with,
};
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::{Weights, safetensors};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The tiny model against a discriminator, all else as in `CONFIG`.
pub fn against(loss: &str) -> String {
    let config = CONFIG.replace("skip_disc = true\n", loss);
    config.replace("batch_size = 6", "batch_size = 4")
}

pub const STYLEGAN: &str = "\
disc_type = \"stylegan\"
disc_input_size = 16
disc_channel_base = 64
disc_loss = \"vanilla\"
disc_weight = 0.1
disc_reg_freq = 2
";

pub fn saved(task: &TrainRun) -> TrainingCheckpoint {
    TrainingCheckpoint::read(task.out.join(FILE_NAME)).unwrap()
}

/// A training of so many steps, with `more` lines of the loss.
fn trained(loss: &str, steps: u64, out: &Path, data: &Path) -> TrainingCheckpoint {
    let mut task = training(&against(loss), data, out);
    task.steps = Some(steps);
    train(&task).unwrap();
    saved(&task)
}

#[test]
fn a_resumed_adversarial_training_has_the_bits_of_one_that_was_not() {
    let data = pictures();
    for (name, loss) in [
        (
            "stylegan",
            format!("{STYLEGAN}use_adaptive_disc_weight = true\n"),
        ),
        (
            "batch",
            "disc_num_layers = 1\ndisc_ndf = 4\ndisc_reg_freq = 2\n".to_string(),
        ),
        (
            "act",
            "disc_num_layers = 1\ndisc_ndf = 4\nuse_actnorm = true\ndisc_weight = 0.1\n"
                .to_string(),
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        let config = against(&loss);
        let straight = training(&config, data.path(), &out.path().join("straight"));
        train(&straight).unwrap();
        let mut killed = training(&config, data.path(), &out.path().join("killed"));
        killed.steps = Some(3);
        train(&killed).unwrap();
        killed.resume = true;
        killed.steps = None;
        train(&killed).unwrap();
        let file = |task: &TrainRun| fs::read(task.out.join(FILE_NAME)).unwrap();
        assert!(file(&straight) == file(&killed), "{name}");
        // The discriminator has an optimizer, and is no part of the model.
        let saved = saved(&straight);
        assert!(
            saved
                .tensors
                .contains_key("adamw.discriminator.correction1"),
            "{name}"
        );
        let model = saved.parameters(Weights::Ema);
        assert!(model.keys().all(|name| !name.starts_with("discriminator.")));
        assert!(
            !saved
                .tensors
                .keys()
                .any(|name| name.starts_with("ema.discriminator."))
        );
    }
}

/// Parameters of the discriminator, by name.
fn judge(saved: &TrainingCheckpoint) -> BTreeMap<&str, &HostTensor> {
    let own = saved
        .tensors
        .iter()
        .filter(|(name, _)| name.starts_with("discriminator."));
    own.map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

#[test]
fn before_its_start_the_discriminator_changes_nothing_and_hardly_itself() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let late =
        format!("{STYLEGAN}disc_start = 100\n").replace("disc_reg_freq = 2", "disc_reg_freq = 0");
    let of = |name: &str, loss: &str| trained(loss, 2, &out.path().join(name), data.path());
    let alone = of("alone", "skip_disc = true\n");
    let late = of("late", &late);
    assert!(alone.parameters(Weights::Raw) == late.parameters(Weights::Raw));
    let early = of("early", STYLEGAN);
    assert!(alone.parameters(Weights::Raw) != early.parameters(Weights::Raw));
    // Only decay moves it: by a part of its size.
    let name = "discriminator.b16.conv0.weight";
    let moved = |a: &TrainingCheckpoint, b: &TrainingCheckpoint| {
        let [a, b] = [a, b].map(|saved| saved.tensors[name].as_slice::<f32>().unwrap());
        a.iter()
            .zip(b)
            .fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()))
    };
    assert!(moved(&late, &early) > 1e-4);
}

/// R1 as the reference has it is a number in the log; as a derivative it moves the discriminator.
#[test]
fn r1_has_a_gradient_unless_it_is_the_references() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let of = |name: &str, loss: &str| trained(loss, 2, &out.path().join(name), data.path());
    let without = STYLEGAN.replace("disc_reg_freq = 2", "disc_reg_freq = 0");
    let compat = format!("{STYLEGAN}disc_reg_compat = true\n");
    let [without, compat, with] = [
        ("without", &without[..]),
        ("compat", &compat),
        ("with", STYLEGAN),
    ]
    .map(|(name, loss)| of(name, loss));
    assert!(judge(&without) == judge(&compat));
    assert!(judge(&without) != judge(&with));
    for name in ["compat", "with"] {
        let log = fs::read_to_string(out.path().join(name).join("log.jsonl")).unwrap();
        let lines: Vec<bool> = log.lines().map(|line| line.contains("train/r1")).collect();
        assert_eq!(lines, [false, true], "{name}: {log}");
        assert!(log.contains("train/adversarial") && log.contains("train/discriminator"));
    }
}

/// Weights of VGG16 in which nearly nothing is left, and heads.
pub fn vgg(path: &Path) {
    let mut tensors = BTreeMap::new();
    for spec in Network::new(Backbone::Vgg16).parameters() {
        let count = spec.ty.shape.elements();
        let fan_in: usize = spec.ty.shape.iter().skip(1).product();
        let value = |i: usize| {
            let unit = ((i * 7919 + count) % 1013) as f32 / 506.5 - 1.0;
            unit * (6.0 / fan_in.max(1) as f32).sqrt()
        };
        let values: Vec<f32> = match spec.name.starts_with("lin") {
            true => vec![1.0 / fan_in as f32; count],
            false => (0..count).map(value).collect(),
        };
        let tensor = HostTensor::from_slice(spec.ty.shape.to_vec(), &values).unwrap();
        tensors.insert(spec.name, tensor);
    }
    safetensors::save(path, &tensors, &BTreeMap::new()).unwrap();
}

#[test]
fn lpips_is_a_term_with_weights_and_left_out_without() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let config = CONFIG.replace("perceptual_weight = 0.0", "perceptual_weight = 0.5");
    let config = config.replace("batch_size = 6", "batch_size = 2");
    let weights = out.path().join("vgg.safetensors");
    vgg(&weights);
    let with = TrainOptions {
        lpips: vec![weights.clone()],
        ..TrainOptions::default()
    };
    let task = |name: &str, steps: u64| {
        let mut task = training(&config, data.path(), &out.path().join(name));
        task.steps = Some(steps);
        task.config.train.eval_freq = 2;
        task.config.data.val_root = Some(data.path().into());
        task
    };
    let mut heard = Heard::default();
    run_with(&task("without", 1), &TrainOptions::default(), &mut heard).unwrap();
    let said = heard.0.join("\n");
    assert!(
        said.contains("no weights of LPIPS (--lpips FILE): this term is left out"),
        "{said}"
    );
    let straight = task("with", 2);
    run_with(&straight, &with, &mut Silent).unwrap();
    let log = fs::read_to_string(straight.out.join("log.jsonl")).unwrap();
    assert!(log.contains("train/perceptual"), "{log}");
    assert!(log.contains("eval/lpips"), "{log}");
    // Its network is no part of the checkpoint, and has to be the same to go on.
    let names = saved(&straight).tensors.into_keys();
    assert!(names.into_iter().all(|name| !name.contains("lpips")));
    let mut parts = task("parts", 1);
    run_with(&parts, &with, &mut Silent).unwrap();
    (parts.resume, parts.steps) = (true, Some(2));
    run_with(&parts, &with, &mut Silent).unwrap();
    assert!(saved(&straight) == saved(&parts));
    let mut tensors = bsq_runtime::checkpoint::load(&weights, Weights::Raw)
        .unwrap()
        .tensors;
    let head = HostTensor::from_slice([1, 64, 1, 1], &[0.5_f32; 64]).unwrap();
    tensors.insert("lin0.model.1.weight".into(), head);
    safetensors::save(&weights, &tensors, &BTreeMap::new()).unwrap();
    let error = run_with(&parts, &with, &mut Silent)
        .unwrap_err()
        .to_string();
    assert!(error.contains("another lpips"), "{error}");
    tensors.remove("net.slice3.10.bias");
    safetensors::save(&weights, &tensors, &BTreeMap::new()).unwrap();
    let error = run_with(&task("none", 1), &with, &mut Silent).unwrap_err();
    assert!(matches!(error, TrainError::Lpips(_)), "{error}");
}

/// The picture terms, which no other network has a part in.
#[test]
fn differences_at_several_sizes_are_a_term() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let loss = "skip_disc = true\nmultiscale_weight = 0.5\n";
    trained(loss, 1, out.path(), data.path());
    let log = fs::read_to_string(out.path().join("log.jsonl")).unwrap();
    assert!(log.contains("train/multiscale"), "{log}");
    let config = against("skip_disc = true\nms_ssim_weight = 0.5\n");
    let error = train(&training(&config, data.path(), &out.path().join("other"))).unwrap_err();
    assert!(error.to_string().contains("loss.ms_ssim_weight"), "{error}");
}

#[test]
fn what_suits_no_discriminator_is_refused() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    for (from, to, words) in [
        (
            "disc_input_size = 16",
            "disc_input_size = 32",
            "pictures are 16x16",
        ),
        (
            "disc_input_size = 16",
            "disc_input_size = 24",
            "power of two",
        ),
        ("batch_size = 4", "batch_size = 6", "data.batch_size"),
    ] {
        let config = against(STYLEGAN).replace(from, to);
        let error = train(&training(&config, data.path(), out.path()))
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    }
}
