//! JPEG 2000 by OpenJPEG's programs `opj_compress` and `opj_decompress`.

use super::tool::{Tools, said};
use super::{Encoded, PeerCodec, RateDistortionError};
use bsq::image_io::Picture;

/// The knob is bits per pixel, which the encoder meets by itself.
pub(super) struct Jpeg2000 {
    tools: Tools,
    version: String,
}

/// Times that a size is asked for: the encoder may exceed it by some bytes, and by as many again if
/// it is asked for just those fewer. So each time twice as many are left out.
const TRIES: u32 = 10;

impl Jpeg2000 {
    /// The codec, or why it cannot be used.
    pub fn find() -> Result<Jpeg2000, String> {
        let tools = Tools::find("opj_compress", "opj_decompress", "libopenjp2-tools")?;
        let help = said("opj_compress", &["-h"]).unwrap_or_default();
        let version = help.split_once("library v");
        let version = version.and_then(|(_, rest)| rest.split_whitespace().next());
        Ok(Jpeg2000 {
            tools,
            version: version
                .unwrap_or_default()
                .trim_end_matches('.')
                .to_string(),
        })
    }
}

impl PeerCodec for Jpeg2000 {
    fn description(&self) -> String {
        format!(
            "OpenJPEG {}, irreversible 9-7 wavelet, bare codestreams",
            self.version
        )
    }

    fn sweep(&self) -> &'static [f64] {
        &[0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5]
    }

    fn encode(&mut self, picture: &Picture, setting: f64) -> Result<Encoded, RateDistortionError> {
        let ratio = (24.0 / setting).to_string();
        let (bytes, seconds) =
            self.tools
                .encode(picture, ("picture.ppm", "picture.j2k"), |from, to| {
                    let paths = ["-i".into(), from.into(), "-o".into(), to.into()];
                    let settings = ["-I", "-r", &ratio].map(Into::into);
                    paths.into_iter().chain(settings).collect()
                })?;
        Ok(Encoded { bytes, seconds })
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        self.tools
            .decode(bytes, ("picture.j2k", "decoded.ppm"), |from, to| {
                vec!["-i".into(), from.into(), "-o".into(), to.into()]
            })
    }

    fn within(
        &mut self,
        picture: &Picture,
        bytes: usize,
    ) -> Result<Option<Encoded>, RateDistortionError> {
        let pixels = (picture.width * picture.height) as f64;
        let mut asked = bytes as f64;
        for attempt in 0..TRIES {
            if asked < 1.0 {
                break;
            }
            let file = self.encode(picture, 8.0 * asked / pixels)?;
            let excess = file.bytes.len().saturating_sub(bytes);
            if excess == 0 {
                return Ok(Some(file));
            }
            asked -= (excess as f64 + 1.0) * f64::from(1 << attempt);
        }
        Ok(None)
    }
}
