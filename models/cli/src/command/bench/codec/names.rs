//! Codecs as they are asked for on the command line.

use super::super::super::error::CliError;
use crate::rate_distortion::{Choice, ClipPeer};
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CodecName {
    Jpeg,
    Webp,
    Jpeg2000,
    Avif,
    JpegXl,
    H264,
    Hevc,
}

impl CodecName {
    /// If it is one of pictures.
    pub fn choice(self) -> Option<Choice> {
        Some(match self {
            CodecName::Jpeg => Choice::Jpeg,
            CodecName::Webp => Choice::WebP,
            CodecName::Jpeg2000 => Choice::Jpeg2000,
            CodecName::Avif => Choice::Avif,
            CodecName::JpegXl => Choice::JpegXl,
            CodecName::H264 | CodecName::Hevc => return None,
        })
    }

    /// If it is one of clips.
    pub fn clip_peer(self) -> Option<ClipPeer> {
        match self {
            CodecName::H264 => Some(ClipPeer::H264),
            CodecName::Hevc => Some(ClipPeer::Hevc),
            _ => None,
        }
    }
}

/// The codecs that were asked for, each once, or all of a kind.
pub(super) fn codecs<T: Copy + PartialEq>(
    asked: &[CodecName],
    all: &[T],
    of: fn(CodecName) -> Option<T>,
) -> Result<Vec<T>, CliError> {
    let mut chosen = match asked.is_empty() {
        true => all.to_vec(),
        false => Vec::new(),
    };
    for &name in asked {
        let codec = of(name).ok_or_else(|| {
            let name = name.to_possible_value();
            let name = name.as_ref().map_or("", |value| value.get_name());
            CliError::new(format_args!(
                "--codecs {name}: jpeg, webp, jpeg2000, avif and jpeg-xl are for pictures, h264 and hevc for clips"
            ))
        })?;
        if !chosen.contains(&codec) {
            chosen.push(codec);
        }
    }
    Ok(chosen)
}
