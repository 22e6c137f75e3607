//! JPEG by the crate `jpeg-encoder`, decoded as every picture here is.

use super::search::largest_within;
use super::{Encoded, Measured, PeerCodec, RateDistortionError};
use bsq::image_io::{Picture, load_from_bytes};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use std::path::Path;
use std::time::Instant;

/// Progressive, with optimised Huffman tables; chroma at half or full resolution, whichever comes
/// nearer to the original.
pub(super) struct Jpeg;

const SAMPLINGS: [SamplingFactor; 2] = [SamplingFactor::F_2_2, SamplingFactor::F_1_1];

impl Jpeg {
    fn encode_as(
        picture: &Picture,
        quality: u8,
        sampling: SamplingFactor,
    ) -> Result<Encoded, RateDistortionError> {
        let start = Instant::now();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, quality);
        encoder.set_sampling_factor(sampling);
        encoder.set_progressive(true);
        encoder.set_optimized_huffman_tables(true);
        // Pictures are at most 65,535 pixels a side, as JPEG files are.
        let (width, height) = (picture.width as u16, picture.height as u16);
        encoder.encode(&picture.rgb, width, height, ColorType::Rgb)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Encoded { bytes, seconds })
    }

    /// Of files made with each sampling, the one that decodes to the nearest picture.
    fn nearest(
        &mut self,
        picture: &Picture,
        files: impl Iterator<Item = Result<Option<Encoded>, RateDistortionError>>,
    ) -> Result<Option<Encoded>, RateDistortionError> {
        let mut best: Option<(f64, Encoded)> = None;
        for file in files {
            let Some(file) = file? else { continue };
            let (decoded, _) = self.decode(&file.bytes)?;
            let psnr = Measured::of(picture, &decoded, file.bytes.len()).psnr;
            if best.as_ref().is_none_or(|best| psnr > best.0) {
                best = Some((psnr, file));
            }
        }
        Ok(best.map(|(_, file)| file))
    }
}

impl PeerCodec for Jpeg {
    fn description(&self) -> String {
        "crate jpeg-encoder 0.7, progressive, optimised tables, the better of 4:2:0 and 4:4:4"
            .to_string()
    }

    fn sweep(&self) -> &'static [f64] {
        &[
            5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0,
        ]
    }

    fn encode(&mut self, picture: &Picture, setting: f64) -> Result<Encoded, RateDistortionError> {
        let files =
            SAMPLINGS.map(|sampling| Jpeg::encode_as(picture, setting as u8, sampling).map(Some));
        let best = self.nearest(picture, files.into_iter())?;
        Ok(best.expect("one of two files is the nearest"))
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        let start = Instant::now();
        let loaded = load_from_bytes(bytes, Path::new("JPEG"), Default::default())?;
        Ok((loaded.picture, start.elapsed().as_secs_f64()))
    }

    fn within(
        &mut self,
        picture: &Picture,
        bytes: usize,
    ) -> Result<Option<Encoded>, RateDistortionError> {
        // Quality 1 to 100.
        let files = SAMPLINGS.map(|sampling| {
            largest_within(100, bytes, |step| {
                Jpeg::encode_as(picture, step as u8 + 1, sampling)
            })
        });
        self.nearest(picture, files.into_iter())
    }
}
