//! `bsq generate`, and the training of what it runs, on pictures of two classes.

use crate::common::Bench;
use bsq::config::MaskedLmConfig;
use bsq::image_io::{Picture, load, save_png};
use bsq::masked_lm::MaskedLmFile;
use bsq::pipeline::fingerprint;
use bsq_ir::DType;
use bsq_runtime::checkpoint::{self, Weights};
use bsq_runtime::executor::Tensors;
use serde_json::Value;
use std::fs;

/// A masked language model for the tokens of `model.safetensors`: 4 tokens of 12 bits.
const LM: &str = "
[masked_lm]
width = 16
layers = 1
heads = 2
[data]
batch_size = 4
[optimizer]
lr = 1e-3
max_iter = 6
";

/// A folder with pictures in two classes, and an untrained model for them.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("lm.toml"), LM).unwrap();
    for class in ["cat", "dog"] {
        fs::create_dir_all(bench.path(&format!("photos/{class}"))).unwrap();
        bench.picture(&format!("photos/{class}/a.png"), 20, 18);
        bench.picture(&format!("photos/{class}/b.png"), 16, 30);
    }
    model(&bench, 1)
        .save(&bench.path("lm.safetensors"), DType::F32)
        .unwrap();
    bench
}

/// Untrained, for the tokens of the tokenizer of this seed.
fn model(bench: &Bench, seed: u64) -> MaskedLmFile {
    let text = format!("{LM}\n").replace(
        "[masked_lm]",
        "[masked_lm]\nbits = 12\ntokens = 4\nclasses = [\"cat\", \"dog\"]",
    );
    let config = MaskedLmConfig::from_toml(&text).unwrap();
    let tokenizer = bench.model(seed);
    let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
    MaskedLmFile::untrained("lm", config, &own).unwrap()
}

fn generate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let own = [
        "generate",
        "--model",
        "lm.safetensors",
        "--tokenizer",
        "model.safetensors",
    ];
    [&own[..], &["--grid", "out.png", "--steps", "4"], more].concat()
}

#[test]
fn a_trained_model_generates_and_resumes_to_the_same_bits() {
    let bench = bench();
    let train = |out, more: &[&'static str]| {
        let own = [
            "train",
            "lm.toml",
            "--data",
            "photos",
            "--model",
            "model.safetensors",
        ];
        bench.good(&[&own[..], &["--out", out], more].concat());
        bench.bytes(&format!("{out}/checkpoint.safetensors"))
    };
    let whole = train("whole", &[]);
    train("parts", &["--steps", "2", "--threads", "1"]);
    assert!(whole == train("parts", &["--resume"]));
    let own = [
        "generate",
        "--model",
        "whole",
        "--tokenizer",
        "model.safetensors",
    ];
    let own = [&own[..], &["--grid", "out.png", "--count", "3", "--json"]].concat();
    let value: Value = serde_json::from_str(&bench.good(&own).stdout).unwrap();
    assert_eq!(value["classes"], serde_json::json!(["cat", "dog"]));
    // Eight sub-tokens allow no more than eight steps.
    assert_eq!(
        (&value["pictures"], &value["steps"]),
        (&6.into(), &8.into())
    );
    let grid = bench.picture_of("out.png");
    assert_eq!((grid.width, grid.height), (3 * 34 - 2, 2 * 34 - 2));
}

#[test]
fn pictures_depend_on_the_seed_and_their_number_alone() {
    let bench = bench();
    let grid = |more: &[&'static str]| {
        let own = generate(&["--class", "dog", "--scale", "1"]);
        bench.good(&[&own[..], more].concat());
        bench.picture_of("out.png")
    };
    let (four, again) = (
        grid(&["--count", "4"]),
        grid(&["--count", "4", "--threads", "1"]),
    );
    assert_eq!(four, again);
    let first = grid(&["--count", "1"]);
    let corner = bsq::image_io::crop(&four, 0, 0, 16, 16);
    assert_eq!(corner, first);
    assert_ne!(first, grid(&["--count", "1", "--seed", "1"]));
    assert_ne!(first, bsq::image_io::crop(&four, 18, 0, 16, 16));
}

#[test]
fn what_is_black_in_a_mask_stays() {
    let bench = bench();
    let mut mask = Picture::new(16, 16, vec![0; 3 * 256]);
    for y in 0..16 {
        mask.rgb[3 * 16 * y..][..3 * 8].fill(255);
    }
    save_png(&mask, bench.path("mask.png")).unwrap();
    bench.picture("a.png", 16, 16);
    let whole = bench.picture_of("a.png");
    let own = [
        "--inpaint",
        "a.png",
        "--mask",
        "mask.png",
        "--count",
        "1",
        "--scale",
        "1",
    ];
    for class in [&[][..], &["--class", "cat"]] {
        bench.good(&generate(&[&own, class].concat()));
        let made = bench.picture_of("out.png");
        let half = |picture: &Picture, left| bsq::image_io::crop(picture, left, 0, 8, 16);
        assert_eq!(half(&made, 8), half(&whole, 8));
        assert_ne!(half(&made, 0), half(&whole, 0));
    }
}

#[test]
fn steps_and_samples_are_written_beside_the_grid() {
    let bench = bench();
    bench.good(&generate(&[
        "--animate",
        "a.gif",
        "--npz",
        "a.npz",
        "--count",
        "2",
    ]));
    assert_eq!(load(bench.path("a.gif")).unwrap().picture.width, 2 * 34 - 2);
    let npz = bench.bytes("a.npz");
    let shape = b"'shape': (4, 16, 16, 3";
    assert!(npz.starts_with(b"PK"));
    let array = zip_entry(&npz);
    assert!(array.windows(shape.len()).any(|bytes| bytes == shape));
    let near = [
        "--neighbours",
        "n.png",
        "--neighbours-of",
        "photos",
        "--count",
        "2",
    ];
    bench.good(&generate(&near));
    assert_eq!(bench.picture_of("n.png").height, 4 * 34 - 2);
}

/// The content of an archive's only file.
fn zip_entry(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut content = Vec::new();
    archive
        .by_name("arr_0.npy")
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    content
}

#[test]
fn what_cannot_be_generated_is_refused_in_a_line() {
    let bench = bench();
    for (more, words) in [
        (
            &["--class", "dgo"][..],
            &["--class dgo", "did you mean dog?"][..],
        ),
        (&["--class", "whale"], &["it has cat, dog"]),
        (&["--class", "2"], &["--class 2", "classes 0 to 1"]),
        (&["--temperature", "NaN"], &["temperature", "NaN"]),
        (&["--guidance", "-1"], &["guidance", "-1"]),
    ] {
        // A negative number looks like an option.
        let joined = format!("{}={}", more[0], more[1]);
        bench.refused(&generate(&[&joined]), words);
    }
    let nowhere = ["--animate", "missing/a.gif"];
    bench.refused(&generate(&nowhere), &["there is no folder"]);
    let with_steps = |steps| {
        let own = [
            "generate",
            "--model",
            "lm.safetensors",
            "--tokenizer",
            "model.safetensors",
        ];
        [&own[..], &["--grid", "out.png", "--steps", steps]].concat()
    };
    for steps in ["0", "9"] {
        bench.refused(&with_steps(steps), &[steps, "1 to 8 steps"]);
    }
    bench.picture("a.png", 16, 16);
    bench.picture("small.png", 8, 16);
    let mask = ["--inpaint", "a.png", "--mask", "small.png"];
    bench.refused(&generate(&mask), &["small.png", "8x16", "16x16"]);
    save_png(&Picture::new(16, 16, vec![0; 768]), bench.path("black.png")).unwrap();
    let mask = ["--inpaint", "a.png", "--mask", "black.png"];
    bench.refused(&generate(&mask), &["no white pixel"]);

    model(&bench, 2)
        .save(&bench.path("other.safetensors"), DType::F32)
        .unwrap();
    let other = [
        "generate",
        "--model",
        "other.safetensors",
        "--grid",
        "out.png",
    ];
    bench.refused(&other, &["does not ship", "--tokenizer"]);
    let other = [&other[..], &["--tokenizer", "model.safetensors"]].concat();
    bench.refused(
        &other,
        &[
            "other.safetensors knows the tokens of",
            "model.safetensors is",
        ],
    );
    bench.refused(
        &[
            "generate",
            "--model",
            "model.safetensors",
            "--grid",
            "out.png",
        ],
        &["not a masked language model"],
    );
    let mut broken = model(&bench, 1);
    let bias = broken.parameters.get_mut("head.bias.1").unwrap();
    bias.as_mut_slice::<f32>().unwrap()[3] = f32::NAN;
    broken
        .save(&bench.path("nan.safetensors"), DType::F32)
        .unwrap();
    let nan = [
        "generate",
        "--model",
        "nan.safetensors",
        "--tokenizer",
        "model.safetensors",
    ];
    let nan = [&nan[..], &["--grid", "out.png"]].concat();
    bench.refused(&nan, &["nan.safetensors", "head.bias.1", "is NaN"]);
}

#[test]
fn the_model_that_ships_makes_sneakers() {
    let bench = Bench::new();
    let ran = bench.good(&[
        "generate", "--class", "sneaker", "--count", "1", "--grid", "out.png",
    ]);
    assert!(
        ran.stdout.contains("1 pictures in 12 steps"),
        "{}",
        ran.stdout
    );
    let sneaker = bench.picture_of("out.png");
    // Black above, something below the middle.
    let mean = |rows: std::ops::Range<usize>| {
        let all: Vec<u64> = rows
            .flat_map(|y| sneaker.row(y).to_vec())
            .map(u64::from)
            .collect();
        all.iter().sum::<u64>() / all.len() as u64
    };
    assert!(
        mean(0..12) < 10 && mean(32..44) > 40,
        "{} {}",
        mean(0..12),
        mean(32..44)
    );
}

/// One token file for each class, called after it, is what pictures in folders are.
#[test]
fn tokens_of_classes_train_to_the_bits_of_their_pictures() {
    let bench = bench();
    let tokenizer = ["--model", "model.safetensors"];
    let mut pictures = Vec::new();
    for class in ["cat", "dog"] {
        let names = ["a", "b"].map(|name| format!("windows/{class}/{name}.png"));
        fs::create_dir_all(bench.path(&format!("windows/{class}"))).unwrap();
        names.iter().for_each(|name| {
            bench.picture(name, 16, 16);
        });
        let file = format!("{class}.safetensors");
        let folder = format!("windows/{class}");
        bench.good(&[&["tokens", &folder, "-o", &file], &tokenizer[..]].concat());
        pictures.push(file);
    }
    let train = |out: &str, data: &[&str]| {
        bench.good(&[&["train", "lm.toml", "--out", out], data, &tokenizer].concat());
        weights(&bench, out)
    };
    let of_pictures = train("of_pictures", &["--data", "windows"]);
    let of_tokens = train(
        "of_tokens",
        &["--tokens", "cat.safetensors", "dog.safetensors"],
    );
    assert!(of_pictures == of_tokens);

    // One file alone is of no class.
    train("one", &["--tokens", "cat.safetensors"]);
    bench.good(&[
        "generate",
        "--model",
        "one",
        "--tokenizer",
        "model.safetensors",
        "--grid",
        "one.png",
    ]);
    let from = [
        "generate",
        "--model",
        "one",
        "--tokenizer",
        "model.safetensors",
        "--grid",
        "x.png",
    ];
    bench.refused(&[&from[..], &["--class", "cat"]].concat(), &["cat"]);

    bench.picture("large.png", 40, 16);
    bench.good(
        &[
            &["tokens", "large.png", "-o", "large.safetensors"],
            &tokenizer[..],
        ]
        .concat(),
    );
    bench.refused(
        &[
            &[
                "train",
                "lm.toml",
                "--out",
                "y",
                "--tokens",
                "large.safetensors",
            ],
            &tokenizer[..],
        ]
        .concat(),
        &["large.safetensors: large.png has 6 x 2 tokens", "2 x 2"],
    );
}

#[test]
fn a_model_of_classes_makes_pictures_without_one() {
    let bench = bench();
    let value = bench
        .good(&generate(&["--no-class", "--count", "3", "--json"]))
        .stdout;
    let value: Value = serde_json::from_str(&value).unwrap();
    assert_eq!(value["classes"], serde_json::json!([null]));
    assert_eq!(value["pictures"], 3);
    bench.refused(&generate(&["--no-class", "--guidance", "1"]), &["class"]);
}

/// What is dropped is a function of the step, so a training that is resumed drops the same.
#[test]
fn dropout_resumes_to_the_same_bits_and_changes_them() {
    let bench = bench();
    let train = |config: &str, out: &str, more: &[&str]| {
        let own = [
            "train",
            config,
            "--data",
            "photos",
            "--model",
            "model.safetensors",
        ];
        bench.good(&[&own[..], &["--out", out], more].concat());
        weights(&bench, out)
    };
    let dropping = LM.replace("width = 16", "width = 16\ndropout = 0.2");
    fs::write(bench.path("dropping.toml"), dropping).unwrap();
    let whole = train("dropping.toml", "whole", &[]);
    train("dropping.toml", "parts", &["--steps", "3"]);
    assert!(whole == train("dropping.toml", "parts", &["--resume"]));
    assert!(whole != train("lm.toml", "without", &[]));
}

/// The weights of a training, without what is written beside them.
fn weights(bench: &Bench, folder: &str) -> Tensors {
    let path = bench.path(&format!("{folder}/checkpoint.safetensors"));
    checkpoint::load(&path, Weights::Raw).unwrap().tensors
}
