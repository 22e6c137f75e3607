//! `bsq eval`: figures of a folder.

use super::common::Bench;
use serde_json::Value;
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
}
