//! Streams that are not as they were written.

use crate::common::{codec, decode, encode, prior, recover, tokenizer, tokens};
use bsq::codec::{Codec, CodecError, FRAME_BYTES, FrameReader, HEADER_BYTES};
use bsq::pipeline::CompileOptions;

/// Six tiles of 4x4 tokens and less.
const SIZE: (usize, usize) = (80, 50);

fn stream(raw: bool) -> (Codec, Vec<u64>, Vec<u8>) {
    let (mut codec, tokens) = (codec(raw, 1), tokens(SIZE.0, SIZE.1, 8));
    let (stream, _) = encode(&mut codec, SIZE, &tokens, None);
    (codec, tokens, stream)
}

/// Where each tile begins, and the end.
fn starts(stream: &[u8]) -> Vec<usize> {
    let mut reader = FrameReader::new(stream, false).unwrap();
    let mut starts = vec![HEADER_BYTES];
    while let Some(frame) = reader.next_frame().unwrap() {
        starts.push(starts.last().unwrap() + FRAME_BYTES + frame.unwrap().payload.len());
    }
    starts
}

/// The tokens that differ, and the areas of damaged tiles.
fn check_recovered(
    tokens: &[u64],
    recovered: &(Vec<u64>, Vec<bsq::codec::Damage>),
    columns: usize,
) {
    let (found, damage) = recovered;
    assert_eq!(found.len(), tokens.len());
    for (place, (a, b)) in found.iter().zip(tokens).enumerate() {
        let (row, column) = (place / columns, place % columns);
        let inside = damage.iter().any(|damage| {
            let area = damage.area;
            (area.top..area.top + area.rows).contains(&row)
                && (area.left..area.left + area.columns).contains(&column)
        });
        assert!(inside || a == b, "row {row}, column {column}");
    }
}

#[test]
fn every_flipped_bit_is_an_error_and_costs_one_tile() {
    for raw in [false, true] {
        let (mut codec, tokens, good) = stream(raw);
        let columns = 10;
        for bit in 0..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&mut codec, &bad).is_err(), "bit {bit}");
            if bit / 8 < HEADER_BYTES {
                assert!(recover(&mut codec, &bad).is_err(), "bit {bit}");
                continue;
            }
            // Every 7th: each runs the model.
            if bit % 7 == 0 {
                let recovered = recover(&mut codec, &bad).unwrap();
                assert_eq!(recovered.1.len(), 1, "bit {bit}");
                check_recovered(&tokens, &recovered, columns);
            }
        }
    }
}

#[test]
fn every_truncation_is_an_error_and_keeps_what_is_there() {
    let (mut codec, tokens, good) = stream(false);
    let starts = starts(&good);
    for length in 0..good.len() {
        let error = decode(&mut codec, &good[..length]).unwrap_err();
        match length {
            0 => assert!(matches!(error, CodecError::NotAStream)),
            _ => assert!(
                error.to_string().contains("the stream ends"),
                "{length}: {error}"
            ),
        }
        if length >= HEADER_BYTES && length % 5 == 0 {
            let recovered = recover(&mut codec, &good[..length]).unwrap();
            let whole = starts[1..].iter().filter(|&&end| end <= length).count();
            assert_eq!(recovered.1.len(), starts.len() - 1 - whole);
            check_recovered(&tokens, &recovered, 10);
        }
    }
}

#[test]
fn lost_and_added_bytes_cost_what_they_touch() {
    let (mut codec, tokens, good) = stream(false);
    let starts = starts(&good);
    let (second, third) = (starts[1], starts[2]);
    let cases = [
        // The second tile is gone.
        ([&good[..second], &good[third..]].concat(), 1),
        // Garbage before the third.
        ([&good[..third], &[0xAB; 100], &good[third..]].concat(), 0),
        // A byte is missing inside the second.
        ([&good[..second + 9], &good[second + 10..]].concat(), 1),
        // The second stands where the third should, and twice.
        (
            [&good[..third], &good[second..third], &good[starts[3]..]].concat(),
            1,
        ),
    ];
    for (number, (bad, lost)) in cases.into_iter().enumerate() {
        assert!(decode(&mut codec, &bad).is_err(), "case {number}");
        let recovered = recover(&mut codec, &bad).unwrap();
        assert_eq!(recovered.1.len(), lost, "case {number}");
        check_recovered(&tokens, &recovered, 10);
    }
}

#[test]
fn exchanged_tiles_do_not_pass() {
    let (mut codec, _, good) = stream(false);
    let starts = starts(&good);
    let bad = [
        &good[..starts[0]],
        &good[starts[1]..starts[2]],
        &good[starts[0]..starts[1]],
        &good[starts[2]..],
    ]
    .concat();
    let error = decode(&mut codec, &bad).unwrap_err().to_string();
    assert_eq!(
        error,
        "tile 1 of 6 (columns 0..31, rows 0..31) is damaged; --recover decodes the others"
    );
}

#[test]
fn what_follows_the_last_tile_is_an_error() {
    let (mut codec, _, mut stream) = stream(false);
    stream.push(0);
    let error = decode(&mut codec, &stream).unwrap_err();
    assert!(matches!(error, CodecError::Trailing), "{error}");
}

#[test]
fn foreign_files_are_refused() {
    let (mut codec, ..) = stream(false);
    let png = b"\x89PNG\r\n\x1a\n0000";
    for bytes in [&b""[..], &[0; 1000], b"BSQ", png] {
        let error = decode(&mut codec, bytes).unwrap_err();
        assert!(matches!(error, CodecError::NotAStream), "{error}");
    }
}

#[test]
fn streams_of_other_models_are_refused() {
    let (_, _, stream) = stream(false);
    let options = CompileOptions {
        threads: 1,
        ..Default::default()
    };
    let tokenizer = tokenizer();
    let message = |codec: Result<Codec, CodecError>| {
        decode(&mut codec.unwrap(), &stream)
            .unwrap_err()
            .to_string()
    };
    let error = message(Codec::new(&tokenizer, None, &options));
    assert!(error.contains("name it with --prior"), "{error}");

    let mut other = prior(&tokenizer);
    other
        .parameters
        .values_mut()
        .next()
        .unwrap()
        .as_mut_slice::<f32>()
        .unwrap()[0] += 1.0;
    let error = message(Codec::new(&tokenizer, Some(&other), &options));
    assert!(
        error.contains("name the one that coded it with --prior"),
        "{error}"
    );

    let mut changed = tokenizer.clone();
    changed
        .parameters
        .values_mut()
        .next()
        .unwrap()
        .as_mut_slice::<f32>()
        .unwrap()[0] += 1.0;
    let error = message(Codec::new(&changed, None, &options));
    assert!(
        error.contains("name the one that made them with --model"),
        "{error}"
    );
    let error = Codec::new(&changed, Some(&prior(&tokenizer)), &options)
        .err()
        .unwrap();
    assert!(error.to_string().contains("--raw"), "{error}");
}

#[test]
fn a_lost_row_of_tiles_becomes_the_row_above() {
    let (mut codec, tokens, good) = stream(false);
    let starts = starts(&good);
    // Three tiles side by side; those below them are lost.
    let recovered = recover(&mut codec, &good[..starts[3]]).unwrap();
    assert_eq!(recovered.1.len(), 3);
    check_recovered(&tokens, &recovered, 10);
    let (above, below) = recovered.0.split_at(4 * 10);
    for row in below.chunks_exact(10) {
        assert_eq!(row, &above[30..]);
    }
}
