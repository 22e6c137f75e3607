//! Tokens that come back, groups that stand alone, and streams that are refused.

use super::*;
use crate::codec::{Codec, CodecError, DamagedGroup, crc32c};
use crate::config::PriorConfig;
use crate::image_io::ImageSize;
use crate::pipeline::tests::tiny;
use crate::pipeline::{Chunks, CompileOptions, fingerprint};
use crate::prior::PriorFile;
use crate::token_grid::{GridShape, TokenGrid};
use crate::video_io::ClipFormat;
use bsq_ir::philox::random_word;

const GROUP: u16 = 5;

/// A codec of 12 bits a token, with a prior that sees the frame before or with none.
fn codec(has_prior: bool) -> Codec {
    let tokenizer = tiny(1);
    let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
    let config = PriorConfig::from_toml(
        "[prior]\nbits = 12\nsub_token_bits = 3\nside = 3\nwidth = 16\nlayers = 1\nheads = 2\nhead_width = 8\n\
         frame_before = 5\n",
    );
    let mut prior = PriorFile::untrained("clips", config.unwrap(), &own).unwrap();
    for tensor in prior.parameters.values_mut() {
        let values = tensor.as_mut_slice::<f32>().unwrap();
        values.iter_mut().for_each(|x| *x *= 8.0);
    }
    let prior = has_prior.then_some(&prior);
    Codec::new(&tokenizer, prior, &CompileOptions::default()).unwrap()
}

fn format() -> ClipFormat {
    ClipFormat {
        size: ImageSize {
            height: 30,
            width: 60,
        },
        rate: "30000/1001".parse().unwrap(),
        frames: None,
    }
}

/// Tokens of frames of 60x30 pixels: 2 x 4 windows of 2x2 tokens.
fn tokens(frames: usize) -> TokenGrid {
    let shape = GridShape {
        frames,
        rows: 4,
        columns: 8,
    };
    // Every other frame is the one before.
    let word = |i: usize| u64::from(random_word(7, 0, (i / 64 * 32 + i % 32) as u64)) >> 20;
    TokenGrid::new(shape, (0..shape.tokens()).map(word).collect())
}

fn encoded(codec: &mut Codec, frames: usize) -> (Vec<u8>, ClipTokensReport) {
    let all = tokens(frames);
    let (mut stream, mut done) = (Vec::new(), 0);
    let how = (Chunks::new(3, 0).unwrap(), GROUP);
    let mut encoder = ClipTokensEncoder::new(codec, &mut stream, &format(), how).unwrap();
    while done < frames {
        let count = encoder.together().min(frames - done);
        encoder.write(&all.frames(done..done + count)).unwrap();
        done += count;
    }
    let (_, report) = encoder.finish().unwrap();
    (stream, report)
}

fn decoded(
    codec: &mut Codec,
    stream: &[u8],
    recover: bool,
) -> Result<(Vec<FrameTokens>, Vec<DamagedGroup>), CodecError> {
    let mut decoder = ClipTokensDecoder::new(codec, stream, (recover, 1 << 20))?;
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        frames.push(frame);
    }
    Ok((frames, decoder.damage().to_vec()))
}

#[test]
fn tokens_of_clips_come_back() {
    for has_prior in [true, false] {
        let mut codec = codec(has_prior);
        for frames in [1, 5, 12] {
            let (stream, report) = encoded(&mut codec, frames);
            assert_eq!((report.frames, report.bytes), (frames, stream.len()));
            assert_eq!(report.groups, frames.div_ceil(5));
            assert_eq!(report.raw_bits, frames as u64 * 32 * 12);
            let (found, damage) = decoded(&mut codec, &stream, false).unwrap();
            assert!(damage.is_empty());
            let own: Vec<u64> = found
                .iter()
                .flat_map(|frame| frame.tokens.clone().unwrap().indices)
                .collect();
            assert_eq!(own, tokens(frames).indices, "{has_prior}, {frames} frames");
            // Three together, then the two that the group has left.
            let left: Vec<usize> = found.iter().map(|frame| frame.left_together).collect();
            let expected = [2, 1, 0, 1, 0];
            let last = frames % 5;
            assert_eq!(
                left[..5.min(frames - last)],
                expected[..5.min(frames - last)]
            );
        }
    }
}

/// A frame is coded behind the one before: it costs other bits than by itself.
#[test]
fn frames_are_coded_behind_those_before() {
    let mut codec = codec(true);
    let whole = encoded(&mut codec, 5).1.cross_entropy_bits;
    let all = tokens(5);
    let alone = (0..5).map(|time| {
        let mut stream = Vec::new();
        let how = (Chunks::new(1, 0).unwrap(), 1);
        let mut encoder = ClipTokensEncoder::new(&mut codec, &mut stream, &format(), how).unwrap();
        encoder.write(&all.frames(time..time + 1)).unwrap();
        encoder.finish().unwrap().1.cross_entropy_bits
    });
    let alone: f64 = alone.sum();
    assert!((whole - alone).abs() > 1.0, "{whole}, {alone}");
}

#[test]
fn a_damaged_group_costs_that_group() {
    let mut codec = codec(true);
    let (stream, _) = encoded(&mut codec, 12);
    let (good, _) = decoded(&mut codec, &stream, false).unwrap();
    let mut bad = stream.clone();
    // A byte of the second group.
    let middle = stream.len() / 2;
    bad[middle] ^= 1;
    let error = decoded(&mut codec, &bad, false).unwrap_err();
    assert!(
        matches!(error, CodecError::DamagedGroup { group: 2 }),
        "{error}"
    );
    let (found, damage) = decoded(&mut codec, &bad, true).unwrap();
    let lost = DamagedGroup {
        group: 1,
        frames: 5..10,
    };
    assert_eq!((found.len(), &damage[..]), (12, &[lost][..]));
    for (time, (found, good)) in found.iter().zip(&good).enumerate() {
        let is_lost = (5..10).contains(&time);
        assert_eq!(found.tokens.is_none(), is_lost, "frame {time}");
        if !is_lost {
            assert_eq!(found, good);
        }
    }
    // What is lost is passed over together.
    assert_eq!(found[5].left_together, 4);
}

#[test]
fn streams_of_others_and_nonsense_are_refused() {
    let (stream, _) = encoded(&mut codec(true), 2);
    assert!(is_token_clip(&stream) && !is_token_clip(&stream[..9]));
    let error = decoded(&mut codec(false), &stream, false).unwrap_err();
    assert!(matches!(error, CodecError::NoPrior { .. }), "{error}");
    let mut codec = codec(true);
    for cut in [0, 5, 30, stream.len() / 2, stream.len() - 1] {
        assert!(decoded(&mut codec, &stream[..cut], false).is_err(), "{cut}");
    }
    for bit in 0..8 * TOKEN_CLIP_HEADER_BYTES {
        let mut bad = stream.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(ClipTokensHeader::read(&mut &bad[..]).is_err(), "bit {bit}");
    }
    // Good checksums do not make a payload good.
    let mut payload = vec![0xFF; 40];
    for length in [0, 3, 40] {
        payload.truncate(length);
        let mut bad = stream[..TOKEN_CLIP_HEADER_BYTES].to_vec();
        crate::codec::write_section(&mut bad, 0, 2, &payload).unwrap();
        crate::codec::write_section(&mut bad, crate::codec::INDEX, 0, &[0; 4]).unwrap();
        assert!(decoded(&mut codec, &bad, false).is_err(), "{length}");
        let (found, _) = decoded(&mut codec, &bad, true).unwrap();
        assert!(found.iter().all(|frame| frame.tokens.is_none()));
    }
    let mut none = stream[..TOKEN_CLIP_HEADER_BYTES].to_vec();
    none[TOKEN_CLIP_HEADER_BYTES - 8..TOKEN_CLIP_HEADER_BYTES - 4].fill(0);
    let sum = crc32c(&none[..TOKEN_CLIP_HEADER_BYTES - 4]).to_le_bytes();
    none[TOKEN_CLIP_HEADER_BYTES - 4..].copy_from_slice(&sum);
    let error = ClipTokensHeader::read(&mut &none[..])
        .unwrap_err()
        .to_string();
    assert!(error.contains("an overlap of 0 frames"), "{error}");
}
