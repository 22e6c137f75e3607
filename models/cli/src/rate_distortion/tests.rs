//! Searching, files between programs, and what is written of figures that are given.

use super::search::largest_within;
use super::tool::{from_ppm, to_ppm};
use super::*;
use bsq::config::TransformCodecConfig;
use bsq::image_io::save_png;
use bsq::pipeline::CompileOptions;
use bsq::transform_codec::TransformCodecFile;
use bsq::transform_codec::stream::Effort;
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::path::PathBuf;

fn file(length: usize) -> Encoded {
    Encoded {
        bytes: vec![0; length],
        seconds: 0.0,
    }
}

proptest! {
    #[test]
    fn the_largest_file_that_fits_is_found(
        mut sizes in prop::collection::vec(0_usize..1000, 1..120),
        limit in 0_usize..1000,
    ) {
        sizes.sort_unstable();
        let encode = |setting: usize| Ok::<_, ()>(file(sizes[setting]));
        let found = largest_within(sizes.len(), limit, encode).unwrap();
        let best = sizes.iter().copied().filter(|&size| size <= limit).max();
        prop_assert_eq!(found.map(|file| file.bytes.len()), best);
    }

    #[test]
    fn ppm_files_come_back(width in 1_usize..9, height in 1_usize..9, seed in any::<u8>()) {
        let samples = (0..3 * width * height).map(|i| (i as u8).wrapping_mul(37) ^ seed);
        let picture = Picture::new(width, height, samples.collect());
        prop_assert_eq!(from_ppm(&to_ppm(&picture)), Some(picture));
    }
}

#[test]
fn ppm_files_of_other_programs() {
    let white = b"P6 # by somebody\n# else\n2 1\n255\n\x20\x09\x0A\x0D\x00\xFF";
    let samples = vec![0x20, 0x09, 0x0A, 0x0D, 0x00, 0xFF];
    assert_eq!(from_ppm(white), Some(Picture::new(2, 1, samples)));
    for bad in [
        &b"P5 1 1 255\n..."[..],
        b"P6 1 1 65535\n......",
        b"P6 2 1 255\n...",
        b"P6",
        b"",
    ] {
        assert_eq!(from_ppm(bad), None);
    }
    assert_eq!(from_ppm(b"P6 99999999999 99999999999 255\n"), None);
}

fn point(bytes: usize, psnr: f64) -> Measured {
    Measured {
        bytes,
        bits_per_pixel: bytes as f64 / 100.0,
        psnr,
        ms_ssim: Some(psnr / 50.0),
        lpips: None,
        encoding_seconds: 0.5,
        decoding_seconds: 0.25,
    }
}

/// Two pictures, two rungs; one codec that has all, one that lacks a file, one that is missing.
fn comparison() -> Comparison {
    let view = Picture::new(1, 1, vec![1, 2, 3]);
    let figures = |id, name, rungs: Vec<Rung>| Figures {
        id,
        name,
        description: "<made up>".to_string(),
        missing: false,
        rungs,
        sweep: Vec::new(),
        fvd: Vec::new(),
        token_rates: None,
        views: vec![vec![view.clone()], Vec::new()],
    };
    let original = |name: &str| Original {
        name: name.into(),
        parts: Part::of(&view),
        views: vec![view.clone()],
        rung: 0,
    };
    let own = vec![
        vec![Some(point(40, 30.0)), Some(point(60, 40.0))],
        vec![Some(point(20, 20.0)), Some(point(20, 24.0))],
    ];
    let mut small = figures("jpeg", "JPEG", own.clone());
    small.rungs[1][1] = None;
    small.sweep = vec![(5.0, vec![point(30, 26.0), point(50, 28.0)])];
    let mut missing = figures("webp", "WebP", vec![vec![None; 2]; 2]);
    missing.missing = true;
    Comparison {
        pictures: vec![original("a"), original("b")],
        knob: "sub-tokens",
        rungs: vec![9, 5],
        codecs: vec![figures("bsq", "bsq", own), small, missing],
    }
}

#[test]
fn lpips_is_shown_where_it_was_measured() {
    let mut comparison = comparison();
    let without = markdown_table(&comparison, &[0, 1], true);
    assert!(!without.contains("LPIPS"), "{without}");
    for figures in &mut comparison.codecs[..2] {
        for one in figures.rungs.iter_mut().flatten().flatten() {
            one.lpips = Some(one.psnr / 100.0);
        }
    }
    let with = markdown_table(&comparison, &[0, 1], true);
    let lines: Vec<&str> = with.lines().collect();
    assert!(lines[2].contains("| 35.00 | 0.7000 | 0.3500 |"), "{with}");
    let widths = lines.iter().map(|line| line.matches('|').count());
    assert!(widths.clone().all(|width| width == 9), "{with}");
    let json = same_size_json(&comparison, &comparison.codecs[0]);
    assert_eq!(
        json["results"]["lpips-rgb"],
        serde_json::json!([0.22, 0.35])
    );
    assert!(html_page(&comparison).contains("LPIPS 0.3000"));
}

#[test]
fn json_is_of_compressais_schema() {
    let comparison = comparison();
    let of = |codec: usize| same_size_json(&comparison, &comparison.codecs[codec]);
    let ours = of(0);
    assert_eq!(ours["name"], "bsq");
    let results = ours["results"].as_object().unwrap();
    let mut keys: Vec<&String> = results.keys().collect();
    keys.sort();
    let expected = [
        "bpp",
        "decoding_time",
        "encoding_time",
        "ms-ssim-rgb",
        "psnr-rgb",
    ];
    assert_eq!(keys, expected);
    assert_eq!(results["psnr-rgb"], serde_json::json!([22.0, 35.0]));
    assert_eq!(results["bpp"], serde_json::json!([0.2, 0.5]));
    assert_eq!(results["encoding_time"], serde_json::json!([0.5, 0.5]));
    // A mean over some of the pictures would be no figure of all.
    assert_eq!(of(1)["results"]["bpp"], serde_json::json!([0.5]));
    assert_eq!(of(2)["results"]["bpp"], serde_json::json!([]));
    let curve = sweep_json(&comparison, &comparison.codecs[1]);
    assert_eq!(curve["results"]["psnr-rgb"], serde_json::json!([27.0]));
    assert_eq!(sweep_json(&comparison, &comparison.codecs[0]), ours);
}

#[test]
fn every_form_names_what_is_missing() {
    let comparison = comparison();
    let table = markdown_table(&comparison, &[0, 1], true);
    assert!(
        table.contains("| 9 | bsq | 0.500 | 35.00 | 0.7000 | 0.500 | 0.250 |"),
        "{table}"
    );
    assert!(table.contains("JPEG | no file as small"), "{table}");
    assert!(table.contains("WebP | missing"), "{table}");
    // Every line has the columns of the first, with times and without.
    for times in [true, false] {
        let table = markdown_table(&comparison, &[0, 1], times);
        let mut columns = table.lines().map(|line| line.matches('|').count());
        let first = columns.next().unwrap();
        assert!(columns.all(|count| count == first), "{table}");
    }
    let plot = svg_plot(&comparison);
    assert!(plot.contains("WebP (missing)"), "{plot}");
    let page = html_page(&comparison);
    for word in [
        "not measured: &lt;made up&gt;",
        "no file as small",
        "<svg",
        "data:image/png",
    ] {
        assert!(page.contains(word), "{word}");
    }
    assert!(
        !page.contains("http://") || page.matches("http://").count() == 1,
        "only the SVG's name space"
    );
}

/// Stopped in the second picture, the first is what there is.
#[test]
fn what_is_complete_remains_of_a_comparison_that_is_stopped() {
    let config = TransformCodecConfig::from_toml(
        "[transform_codec]\ncoordinates = 16\nbase_coordinates = 8\nencoder_width = 8\n\
         decoder_width = 8\ndecoder_blocks = 1\ncontext_width = 8\ncoarse_context_width = 8\n\
         detail_context_width = 8\n[data]\nimage_size = 32\n",
    )
    .unwrap();
    let file = TransformCodecFile::untrained("tiny", config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["a.png", "b.png"]
        .map(|name| folder.path().join(name))
        .into();
    for path in &paths {
        let samples = (0..3 * 32 * 32).map(|i| (i % 97) as u8).collect();
        save_png(&Picture::new(32, 32, samples), path).unwrap();
    }
    for (part, expected) in [(0.0, 0), (0.5, 1), (2.0, 2)] {
        let mut ours = Ours::levels(&file, Effort::default(), &CompileOptions::default()).unwrap();
        let mut progress = |done: usize, total: usize| match done as f64 > part * total as f64 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let codecs = [Choice::Jpeg];
        let found = compare(&mut ours, &[50, 0], &paths, &codecs, None, &mut progress).unwrap();
        assert_eq!(found.pictures.len(), expected);
        for figures in &found.codecs {
            assert!(figures.rungs.iter().all(|rung| rung.len() == expected));
            assert!(figures.sweep.iter().all(|(_, all)| all.len() == expected));
            assert_eq!(figures.views.len(), expected);
        }
    }
}
