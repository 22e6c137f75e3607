//! Ranks that share the micro-batches of a step: the bytes of one rank that takes all of them.

use crate::adversarial::{STYLEGAN, against};
use crate::adversarial_clips::{self as clips, STYLEGAN3D};
use crate::{CONFIG, pictures, training};
use bsq::config::{Config, MaskedLmConfig, MaskedLmDefaults, TransformCodecConfig};
use bsq::data::{LabelledPictures, LabelledSource};
use bsq::pipeline::ModelFile;
use bsq::train::{
    FILE_NAME, Silent, TrainError, TrainOptions, TrainOutcome, TrainRun, run_masked_lm,
    run_transform_codec, run_with,
};
use bsq_collectives::{Ranks, threads};
use std::fs;
use std::path::Path;

/// The checkpoint that so many ranks leave together. Of four each keeps a share of the optimizer's state.
pub fn together(
    size: usize,
    run: impl Fn(&Path, &TrainOptions) -> Result<TrainOutcome, TrainError> + Sync,
) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    std::thread::scope(|scope| {
        let (run, out) = (&run, &out);
        let start = |rank| {
            scope.spawn(move || {
                let options = TrainOptions {
                    ranks: Ranks::new(rank),
                    shard_optimizer: size == 4,
                    ..TrainOptions::default()
                };
                run(out, &options).unwrap()
            })
        };
        let running: Vec<_> = threads(size).into_iter().map(start).collect();
        for rank in running {
            rank.join().unwrap();
        }
    });
    fs::read(out.join(FILE_NAME)).unwrap()
}

/// The same training for another kind of model.
fn of<C>(run: TrainRun, config: C) -> TrainRun<C> {
    TrainRun {
        config,
        data: run.data,
        out: run.out,
        resume: run.resume,
        steps: run.steps,
        threads: run.threads,
        device: run.device,
        stop: run.stop,
    }
}

pub fn with(config: &str, train: &str) -> String {
    config.replace("[train]\n", &format!("[train]\n{train}\n"))
}

#[test]
fn any_number_of_ranks_trains_a_tokenizer_to_the_same_bytes() {
    let data = pictures();
    let config = with(CONFIG, "micro_batches = 4").replace("batch_size = 6", "batch_size = 2");
    let of_ranks = |size| {
        together(size, |out, options| {
            run_with(&training(&config, data.path(), out), options, &mut Silent)
        })
    };
    let one = of_ranks(1);
    assert!(one == of_ranks(2), "2 ranks");
    assert!(one == of_ranks(4), "4 ranks");
}

#[test]
fn any_number_of_ranks_trains_against_a_discriminator_to_the_same_bytes() {
    let data = pictures();
    let patchgan = "disc_num_layers = 1\ndisc_ndf = 4\n";
    for (name, config) in [
        (
            "stylegan",
            against(&format!("{STYLEGAN}use_adaptive_disc_weight = true\n")),
        ),
        // What batch norms remember is the mean over micro-batches.
        ("batch", against(&format!("{patchgan}disc_reg_freq = 2\n"))),
        (
            "act",
            against(&format!(
                "{patchgan}use_actnorm = true\ndisc_weight = 0.1\n"
            )),
        ),
        ("clips", clips::against(STYLEGAN3D)),
    ] {
        let config = with(&config, "micro_batches = 2");
        let of_ranks = |size| {
            together(size, |out, options| {
                let mut run = training(&config, data.path(), out);
                run.steps = Some(3);
                run_with(&run, options, &mut Silent)
            })
        };
        assert!(of_ranks(1) == of_ranks(2), "{name}");
    }
}

#[test]
fn any_number_of_ranks_trains_a_masked_language_model_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["cat", "dog"] {
        let class = folder.path().join(class);
        fs::create_dir(&class).unwrap();
        for entry in fs::read_dir(pictures().path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), class.join(entry.file_name())).unwrap();
        }
    }
    let pictures = LabelledPictures::open(folder.path()).unwrap();
    let tokenizer = ModelFile::untrained("t", Config::from_toml(CONFIG).unwrap(), 1).unwrap();
    let config = tokenizer.tokenizer.config();
    let defaults = MaskedLmDefaults {
        bits: config.quantizer.bits_per_token(),
        tokens: config.encoder.tokens(),
        classes: pictures.classes.clone(),
    };
    let text = "[masked_lm]\nwidth = 16\nlayers = 1\nheads = 2\n[data]\nbatch_size = 2\n\
        [optimizer]\nlr = 1e-3\nmax_iter = 4\n[train]\nmicro_batches = 4\n";
    let config = MaskedLmConfig::from_toml_for(text, &defaults).unwrap();
    let of_ranks = |size| {
        together(size, |out, options| {
            let run = of(training(CONFIG, folder.path(), out), config.clone());
            run_masked_lm(
                &run,
                options,
                &tokenizer,
                LabelledSource::Pictures(&pictures),
                &mut Silent,
            )
        })
    };
    let one = of_ranks(1);
    assert!(one == of_ranks(2), "2 ranks");
    assert!(one == of_ranks(4), "4 ranks");
}

#[test]
fn any_number_of_ranks_trains_a_transform_codec_to_the_same_bytes() {
    let data = pictures();
    let text = crate::transform_codec::CONFIG;
    let text = with(text, "micro_batches = 2");
    let config = TransformCodecConfig::from_toml(&text).unwrap();
    assert_eq!(config.train.micro_batches, Some(2));
    let of_ranks = |size| {
        together(size, |out, options| {
            let mut run = of(training(CONFIG, data.path(), out), config.clone());
            run.steps = Some(2);
            run_transform_codec(&run, options, &mut Silent)
        })
    };
    assert!(of_ranks(1) == of_ranks(2));
}
