//! Why a photo cannot be coded.

use crate::codec::CodecError;
use crate::image_io::ImageError;
use crate::pipeline::{ModelError, PipelineError};
use crate::weights_file::WeightsFileError;

/// Why a photo cannot be coded. The text of a stream's error names no file: whoever opened it knows.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// The picture cannot be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A model failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The stream is wrong, or belongs to other models.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// There is no such tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] ModelError),
    /// There is no such codec or prior.
    #[error(transparent)]
    Weights(#[from] WeightsFileError),
    /// A codec of the other kind wrote the stream.
    #[error("a stream of {stream}, and {name} does not code those: open the model that coded it")]
    OtherKind {
        /// "levels" or "tokens".
        stream: &'static str,
        name: String,
    },
    /// A clip is coded frame by frame.
    #[error("a clip is coded at a quality or a step; sizes and fidelities are not searched for")]
    NoSearch,
    /// A group without frames.
    #[error("a group has at least one frame")]
    EmptyGroup,
    /// An option of codecs of the other kind.
    #[error("{option} is not for {name}, which is a {kind}")]
    OtherOption {
        option: &'static str,
        name: String,
        /// "transform codec" or "tokenizer".
        kind: &'static str,
    },
}
