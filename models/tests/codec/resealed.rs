//! Streams of clips that were changed and given good checksums again: refused or shown, never a panic.

use crate::token_clips::{encoded, frames, prior, tokenizer};
use bsq::clip_codec::{
    CLIP_HEADER_BYTES, ClipCodec, ClipDecoder, ClipEncoder, ClipSettings, TokenClipCodec,
    TokenClipDecoder,
};
use bsq::codec::{TOKEN_CLIP_HEADER_BYTES, crc32c, is_token_clip};
use bsq::config::TransformCodecConfig;
use bsq::image_io::{ImageSize, Picture};
use bsq::photo::{DecodeOptions, PhotoError};
use bsq::pipeline::CompileOptions;
use bsq::transform_codec::TransformCodecFile;
use bsq::transform_codec::stream::Target;
use bsq::video_io::{ClipFormat, FrameRate};
use proptest::prelude::*;
use std::cell::RefCell;

/// Bytes before a section's payload.
const SECTION_BYTES: usize = 18;

/// Codecs of both kinds, and a stream of each version.
struct Models {
    levels: ClipCodec,
    tokens: TokenClipCodec,
    raw: TokenClipCodec,
    streams: Vec<Vec<u8>>,
}

thread_local! {
    static MODELS: RefCell<Models> = RefCell::new(Models::new());
}

impl Models {
    fn new() -> Models {
        let config = include_str!("../tiny_codec.toml");
        let config = TransformCodecConfig::from_toml(config).unwrap();
        let file = TransformCodecFile::untrained("tiny", config).unwrap();
        let options = CompileOptions {
            threads: 1,
            ..CompileOptions::default()
        };
        let mut levels = ClipCodec::new(&file, None, options.clone()).unwrap();
        let tokenizer = tokenizer();
        let prior = prior(&tokenizer);
        let mut tokens = TokenClipCodec::new(&tokenizer, Some(&prior), options.clone()).unwrap();
        let mut raw = TokenClipCodec::new(&tokenizer, None, options).unwrap();
        let frames = frames(7, 37, 21);
        let of_levels = stream_of_levels(&mut levels, &frames);
        // Version 3 has no bytes of steps: what is there is read as something else.
        let mut before = of_levels.clone();
        before[8] = 3;
        reseal(&mut before);
        let streams = vec![
            encoded(&mut tokens, &frames, 1),
            encoded(&mut raw, &frames, 0),
            of_levels,
            before,
        ];
        Models {
            levels,
            tokens,
            raw,
            streams,
        }
    }

    /// Frames of a stream, all of one size.
    fn decode(&mut self, number: usize, stream: &[u8], recover: bool) -> Result<usize, PhotoError> {
        let options = DecodeOptions {
            recover,
            max_pixels: 1 << 14,
        };
        let count = |next: &mut dyn FnMut() -> Result<Option<Picture>, PhotoError>| {
            let (mut count, mut size) = (0, None);
            while let Some(frame) = next()? {
                assert_eq!(*size.get_or_insert(frame.size()), frame.size());
                count += 1;
            }
            Ok(count)
        };
        if number >= 2 {
            let mut decoder = ClipDecoder::new(&mut self.levels, stream, options)?;
            return count(&mut || decoder.next_frame());
        }
        let codec = [&mut self.tokens, &mut self.raw].into_iter().nth(number);
        let mut decoder = TokenClipDecoder::new(codec.unwrap(), stream, options)?;
        count(&mut || decoder.next_frame())
    }
}

fn stream_of_levels(codec: &mut ClipCodec, frames: &[Picture]) -> Vec<u8> {
    let format = ClipFormat {
        size: ImageSize {
            height: 21,
            width: 37,
        },
        rate: FrameRate::default(),
        frames: None,
    };
    let settings = ClipSettings {
        target: Target::Step(60.0),
        group: 5,
    };
    let mut encoder = ClipEncoder::new(codec, Vec::new(), &format, settings).unwrap();
    for frame in frames {
        encoder.write(frame).unwrap();
    }
    encoder.finish().unwrap().0
}

/// Makes the checksums of header and sections good, as far as sections are found.
fn reseal(stream: &mut [u8]) {
    let header = match is_token_clip(stream) {
        true => TOKEN_CLIP_HEADER_BYTES,
        false => CLIP_HEADER_BYTES,
    };
    let put = |stream: &mut [u8], at: usize, sum: u32| {
        stream[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    };
    let sum = crc32c(&stream[..header - 4]);
    put(stream, header - 4, sum);
    let mut at = header;
    while at + SECTION_BYTES <= stream.len() {
        let payload = at + SECTION_BYTES;
        let length = u32::from_le_bytes(stream[at + 6..at + 10].try_into().unwrap());
        let end = (payload + length as usize).min(stream.len());
        let sum = crc32c(&stream[payload..end]);
        put(stream, at + 10, sum);
        let sum = crc32c(&stream[at..at + 14]);
        put(stream, at + 14, sum);
        at = end;
    }
}

#[test]
fn sealing_changes_nothing_in_good_streams() {
    MODELS.with_borrow_mut(|models| {
        for number in 0..3 {
            let mut stream = models.streams[number].clone();
            reseal(&mut stream);
            assert!(stream == models.streams[number], "{number}");
            assert_eq!(models.decode(number, &stream, false).unwrap(), 7);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..Default::default() })]

    /// Wherever bytes are changed: in headers, in what stands before payloads, in payloads.
    #[test]
    fn changed_clips_with_good_checksums_are_refused_or_shown(
        number in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
        kept in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        MODELS.with_borrow_mut(|models| {
            let mut stream = models.streams[number].clone();
            let header = if number < 2 { TOKEN_CLIP_HEADER_BYTES } else { CLIP_HEADER_BYTES };
            if let Some(kept) = kept {
                stream.truncate(header + kept.index(stream.len() - header));
            }
            for (at, value, place) in changes {
                // A quarter of them in the header, behind the versions.
                let range = if place == 0 { 12..header } else { 12..stream.len() };
                let at = range.start + at.index(range.len());
                stream[at] = value;
            }
            reseal(&mut stream);
            for recover in [false, true] {
                if let Err(error) = models.decode(number, &stream, recover) {
                    let text = error.to_string();
                    prop_assert!(!text.contains('\n'), "{}", text);
                }
            }
            Ok(())
        })?;
    }
}
