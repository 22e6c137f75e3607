//! AVIF by libavif's programs `avifenc` and `avifdec`.

use super::search::largest_within;
use super::tool::{Tools, said};
use super::{Encoded, PeerCodec, RateDistortionError};
use bsq::image_io::Picture;

/// The knob is 63 less the quantizer's level.
pub(super) struct Avif {
    tools: Tools,
    version: String,
}

const STEPS: usize = 64;

impl Avif {
    /// The codec, or why it cannot be used.
    pub fn find() -> Result<Avif, String> {
        let tools = Tools::find("avifenc", "avifdec", "libavif-bin")?;
        let said = said("avifenc", &["-V"]).unwrap_or_default();
        let version = said.lines().next().unwrap_or_default();
        Ok(Avif {
            tools,
            version: version.trim_start_matches("Version: ").trim().to_string(),
        })
    }
}

impl PeerCodec for Avif {
    fn description(&self) -> String {
        format!("avifenc {}, constant quality, 4:4:4, -s 4", self.version)
    }

    fn sweep(&self) -> &'static [f64] {
        &[
            3.0, 8.0, 13.0, 18.0, 23.0, 28.0, 33.0, 38.0, 43.0, 48.0, 53.0,
        ]
    }

    fn encode(&mut self, picture: &Picture, setting: f64) -> Result<Encoded, RateDistortionError> {
        let level = format!("cq-level={}", STEPS as f64 - 1.0 - setting);
        let names = ("picture.png", "picture.avif");
        let (bytes, seconds) = self.tools.encode(picture, names, |from, to| {
            let settings = ["-s", "4", "-y", "444", "--min", "0", "--max", "63"];
            let quality = ["-a", "end-usage=q", "-a", &level];
            let settings = settings.into_iter().chain(quality).map(Into::into);
            settings.chain([from.into(), to.into()]).collect()
        })?;
        Ok(Encoded { bytes, seconds })
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        let names = ("picture.avif", "decoded.png");
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
