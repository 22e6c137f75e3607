//! Streams that must decode for ever, on every machine: `tests/streams`.
//!
//! Each is the stream of one picture; beside it stands the sum of its tokens, the CRC-32C
//! of their little-endian bytes. They are also encoded again, byte for byte. If one of these tests
//! fails, arithmetic has changed: either by mistake, or `NUMERICS_VERSION` must go up and the old
//! arithmetic stay for old streams.
//!
//! `BSQ_BLESS=1 cargo test -p bsq --test codec golden` writes them anew.

use crate::common::{codec, decode, drawn, encode, tokens};
use bsq::codec::{Codec, crc32c};
use bsq::image_io;
use bsq::pipeline::{CompileOptions, TokenizerSession};
use bsq::pretrained;
use bsq_runtime::checkpoint::Weights;
use std::path::{Path, PathBuf};

fn streams() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams")
}

fn sum(tokens: &[u64]) -> String {
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect();
    format!("{:08x}\n", crc32c(&bytes))
}

/// The stream of a name decodes to the tokens of its sum, and is what encoding them gives.
pub fn check(
    name: &str,
    codec: &mut Codec,
    size: (usize, usize),
    tokens: &[u64],
    coded_sub_tokens: Option<usize>,
) {
    let (stream, _) = encode(codec, size, tokens, coded_sub_tokens);
    let (path, sums) = (
        streams().join(name),
        streams().join(format!("{name}.crc32c")),
    );
    if std::env::var_os("BSQ_BLESS").is_some() {
        std::fs::write(&path, &stream).unwrap();
        let decoded = decode(codec, &stream).unwrap();
        std::fs::write(&sums, sum(&decoded)).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    let decoded = decode(codec, &golden).unwrap();
    assert_eq!(
        sum(&decoded),
        std::fs::read_to_string(&sums).unwrap(),
        "{name}"
    );
    assert!(golden == stream, "{name}: encoding gives other bytes");
}

#[test]
fn golden_streams_of_a_random_prior() {
    let mut codec = codec(false, 0);
    let tokens = drawn(150, 90, 11);
    check("random.bsq", &mut codec, (150, 90), &tokens, None);
    check("random-kept-2.bsq", &mut codec, (150, 90), &tokens, Some(2));
}

#[test]
fn golden_streams_without_a_prior() {
    check(
        "raw.bsq",
        &mut codec(true, 0),
        (70, 33),
        &tokens(70, 33, 2),
        None,
    );
}

/// The models that ship, on the photo that ships; also the priors that were the default before.
#[test]
fn golden_streams_of_the_default_priors() {
    for (prior, name) in [("default", "flower-2"), ("default-1", "flower")] {
        let (mut codec, rows) = default_models(prior, 160, 120);
        let size = (160, 120);
        check(&format!("{name}.bsq"), &mut codec, size, &rows, None);
        check(
            &format!("{name}-kept-6.bsq"),
            &mut codec,
            size,
            &rows,
            Some(6),
        );
    }
}

/// One window: what an emulated CPU manages in minutes.
#[test]
fn a_small_golden_stream_of_the_default_prior() {
    let (mut codec, rows) = default_models("default", 40, 24);
    check("flower-2-small.bsq", &mut codec, (40, 24), &rows, None);
}

/// The codec of the models that ship, and the tokens of the upper left part of the photo.
fn default_models(prior: &str, width: usize, height: usize) -> (Codec, Vec<u64>) {
    let tokenizer = pretrained::open("default", Weights::Ema).unwrap();
    let prior = pretrained::open_prior(prior).unwrap();
    let options = CompileOptions::default();
    let codec = Codec::new(&tokenizer, Some(&prior), &options).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/flower.jpg");
    let picture = image_io::load(path).unwrap().picture;
    let picture = image_io::crop(&picture, 0, 0, width, height);
    let mut session = TokenizerSession::new(&tokenizer, options);
    let tokens = session.encode_picture(&picture, &mut |_| {}).unwrap();
    (codec, tokens.grid.indices)
}
