//! `bsq encode`, `bsq decode`, `bsq reconstruct` and `bsq inspect` with transform codecs.

use crate::common::{Bench, repository};
use bsq::config::TransformCodecConfig;
use bsq::transform_codec::TransformCodecFile;
use bsq_ir::DType;
use serde_json::Value;
use std::fs;

/// A folder with a photo, `a.png`.
fn bench() -> Bench {
    let bench = Bench::new();
    let photo = bsq::image_io::load(repository("samples/flower.jpg")).unwrap();
    let photo = bsq::image_io::crop(&photo.picture, 0, 0, 96, 64);
    fs::write(bench.path("a.png"), bsq::image_io::encode_png(&photo)).unwrap();
    bench
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_photo_comes_back_as_it_was_reconstructed() {
    let bench = bench();
    bench.good(&["encode", "a.png"]);
    bench.good(&["decode", "a.bsq", "-o", "back.png"]);
    let ran = bench.good(&["reconstruct", "a.png", "--json"]);
    assert!(bench.bytes("back.png") == bench.bytes("a.bsq.png"));
    let value = json(&ran.stdout);
    assert_eq!(value["model"], "default");
    assert!(
        value["images"][0]["psnr"].as_f64().unwrap() > 25.0,
        "{value}"
    );
    let bytes = bench.bytes("a.bsq").len() as u64;
    assert_eq!(value["images"][0]["bits"], 8 * bytes);
    bench.good(&["decode", "a.bsq", "-o", "again.png", "--threads", "1"]);
    assert!(bench.bytes("back.png") == bench.bytes("again.png"));
}

#[test]
fn quality_size_and_fidelity_are_what_was_asked_for() {
    let bench = bench();
    let size = |arguments: &[&str]| {
        bench.good(&[&["encode", "a.png", "-o", "x.bsq"], arguments].concat());
        bench.bytes("x.bsq").len()
    };
    let sizes = ["0", "30", "50", "80", "100"].map(|quality| size(&["--quality", quality]));
    assert!(sizes.is_sorted() && sizes[0] < sizes[4] / 2, "{sizes:?}");
    assert_eq!(size(&[]), sizes[2]);
    let bits = |bytes: usize| 8.0 * bytes as f64 / (96.0 * 64.0);
    let found = bits(size(&["--bpp", "0.8"]));
    assert!((0.75..=0.8).contains(&found), "{found}");
    size(&["--psnr", "34"]);
    bench.good(&["decode", "x.bsq", "-o", "x.png"]);
    let [a, b] = ["a.png", "x.png"].map(|name| bench.picture_of(name));
    let squares = a
        .rgb
        .iter()
        .zip(&b.rgb)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let psnr = -10.0 * (squares.sum::<f64>() / a.rgb.len() as f64 / 65_025.0).log10();
    // Of so small a picture the PSNR does not quite fall with the step.
    assert!((34.0..35.0).contains(&psnr), "{psnr}");
    bench.refused(
        &["encode", "a.png", "--bpp", "0.0001"],
        &["0.0001 bits per pixel"],
    );
    for (wrong, words) in [
        (&["--quality", "101"][..], "from 0 to 100"),
        (&["--step", "0.5"], "from 1 to 1000"),
        (&["--bpp", "1", "--psnr", "30"], "cannot be used with"),
    ] {
        let ran = bench.run(&[&["encode", "a.png"], wrong].concat());
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn what_belongs_to_the_other_kind_of_model_is_refused() {
    let bench = bench();
    for option in [&["--raw"][..], &["--keep", "3"], &["--prior", "default"]] {
        let arguments = [&["encode", "a.png"], option].concat();
        bench.refused(&arguments, &[option[0], "default-1"]);
    }
    for command in ["encode", "reconstruct"] {
        let arguments = [command, "a.png", "--model", "default-1", "--quality", "20"];
        bench.refused(&arguments, &["--quality", "tokenizer"]);
    }
    bench.refused(
        &["reconstruct", "a.png", "--precision", "bf16"],
        &["exactly"],
    );
    bench.good(&["encode", "a.png"]);
    let arguments = ["decode", "a.bsq", "--model", "default-1"];
    bench.refused(&arguments, &["transform codec"]);
}

#[test]
fn files_of_both_kinds_are_decoded_in_one_go() {
    let bench = bench();
    bench.good(&["encode", "a.png", "-o", "levels.bsq"]);
    bench.good(&[
        "encode",
        "a.png",
        "-o",
        "tokens.bsq",
        "--model",
        "default-1",
    ]);
    let files = ["tokens.bsq", "levels.bsq"];
    fs::create_dir(bench.path("out")).unwrap();
    let ran = bench.good(&["decode", files[0], files[1], "-o", "out", "--json"]);
    let value = json(&ran.stdout);
    for (image, name) in value["images"].as_array().unwrap().iter().zip(files) {
        assert_eq!(image["input"], name);
        let size = (bench.picture_of(&format!("out/{name}.png")).width, 96);
        assert_eq!(size.0, size.1);
    }
}

#[test]
fn streams_of_levels_are_inspected() {
    let bench = bench();
    bench.good(&["encode", "a.png", "--step", "40"]);
    let ran = bench.good(&["inspect", "a.bsq"]);
    for words in ["96x64", "step 40", "codec", "1 of 1"] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    let value = json(&bench.good(&["inspect", "a.bsq", "--json"]).stdout);
    let bytes = bench.bytes("a.bsq");
    assert_eq!(value["bytes"], bytes.len());
    let mut bad = bytes.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(bench.path("bad.bsq"), &bad).unwrap();
    let ran = bench.run(&["inspect", "bad.bsq"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("DAMAGED"), "{}", ran.stdout);
    bench.refused(&["decode", "bad.bsq"], &["bad.bsq", "--recover"]);
    let ran = bench.run(&["decode", "bad.bsq", "--recover"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("filled in"), "{}", ran.stderr);
}

/// Levels go to a file and back to what `decode` makes of the stream of the same quality.
#[test]
fn levels_go_to_files_and_back() {
    let bench = bench();
    bench.good(&["encode", "a.png", "--quality", "30"]);
    bench.good(&["decode", "a.bsq", "-o", "back.png"]);
    let tokens = ["tokens", "a.png", "-o", "a.safetensors"];
    for model in [&[][..], &["--model", "default"]] {
        let quality = ["--quality", "30", "--json"];
        let ran = bench.good(&[&tokens[..], &quality, model].concat());
        let value = json(&ran.stdout);
        assert_eq!(value["model"], "default");
        // 3 x 2 patches of 32x32 pixels, 12 x 8 of 8x8, of which three coordinates are in the others.
        assert_eq!(
            value["images"][0]["levels"],
            3 * 2 * 48 + 12 * 8 * (192 - 3)
        );
        bench.good(&["detokenize", "a.safetensors", "-o", "levels.png"]);
        assert!(bench.bytes("back.png") == bench.bytes("levels.png"));
    }
    let ran = bench.good(&["inspect", "a.safetensors"]);
    for words in [
        "file of levels",
        "1 pictures",
        "pictures.0.coarse",
        "\"quality\":30.0",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    // What a size or a fidelity asks for is that of the stream.
    bench.good(&["encode", "a.png", "-o", "b.bsq", "--bpp", "0.8"]);
    bench.good(&["decode", "b.bsq", "-o", "back.png"]);
    bench.good(&[&tokens[..], &["--bpp", "0.8"]].concat());
    bench.good(&["detokenize", "a.safetensors", "-o", "levels.png"]);
    assert!(bench.bytes("back.png") == bench.bytes("levels.png"));
    let model = ["--model", "bsq36"];
    let arguments = ["detokenize", "a.safetensors", "-o", "x.png"];
    bench.refused(&[&arguments[..], &model].concat(), &["levels", "tokenizer"]);
    let arguments = ["tokens", "a.png", "-o", "x.safetensors", "--quality", "30"];
    bench.refused(
        &[&arguments[..], &model].concat(),
        &["--quality", "tokenizer"],
    );
    let clip = ["tokens", "a.y4m", "-o", "x.safetensors"];
    fs::write(bench.path("a.y4m"), "").unwrap();
    bench.refused(&clip, &["a.y4m", "--model bsq36"]);
}

/// Bits of groups and all else add up to the file.
#[test]
fn bits_of_a_stream_are_told() {
    let bench = bench();
    bench.good(&["encode", "a.png", "--quality", "90"]);
    let ran = bench.good(&["inspect", "a.bsq", "--bits"]);
    for words in ["coarse", "base", "detail", "0..1", "range coder"] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    let value = json(&bench.good(&["inspect", "a.bsq", "--bits", "--json"]).stdout);
    let number = |value: &Value| value.as_f64().unwrap();
    let bits = &value["bits"];
    let groups = bits["groups"].as_array().unwrap().iter();
    let sum: f64 = groups.map(|group| number(&group["bits"])).sum();
    let others = ["group_counts", "framing", "coder"].map(|what| number(&bits[what]));
    let all = 8.0 * bench.bytes("a.bsq").len() as f64;
    assert!((sum + others.iter().sum::<f64>() - all).abs() < 1e-6);
    // A small file: its header, a strip's frame and three numbers of groups are 360 bits.
    assert!((-8.0..40.0).contains(&others[2]), "{sum} of {all}");
    assert!(json(&bench.good(&["inspect", "a.bsq", "--json"]).stdout)["bits"].is_null());
    let tokens = ["encode", "a.png", "-o", "b.bsq", "--model", "bsq18"];
    bench.good(&tokens);
    bench.refused(&["inspect", "b.bsq", "--bits"], &["transform codec"]);
}

#[test]
fn a_codec_of_ones_own_is_named() {
    let bench = bench();
    let text = "[transform_codec]\ncoordinates = 16\nbase_coordinates = 8\nencoder_width = 8\n\
                decoder_width = 8\ndecoder_blocks = 1\ncontext_width = 8\n\
                coarse_context_width = 8\ndetail_context_width = 8\n[data]\nimage_size = 32\n";
    let config = TransformCodecConfig::from_toml(text).unwrap();
    let file = TransformCodecFile::untrained("own", config).unwrap();
    file.save(&bench.path("own.safetensors"), DType::F16)
        .unwrap();
    let own = ["--model", "own.safetensors"];
    bench.good(&[&["encode", "a.png"], &own[..]].concat());
    bench.good(&[&["decode", "a.bsq"], &own[..]].concat());
    bench.refused(&["decode", "a.bsq"], &["a.bsq", "--model"]);
    bench.good(&[&["inspect", "a.bsq", "--bits"], &own[..]].concat());
    bench.good(&[&["tokens", "a.png", "-o", "a.safetensors"], &own[..]].concat());
    bench.good(&[&["detokenize", "a.safetensors", "-o", "b.png"], &own[..]].concat());
    assert!(bench.bytes("a.bsq.png") == bench.bytes("b.png"));
    let arguments = ["detokenize", "a.safetensors", "-o", "c.png"];
    bench.refused(&arguments, &["own", "--model"]);
}

/// Tokenizers that ship beside it; the decoder finds tokenizer and prior by itself.
#[test]
fn photos_go_through_the_tokenizers_that_ship() {
    let bench = bench();
    for (model, more, least) in [
        ("bsq36", &[][..], 28.0),
        ("bsq36", &["--raw"], 28.0),
        ("bsq18", &[], 24.0),
    ] {
        bench.good(&[&["encode", "a.png", "-o", "x.bsq", "--model", model], more].concat());
        bench.good(&["decode", "x.bsq", "-o", "x.png"]);
        let ran = bench.good(&[
            "reconstruct",
            "a.png",
            "-o",
            "y.png",
            "--model",
            model,
            "--json",
        ]);
        assert!(bench.bytes("x.png") == bench.bytes("y.png"), "{model}");
        let value = json(&ran.stdout);
        assert!(
            value["images"][0]["psnr"].as_f64().unwrap() > least,
            "{value}"
        );
        // A photo's own borders are hardly steeper than the rest of it.
        assert!(
            value["images"][0]["border_ratio"].as_f64().unwrap() < 1.6,
            "{value}"
        );
    }
    let coded = |more: &[&str]| {
        bench.good(
            &[
                &["encode", "a.png", "-o", "x.bsq", "--model", "bsq36"],
                more,
            ]
            .concat(),
        );
        bench.bytes("x.bsq").len()
    };
    assert!(coded(&[]) < coded(&["--raw"]) * 3 / 4);
}
