//! Codecs of both kinds by one call.

use super::*;
use crate::transform_codec::stream::Effort;

fn codec(name: &str) -> PhotoCodec {
    PhotoCodec::open(name, CompileOptions::default()).unwrap()
}

fn picture() -> Picture {
    let sample = |i: usize| ((i * 7) % 256) as u8;
    Picture::new(33, 20, (0..3 * 33 * 20).map(sample).collect())
}

#[test]
fn either_kind_codes_a_picture_and_refuses_the_streams_of_the_other() {
    let [mut levels, mut tokens] = ["default", "bsq18"].map(codec);
    let options = EncodeOptions::default();
    let streams = [&mut levels, &mut tokens].map(|codec| {
        let stream = codec.encode(&picture(), &options, &mut |_| {}).unwrap();
        let back = codec.decode(&stream, &mut |_| {}).unwrap();
        assert_eq!((back.width, back.height), (33, 20));
        stream
    });
    let error = levels.decode(&streams[1], &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("a stream of tokens"), "{error}");
    let error = tokens.decode(&streams[0], &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("a stream of levels"), "{error}");
    let error = levels.decode(&picture().rgb, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("not a .bsq"), "{error}");
}

#[test]
fn options_of_the_other_kind_are_refused_by_name() {
    let keep = EncodeOptions {
        keep: Some(1),
        ..EncodeOptions::default()
    };
    let target = EncodeOptions {
        target: Some(Target::Quality(10.0)),
        ..EncodeOptions::default()
    };
    let effort = EncodeOptions {
        effort: Effort::new(1).unwrap(),
        ..EncodeOptions::default()
    };
    let error = codec("default").check(&keep).unwrap_err().to_string();
    assert!(error.contains("keep is not for default"), "{error}");
    for (options, name) in [(target, "target"), (effort, "effort")] {
        let error = codec("bsq18").check(&options).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name} is not for bsq18")),
            "{error}"
        );
    }
    assert!(codec("default").check(&target).is_ok());
}

#[test]
fn a_limit_of_pixels_holds_for_both_kinds() {
    for name in ["default", "bsq18"] {
        let mut codec = codec(name);
        let options = EncodeOptions::default();
        let stream = codec.encode(&picture(), &options, &mut |_| {}).unwrap();
        let small = DecodeOptions {
            max_pixels: 600,
            ..DecodeOptions::default()
        };
        let decoded = codec.decode_rows(&stream[..], small, &mut |_| Ok(()), &mut |_| {});
        let error = decoded.unwrap_err().to_string();
        assert!(error.contains("at most 600"), "{error}");
    }
}
