//! Tokenizers of clips against discriminators, of frames and of clips, and with losses on frames.

use crate::adversarial::{STYLEGAN, saved, vgg};
use crate::clips::{add_clip, of_clips};
use crate::precision::{updated, value};
use crate::{pictures, train, training};
use bsq::config::Config;
use bsq::discriminator::{Discriminator, StyleGan3d};
use bsq::image_io::{ImageSize, Picture, save_png};
use bsq::tokenizer::Tokenizer;
use bsq::train::{FILE_NAME, Silent, TrainOptions, run_with, step_parts};
use bsq_runtime::CompileOptions;
use std::fs;
use std::path::Path;

/// A discriminator of clips; with time in both of its blocks where there are four frames.
pub const STYLEGAN3D: &str = "\
disc_type = \"stylegan3d\"
disc_ndf = 2
disc_loss = \"vanilla\"
disc_weight = 0.1
disc_reg_freq = 2
";

const PATCHGAN: &str = "disc_num_layers = 1\ndisc_ndf = 4\ndisc_weight = 0.1\n";

/// The tiny model of clips of four frames, two at a step, with these lines of the loss.
pub fn against(loss: &str) -> String {
    let config = of_clips().replace("num_frames = 3", "num_frames = 4");
    config.replace("skip_disc = true\n", loss)
}

#[test]
fn a_resumed_training_of_clips_against_a_discriminator_has_the_bits_of_one_that_was_not() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    add_clip(data.path());
    for (name, loss) in [
        (
            "stylegan",
            format!("{STYLEGAN}use_adaptive_disc_weight = true\nmultiscale_weight = 0.5\n"),
        ),
        ("batch", format!("{PATCHGAN}disc_reg_freq = 2\n")),
        ("act", format!("{PATCHGAN}use_actnorm = true\n")),
        ("stylegan3d", STYLEGAN3D.to_string()),
    ] {
        let config = against(&loss);
        let run = |which: &str, parts: &[u64]| {
            let place = out.path().join(format!("{name}-{which}"));
            let mut task = training(&config, data.path(), &place);
            for (number, &steps) in parts.iter().enumerate() {
                (task.steps, task.resume) = (Some(steps), number > 0);
                train(&task).unwrap();
            }
            task
        };
        let (whole, resumed) = (run("whole", &[4]), run("resumed", &[2, 4]));
        let file = |place: &Path| fs::read(place.join(FILE_NAME)).unwrap();
        assert!(file(&whole.out) == file(&resumed.out), "{name}");
        let log = fs::read_to_string(whole.out.join("log.jsonl")).unwrap();
        for (term, is_there) in [
            ("train/adversarial", true),
            ("train/discriminator", true),
            ("train/r1", loss.contains("disc_reg_freq")),
            ("train/multiscale", loss.contains("multiscale")),
        ] {
            assert_eq!(log.contains(term), is_there, "{name}: {term} in {log}");
        }
        let kernel = "discriminator.conv_blocks.1.function_path.0.weight";
        let found = saved(&whole)
            .tensors
            .get(kernel)
            .map(|x| x.shape().to_vec());
        let wanted = (name == "stylegan3d").then(|| vec![8, 4, 3, 3, 3]);
        assert_eq!(found, wanted, "{name}");
    }
}

/// With R1, too, whose mean is over frames then.
#[test]
fn a_discriminator_of_pictures_sees_the_frames_of_clips_as_pictures_of_a_batch() {
    let frames = Config::from_toml(&against(STYLEGAN)).unwrap();
    let alone = crate::adversarial::against(STYLEGAN).replace("batch_size = 4", "batch_size = 8");
    let alone = Config::from_toml(&alone).unwrap();
    let parts =
        [&frames, &alone].map(|config| step_parts(config, &Tokenizer::new(&config.model)).unwrap());
    let values = |name: &str, shape: &[usize]| -> Vec<f32> {
        let &[clips, colours, frames, height, width] = shape else {
            return (0..shape.iter().product())
                .map(|i| value(name, i))
                .collect();
        };
        let plane = height * width;
        let planes = (0..clips * colours * frames).map(|i| {
            let (clip, colour, time) = (i / (colours * frames), i / frames % colours, i % frames);
            ((clip * frames + time) * colours + colour) * plane
        });
        let pixels = planes.flat_map(|first| first..first + plane);
        pixels.map(|i| value(name, i)).collect()
    };
    let judge = Discriminator::from_config(&alone.loss, (alone.model.encoder.image_size, 1));
    let start = judge.unwrap().init(&[8, 3, 16, 16], 1).unwrap().into_iter();
    let named = start.map(|(name, x)| (format!("discriminator.{name}"), x));
    let start = named.collect();
    for part in [1, 2] {
        let [frames, alone] = [0, 1].map(|which| {
            let function = &parts[which][part].function;
            updated(function, &start, &CompileOptions::default(), values)
        });
        assert!(frames == alone, "{}", parts[0][part].name);
    }
}

#[test]
fn lpips_and_ms_ssim_of_clips_are_terms_and_a_resumed_training_has_its_bits() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let weights = out.path().join("vgg.safetensors");
    vgg(&weights);
    let options = TrainOptions {
        lpips: vec![weights],
        ..TrainOptions::default()
    };
    let lpips = of_clips().replace("perceptual_weight = 0.0", "perceptual_weight = 0.5");
    let large = of_clips().replace("skip_disc = true", "skip_disc = true\nms_ssim_weight = 0.5");
    let large = large
        .replace("image_size = 16", "image_size = 176")
        .replace("patch_size = 4", "patch_size = 16")
        .replace("resize_min = 16\nresize_max = 24\n", "")
        .replace("batch_size = 2", "batch_size = 1");
    let large_data = tempfile::tempdir().unwrap();
    large_picture(large_data.path());
    for (name, config, data) in [
        ("perceptual", lpips, &data),
        ("ms_ssim", large, &large_data),
    ] {
        let run = |which: &str, parts: &[u64]| {
            let place = out.path().join(format!("{name}-{which}"));
            let mut task = training(&config, data.path(), &place);
            for (number, &steps) in parts.iter().enumerate() {
                (task.steps, task.resume) = (Some(steps), number > 0);
                run_with(&task, &options, &mut Silent).unwrap();
            }
            task
        };
        let (whole, resumed) = (run("whole", &[2]), run("resumed", &[1, 2]));
        assert!(saved(&whole) == saved(&resumed), "{name}");
        let log = fs::read_to_string(whole.out.join("log.jsonl")).unwrap();
        assert!(log.contains(&format!("train/{name}")), "{log}");
    }
}

/// One that a clip of larger frames can be cut out of.
fn large_picture(folder: &Path) {
    let sample = |i: usize| (i / 3 % 240 + i / 720 + 40 * (i % 3)) as u8;
    let samples = (0..3 * 240 * 240).map(sample).collect();
    let picture = Picture::new(240, 240, samples);
    save_png(&picture, folder.join("large.png")).unwrap();
}

#[test]
fn what_suits_no_discriminator_of_clips_is_refused() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let pictures = crate::adversarial::against(STYLEGAN3D);
    for (config, words) in [
        (pictures, ["loss.disc_type", "judges clips"]),
        (
            against(STYLEGAN3D).replace("batch_size = 2", "batch_size = 6"),
            ["data.batch_size", "clips, or less, not 6"],
        ),
        (
            against(STYLEGAN).replace("num_frames = 4", "num_frames = 3"),
            ["data.batch_size", "frames, or less, not 6"],
        ),
        (
            against(STYLEGAN3D).replace("disc_ndf = 2", "disc_ndf = 2\nnum_frames = 5"),
            ["loss.num_frames", "num_frames is 4"],
        ),
    ] {
        let error = train(&training(&config, data.path(), out.path()));
        let error = error.unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn a_network_of_clips_has_blocks_for_their_size() {
    let of = |frames: usize, height: usize, width: usize| {
        StyleGan3d::for_clips(64, frames, ImageSize { height, width })
    };
    assert_eq!(of(16, 128, 128), Some(StyleGan3d::default()));
    let some = of(6, 48, 32).unwrap();
    assert_eq!(
        (some.channels, some.temporal),
        (vec![64, 128, 256, 256], vec![1, 1, 2])
    );
    assert_eq!(of(3, 6, 6).unwrap().temporal, [1]);
    assert_eq!(of(64, 8, 12).unwrap().temporal, [2]);
    assert_eq!(of(8, 15, 16), None);
}
