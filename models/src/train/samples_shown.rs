//! Parts of pictures beside their reconstructions, for the log of a training.

use crate::image_io::{Picture, center_crop, encode_png, picture_grid};
use bsq_nn::train::LoggedPicture;

/// Pictures that an evaluation shows.
pub(super) const SAMPLES: usize = 4;

/// The most pixels of a side that are shown.
const SIDE: usize = 192;

/// A picture as ranks send it.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Sample {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl From<Picture> for Sample {
    fn from(picture: Picture) -> Sample {
        Sample {
            width: picture.width,
            height: picture.height,
            rgb: picture.rgb,
        }
    }
}

impl From<Sample> for Picture {
    fn from(Sample { width, height, rgb }: Sample) -> Picture {
        Picture::new(width, height, rgb)
    }
}

/// The middles of a picture and of its reconstruction, side by side.
pub(super) fn beside(original: &Picture, found: &Picture) -> Picture {
    let (width, height) = (original.width.min(SIDE), original.height.min(SIDE));
    let parts = [original, found].map(|picture| center_crop(picture, width, height));
    picture_grid(&parts, 2, 1)
}

/// Samples as the log takes them.
pub(super) fn logged(samples: Vec<Picture>) -> Vec<LoggedPicture> {
    let numbered = samples.into_iter().enumerate();
    let logged = numbered.map(|(number, picture)| LoggedPicture {
        tag: format!("picture{}", number + 1),
        width: picture.width,
        height: picture.height,
        png: encode_png(&picture),
    });
    logged.collect()
}
