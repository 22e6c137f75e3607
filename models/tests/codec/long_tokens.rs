//! Tokens of more bits than an index: in words, through tokenizer, token file, streams of pictures and of clips.

use crate::common::{PRIOR, TOKENIZER, decode, drawn_of, encode, prior_of, recover};
use crate::golden::check;
use crate::token_clips::{encoded, frames, golden};
use bsq::clip_codec::{TokenClipCodec, TokenClipDecoder};
use bsq::codec::{Codec, FrameReader, crc32c, is_token_clip, is_tokens};
use bsq::config::Config;
use bsq::image_io::Picture;
use bsq::photo::DecodeOptions;
use bsq::pipeline::{
    CompileOptions, ModelFile, NamedTokens, PictureTokens, TokenFile, TokenizerSession,
};
use bsq::prior::PriorFile;
use bsq::token_grid::TokenGrid;
use bsq::tokenizer::bits::{token_bits, token_of, words_of};
use bsq_ir::philox::random_word;

/// 16x16 windows with 2x2 tokens.
fn tokenizer(bits: usize, group: usize, more: &str) -> ModelFile {
    let config = TOKENIZER
        .replace("embed_dim = 12", &format!("embed_dim = {bits}"))
        .replace("group_size = 3", &format!("group_size = {group}"))
        .replace("[model.vitconfig]\n", &format!("[model.vitconfig]\n{more}"));
    ModelFile::untrained("long", Config::from_toml(&config).unwrap(), 3).unwrap()
}

/// Sub-tokens of 5 bits.
fn prior(tokenizer: &ModelFile, bits: usize) -> PriorFile {
    let config = PRIOR
        .replace("bits = 12", &format!("bits = {bits}"))
        .replace("sub_token_bits = 3", "sub_token_bits = 5");
    prior_of(&config, tokenizer)
}

fn codec(tokenizer: &ModelFile, prior: Option<&PriorFile>) -> Codec {
    Codec::new(tokenizer, prior, &CompileOptions::default()).unwrap()
}

/// Random tokens of a picture, rows of its grid.
fn tokens(bits: usize, width: usize, height: usize) -> Vec<u64> {
    let count = width.div_ceil(16) * height.div_ceil(16) * 4;
    let bit = |i: usize| random_word(9, 0, i as u64) & 1 == 1;
    let token = |token: usize| {
        let own: Vec<bool> = (token * bits..(token + 1) * bits).map(bit).collect();
        token_of(&own)
    };
    (0..count).flat_map(token).collect()
}

fn picture(width: usize, height: usize) -> Picture {
    let words = (0..3 * width * height).map(|i| random_word(6, 0, i as u64));
    Picture::new(width, height, words.map(|word| word as u8).collect())
}

#[test]
fn long_tokens_come_back_from_streams() {
    for (bits, group) in [(65, 5), (130, 10), (310, 10), (510, 10)] {
        let tokenizer = tokenizer(bits, group, "");
        let prior = prior(&tokenizer, bits);
        let all = tokens(bits, 150, 90);
        assert_eq!(all.len(), 10 * 6 * 4 * words_of(bits));
        let (raw, _) = encode(&mut codec(&tokenizer, None), (150, 90), &all, None);
        assert!(is_tokens(&raw) && raw[8] == 7);
        let header = FrameReader::new(&raw[..], false).unwrap().header().clone();
        assert_eq!((usize::from(header.bits), header.side), (bits, 16));
        // Tiles of 16x12 and 4x12 tokens.
        let plain: usize = [16 * 12, 4 * 12]
            .map(|n: usize| (n * bits).div_ceil(8))
            .iter()
            .sum();
        assert_eq!(raw.len(), 52 + 2 * 6 + plain, "{bits}");
        assert_eq!(decode(&mut codec(&tokenizer, None), &raw).unwrap(), all);

        // Random tokens are stored as they are, those of the prior are coded.
        let mut coder = codec(&tokenizer, Some(&prior));
        let header = coder.header(150, 90, None).unwrap();
        for (tokens, is_plain) in [(all, true), (drawn_of(&prior, &header, 11), false)] {
            let (coded, report) = encode(&mut coder, (150, 90), &tokens, None);
            assert!(report.tiles.iter().all(|tile| tile.plain == is_plain));
            assert_eq!(coded[8], 7);
            assert_eq!(decode(&mut coder, &coded).unwrap(), tokens, "{bits}");
        }
    }
}

/// They must decode for ever, on every machine.
#[test]
fn golden_streams_of_long_tokens() {
    let tokenizer = tokenizer(310, 10, "");
    let prior = prior(&tokenizer, 310);
    let all = tokens(310, 70, 33);
    check(
        "long-raw.bsq",
        &mut codec(&tokenizer, None),
        (70, 33),
        &all,
        None,
    );
    let mut coder = codec(&tokenizer, Some(&prior));
    let header = coder.header(70, 33, None).unwrap();
    let all = drawn_of(&prior, &header, 11);
    check("long.bsq", &mut coder, (70, 33), &all, None);
    check("long-kept-13.bsq", &mut coder, (70, 33), &all, Some(13));
}

/// The first sub-tokens come back, and the others are made up.
#[test]
fn long_tokens_may_be_cut_short() {
    let tokenizer = tokenizer(130, 10, "");
    let prior = prior(&tokenizer, 130);
    let mut coder = codec(&tokenizer, Some(&prior));
    let all = tokens(130, 40, 40);
    for kept in [1, 12, 13, 25] {
        let (stream, _) = encode(&mut coder, (40, 40), &all, Some(kept));
        let found = decode(&mut coder, &stream).unwrap();
        assert_eq!(found.len(), all.len());
        for (found, own) in found.chunks(3).zip(all.chunks(3)) {
            let [found, own] = [found, own].map(|token| token_bits(token, 130));
            assert_eq!(found[..5 * kept], own[..5 * kept]);
        }
        assert_ne!(found, all);
    }
}

/// Whole tokens fill a lost tile, and headers that contradict themselves are refused.
#[test]
fn damaged_streams_of_long_tokens_are_filled_in() {
    let tokenizer = tokenizer(130, 10, "");
    let mut coder = codec(&tokenizer, None);
    let all = tokens(130, 150, 90);
    let (mut stream, _) = encode(&mut coder, (150, 90), &all, None);
    let good = stream.clone();
    let last = stream.len() - 1;
    stream[last] ^= 0x80;
    assert!(decode(&mut coder, &stream).is_err());
    let (found, damage) = recover(&mut coder, &stream).unwrap();
    assert_eq!(damage.len(), 1);
    let row = 20 * 3;
    for (found, own) in found.chunks(row).zip(all.chunks(row)) {
        assert_eq!(found[..16 * 3], own[..16 * 3]);
        let filled = found[16 * 3..].chunks(3);
        filled.for_each(|token| assert_eq!(token, &own[15 * 3..16 * 3]));
    }
    let refused = |changes: &[(usize, u8)], words: &str| {
        let mut bad = good.clone();
        changes.iter().for_each(|&(at, byte)| bad[at] = byte);
        let sum = crc32c(&bad[..48]).to_le_bytes();
        bad[48..52].copy_from_slice(&sum);
        let error = FrameReader::new(&bad[..], false).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(&[(13, 63)], "tokens of 63 bits");
    refused(&[(31, 2)], "tokens of 642 bits");
    refused(&[(8, 1)], "tokens of 130 bits in a format of others");
    refused(&[(30, 32)], "in tiles of 32");
    // With a prior, whose tiles a stream cannot hold; and one of more sub-tokens than a token has.
    let prior = |side, coded| [(12, 1), (14, 5), (15, coded), (30, side)];
    refused(&prior(64, 1), "in tiles of 64");
    refused(&prior(16, 27), "27 sub-tokens of 5 bits");
}

/// The tokenizer's pixels are those that its tokens stand for, in a file and in streams.
#[test]
fn pictures_of_long_tokens_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.safetensors");
    let (model, picture) = (tokenizer(130, 10, ""), picture(40, 20));
    let mut session = TokenizerSession::new(&model, CompileOptions::default());
    let tokens = session.encode_picture(&picture, &mut |_| {}).unwrap();
    assert_eq!(tokens.grid.words, 3);
    let expected = session.decode_picture(&tokens, &mut |_| {}).unwrap();
    let named = NamedTokens {
        name: "a.png".into(),
        tokens: tokens.clone(),
    };
    let file = TokenFile::new(&model, vec![named], Vec::new());
    file.save(&model, &path).unwrap();
    assert_eq!(TokenFile::load(&path, &model).unwrap(), file);
    let (stream, _) = encode(
        &mut codec(&model, None),
        (40, 20),
        &tokens.grid.indices,
        None,
    );
    let back = decode(&mut codec(&model, None), &stream).unwrap();
    let back = PictureTokens {
        size: tokens.size,
        grid: TokenGrid::of_words(tokens.grid.shape, 3, back),
    };
    assert_eq!(
        session.decode_picture(&back, &mut |_| {}).unwrap(),
        expected
    );

    // As many indices of another model.
    let short = PictureTokens {
        size: tokens.size,
        grid: TokenGrid::new(tokens.grid.shape, vec![0; tokens.grid.shape.tokens()]),
    };
    let error = session.decode_picture(&short, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("1 words a token"), "{error}");
    let mut wild = tokens;
    wild.grid.indices[5] = 16;
    let error = session.decode_picture(&wild, &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("token 1 has index 16"),
        "{error}"
    );
}

#[test]
fn clips_of_long_tokens_come_back() {
    let more = "num_frames = 3\nmask_type = \"block-causal\"\n";
    let tokenizer = tokenizer(130, 10, more);
    let prior = prior_of(
        &PRIOR
            .replace("bits = 12", "bits = 130\nframe_before = 5")
            .replace("sub_token_bits = 3", "sub_token_bits = 5"),
        &tokenizer,
    );
    let frames = frames(7, 37, 21);
    let mut pixels = Vec::new();
    for (name, prior) in [
        ("tokens_clip_long_raw", None),
        ("tokens_clip_long", Some(&prior)),
    ] {
        let mut codec = TokenClipCodec::new(&tokenizer, prior, CompileOptions::default()).unwrap();
        let stream = encoded(&mut codec, &frames, 1);
        assert!(is_token_clip(&stream) && stream[8] == 8);
        let options = DecodeOptions::default();
        let mut decoder = TokenClipDecoder::new(&mut codec, &stream[..], options).unwrap();
        let found: Vec<Picture> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
        assert_eq!(found.len(), 7);
        pixels.push(found);
        golden(name, (&tokenizer, prior), Some(&stream));
    }
    assert_eq!(pixels[0], pixels[1]);
    assert!(pixels[0].windows(2).any(|pair| pair[0] != pair[1]));
}
