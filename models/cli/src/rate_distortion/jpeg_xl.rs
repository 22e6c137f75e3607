//! JPEG XL by libjxl's programs `cjxl` and `djxl`.

use super::search::largest_within;
use super::tool::{Tools, said};
use super::{Encoded, PeerCodec, RateDistortionError};
use bsq::image_io::Picture;

/// The knob goes from the largest Butteraugli distance to the smallest.
pub(super) struct JpegXl {
    tools: Tools,
    version: String,
}

const STEPS: usize = 128;
/// Distances of the first and the last step; those between are even in their logarithms.
const DISTANCES: [f64; 2] = [25.0, 0.1];

impl JpegXl {
    /// The codec, or why it cannot be used.
    pub fn find() -> Result<JpegXl, String> {
        let tools = Tools::find("cjxl", "djxl", "libjxl-tools")?;
        let said = said("cjxl", &["--version"]).unwrap_or_default();
        let version = said.split_whitespace().find(|word| word.starts_with("v0."));
        Ok(JpegXl {
            tools,
            version: version.unwrap_or_default().to_string(),
        })
    }
}

impl PeerCodec for JpegXl {
    fn description(&self) -> String {
        format!("cjxl {}, lossy, -e 7", self.version)
    }

    fn sweep(&self) -> &'static [f64] {
        &[
            0.0, 12.0, 24.0, 36.0, 48.0, 58.0, 68.0, 78.0, 88.0, 98.0, 108.0,
        ]
    }

    fn encode(&mut self, picture: &Picture, setting: f64) -> Result<Encoded, RateDistortionError> {
        let share = setting / (STEPS as f64 - 1.0);
        let distance = DISTANCES[0] * (DISTANCES[1] / DISTANCES[0]).powf(share);
        let distance = format!("{distance:.4}");
        let names = ("picture.ppm", "picture.jxl");
        let (bytes, seconds) = self.tools.encode(picture, names, |from, to| {
            let settings = ["-d", &distance, "-e", "7", "--quiet"].map(Into::into);
            [from.into(), to.into()]
                .into_iter()
                .chain(settings)
                .collect()
        })?;
        Ok(Encoded { bytes, seconds })
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        let names = ("picture.jxl", "decoded.ppm");
        self.tools
            .decode(bytes, names, |from, to| vec![from.into(), to.into()])
    }

    fn within(
        &mut self,
        picture: &Picture,
        bytes: usize,
    ) -> Result<Option<Encoded>, RateDistortionError> {
        largest_within(STEPS, bytes, |step| self.encode(picture, step as f64))
    }
}
