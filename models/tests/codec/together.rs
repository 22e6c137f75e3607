//! Several streams decoded in common batches.

use crate::common::{PRIOR, codec, decode, decode_with, encode, prior_of, tokenizer, tokens};
use bsq::codec::{Codec, CodecError, DecodedStream, FrameReader, HEADER_BYTES, decode_together};
use bsq::pipeline::CompileOptions;
use proptest::prelude::*;

/// One stream of a batch, and what befell it.
#[derive(Clone, Debug)]
struct Picture {
    size: (usize, usize),
    seed: u64,
    coded_sub_tokens: usize,
    damage: Damage,
}

#[derive(Clone, Debug)]
enum Damage {
    None,
    /// The bit at this share of what follows the header.
    Flipped(f64),
    /// The stream ends at this share of what follows the header.
    Truncated(f64),
    Longer,
    OtherTokenizer,
}

fn pictures() -> impl Strategy<Value = Vec<Picture>> {
    let damage = prop_oneof![
        4 => Just(Damage::None),
        1 => (0.0..1.0).prop_map(Damage::Flipped),
        1 => (0.0..1.0).prop_map(Damage::Truncated),
        1 => Just(Damage::Longer),
        1 => Just(Damage::OtherTokenizer),
    ];
    let picture = (
        (1..100_usize, 1..100_usize),
        any::<u64>(),
        3..=4_usize,
        damage,
    );
    let picture = picture.prop_map(|(size, seed, coded_sub_tokens, damage)| Picture {
        size,
        seed,
        coded_sub_tokens,
        damage,
    });
    prop::collection::vec(picture, 1..12)
}

/// Priors of several orders; with tiles of 32x32 and slope 1 at most 8 tiles are a batch.
fn priors() -> impl Strategy<Value = String> {
    let order = prop::sample::select(vec![(4, 2), (3, 1), (5, 5), (32, 1)]);
    (order, 1..=2_usize, 0..1000_u64).prop_map(|((side, slope), layers, seed)| {
        PRIOR
            .replace("side = 4", &format!("side = {side}"))
            .replace("slope = 2", &format!("slope = {slope}"))
            .replace("layers = 1", &format!("layers = {layers}"))
            .replace("seed = 5", &format!("seed = {seed}"))
    })
}

fn damaged(mut stream: Vec<u8>, damage: &Damage) -> Vec<u8> {
    let bits = 8 * (stream.len() - HEADER_BYTES);
    match damage {
        Damage::None => (),
        Damage::Flipped(share) => {
            let bit = 8 * HEADER_BYTES + (share * bits as f64) as usize;
            stream[bit / 8] ^= 1 << (bit % 8);
        }
        Damage::Truncated(share) => {
            stream.truncate(HEADER_BYTES + (share * bits as f64) as usize / 8);
        }
        Damage::Longer => stream.push(0),
        Damage::OtherTokenizer => {
            stream[32] ^= 1;
            let sum = bsq::codec::crc32c(&stream[..HEADER_BYTES - 4]);
            stream[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        }
    }
    stream
}

fn together(
    codec: &mut Codec,
    streams: &[Vec<u8>],
    recover: bool,
) -> Vec<Result<DecodedStream, CodecError>> {
    let readers = streams
        .iter()
        .map(|stream| FrameReader::new(&stream[..], recover).unwrap());
    decode_together(codec, readers, &mut |_| {}).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..Default::default() })]

    #[test]
    fn streams_decode_together_as_they_do_alone(
        pictures in pictures(), config in priors(), recover in any::<bool>(),
        (one, other) in prop::sample::select(vec![(1, 1), (1, 2), (2, 1)]),
    ) {
        let tokenizer = tokenizer();
        let prior = prior_of(&config, &tokenizer);
        let codec = |threads| {
            let options = CompileOptions { threads, ..Default::default() };
            Codec::new(&tokenizer, Some(&prior), &options).unwrap()
        };
        let (mut alone, mut common) = (codec(one), codec(other));
        let streams: Vec<Vec<u8>> = pictures.iter().map(|picture| {
            let (width, height) = picture.size;
            let tokens = tokens(width, height, picture.seed);
            let (stream, _) = encode(&mut alone, picture.size, &tokens, Some(picture.coded_sub_tokens));
            damaged(stream, &picture.damage)
        }).collect();
        let results = together(&mut common, &streams, recover);
        prop_assert_eq!(results.len(), streams.len());
        for (result, stream) in results.into_iter().zip(&streams) {
            match (result, decode_with(&mut alone, stream, recover)) {
                (Ok(found), Ok((rows, damage))) => {
                    prop_assert_eq!((found.tokens.indices, found.damage), (rows, damage));
                }
                (Err(found), Err(expected)) => {
                    prop_assert_eq!(found.to_string(), expected.to_string());
                }
                (found, expected) => prop_assert!(false, "{found:?}, alone {expected:?}"),
            }
        }
    }
}

#[test]
fn a_bad_stream_costs_the_others_nothing() {
    let mut codec = codec(false, 1);
    let sizes = [(80, 50), (16, 16), (50, 33)];
    let tokens: Vec<_> = sizes.iter().map(|size| tokens(size.0, size.1, 6)).collect();
    let mut streams: Vec<_> = sizes
        .iter()
        .zip(&tokens)
        .map(|(size, tokens)| encode(&mut codec, *size, tokens, None).0)
        .collect();
    streams[1][HEADER_BYTES + 9] ^= 4;
    let mut done = 0;
    let readers = streams
        .iter()
        .map(|stream| FrameReader::new(&stream[..], false).unwrap());
    let results = decode_together(&mut codec, readers, &mut |tiles| done = tiles).unwrap();
    assert_eq!(done, 6 + 4);
    assert_eq!(results[0].as_ref().unwrap().tokens.indices, tokens[0]);
    assert!(matches!(results[1], Err(CodecError::DamagedTile(_))));
    assert_eq!(results[2].as_ref().unwrap().tokens.indices, tokens[2]);
    // And after it the codec still decodes.
    assert_eq!(decode(&mut codec, &streams[0]).unwrap(), tokens[0]);
}

#[test]
fn raw_streams_and_coded_ones_come_back_together() {
    let (size, mut coded, mut raw) = ((70, 40), codec(false, 1), codec(true, 1));
    let tokens = tokens(size.0, size.1, 2);
    let (raw, _) = encode(&mut raw, size, &tokens, None);
    let (stream, _) = encode(&mut coded, size, &tokens, None);
    for result in together(&mut coded, &[raw.clone(), stream, raw], false) {
        assert_eq!(result.unwrap().tokens.indices, tokens);
    }
    assert!(together(&mut coded, &[], false).is_empty());
}
