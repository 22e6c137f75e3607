//! Tokens through a stream and back.

use crate::common::{codec, decode, drawn, encode, tokens};
use bsq::codec::{CodecError, Encoder, FRAME_BYTES, HEADER_BYTES, crc32c};
use bsq_ir::philox::random_word;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..Default::default() })]

    #[test]
    fn tokens_come_back(
        width in 1..140_usize, height in 1..140_usize, seed in any::<u64>(), raw in any::<bool>(),
        (one, other) in prop::sample::select(vec![(1, 1), (1, 2), (2, 1), (2, 2)]),
    ) {
        let tokens = tokens(width, height, seed);
        let (stream, report) = encode(&mut codec(raw, one), (width, height), &tokens, None);
        prop_assert_eq!(stream.len(), report.bytes);
        prop_assert_eq!(decode(&mut codec(raw, other), &stream).unwrap(), tokens);
    }

    #[test]
    fn a_shortened_stream_keeps_the_first_sub_tokens(
        width in 1..100_usize, height in 1..100_usize, seed in any::<u64>(), coded_sub_tokens in 1..=4_usize,
    ) {
        let tokens = tokens(width, height, seed);
        let mut codec = codec(false, 0);
        let (stream, _) = encode(&mut codec, (width, height), &tokens, Some(coded_sub_tokens));
        let decoded = decode(&mut codec, &stream).unwrap();
        prop_assert_eq!(decoded.len(), tokens.len());
        let dropped = 12 - 3 * coded_sub_tokens;
        for (decoded, token) in decoded.iter().zip(&tokens) {
            prop_assert_eq!(decoded >> dropped, token >> dropped);
            prop_assert!(*decoded < 1 << 12);
        }
        // What is made up is made up in one way.
        prop_assert_eq!(decode(&mut codec, &stream).unwrap(), decoded);
    }
}

/// Numbers of grids, and the CRC32C of the CRC32Cs of their streams: the same on every machine, so
/// that what one family of CPUs or number of threads encodes, each other one decodes.
const GRIDS: [(u64, u32); 2] = [(300, 0x9d27_c0d6), (100_000, 0xb792_46fc)];

/// `BSQ_GRIDS=100000 cargo test --release -p bsq --test codec many_grids` for the whole number.
#[test]
fn many_grids_in_one_session() {
    let count = std::env::var("BSQ_GRIDS").map_or(300, |count| count.parse().unwrap());
    let (mut encoder, mut decoder) = (codec(false, 2), codec(false, 1));
    let mut sums = Vec::new();
    for seed in 0..count {
        let draw = |n| 1 + random_word(seed, 1, n) as usize % 32;
        let (width, height) = (draw(0), draw(1));
        let tokens = tokens(width, height, seed);
        let (stream, _) = encode(&mut encoder, (width, height), &tokens, None);
        assert_eq!(
            decode(&mut decoder, &stream).unwrap(),
            tokens,
            "grid {seed}"
        );
        sums.extend(crc32c(&stream).to_le_bytes());
    }
    let sum = crc32c(&sums);
    match GRIDS.iter().find(|grids| grids.0 == count) {
        Some(&(_, expected)) => assert_eq!(sum, expected, "{sum:#010x} of {count} grids"),
        None => println!("{count} grids: {sum:#010x}"),
    }
}

#[test]
fn a_ladder_of_rates() {
    let mut codec = codec(false, 0);
    let tokens = tokens(200, 100, 3);
    let mut payload = |coded_sub_tokens| {
        let (_, report) = encode(&mut codec, (200, 100), &tokens, Some(coded_sub_tokens));
        report.tiles.iter().map(|tile| tile.bytes).sum::<usize>()
    };
    let ladder = [1, 2, 3, 4].map(&mut payload);
    assert!(
        ladder.is_sorted() && ladder[0] * 3 < ladder[3],
        "{ladder:?}"
    );
}

/// Tokens that the prior finds unlikely: tiles are then stored bit by bit.
#[test]
fn no_tile_takes_more_than_its_bits() {
    let mut codec = codec(false, 0);
    let tokens = tokens(64, 64, 9);
    let (stream, report) = encode(&mut codec, (64, 64), &tokens, None);
    for tile in &report.tiles {
        assert!(tile.bytes <= 16 * 12 / 8);
    }
    assert!(report.tiles.iter().any(|tile| tile.plain), "{report:?}");
    assert_eq!(decode(&mut codec, &stream).unwrap(), tokens);
}

#[test]
fn coding_costs_what_the_model_says() {
    let (mut codec, size) = (codec(false, 0), (600, 400));
    let tokens = drawn(size.0, size.1, 4);
    let (stream, report) = encode(&mut codec, size, &tokens, None);
    let model = report.cross_entropy_bits() / 8.0;
    let raw = tokens.len() as f64 * 12.0 / 8.0;
    assert!(model < 0.98 * raw, "{model} of {raw}");
    // Tiles here are tiny; their frames and last words are counted apart.
    let frames = report.tiles.len() * (FRAME_BYTES + 4) + HEADER_BYTES;
    let coded = (stream.len() - frames) as f64;
    assert!(coded <= model * 1.005 + 64.0, "{coded} {model}");
    assert_eq!(decode(&mut codec, &stream).unwrap(), tokens);
}

#[test]
fn wrong_numbers_of_tokens_are_errors() {
    let mut codec = codec(false, 0);
    let tokens = tokens(40, 40, 1);
    let mut encoder = Encoder::new(&mut codec, Vec::new(), 40, 40, None).unwrap();
    encoder.write(&tokens[..7]).unwrap();
    let error = encoder.finish().unwrap_err();
    assert_eq!(error.to_string(), "7 tokens, but the picture has 36");
    let mut encoder = Encoder::new(&mut codec, Vec::new(), 40, 40, None).unwrap();
    let more = [&tokens[..], &[0]].concat();
    assert!(matches!(
        encoder.write(&more),
        Err(CodecError::Count { given: 37, .. })
    ));
    assert!(Encoder::new(&mut codec, Vec::new(), 40, 40, Some(5)).is_err());
    assert!(Encoder::new(&mut codec, Vec::new(), 70_000, 1, None).is_err());
    assert!(Encoder::new(&mut codec, Vec::new(), 0, 1, None).is_err());
}
