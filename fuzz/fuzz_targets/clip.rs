//! Any bytes as a stream of a clip, of levels or of tokens, of small models: an error or frames, never a panic.
//!
//! The checksums are made right first, so that what lies behind them is reached, and the fingerprints those of the
//! models; the first byte says which.
#![no_main]

use bsq::clip_codec::{
    CLIP_HEADER_BYTES, ClipCodec, ClipDecoder, TokenClipCodec, TokenClipDecoder, is_clip_stream,
};
use bsq::codec::{TOKEN_CLIP_HEADER_BYTES, crc32c, is_token_clip};
use bsq::config::{Config, PriorConfig, TransformCodecConfig};
use bsq::image_io::Picture;
use bsq::photo::{DecodeOptions, PhotoError};
use bsq::pipeline::{CompileOptions, ModelFile, fingerprint, fingerprint_number};
use bsq::prior::PriorFile;
use bsq::transform_codec::TransformCodecFile;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

/// Bytes before a section's payload.
const SECTION_BYTES: usize = 18;
/// Frames that are looked at: damaged groups may claim more.
const FRAMES: usize = 64;

struct Models {
    levels: ClipCodec,
    tokens: TokenClipCodec,
    tokenizer: u64,
    prior: u64,
}

thread_local! {
    static MODELS: RefCell<Models> = RefCell::new(models());
}

fn models() -> Models {
    let config = include_str!("../../models/tests/tiny_codec.toml");
    let config = TransformCodecConfig::from_toml(config).expect("a valid configuration");
    let file = TransformCodecFile::untrained("tiny", config).expect("a codec");
    let options = CompileOptions { threads: 1, ..Default::default() };
    let levels = ClipCodec::new(&file, None, options.clone()).expect("a codec");
    let config = "
        [model]
        embed_dim = 12
        embed_group_size = 3
        [model.vitconfig]
        image_size = 16
        patch_size = 8
        width = 16
        layers = 1
        heads = 2
        mlp_ratio = 2
        num_frames = 3
        mask_type = \"block-causal\"
    ";
    let config = Config::from_toml(config).expect("a valid configuration");
    let tokenizer = ModelFile::untrained("tiny", config, 7).expect("a model");
    let config = "
        [prior]
        bits = 12
        sub_token_bits = 3
        side = 4
        width = 8
        layers = 1
        heads = 1
        head_width = 4
        frame_before = 5
    ";
    let config = PriorConfig::from_toml(config).expect("a valid configuration");
    let (model, parameters) = (tokenizer.tokenizer.config(), &tokenizer.parameters);
    let own = fingerprint(model, parameters);
    let prior = PriorFile::untrained("tiny", config, &own).expect("a prior");
    let tokens = TokenClipCodec::new(&tokenizer, Some(&prior), options);
    Models {
        levels,
        tokens: tokens.expect("models of one kind"),
        tokenizer: fingerprint_number(model, parameters),
        prior: prior.fingerprint(),
    }
}

fn put(stream: &mut [u8], at: usize, value: &[u8]) {
    stream[at..at + value.len()].copy_from_slice(value);
}

/// Makes the header one of a small clip of these models.
fn head(stream: &mut [u8], models: &Models, header: usize, is_tokens: bool) {
    // Width and height: 37x21 or less.
    let size = if is_tokens { 24 } else { 20 };
    for (at, most) in [(size, 37), (size + 4, 21)] {
        let pixels = stream[at] % most + 1;
        put(stream, at, &[pixels, 0, 0, 0]);
    }
    if is_tokens {
        put(stream, 40, &models.tokenizer.to_le_bytes());
        if stream[20] == 1 {
            put(stream, 48, &models.prior.to_le_bytes());
        }
    } else {
        put(stream, 30, &models.levels.fingerprint().to_le_bytes());
    }
    let sum = crc32c(&stream[..header - 4]);
    put(stream, header - 4, &sum.to_le_bytes());
}

/// Makes the checksums of sections right.
fn seal(stream: &mut [u8], header: usize) {
    let mut at = header;
    while at + SECTION_BYTES <= stream.len() {
        let payload = at + SECTION_BYTES;
        let length = [6, 7, 8, 9].map(|byte| stream[at + byte]);
        let end = (payload + u32::from_le_bytes(length) as usize).min(stream.len());
        let sum = crc32c(&stream[payload..end]);
        put(stream, at + 10, &sum.to_le_bytes());
        let sum = crc32c(&stream[at..at + 14]);
        put(stream, at + 14, &sum.to_le_bytes());
        at = end;
    }
}

fn look(mut next: impl FnMut() -> Result<Option<Picture>, PhotoError>) {
    for _ in 0..FRAMES {
        let Ok(Some(frame)) = next() else { return };
        assert_eq!(frame.rgb.len(), 3 * frame.width * frame.height);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else {
        return;
    };
    let mut stream = bytes.to_vec();
    let (is_tokens, is_levels) = (is_token_clip(&stream), is_clip_stream(&stream));
    let header = if is_tokens { TOKEN_CLIP_HEADER_BYTES } else { CLIP_HEADER_BYTES };
    MODELS.with_borrow_mut(|models| {
        if (is_tokens || is_levels) && stream.len() >= header {
            if choice & 1 == 1 {
                head(&mut stream, models, header, is_tokens);
            }
            if choice & 2 == 2 {
                seal(&mut stream, header);
            }
        }
        let options = DecodeOptions { recover: choice & 4 == 4, max_pixels: 1 << 10 };
        if is_tokens {
            if let Ok(mut decoder) = TokenClipDecoder::new(&mut models.tokens, &stream[..], options) {
                look(|| decoder.next_frame());
            }
        } else if let Ok(mut decoder) = ClipDecoder::new(&mut models.levels, &stream[..], options) {
            look(|| decoder.next_frame());
        }
    });
});
