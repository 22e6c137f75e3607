//! Whole photos through the models that ship, to streams and back.
//!
//!     BSQ_PHOTOS=FOLDER cargo test --release -p bsq --test codec photos -- --ignored --nocapture
//!
//! Streams of the photos in `photos.txt` must have the checksum (CRC32C) there: run it again with
//! another `BSQ_CPU`, other `BSQ_THREADS`, on another machine. `BSQ_COUNT=N` takes only the first N
//! photos.

use bsq::codec::{Codec, Decoder, Encoder, HEADER_BYTES, crc32c};
use bsq::data::list_images;
use bsq::image_io::load;
use bsq::pipeline::{CompileOptions, TokenizerSession};
use bsq::pretrained;
use bsq_runtime::checkpoint::Weights;
use std::path::{Path, PathBuf};

fn number(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Checksums of streams with the default models, and the photos' names.
const STREAMS: &str = include_str!("photos.txt");
/// What every run of the tests codes; all of them take minutes.
const CODED: [&str; 2] = ["flower.png", "rocket.png"];

/// Every machine writes the same bytes, and reads the tokens that it wrote.
#[test]
fn streams_of_photos_are_the_same_everywhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/photos/test");
    if !folder.is_dir() {
        println!("SKIPPED: no photos at {}", folder.display());
        return;
    }
    let compared = code(&CODED.map(|name| folder.join(name)));
    assert_eq!(compared, CODED.len(), "checksums are recorded");
}

#[test]
#[ignore = "takes minutes, and photos that are not in the repository"]
fn photos_come_back_and_cost_what_the_model_says() {
    let photos = std::env::var_os("BSQ_PHOTOS").expect("BSQ_PHOTOS names a folder");
    let mut paths = list_images(PathBuf::from(photos)).unwrap();
    paths.truncate(number("BSQ_COUNT").unwrap_or(usize::MAX));
    code(&paths);
}

/// The recorded checksum of a photo's stream.
fn recorded(name: &str) -> Option<u32> {
    let mut lines = STREAMS.lines().map(|line| line.split_once(' ').unwrap());
    let (sum, _) = lines.find(|(_, photo)| *photo == name)?;
    Some(u32::from_str_radix(sum, 16).unwrap())
}

/// Codes photos to streams, and back; returns how many have a recorded checksum, and that one.
fn code(paths: &[PathBuf]) -> usize {
    let options = CompileOptions {
        threads: number("BSQ_THREADS").unwrap_or(0),
        ..Default::default()
    };
    let tokenizer = pretrained::open("default", Weights::Ema).unwrap();
    let prior = pretrained::open_prior("default").unwrap();
    let mut codec = Codec::new(&tokenizer, Some(&prior), &options).unwrap();
    let mut session = TokenizerSession::new(&tokenizer, options);
    let (mut all, mut coded, mut raw, mut model, mut compared) = (0, 0, 0.0, 0.0, 0);
    for path in paths {
        let picture = load(path).unwrap().picture;
        let (width, height) = (picture.width, picture.height);
        let tokens = session.encode_picture(&picture, &mut |_| {}).unwrap();
        let rows = tokens.grid.indices;
        let mut encoder = Encoder::new(&mut codec, Vec::new(), width, height, None).unwrap();
        encoder.write(&rows).unwrap();
        let (stream, report) = encoder.finish().unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        if let Some(expected) = recorded(&name) {
            let sum = crc32c(&stream);
            assert!(sum == expected, "{name}: {sum:08x}, not {expected:08x}");
            compared += 1;
        }
        let mut decoder = Decoder::new(&mut codec, &stream[..], false).unwrap();
        let mut back = Vec::new();
        while let Some(more) = decoder.next_rows().unwrap() {
            back.extend(more);
        }
        assert!(back == rows, "{name}: other tokens");
        let cross_entropy = report.cross_entropy_bits() / 8.0;
        // What is coded; header and frames of the container, 52 bytes and 6 a tile, come on top.
        let payloads: usize = report.tiles.iter().map(|tile| tile.bytes).sum();
        let limit = cross_entropy * 1.005 + 64.0;
        assert!((payloads as f64) < limit, "{name}: {payloads} of {limit}");
        println!(
            "{name}: {} bytes, {payloads} coded in {} tiles, cross-entropy {cross_entropy:.1}",
            stream.len(),
            report.tiles.len()
        );
        all += stream.len();
        coded += payloads;
        raw += HEADER_BYTES as f64 + rows.len() as f64 * 36.0 / 8.0;
        model += cross_entropy;
    }
    println!(
        "{} photos, {compared} with the recorded checksum: {all} bytes, {coded} of them coded, \
         raw {raw:.0}, cross-entropy {model:.0} ({:+.3} %)",
        paths.len(),
        100.0 * (coded as f64 / model - 1.0)
    );
    compared
}
