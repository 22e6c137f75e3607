//! Encoding with a tokenizer and a prior.

use super::{Encoded, PhotoEncoder};
use crate::command::error::CliError;
use bsq::image_io::{ImageSize, PixelRows};
use bsq::photo::{EncodeOptions, PhotoCodec, PhotoError};
use bsq_runtime::atomic_file::AtomicFile;
use serde_json::json;

pub struct Tokens {
    pub codec: PhotoCodec,
    pub options: EncodeOptions,
    pub tokenizer: String,
    pub prior: Option<String>,
}

impl PhotoEncoder for Tokens {
    fn models(&self) -> serde_json::Value {
        json!({ "model": self.tokenizer, "prior": self.prior })
    }

    fn units(&self, size: ImageSize) -> (&'static str, usize) {
        ("windows", self.codec.windows(size))
    }

    fn encode(
        &mut self,
        picture: &mut dyn PixelRows,
        file: AtomicFile,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(AtomicFile, Encoded), PhotoError> {
        let (file, report) = self
            .codec
            .encode_rows(picture, file, self.options, progress)?;
        let (tiles, raw) = (report.stream.tiles.len(), report.raw_bits_per_pixel());
        let encoded = Encoded {
            bytes: report.stream.bytes,
            bits_per_pixel: report.bits_per_pixel(),
            said: format!("{raw:.4} before coding"),
            details: vec![format!("{tiles} tiles")],
            value: json!({
                "raw_bits_per_pixel": raw,
                "tiles": tiles,
                "cross_entropy_bits": report.stream.cross_entropy_bits(),
                "tokens": report.tokens,
            }),
        };
        Ok((file, encoded))
    }

    fn check(&self) -> Result<(), CliError> {
        // What is wrong with --keep is wrong for every picture.
        Ok(self.codec.check(self.options)?)
    }
}
