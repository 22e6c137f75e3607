//! Any bytes as a stream of a small model and prior: an error or tokens, never a panic.
//!
//! The checksums are made right first, so that what lies behind them is reached; the first byte
//! says which.
#![no_main]

use bsq::codec::{Codec, Decoder, FRAME_BYTES, HEADER_BYTES, MAGIC, crc32c};
use bsq::config::{Config, PriorConfig};
use bsq::pipeline::{ModelFile, CompileOptions, fingerprint, fingerprint_number};
use bsq::prior::PriorFile;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

thread_local! {
    /// One for each number of tiles that a picture may have: programs are compiled for a number
    /// of tiles, and compiling takes longer than everything else. Behind them those of tokens of several words.
    static CODECS: RefCell<Vec<(Codec, u64, u64)>> =
        RefCell::new((0..10).map(|number| codec(if number < 5 { 12 } else { LONG })).collect());
}

/// Tiles have 4x4 tokens of 8x8 pixels; pictures at most two in each direction.
const SECTION: usize = 32;
/// Bits of long tokens.
const LONG: usize = 72;

fn codec(bits: usize) -> (Codec, u64, u64) {
    let config = format!("
        [model]
        embed_dim = {bits}
        embed_group_size = 3
        [model.vitconfig]
        image_size = 16
        patch_size = 8
        width = 16
        layers = 1
        heads = 2
        mlp_ratio = 2
    ");
    let config = Config::from_toml(&config).expect("a valid configuration");
    let tokenizer = ModelFile::untrained("tiny", config, 7).expect("a model");
    let config = format!("
        [prior]
        bits = {bits}
        sub_token_bits = 3
        side = 4
        width = 8
        layers = 1
        heads = 1
        head_width = 4
    ");
    let config = PriorConfig::from_toml(&config).expect("a valid configuration");
    let (model, parameters) = (tokenizer.tokenizer.config(), &tokenizer.parameters);
    let own = fingerprint(model, parameters);
    let prior = PriorFile::untrained("tiny", config, &own).expect("a prior");
    let options = CompileOptions { threads: 1, ..Default::default() };
    let codec = Codec::new(&tokenizer, Some(&prior), &options).expect("models of one kind");
    (codec, fingerprint_number(model, parameters), prior.fingerprint())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else {
        return;
    };
    let mut stream = bytes.to_vec();
    let (mut tiles, is_long) = (0, choice & 8 == 8);
    if choice & 1 == 1 && stream.len() >= HEADER_BYTES {
        // Small pictures: a large one takes its time, as it should.
        for at in [16, 20] {
            stream[at] &= 0x3F;
            stream[at + 1..at + 4].fill(0);
        }
        let across = |at: usize| usize::from(stream[at]).div_ceil(SECTION);
        tiles = across(16) * across(20);
    }
    CODECS.with_borrow_mut(|codecs| {
        let (codec, tokenizer, prior) = &mut codecs[tiles + if is_long { 5 } else { 0 }];
        if choice & 1 == 1 && stream.len() >= HEADER_BYTES {
            stream[..8].copy_from_slice(&MAGIC);
            stream[8..12].copy_from_slice(&[if is_long { 7 } else { 1 }, 0, 1, 0]);
            stream[32..40].copy_from_slice(&tokenizer.to_le_bytes());
            if stream[12] == 1 {
                stream[40..48].copy_from_slice(&prior.to_le_bytes());
            }
            let sum = crc32c(&stream[..48]);
            stream[48..52].copy_from_slice(&sum.to_le_bytes());
        }
        if choice & 2 == 2 {
            let (mut at, mut tile) = (HEADER_BYTES, 0_u32);
            while at + FRAME_BYTES <= stream.len() {
                let length = usize::from(u16::from_le_bytes([stream[at], stream[at + 1]]) & 0x7FFF);
                let end = (at + FRAME_BYTES + length).min(stream.len());
                let covered = [
                    &stream[at..at + 2],
                    &stream[at + FRAME_BYTES..end],
                    &tile.to_le_bytes(),
                ]
                .concat();
                stream[at + 2..at + FRAME_BYTES].copy_from_slice(&crc32c(&covered).to_le_bytes());
                (at, tile) = (end, tile + 1);
            }
        }
        if let Ok(mut decoder) = Decoder::new(codec, &stream[..], choice & 4 == 4) {
            while let Ok(Some(rows)) = decoder.next_rows() {
                let widths = if is_long { [63, LONG - 63] } else { [12, 12] };
                let mut words = rows.iter().zip(widths.iter().cycle());
                assert!(words.all(|(word, width)| word >> width == 0));
            }
        }
    });
});
