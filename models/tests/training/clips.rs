//! Training on clips: tokenizers of clips, and transform codecs for predicted frames.

use crate::{CONFIG, pictures, train, training, transform_codec};
use bsq::config::TransformCodecConfig;
use bsq::image_io::{ImageSize, Picture};
use bsq::pretrained;
use bsq::train::{
    FILE_NAME, Notes, Silent, TrainOptions, TrainingCheckpoint, run_transform_codec, run_with,
};
use bsq::transform_codec::TransformCodecFile;
use bsq::video_io::{ClipFormat, create};
use bsq_runtime::checkpoint::Weights;
use std::fs;
use std::path::Path;

/// Adds a clip of some frames to a folder.
pub fn add_clip(folder: &Path) {
    let size = ImageSize {
        height: 80,
        width: 72,
    };
    let format = ClipFormat {
        size,
        rate: Default::default(),
        frames: None,
    };
    let mut writer = create(&folder.join("clip.y4m"), &format).unwrap();
    for time in 0..9 {
        let sample = |i: usize| ((i / 3 % 72 + 3 * time) * 3 + i / 216 + 20 * (i % 3)) as u8;
        writer
            .write(&Picture::new(
                72,
                80,
                (0..3 * 72 * 80).map(sample).collect(),
            ))
            .unwrap();
    }
    writer.finish().unwrap();
}

/// The tiny model with three frames.
pub fn of_clips() -> String {
    let frames = "num_frames = 3\nmask_type = \"block-causal\"\n";
    let config = CONFIG.replace("[model.dvitconfig]", &format!("{frames}[model.dvitconfig]"));
    let config = config.replace("[loss]", &format!("{frames}[loss]"));
    config.replace("batch_size = 6", "batch_size = 2\nclip_windows = 3")
}

#[test]
fn a_tokenizer_of_clips_begins_with_one_of_pictures_and_resumes_to_the_same_bits() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let image = training(CONFIG, data.path(), &out.path().join("image"));
    train(&image).unwrap();
    add_clip(data.path());
    let options = TrainOptions {
        init_from: Some(image.out.to_str().unwrap().to_string()),
        ..TrainOptions::default()
    };
    let run = |name: &str, parts: &[u64]| {
        let mut task = training(&of_clips(), data.path(), &out.path().join(name));
        for (number, &steps) in parts.iter().enumerate() {
            (task.steps, task.resume) = (Some(steps), number > 0);
            let options = match number {
                0 => options.clone(),
                _ => TrainOptions::default(),
            };
            run_with(&task, &options, &mut Silent).unwrap();
        }
        TrainingCheckpoint::read(task.out.join(FILE_NAME)).unwrap()
    };
    let (whole, resumed) = (run("whole", &[6]), run("resumed", &[3, 6]));
    assert_eq!(whole.tensors, resumed.tensors);
    let name = "encoder.temporal_positional_embedding";
    assert!(
        whole.tensors[name]
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .any(|&x| x != 0.0)
    );
    let started = run("started", &[0]);
    let kept = TrainingCheckpoint::read(image.out.join(FILE_NAME)).unwrap();
    let old = kept.parameters(Weights::Ema);
    assert!(
        old.iter()
            .all(|(name, tensor)| started.tensors[name] == *tensor)
    );
}

#[test]
fn what_clips_cannot_be_trained_on_or_with_is_said() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let fail = |config: &str, data: &Path| {
        let task = training(config, data, &out.path().join("x"));
        train(&task).unwrap_err().to_string()
    };
    let start = of_clips().replace("[train]", "[train]\ninit = \"transform-coder\"");
    assert!(fail(&start, data.path()).contains("--init-from"));
    let small = tempfile::tempdir().unwrap();
    let picture = Picture::new(8, 8, vec![0; 192]);
    bsq::image_io::save_png(&picture, small.path().join("a.png")).unwrap();
    let error = fail(&of_clips(), small.path());
    assert!(
        error.contains("16 pixels a side") && error.contains("3 frames"),
        "{error}"
    );
}

const CODEC: &str = r#"
[transform_codec]
encoder_width = 8
decoder_width = 8
decoder_blocks = 1
context_width = 12
coarse_context_width = 12
detail_context_width = 8
level_width = 2
[clips]
codec = "CODEC"
steps = 2
side = 64
frames = 3
[data]
image_size = 64
batch_size = 2
clip_windows = 2
[optimizer]
lr = 1e-3
max_iter = 4
[train]
print_freq = 1
save_freq = 2
"#;

/// Trains so many steps, and on to so many, and so on: the bytes of the last checkpoint.
fn trained(config: &str, data: &Path, out: &Path, parts: &[u64]) -> Vec<u8> {
    let mut task = transform_codec::task(config, data, out);
    for (number, &steps) in parts.iter().enumerate() {
        (task.steps, task.resume) = (Some(steps), number > 0);
        run_transform_codec(&task, &TrainOptions::default(), &mut Notes).unwrap();
    }
    fs::read(task.out.join(FILE_NAME)).unwrap()
}

#[test]
fn a_codec_for_predicted_frames_begins_with_that_of_pictures() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    add_clip(data.path());
    let pictures = out.path().join("pictures.safetensors");
    let config = TransformCodecConfig::from_toml(&CODEC.replace(
        "[clips]\ncodec = \"CODEC\"\nsteps = 2\nside = 64\nframes = 3",
        "",
    ))
    .unwrap();
    let file = TransformCodecFile::untrained("pictures", config).unwrap();
    file.save(&pictures, bsq_ir::DType::F32).unwrap();
    let config = CODEC.replace("CODEC", pictures.to_str().unwrap());
    let run =
        |name: &str, parts: &[u64]| trained(&config, data.path(), &out.path().join(name), parts);
    assert!(run("whole", &[4]) == run("resumed", &[2, 4]));
    let first = pretrained::open_codec(out.path().join("whole").to_str().unwrap()).unwrap();
    assert!(first.config.clips.is_some());
    assert_ne!(first.fingerprint(), file.fingerprint());
    // One that is told what is expected goes on from there, and clips are coded by what it goes on from.
    let told = config
        .replace(
            "[transform_codec]",
            "[transform_codec]\nexpected_features = 4\nexpected_width = 8",
        )
        .replace(
            "[clips]",
            &format!("[clips]\npredicted = {:?}", out.path().join("whole")),
        )
        .replace("[train]", "[train]\nfreeze = [\"decoder\"]");
    let run =
        |name: &str, parts: &[u64]| trained(&told, data.path(), &out.path().join(name), parts);
    assert!(run("told", &[4]) == run("told_resumed", &[2, 4]));
    let told = pretrained::open_predicted(&out.path().join("told"), &file).unwrap();
    let kept = |name: &str| {
        let shape = told.parameters[name].as_slice::<f32>().unwrap();
        shape == first.parameters[name].as_slice::<f32>().unwrap()
    };
    assert!(kept("decoder.0.linear.weight") && !kept("context.layers.0.weight"));
    let moved = told.parameters["expected.output.weight"].as_slice::<f32>();
    assert!(moved.unwrap().iter().any(|&x| x != 0.0));
}
