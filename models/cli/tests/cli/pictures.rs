//! Pictures to tokens and back.

use crate::common::{Bench, repository};
use bsq::image_io;
use serde_json::Value;

const MODEL: [&str; 2] = ["--model", "model.safetensors"];

#[test]
fn detokenized_pictures_are_those_of_reconstruct_bit_for_bit() {
    let bench = Bench::new();
    bench.picture("a.png", 70, 35);
    bench.picture("b.png", 1, 1);
    bench.good(&[&["reconstruct", "a.png", "b.png"], &MODEL[..]].concat());
    let tokens = ["tokens", "a.png", "b.png", "-o", "t.safetensors"];
    let said = bench.good(&[&tokens[..], &MODEL].concat()).stdout;
    assert!(said.contains("15 windows, 60 tokens of 12 bits"), "{said}");
    std::fs::create_dir(bench.path("out")).unwrap();
    let back = ["detokenize", "t.safetensors", "-o", "out", "--threads", "1"];
    bench.good(&[&back[..], &MODEL].concat());
    for name in ["a", "b"] {
        let reconstructed = bench.bytes(&format!("{name}.bsq.png"));
        assert_eq!(bench.bytes(&format!("out/{name}.bsq.png")), reconstructed);
    }
    let picture = image_io::load(bench.path("a.bsq.png")).unwrap().picture;
    assert_eq!((picture.width, picture.height), (70, 35));
    assert!(picture.rgb.iter().any(|&sample| sample != picture.rgb[0]));
}

#[test]
fn a_picture_beyond_the_limit_is_refused_and_the_option_lifts_it() {
    let bench = Bench::new();
    bench.picture("a.png", 20, 20);
    let encode = |limit| ["encode", "a.png", "--raw", "--max-pixels", limit];
    bench.refused(
        &[&encode("399"), &MODEL[..]].concat(),
        &["a.png", "20x20 is too large", "--max-pixels"],
    );
    bench.good(&[&encode("400"), &MODEL[..]].concat());
    let decode = |limit| ["decode", "a.bsq", "--max-pixels", limit];
    bench.refused(
        &[&decode("399"), &MODEL[..]].concat(),
        &["a.bsq", "20x20 pixels", "--max-pixels"],
    );
    bench.good(&[&decode("400"), &MODEL[..]].concat());
}

#[test]
fn tokens_are_decoded_by_the_model_that_made_them_only() {
    let bench = Bench::new();
    bench.picture("a.png", 20, 20);
    bench.good(&[&["tokens", "a.png", "-o", "t.safetensors"], &MODEL[..]].concat());
    bench
        .model(2)
        .save(&bench.path("other.safetensors"), bsq_ir::DType::F32)
        .unwrap();
    bench.refused(
        &[
            "detokenize",
            "t.safetensors",
            "-o",
            "x.png",
            "--model",
            "other.safetensors",
        ],
        &[
            "t.safetensors",
            "model.safetensors",
            "not of other.safetensors",
        ],
    );
    bench.refused(
        &[
            &["detokenize", "model.safetensors", "-o", "x.png"],
            &MODEL[..],
        ]
        .concat(),
        &["not a token file"],
    );
}

#[test]
fn figures_are_one_json_value_on_standard_output() {
    let bench = Bench::new();
    bench.picture("a.png", 40, 24);
    let ran = bench.good(&[&["--json", "reconstruct", "a.png", "-v"], &MODEL[..]].concat());
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let image = &value["images"][0];
    assert_eq!(image["bits"], 6 * 4 * 12);
    assert_eq!(image["bits_per_pixel"], 288.0 / 960.0);
    assert!(image["psnr"].as_f64().unwrap() > 3.0);
    assert!(image["ssim"].as_f64().unwrap() < 1.0);
    assert!(ran.stderr.contains("fingerprint"), "{}", ran.stderr);

    // Failures too.
    let ran = bench.run(&["reconstruct", "none.png", "--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(value["error"].as_str().unwrap().contains("none.png"));
    assert_eq!(ran.code, Some(2));
}

#[test]
fn three_pictures_side_by_side() {
    let bench = Bench::new();
    let original = bench.picture("a.png", 30, 20);
    bench.good(&[&["reconstruct", "a.png"], &MODEL[..]].concat());
    bench.good(&[&["reconstruct", "a.png", "--side-by-side"], &MODEL[..]].concat());
    let load = |path| image_io::load(path).unwrap().picture;
    let all = load(bench.path("a.side-by-side.png"));
    assert_eq!((all.width, all.height), (90, 20));
    assert_eq!(image_io::crop(&all, 0, 0, 30, 20), load(original));
    assert_eq!(
        image_io::crop(&all, 30, 0, 30, 20),
        load(bench.path("a.bsq.png"))
    );
}

#[test]
fn sizes_and_kinds_of_every_sort_are_taken() {
    let bench = Bench::new();
    let save = |name: &str, image: image::DynamicImage| image.save(bench.path(name)).unwrap();
    save("grey.png", image::DynamicImage::new_luma8(33, 9));
    save("deep.png", image::DynamicImage::new_rgb16(5, 5));
    save("alpha.png", image::DynamicImage::new_rgba8(9, 9));
    save("grey.jpg", image::DynamicImage::new_luma8(33, 9));
    std::fs::copy(
        repository("tests/fixtures/images/cmyk.jpg"),
        bench.path("cmyk.jpg"),
    )
    .unwrap();
    for (name, note) in [
        ("grey.png", "greyscale"),
        ("deep.png", "16-bit"),
        ("alpha.png", "transparent"),
        ("grey.jpg", "greyscale"),
        ("cmyk.jpg", "CMYK"),
    ] {
        let ran = bench.good(&[&["reconstruct", name, "-o", "out.png"], &MODEL[..]].concat());
        assert!(
            ran.stderr.contains(name) && ran.stderr.contains(note),
            "{}",
            ran.stderr
        );
    }
    for (width, height) in [(1, 1), (20_000, 3), (3, 5_000)] {
        bench.picture("any.png", width, height);
        bench.good(&[&["reconstruct", "any.png"], &MODEL[..]].concat());
        let picture = image_io::load(bench.path("any.bsq.png")).unwrap().picture;
        assert_eq!((picture.width, picture.height), (width, height));
    }
}

#[test]
fn checkpoints_and_token_files_are_recognised() {
    let bench = Bench::new();
    bench.picture("a.png", 20, 20);
    bench.good(&[&["tokens", "a.png", "-o", "t.safetensors"], &MODEL[..]].concat());
    let said = bench.good(&["inspect", "t.safetensors"]).stdout;
    assert!(said.contains("token file"), "{said}");
    assert!(
        said.contains("pictures.0.group_indices  u64[4,4,4]"),
        "{said}"
    );
    let said = bench.good(&["inspect", "model.safetensors"]).stdout;
    assert!(said.contains("tokenizer model"), "{said}");
    assert!(
        said.contains("BSQ of 12 bits in 4 groups; 16x16 windows"),
        "{said}"
    );
    std::fs::write(bench.path("c.toml"), crate::common::CONFIG).unwrap();
    let count = bench.model(1).parameter_count();
    let said = bench.good(&["inspect", "c.toml"]).stdout;
    assert!(said.contains(&format!("{count} parameters")), "{said}");
    let torch = repository("runtime/tests/fixtures/training.pt");
    let ran = bench.good(&["inspect", torch.to_str().unwrap(), "--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(
        value["source"].as_str().unwrap().contains("PyTorch"),
        "{value}"
    );
}

#[test]
fn a_faster_precision_says_how_far_it_is_from_f32_when_asked() {
    let bench = Bench::new();
    bench.picture("a.png", 64, 48);
    for precision in ["bf16", "f16", "int8", "int8-all"] {
        let wish = ["--precision", precision, "-v", "--json"];
        let ran = bench.good(&[&["reconstruct", "a.png"], &wish[..], &MODEL].concat());
        let value: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(value["precision"], precision);
        let change = &value["images"][0]["against_f32"];
        // Noise through an untrained model: nothing to be near to, but it is computed otherwise.
        assert!(
            change["psnr_change"].as_f64().unwrap().abs() < 0.5,
            "{change}"
        );
        assert_ne!(change["psnr_change"], 0.0, "{precision}");
        assert!(ran.stderr.contains("against f32: "), "{}", ran.stderr);
    }
    let plain = bench.good(&[&["reconstruct", "a.png", "-v", "--json"], &MODEL[..]].concat());
    assert!(!plain.stdout.contains("against_f32"));
    assert_eq!(
        bench
            .run(&["reconstruct", "a.png", "--precision", "f8"])
            .code,
        Some(2)
    );
}
