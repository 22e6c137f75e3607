//! Training pictures: a folder, shuffled and cropped by a counter-based generator.
//!
//! Batch number `step` is a pure function of the pictures, the configuration, the seed and `step`:
//! [`Dataset::batch`] may be asked for any step, in any order, and from any thread. So a resumed
//! training needs no state of the data, and [`ReadAhead`](bsq_nn::data::ReadAhead) on another thread changes nothing but
//! the time.
//!
//! The samples of all epochs are one sequence: sample `k` is place `k mod n` of the shuffled order
//! of epoch `k / n`, and batch `step` holds samples `step * batch_size` onwards. Nothing is
//! dropped at the end of an epoch, so a batch may be larger than the folder. (The reference
//! implementation drops an epoch's last, partial batch.)
//!
//! A picture that cannot be decoded ends nothing. Pictures are decoded when the folder is opened,
//! as far as they are kept in memory; what turns out to be broken then is left out with a notice,
//! and the training is that of the folder without it. Of a larger folder the rest is decoded when
//! its turn comes; the turn of a broken picture goes to the next one of its epoch, with a notice,
//! and all other samples stay what they are.

mod clip_windows;
mod clips;
mod dataset;
mod draw;
mod fingerprint;
mod folder;
mod idx;
mod labelled;
mod labelled_tokens;
mod left_out;
mod masked;
mod predicted;
mod split;
mod tokens;
mod transform;
mod usable;

pub use clips::{ClipDataset, TrainingData};
pub use dataset::{Batch, Dataset};
pub(crate) use draw::{Draw, Purpose};
pub use folder::{Listing, list_clips, list_folder, list_images};
pub use labelled::LabelledPictures;
pub use labelled_tokens::{LabelledSource, LabelledTokens, as_window};
pub use masked::{MaskedBatch, MaskedDataset};
pub use predicted::{PredictedBatch, PredictedError, PredictedFrames};
pub use split::held_out_pictures;
pub use tokens::{TokenBatch, TokenDataset};

use crate::config::ImageSize;
use crate::image_io::ImageError;
use crate::pipeline::PipelineError;
use std::path::PathBuf;

/// What can be wrong with training pictures.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder cannot be read.
    #[error("{path}: cannot be read: {reason}", path = path.display())]
    Unreadable {
        /// The folder, or one inside it.
        path: PathBuf,
        /// What the operating system says.
        reason: std::io::Error,
    },
    /// The path is a file.
    #[error("{path}: is not a folder of pictures", path = path.display())]
    NotAFolder {
        /// The path as it was given.
        path: PathBuf,
    },
    /// There is nothing to train on.
    #[error("{path}: no pictures in this folder or below it: no names that end in {endings}",
        path = path.display(),
        endings = folder::ENDINGS.join(", "))]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to measure on.
    #[error("{path}: no clips in this folder or below it", path = path.display())]
    NoClipFiles {
        /// The folder.
        path: PathBuf,
    },
    /// A part of one picture was to be kept apart.
    #[error("{path}: data.val_fraction keeps pictures apart, and here is one alone", path = path.display())]
    Indivisible {
        /// The folder.
        path: PathBuf,
    },
    /// Every picture is broken.
    #[error("{path}: none of its {count} pictures can be read: {first}", path = path.display())]
    AllBroken {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        first: Box<ImageError>,
    },
    /// Pictures would be resized to less than a crop.
    #[error(
        "data.resize_min: {smallest} pixels is smaller than the crops of {}x{} that a tile takes",
        size.width,
        size.height
    )]
    Small {
        /// Of a crop.
        size: ImageSize,
        /// The configured shorter side.
        smallest: usize,
    },
    /// Nothing makes a clip.
    #[error(
        "{path}: no clip and no picture that makes one: both have {side} pixels a side, and clips {frames} frames",
        path = path.display()
    )]
    NoClips {
        /// The folder.
        path: PathBuf,
        side: usize,
        frames: usize,
    },
    /// A file is no IDX file, or its parts do not fit together.
    #[error("{path}: not a usable IDX file: {reason}", path = path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A picture lies beside the folders of the classes.
    #[error(
        "{path}: lies in no folder of a class: pictures with classes lie in a folder for each class",
        path = path.display()
    )]
    NoClass {
        /// The picture.
        path: PathBuf,
    },
    /// A token file cannot be those of one class.
    #[error("{path}: {reason}", path = path.display())]
    TokensOfClass {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There are no tokens to train on.
    #[error("the token files hold no pictures")]
    NoTokens,
    /// The tokenizer could not be run.
    #[error(transparent)]
    Tokenizer(Box<PipelineError>),
    /// A picture that is needed is broken.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl From<PipelineError> for DataError {
    fn from(error: PipelineError) -> DataError {
        DataError::Tokenizer(Box::new(error))
    }
}
