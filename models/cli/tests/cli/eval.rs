//! `bsq eval`: figures of a folder.

use super::common::{Bench, noise};
use bsq::image_io::{Picture, crop};
use bsq::inception::Inception;
use bsq::metrics::sets::write_pictures;
use bsq_ir::philox::random_word;
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::safetensors;
use bsq_runtime::executor::Tensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

fn bench() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("photos")).unwrap();
    for (name, width, height) in [("a", 40, 30), ("b", 90, 50), ("c", 33, 64)] {
        bench.picture(&format!("photos/{name}.png"), width, height);
    }
    bench
}

#[test]
fn figures_of_each_picture_and_their_means() {
    let bench = bench();
    let ran = bench.good(&["eval", "--data", "photos", "--html", "page.html", "--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let pictures = value["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 3);
    let psnr = |picture: &Value| picture["psnr"].as_f64().unwrap();
    let mean = pictures.iter().map(psnr).sum::<f64>() / 3.0;
    assert!((value["means"]["PSNR"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    assert!(
        pictures
            .iter()
            .all(|own| own["lpips"].is_null() && psnr(own) > 10.0)
    );
    let page = fs::read_to_string(bench.path("page.html")).unwrap();
    assert!(page.contains("photos/b.png") && page.contains("data:image/png;base64,"));
    assert!(!page.contains("http"), "a page needs no network");
    let said = bench
        .good(&["eval", "--data", "photos", "--metrics", "ssim"])
        .stdout;
    assert!(
        said.contains("SSIM: mean") && !said.contains("PSNR"),
        "{said}"
    );
}

#[test]
fn a_broken_picture_is_left_out_unless_all_are_to_be_read() {
    let bench = bench();
    fs::write(bench.path("photos/broken.png"), b"no picture").unwrap();
    let ran = bench.good(&["eval", "--data", "photos", "--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["pictures"].as_array().unwrap().len(), 3);
    assert_eq!(value["broken_pictures"].as_array().unwrap().len(), 1);
    assert!(ran.stderr.contains("broken.png"), "{}", ran.stderr);
    let ran = bench.run(&["eval", "--data", "photos", "--strict"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

/// Paths are bytes to the system, and JSON is text.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_shown_in_json() {
    use std::os::unix::ffi::OsStrExt;
    let bench = bench();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.png");
    fs::copy(bench.path("photos/a.png"), bench.path("photos").join(name)).unwrap();
    let broken = std::ffi::OsStr::from_bytes(b"br\xf8ken.png");
    fs::write(bench.path("photos").join(broken), "no picture").unwrap();
    let page = std::ffi::OsStr::from_bytes(b"p\xe9ge.html");
    let mut command = bench.command(&["eval", "--data", "photos", "--json", "--html"]);
    let ran: super::common::Ran = command.arg(page).output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let pictures = value["pictures"].as_array().unwrap();
    let of = |picture: &Value| picture["path"].as_str().unwrap().to_string();
    let shown = pictures.iter().map(of).filter(|path| path.contains("caf"));
    assert_eq!(shown.collect::<Vec<_>>(), ["photos/caf\u{fffd}.png"]);
    assert_eq!(value["broken_pictures"][0], "photos/br\u{fffd}ken.png");
    assert!(bench.path("").join(page).exists());
}

#[test]
fn what_needs_weights_says_so() {
    let bench = bench();
    for (metric, option) in [
        ("lpips", "--lpips"),
        ("fid", "--inception"),
        ("is", "--inception"),
    ] {
        bench.refused(
            &["eval", "--data", "photos", "--metrics", metric],
            &[option],
        );
    }
    bench.refused(&["eval", "--data", "nowhere"], &["nowhere"]);
    let squeeze = ["eval", "--data", "photos", "--lpips-net", "squeeze"];
    let refused = bench.run(&squeeze);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("--lpips <FILE>"),
        "{}",
        refused.stderr
    );
    let other = HostTensor::from_slice([1], &[0.0f32]).unwrap();
    let path = bench.path("w.safetensors");
    safetensors::save(&path, [("w", &other)], &BTreeMap::new()).unwrap();
    let missing = "lin0.model.1.weight [1, 64, 1, 1] is missing; -v lists all";
    bench.refused(
        &[&squeeze[..], &["--lpips", "w.safetensors"]].concat(),
        &["no weights of LPIPS with squeeze", missing],
    );
}

/// Weights that mean nothing: figures of equal sets are known without any that do.
fn random_inception(bench: &Bench) {
    let mut weights = Tensors::new();
    for (number, spec) in Inception::default().parameters().into_iter().enumerate() {
        let count = spec.ty.shape.elements();
        let fan_in = (count / spec.ty.shape[0]).max(1) as f32;
        let value = |i| random_word(number as u64, 0, i) as f32 / 2.0_f32.powi(31) - 1.0;
        let values: Vec<f32> = match spec.name.ends_with("running_var") {
            true => vec![1.0; count],
            false => (0..count as u64)
                .map(|i| value(i) * (3.0 / fan_in).sqrt())
                .collect(),
        };
        let tensor = HostTensor::from_slice(&spec.ty.shape[..], &values).unwrap();
        weights.insert(spec.name, tensor);
    }
    let path = bench.path("inception.safetensors");
    safetensors::save(&path, &weights, &BTreeMap::new()).unwrap();
}

#[test]
fn samples_are_measured_against_a_reference_of_adms_suite() {
    let bench = Bench::new();
    random_inception(&bench);
    let pictures = |first: usize| -> Vec<Picture> {
        (first..first + 9)
            .map(|i| noise(24 + i, 30 + i))
            .map(|p| crop(&p, 0, 0, 20, 16))
            .collect()
    };
    write_pictures(&pictures(0), &bench.path("samples.npz")).unwrap();
    write_pictures(&pictures(20), &bench.path("others.npz")).unwrap();
    let eval = |reference: &str, more: &[&str]| -> Value {
        let own = [
            "eval",
            "--samples",
            "samples.npz",
            "--inception",
            "inception.safetensors",
        ];
        let own = [&own[..], &["--json", "--reference", reference], more].concat();
        serde_json::from_str(&bench.good(&own).stdout).unwrap()
    };
    let same = eval("samples.npz", &[]);
    assert_eq!(
        (&same["pictures"], &same["reference_pictures"]),
        (&9.into(), &9.into())
    );
    let sets = &same["sets"];
    // Features of weights that mean nothing are small, and so are distances of other sets.
    assert!(sets["fid"].as_f64().unwrap().abs() < 1e-9, "{sets}");
    assert_eq!(
        (&sets["precision"], &sets["recall"]),
        (&1.0.into(), &1.0.into())
    );
    let other = eval("others.npz", &["--convention", "adm"]);
    assert!(other["sets"]["fid"].as_f64().unwrap() > 1e-8, "{other}");

    fs::write(bench.path("text.npz"), "no archive").unwrap();
    let own = [
        "eval",
        "--samples",
        "text.npz",
        "--reference",
        "samples.npz",
    ];
    let own = [&own[..], &["--inception", "inception.safetensors"]].concat();
    bench.refused(&own, &["text.npz: no .npz file"]);
}
