//! `bsq plan` and `bsq explain` of trainings against a discriminator.

use crate::common::{Bench, CONFIG};
use crate::gpu::{items, number};
use serde_json::Value;
use std::fs;

const STYLEGAN: &str = r#"
[loss]
perceptual_weight = 0.0
disc_type = "stylegan"
disc_input_size = 16
disc_channel_base = 64
disc_reg_freq = 4
"#;

/// A step against a discriminator is three programs, R1 counts at one of its steps, a budget is for all of them,
/// and in bf16 they take less.
#[test]
fn all_of_a_step_against_a_discriminator_is_planned() {
    let bench = Bench::new();
    let config = CONFIG.replace("layers = 1", "layers = 4") + STYLEGAN;
    fs::write(bench.path("gan.toml"), config).unwrap();
    let arguments = ["plan", "gan.toml", "--train", "--batch", "4"];
    let plan = |more: &[&str]| {
        let ran = bench.good(&[&arguments[..], &["--json"], more].concat());
        serde_json::from_str::<Value>(&ran.stdout).unwrap()
    };
    let real = |value: &Value| value.as_f64().unwrap();
    let exact = plan(&[]);
    let programs = items(&exact, "programs");
    let named: Vec<&str> = programs
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    let of_step = ["training step", "discriminator", "discriminator with R1"];
    assert_eq!(named[2..], of_step);
    let seconds: Vec<f64> = programs[2..].iter().map(|p| real(&p["seconds"])).collect();
    let mean = seconds[0] + seconds[1] * 3.0 / 4.0 + seconds[2] / 4.0;
    assert!((real(&exact["step"]["seconds"]) / mean - 1.0).abs() < 1e-9);
    let peaks = programs[2..].iter().map(|p| number(&p["peak_bytes"]));
    let peak: usize = peaks.sum();
    assert_eq!(number(&exact["step"]["peak_bytes"]), peak);

    let narrow = plan(&["--precision", "bf16"]);
    assert!(number(&narrow["step"]["peak_bytes"]) < peak);
    let budget = (peak - 1).to_string();
    let within = plan(&["--memory", &budget]);
    assert!(number(&within["step"]["peak_bytes"]) < peak);
    let main = &items(&within, "programs")[2];
    assert!(number(&main["recomputed"]["parts"]) > 0, "{main}");

    let said = bench.good(&arguments).stdout;
    for wanted in [
        "all of a step of 4: ",
        "discriminator with R1 ",
        "ms at 1 of 4",
        "ms at 3 of 4",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

/// Of clips, too, and against a discriminator of clips.
#[test]
fn a_step_of_clips_against_a_discriminator_is_planned_and_explained() {
    let bench = Bench::new();
    let clips = "[model.vitconfig]\nnum_frames = 4\nmask_type = \"block-causal\"\n";
    let config = CONFIG.replace("[model.vitconfig]\n", clips);
    for (disc, word) in [
        ("stylegan", "disc_channel_base = 64"),
        ("stylegan3d", "disc_ndf = 2"),
    ] {
        let loss = STYLEGAN.replace("\"stylegan\"", &format!("{disc:?}"));
        let loss = loss.replace("disc_channel_base = 64", word);
        fs::write(bench.path("clips.toml"), format!("{config}{loss}")).unwrap();
        let ran = |command: &str| bench.good(&[command, "clips.toml", "--train", "--batch", "4"]);
        let (planned, explained) = (ran("plan"), ran("explain"));
        assert!(
            planned.stdout.contains("discriminator with R1"),
            "{disc}: {}",
            planned.stdout
        );
        for ran in [planned, explained] {
            let is_left_out = ran.stderr.contains("without the discriminator");
            assert!(!is_left_out, "{disc}: {}", ran.stderr);
        }
    }
    // What suits no discriminator is left out.
    let arguments = ["plan", "clips.toml", "--train", "--batch", "6"];
    assert!(
        bench
            .good(&arguments)
            .stderr
            .contains("a multiple of 4 clips")
    );
}
