//! Streams of clips' tokens that must decode for ever, on every machine, in `tests/streams`: of a small random
//! tokenizer of clips, raw, with a random prior and with chunks that overlap, and of `bsq36` with the prior of clips
//! that ships for it.
//!
//! Beside each stands the CRC-32C of its frames' samples. Each is decoded by every family of instructions that this
//! CPU has, and by one to three threads. `BSQ_BLESS=1` writes them anew.

use crate::common::{PRIOR, TOKENIZER, draw, place, prior_of};
use bsq::clip_codec::{TokenClipCodec, TokenClipDecoder, TokenClipEncoder};
use bsq::codec::{ClipTokensEncoder, Codec, Header, crc32c};
use bsq::config::Config;
use bsq::image_io::{self, Picture};
use bsq::photo::DecodeOptions;
use bsq::pipeline::{Chunks, CompileOptions, ModelFile};
use bsq::pretrained;
use bsq::prior::{PriorFile, PriorSession, TileTokens};
use bsq::token_grid::TokenGrid;
use bsq::video_io::{ClipFormat, FrameRate};
use bsq_codegen::cpu::microkernel::Family;
use bsq_ir::philox::random_word;
use bsq_runtime::checkpoint::Weights;
use std::path::Path;

/// A tokenizer of clips of three frames, random.
pub fn tokenizer() -> ModelFile {
    let section = "[model.vitconfig]\n";
    let keys = "num_frames = 3\nmask_type = \"block-causal\"\n";
    let config = TOKENIZER.replace(section, &format!("{section}{keys}"));
    ModelFile::untrained("clips", Config::from_toml(&config).unwrap(), 3).unwrap()
}

/// A random prior that sees the frame before.
pub fn prior(tokenizer: &ModelFile) -> PriorFile {
    let config = PRIOR.replace("[prior]\n", "[prior]\nframe_before = 5\n");
    prior_of(&config, tokenizer)
}

/// Frames in which something stands still and something moves.
pub fn frames(count: usize, width: usize, height: usize) -> Vec<Picture> {
    let frame = |time: usize| {
        let sample = |i: usize| {
            let (y, x) = (i / 3 / width, i / 3 % width);
            let moved = if y > height / 2 { x + 2 * time } else { x };
            random_word(4, 0, (moved / 5 * 64 + y / 3) as u64 * 3 + i as u64 % 3) as u8
        };
        Picture::new(width, height, (0..3 * width * height).map(sample).collect())
    };
    (0..count).map(frame).collect()
}

/// The stream of frames in groups of five; each chunk begins with the last `overlap` frames before it.
pub fn encoded(codec: &mut TokenClipCodec, frames: &[Picture], overlap: usize) -> Vec<u8> {
    let format = ClipFormat {
        size: frames[0].size(),
        rate: FrameRate::default(),
        frames: None,
    };
    let mut encoder = TokenClipEncoder::new(codec, Vec::new(), &format, (overlap, 5)).unwrap();
    for frame in frames {
        encoder.write(frame.clone()).unwrap();
    }
    encoder.finish().unwrap().0
}

fn sum(codec: &mut TokenClipCodec, stream: &[u8]) -> String {
    let mut decoder = TokenClipDecoder::new(codec, stream, DecodeOptions::default()).unwrap();
    let frames = std::iter::from_fn(|| decoder.next_frame().unwrap());
    let samples: Vec<u8> = frames.flat_map(|frame| frame.rgb).collect();
    format!("{:08x}\n", crc32c(&samples))
}

/// A stream that is kept, and decodes to frames that are known; what encoding gives, unless that is another version.
pub fn golden(
    name: &str,
    (tokenizer, prior): (&ModelFile, Option<&PriorFile>),
    stream: Option<&[u8]>,
) {
    let codec = |family, threads| {
        let options = CompileOptions {
            family,
            threads,
            ..CompileOptions::default()
        };
        TokenClipCodec::new(tokenizer, prior, options).unwrap()
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let path = folder.join(format!("{name}.bsq"));
    let sums = folder.join(format!("{name}.bsq.crc32c"));
    let blessed = std::env::var_os("BSQ_BLESS").is_some();
    if let (true, Some(stream)) = (blessed, stream) {
        std::fs::write(&path, stream).unwrap();
        std::fs::write(&sums, sum(&mut codec(None, 0), stream)).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    let expected = std::fs::read_to_string(&sums).unwrap();
    if let Some(stream) = stream {
        assert!(golden == stream, "{name}: encoding gives other bytes");
    }
    for family in Family::all_supported() {
        for threads in 1..=3 {
            let found = sum(&mut codec(Some(family), threads), &golden);
            assert_eq!(found, expected, "{name}: {family}, {threads} threads");
        }
    }
}

fn codec(tokenizer: &ModelFile, prior: Option<&PriorFile>) -> TokenClipCodec {
    TokenClipCodec::new(tokenizer, prior, CompileOptions::default()).unwrap()
}

/// Tokens of seven frames that the prior itself draws: those that coding with it is good for.
fn drawn(prior: &PriorFile, header: &Header) -> TokenGrid {
    let mut session = PriorSession::new(prior, &CompileOptions::default()).unwrap();
    let (model, shape) = (&prior.model, header.grid());
    let areas: Vec<_> = (0..header.tiles()).map(|tile| header.area(tile)).collect();
    let (mut frames, mut before) = (Vec::new(), None::<Vec<TileTokens>>);
    let mut draw = draw(11);
    for _ in 0..7 {
        let unknown = areas.iter().enumerate().map(|(tile, area)| {
            let own = TileTokens::unknown(model, area.rows, area.columns);
            match &before {
                Some(before) => own.after(&before[tile]),
                None => own,
            }
        });
        let tiles = session.step_by_step_from(unknown.collect(), 4, &mut draw, &mut |_| {});
        let tiles = tiles.unwrap();
        let mut indices = vec![0; shape.tokens()];
        for (area, tile) in areas.iter().zip(&tiles) {
            place(area, &tile.indices(model), shape.columns, &mut indices);
        }
        frames.push(TokenGrid::new(shape, indices));
        before = Some(tiles);
    }
    TokenGrid::join(&frames)
}

#[test]
fn golden_streams_of_clips_tokens() {
    let (tokenizer, frames) = (tokenizer(), frames(7, 37, 21));
    let stream = encoded(&mut codec(&tokenizer, None), &frames, 0);
    golden("tokens_clip_raw", (&tokenizer, None), Some(&stream));

    let prior = prior(&tokenizer);
    let options = CompileOptions::default();
    let mut codec = Codec::new(&tokenizer, Some(&prior), &options).unwrap();
    let format = ClipFormat {
        size: frames[0].size(),
        rate: FrameRate::default(),
        frames: None,
    };
    for (name, overlap) in [("tokens_clip", 0), ("tokens_clip_overlap", 1)] {
        let how = (Chunks::new(3, overlap).unwrap(), 5);
        let tokens = drawn(&prior, &codec.header(37, 21, None).unwrap());
        let mut encoder = ClipTokensEncoder::new(&mut codec, Vec::new(), &format, how).unwrap();
        for time in 0..7 {
            encoder.write(&tokens.frames(time..time + 1)).unwrap();
        }
        let (stream, report) = encoder.finish().unwrap();
        // The prior has something to say.
        assert!(report.cross_entropy_bits < 0.9 * report.raw_bits as f64);
        golden(name, (&tokenizer, Some(&prior)), Some(&stream));
    }
}

/// Two frames of one window, of a pan over the photo that ships.
#[test]
fn golden_stream_of_clips_of_bsq36() {
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/flower.jpg");
    let photo = image_io::load(photo).unwrap().picture;
    let frame = |time: usize| image_io::crop(&photo, 150 + 3 * time, 100, 72, 48);
    let tokenizer = pretrained::open("bsq36", Weights::Ema).unwrap();
    let prior = pretrained::open_prior("bsq36-clips").unwrap();
    let frames: Vec<Picture> = (0..2).map(frame).collect();
    let stream = encoded(&mut codec(&tokenizer, Some(&prior)), &frames, 0);
    golden(
        "tokens_clip_bsq36",
        (&tokenizer, Some(&prior)),
        Some(&stream),
    );
    // Version 5 knew no overlap.
    golden("tokens_clip_5", (&tokenizer, Some(&prior)), None);
}
