//! What can be wrong with a stream, or with what it is coded with.

use super::Damage;
use crate::prior::{OtherBits, PriorSessionError};
use std::io;

/// Why a stream cannot be written or read. The text names no file: whoever opened it knows.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The first bytes are not those of a stream.
    #[error("not a .bsq stream: it does not begin with its magic bytes")]
    NotAStream,
    /// A version that this program does not know.
    #[error(
        "{what} version {found} is newer than this program, which reads version {known}: a newer bsq decodes it"
    )]
    Newer {
        /// "format" or "numerics".
        what: &'static str,
        found: u16,
        known: u16,
    },
    /// The header's checksum is wrong.
    #[error("the header is damaged: its checksum is wrong, and nothing can be decoded without it")]
    DamagedHeader,
    /// The checksum is right, but the numbers are nonsense.
    #[error("the header makes no sense: {0}")]
    Header(String),
    /// The stream ends too early.
    #[error("the stream ends {}", place(*.tile, *.tiles))]
    Truncated {
        /// Counted from 1; 0 is the header.
        tile: usize,
        tiles: usize,
    },
    /// A tile's checksum is wrong.
    #[error("{0} is damaged; --recover decodes the others")]
    DamagedTile(Damage),
    /// A group of a clip's frames is damaged.
    #[error("group {group} is damaged; --recover decodes the others")]
    DamagedGroup {
        /// Counted from 1.
        group: usize,
    },
    /// A clip's stream ends before its index.
    #[error("the clip ends in or before group {group}; --recover decodes what is there")]
    CutClip {
        /// Counted from 1.
        group: usize,
    },
    /// Something follows the last tile.
    #[error("something follows the last tile: the file is longer than its stream")]
    Trailing,
    /// Another tokenizer made the tokens.
    #[error(
        "the tokens are of the tokenizer {its:016x}, not of {given_name} ({given:016x}): name the one that made them with --model"
    )]
    OtherTokenizer {
        its: u64,
        given: u64,
        given_name: String,
    },
    /// No quality gives a picture this size or fidelity.
    #[error("no quality gives this picture {what}")]
    Unreachable { what: String },
    /// Another transform codec made the levels.
    #[error(
        "coded with the codec {its:016x}, not with {given_name} ({given:016x}): name the one that coded it with --model"
    )]
    OtherCodec {
        its: u64,
        given: u64,
        given_name: String,
    },
    /// Another prior coded them.
    #[error(
        "coded with the prior {its:016x}, not with {given_name} ({given:016x}): name the one that coded it with --prior"
    )]
    OtherPrior {
        its: u64,
        given: u64,
        given_name: String,
    },
    /// The stream was coded with a prior, and none is at hand.
    #[error("coded with the prior {its:016x}: name it with --prior")]
    NoPrior { its: u64 },
    /// Prior and tokenizer do not belong together.
    #[error(
        "the prior {prior} knows the tokens of the tokenizer {its}, not of {tokenizer} ({given}): train one with `bsq train`, or use --raw"
    )]
    PriorOfOtherTokenizer {
        prior: String,
        its: String,
        tokenizer: String,
        given: String,
    },
    /// The prior is for tokens of another length.
    #[error(transparent)]
    OtherBits(#[from] OtherBits),
    /// More or fewer sub-tokens than a token has.
    #[error("{coded_sub_tokens} of a token's sub-tokens cannot be kept: it has {sub_tokens}")]
    SubTokens {
        coded_sub_tokens: usize,
        sub_tokens: usize,
    },
    /// Not the tokens of a picture of this size.
    #[error("{given} tokens, but the picture has {expected}")]
    Count { given: usize, expected: usize },
    /// A picture beyond what a stream can hold.
    #[error("{width}x{height} pixels: a stream holds at most 65535 a side")]
    TooLarge { width: usize, height: usize },
    /// A picture beyond what the reader is ready for.
    #[error(
        "{width}x{height} pixels: at most {max_pixels} in all are decoded unless --max-pixels allows more"
    )]
    TooManyPixels {
        width: u32,
        height: u32,
        max_pixels: u64,
    },
    /// The prior failed.
    #[error(transparent)]
    Prior(#[from] PriorSessionError),
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

fn place(tile: usize, tiles: usize) -> String {
    match tile {
        0 => "inside its header".to_string(),
        _ => format!("in tile {tile} of {tiles}; --recover decodes what is there"),
    }
}
