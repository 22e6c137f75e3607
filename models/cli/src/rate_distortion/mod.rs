//! Our streams beside JPEG, WebP, JPEG 2000, AVIF and JPEG XL at the same file sizes.
//!
//! | question | file |
//! |---|---|
//! | What is a codec here, and how good is a file? | `mod` |
//! | What does ours do? | `ours` |
//! | How is each of the others asked, at its best? | `jpeg`, and as programs `programs` |
//! | How is a program on `PATH` run? | `tool` |
//! | Which file is the largest that is not too large? | `search` |
//! | In which order is all of it measured? | `compare` |
//! | How many bits fewer at equal quality? | `bd_rate` |
//! | Which parts of a picture are shown? | `view` |
//! | How are clips measured, beside H.264 and HEVC? | `clips` |
//! | What is written? | `json`, `table`, `plot`, `page`, with what pages have in common in `pages` |
//!
//! Whole files are counted, headers included. Quality is that of the decoded 8-bit RGB picture:
//! PSNR over all samples, and MS-SSIM with five scales, an 11-tap Gaussian window of sigma 1.5 and
//! the weights of Wang, Simoncelli and Bovik (2003), per RGB channel and then averaged, as in
//! pytorch-msssim; see [`metrics`](bsq::metrics). A mean over pictures is the mean of the
//! pictures' values.
//!
//! Times are those of one run each. Ours and JPEG run in this process, from samples to bytes and
//! back. The others are programs: theirs include starting the program, and reading and writing
//! files that are not compressed (of AVIF, PNG files).

mod bd_rate;
mod clips;
mod compare;
mod jpeg;
mod json;
mod ours;
mod page;
mod pages;
mod plot;
mod programs;
mod search;
mod table;
#[cfg(test)]
mod tests;
mod tool;
mod view;

pub use bd_rate::{BdRate, bd_rate_table};
pub use clips::{
    ClipBench, ClipPeer, Fvd, OurClips, QUALITIES as CLIP_QUALITIES, TokenRates, clip_table,
    clips_page, ffmpeg_is_there,
};
pub use compare::{Choice, Comparison, Figures, Rung, compare};
pub use json::{clips_json, same_size_json, sweep_json};
pub use ours::Ours;
pub use page::html_page;
pub use plot::svg_plot;
pub use table::markdown_table;
pub use view::{Original, Part};

use crate::evaluation::EvaluationError;
use bsq::data::DataError;
use bsq::image_io::{ImageError, Picture, PixelRange, to_planar};
use bsq::metrics::{LpipsError, bits_per_pixel, ms_ssim, psnr};
use bsq::photo::PhotoError;
use bsq::video_io::VideoError;

/// Why a comparison stopped. A codec that is not there is no error.
#[derive(Debug, thiserror::Error)]
pub enum RateDistortionError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Photo(#[from] PhotoError),
    #[error(transparent)]
    Video(#[from] VideoError),
    #[error(transparent)]
    Lpips(#[from] LpipsError),
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The JPEG encoder refuses.
    #[error("JPEG: {0}")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
    /// A codec's program was found, and failed.
    #[error("{program}: {reason}")]
    Tool {
        program: &'static str,
        reason: String,
    },
}

/// A file that a codec has made, and the seconds that it took.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub bytes: Vec<u8>,
    pub seconds: f64,
}

/// A codec that others are measured beside: one knob, more of which gives larger files.
pub(crate) trait PeerCodec {
    /// Name, version, and how it is run.
    fn description(&self) -> String;

    /// Settings of the knob for a curve, ascending.
    fn sweep(&self) -> &'static [f64];

    fn encode(&mut self, picture: &Picture, setting: f64) -> Result<Encoded, RateDistortionError>;

    /// The picture, and the seconds that it took.
    fn decode(&mut self, bytes: &[u8]) -> Result<(Picture, f64), RateDistortionError>;

    /// The best file of at most so many bytes; `None` if there is none that small.
    fn within(
        &mut self,
        picture: &Picture,
        bytes: usize,
    ) -> Result<Option<Encoded>, RateDistortionError>;
}

/// What a file is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub bytes: usize,
    pub bits_per_pixel: f64,
    /// Infinite if the pictures are equal.
    pub psnr: f64,
    /// `None` for pictures with a side below 256 pixels.
    pub ms_ssim: Option<f64>,
    /// `None` without weights, and for pictures that are too small.
    pub lpips: Option<f64>,
    pub encoding_seconds: f64,
    pub decoding_seconds: f64,
}

impl Measured {
    /// A file of so many bytes that decodes to a picture; without times and LPIPS.
    pub fn of(original: &Picture, decoded: &Picture, bytes: usize) -> Measured {
        let shape = [3, original.height, original.width];
        let range = PixelRange::MinusOneToOne;
        let (a, b) = (to_planar(original, range), to_planar(decoded, range));
        Measured {
            bytes,
            bits_per_pixel: bits_per_pixel(8 * bytes as u64, original.width, original.height),
            psnr: psnr(&a, &b),
            ms_ssim: ms_ssim(&a, &b, shape),
            lpips: None,
            encoding_seconds: 0.0,
            decoding_seconds: 0.0,
        }
    }

    /// The mean of each figure, if there are any; bytes are rounded down.
    pub fn mean(all: &[Measured]) -> Option<Measured> {
        let count = all.len() as f64;
        let mean = |value: fn(&Measured) -> f64| all.iter().map(value).sum::<f64>() / count;
        let mean_of_all = |value: fn(&Measured) -> Option<f64>| {
            let values: Option<Vec<f64>> = all.iter().map(value).collect();
            values.map(|values| values.iter().sum::<f64>() / count)
        };
        (!all.is_empty()).then(|| Measured {
            bytes: all.iter().map(|one| one.bytes).sum::<usize>() / all.len(),
            bits_per_pixel: mean(|one| one.bits_per_pixel),
            psnr: mean(|one| one.psnr),
            ms_ssim: mean_of_all(|one| one.ms_ssim),
            lpips: mean_of_all(|one| one.lpips),
            encoding_seconds: mean(|one| one.encoding_seconds),
            decoding_seconds: mean(|one| one.decoding_seconds),
        })
    }
}
