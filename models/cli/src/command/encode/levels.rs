//! Encoding with a transform codec.

use super::{Encoded, PhotoEncoder};
use crate::command::error::CliError;
use bsq::image_io::{ImageSize, PixelRows};
use bsq::photo::PhotoError;
use bsq::transform_codec::stream::{LevelsCodec, LevelsEncodeReport, Target};
use bsq_runtime::atomic_file::AtomicFile;
use serde_json::json;

pub struct Levels {
    pub codec: LevelsCodec,
    pub target: Target,
    pub name: String,
}

impl PhotoEncoder for Levels {
    fn models(&self) -> serde_json::Value {
        json!({ "model": self.name })
    }

    fn units(&self, size: ImageSize) -> (&'static str, usize) {
        ("rounds", self.codec.work(size))
    }

    fn encode(
        &mut self,
        picture: &mut dyn PixelRows,
        file: AtomicFile,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(AtomicFile, Encoded), PhotoError> {
        let (file, report) = self.codec.encode_to(picture, file, self.target, progress)?;
        let LevelsEncodeReport { step, strips, .. } = report;
        let parts = report.parts.iter().map(|part| {
            json!({
                "part": part.kind.to_string(),
                "levels": part.levels,
                "nonzero": part.nonzero,
                "bits": part.bits,
            })
        });
        let details = report.parts.iter().map(|part| {
            let share = 100.0 * part.nonzero as f64 / part.levels as f64;
            let (kind, bytes) = (part.kind, part.bits / 8.0);
            format!("{kind}: {bytes:.0} bytes, {share:.1}% of its levels are not zero")
        });
        let encoded = Encoded {
            bytes: report.bytes,
            bits_per_pixel: report.bits_per_pixel(),
            said: format!("step {step:.1}"),
            details: details.collect(),
            value: json!({
                "step": step,
                "strips": strips,
                "parts": parts.collect::<Vec<_>>(),
            }),
        };
        Ok((file, encoded))
    }

    fn check(&self) -> Result<(), CliError> {
        Ok(())
    }
}
