//! Folders that look like the sets of the field, as they are unpacked.

use crate::common::{Bench, CONFIG, Ran, repository};
use bsq::data::LabelledPictures;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Writes a file, and the folders that it lies in.
fn put(bench: &Bench, name: &str, bytes: &[u8]) {
    let path = bench.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A picture of the collection of odd ones.
fn seed(name: &str) -> Vec<u8> {
    fs::read(repository("fuzz/seeds/picture").join(name)).unwrap()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

fn eval(bench: &Bench, data: &str, more: &[&str]) -> Ran {
    let own = ["eval", "--model", "model.safetensors", "--data", data];
    bench.run(&[&own[..], more].concat())
}

/// What was measured, by the names of files.
fn measured(value: &Value, key: &str) -> Vec<String> {
    let all = value[key].as_array().unwrap().iter();
    let name = |one: &Value| {
        let path = Path::new(one["path"].as_str().unwrap());
        path.file_name().unwrap().to_str().unwrap().to_string()
    };
    all.map(name).collect()
}

/// A training of the tiny model.
fn config() -> String {
    let loss = "[loss]\ncodebook_weight = 0.1\nperceptual_weight = 0.0\nskip_disc = true\n";
    let rest =
        "[data]\nbatch_size = 2\n[optimizer]\nlr = 1e-3\nmax_iter = 2\n[train]\neval_freq = 1\n";
    format!("{CONFIG}\n{loss}{rest}")
}

/// A folder for each class, named after its synset; among the files some are grey, one has four inks, and one
/// is a PNG whose name says JPEG.
fn imagenet(bench: &Bench) {
    let png = fs::read(bench.picture("a.png", 40, 30)).unwrap();
    put(bench, "imagenet/train/n02105855/n02105855_2933.JPEG", &png);
    put(
        bench,
        "imagenet/train/n01440764/n01440764_18.JPEG",
        &seed("colour.jpg"),
    );
    put(
        bench,
        "imagenet/train/n01440764/n01440764_37.JPEG",
        &seed("grey.jpg"),
    );
    put(
        bench,
        "imagenet/train/n01739381/n01739381_1309.JPEG",
        &seed("cmyk.jpg"),
    );
    let val = "imagenet/val/n01440764/ILSVRC2012_val_0000029";
    put(bench, &format!("{val}3.JPEG"), &seed("progressive.jpg"));
    put(bench, &format!("{val}4.JPEG"), &seed("colour.jpg"));
    put(
        bench,
        "imagenet/LOC_synset_mapping.txt",
        b"n01440764 tench\n",
    );
}

#[test]
fn imagenet_is_measured_and_trained_on_and_what_is_broken_is_named() {
    let bench = Bench::new();
    imagenet(&bench);
    put(
        &bench,
        "imagenet/val/n02105855/ILSVRC2012_val_00000295.JPEG",
        &seed("colour.jpg")[..300],
    );
    put(&bench, "imagenet/train/n02105855/n02105855_1.JPEG", b"");
    let ran = eval(&bench, "imagenet/val", &["--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let value = json(&ran);
    let names = [
        "ILSVRC2012_val_00000293.JPEG",
        "ILSVRC2012_val_00000294.JPEG",
    ];
    assert_eq!(measured(&value, "pictures"), names);
    assert_eq!(value["broken_pictures"].as_array().unwrap().len(), 1);
    assert!(ran.stderr.contains("val_00000295.JPEG"), "{}", ran.stderr);
    let ran = eval(&bench, "imagenet/val", &["--strict"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);

    put(&bench, "c.toml", config().as_bytes());
    let train = |out: &str, more: &[&str]| {
        let own = [
            "train",
            "c.toml",
            "--data",
            "imagenet/train",
            "--val",
            "imagenet/val",
        ];
        bench.run(&[&own[..], &["--json", "--out", out], more].concat())
    };
    let ran = train("run", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(json(&ran)["broken_pictures"], 1);
    for name in [
        "n02105855_1.JPEG",
        "left out of evaluations: ",
        "val_00000295.JPEG",
    ] {
        assert!(ran.stderr.contains(name), "{name}: {}", ran.stderr);
    }
    let ran = train("strict", &["--strict"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("pictures to evaluate on that cannot be read: 1"),
        "{}",
        ran.stderr
    );
    fs::remove_dir_all(bench.path("imagenet/val/n02105855")).unwrap();
    let ran = train("strict2", &["--strict"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("samples that cannot be read: 1"),
        "{}",
        ran.stderr
    );
    fs::remove_file(bench.path("imagenet/train/n02105855/n02105855_1.JPEG")).unwrap();
    let ran = train("whole", &["--strict"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    // Labels are the order of synsets.
    let pictures = LabelledPictures::open(&bench.path("imagenet/train")).unwrap();
    assert_eq!(pictures.classes, ["n01440764", "n01739381", "n02105855"]);
}

#[test]
fn coco_and_kodak_are_measured() {
    let bench = Bench::new();
    put(&bench, "coco/val2017/000000000139.jpg", &seed("colour.jpg"));
    put(&bench, "coco/val2017/000000000285.jpg", &seed("grey.jpg"));
    put(&bench, "coco/annotations/instances_val2017.json", b"{}");
    let ran = eval(&bench, "coco/val2017", &["--json", "--strict"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let names = ["000000000139.jpg", "000000000285.jpg"];
    assert_eq!(measured(&json(&ran), "pictures"), names);

    fs::create_dir(bench.path("kodak")).unwrap();
    for number in [1, 2, 10, 24] {
        bench.picture(&format!("kodak/kodim{number:02}.png"), 48, 32);
    }
    let ran = eval(&bench, "kodak", &["--json", "--strict"]);
    let names = [1, 2, 10, 24].map(|number| format!("kodim{number:02}.png"));
    assert_eq!(measured(&json(&ran), "pictures"), names);
}

/// Planes of I420: frames of grey that grow brighter.
fn planes(width: usize, height: usize, frames: u8) -> Vec<u8> {
    let frame = |time: u8| {
        let luma = std::iter::repeat_n(16 + 20 * time, width * height);
        luma.chain(std::iter::repeat_n(128, width * height / 2))
    };
    (0..frames).flat_map(frame).collect()
}

#[test]
fn raw_planes_of_uvg_and_mcl_jcv_are_measured_and_trained_on() {
    let bench = Bench::new();
    let uvg = "video/UVG/Beauty_40x32_120fps_420_8bit_YUV.yuv";
    put(&bench, uvg, &planes(40, 32, 6));
    put(
        &bench,
        "video/MCL-JCV/videoSRC01_32x48_30.yuv",
        &planes(32, 48, 5),
    );
    let sixteen_bits = planes(40, 32, 4);
    put(
        &bench,
        "video/UVG/Jockey_40x32_120fps_420_10bit_YUV.yuv",
        &sixteen_bits,
    );
    put(
        &bench,
        "video/UVG/HoneyBee_40x32_120fps_420_8bit_YUV.yuv",
        &planes(40, 32, 2)[1..],
    );
    let ran = eval(&bench, "video", &["--frames", "4", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let value = json(&ran);
    let names = [
        "videoSRC01_32x48_30.yuv",
        "Beauty_40x32_120fps_420_8bit_YUV.yuv",
    ];
    assert_eq!(measured(&value, "clips"), names);
    assert_eq!(value["broken_clips"].as_array().unwrap().len(), 2);
    for why in [
        "10bit_YUV.yuv: its name says more than 8 bits",
        "are not whole frames of 40x32",
    ] {
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
    }
    let ran = eval(&bench, "video", &["--frames", "4", "--strict"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);

    // Trained on, too, though they lie in folders below.
    let clips = "num_frames = 2\nmask_type = \"block-causal\"\n";
    let text = config().replace("[loss]", &format!("{clips}[loss]"));
    let text = text.replace("eval_freq = 1", "eval_freq = 0");
    put(
        &bench,
        "clips.toml",
        text.replace("batch_size = 2", "batch_size = 2\nclip_windows = 2")
            .as_bytes(),
    );
    let own = ["train", "clips.toml", "--data", "video", "--json", "--out"];
    let ran = bench.good(&[&own[..], &["run"]].concat());
    assert_eq!(json(&ran)["broken_pictures"], 2);
    // Said once, not at every step.
    let said = ran.stderr.lines().filter(|line| line.contains("HoneyBee"));
    assert_eq!(said.count(), 1, "{}", ran.stderr);
    let ran = bench.run(&[&own[..], &["strict", "--strict"]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}
