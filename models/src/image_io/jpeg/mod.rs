//! JPEG files: read to the end of their entropy-coded data first, then given to a decoder that is
//! right about their kind, or refused.
//!
//! Decoders fill what is missing of a file with grey and what they do not know with green, and call
//! it a picture. So a [`survey`] walks through all scans, counts every coefficient, and knows
//! whether the picture is whole, with or without an end marker, before a decoder sees it.
//!
//! | question | file |
//! |---|---|
//! | What do the segments say: frame, scans, tables, profile, orientation? | `markers` |
//! | Is every coefficient of every scan there? | `scan` |
//! | How are Huffman codes read? | `huffman` |
//! | Which decoder is right about this kind? | `decode` |

mod decode;
mod huffman;
mod markers;
mod scan;

pub(super) use decode::decode;
pub(super) use markers::{Survey, dimensions, survey};

/// Why a JPEG file is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JpegError {
    /// The data ends before the picture does.
    Truncated,
    /// The frame has more pixels than are asked for.
    TooLarge { width: u32, height: u32 },
    /// No valid file has this, or it is a kind that is not decoded; says which.
    Refused(String),
}

impl JpegError {
    fn refused(reason: impl ToString) -> JpegError {
        JpegError::Refused(reason.to_string())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod writer;
