//! WebP by libwebp's programs `cwebp` and `dwebp`.

use super::search::largest_within;
use super::tool::{Tools, said};
use super::{Encoded, PeerCodec, RateDistortionError};
use bsq::image_io::Picture;

pub(super) struct WebP {
    tools: Tools,
    version: String,
}

/// Qualities 0 to 100 in quarters.
const STEPS: usize = 401;

impl WebP {
    /// The codec, or why it cannot be used.
    pub fn find() -> Result<WebP, String> {
        let tools = Tools::find("cwebp", "dwebp", "webp")?;
        let version = said("cwebp", &["-version"]).unwrap_or_default();
        let version = version.lines().next().unwrap_or_default().trim();
        Ok(WebP {
            tools,
            version: version.to_string(),
        })
    }
}

impl PeerCodec for WebP {
    fn description(&self) -> String {
        format!("cwebp {}, lossy, -m 6", self.version)
    }

    fn sweep(&self) -> &'static [f64] {
        &[
            0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0,
        ]
    }

    fn encode(&mut self, picture: &Picture, setting: f64) -> Result<Encoded, RateDistortionError> {
        let quality = setting.to_string();
        let (bytes, seconds) =
            self.tools
                .encode(picture, ("picture.ppm", "picture.webp"), |from, to| {
                    let settings = ["-quiet", "-m", "6", "-q", &quality].map(Into::into);
                    let paths = [from.into(), "-o".into(), to.into()];
                    settings.into_iter().chain(paths).collect()
                })?;
        Ok(Encoded { bytes, seconds })
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        self.tools
            .decode(bytes, ("picture.webp", "decoded.ppm"), |from, to| {
                vec![
                    "-quiet".into(),
                    "-ppm".into(),
                    from.into(),
                    "-o".into(),
                    to.into(),
                ]
            })
    }

    fn within(
        &mut self,
        picture: &Picture,
        bytes: usize,
    ) -> Result<Option<Encoded>, RateDistortionError> {
        largest_within(STEPS, bytes, |step| self.encode(picture, step as f64 / 4.0))
    }
}
