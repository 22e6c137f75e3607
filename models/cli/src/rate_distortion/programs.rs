//! Codecs that are programs on `PATH`: how each is asked, at its best.

use super::search::largest_within;
use super::tool::{Tools, said};
use super::{Encoded, PeerCodec, RateDistortionError};
use bsq::image_io::Picture;

/// How a codec's programs are run. Of a command line, `IN` and `OUT` become the files.
pub(super) struct Programs {
    encoder: &'static str,
    decoder: &'static str,
    /// The Debian package that has them.
    package: &'static str,
    /// What makes the encoder say its version, and where that is.
    version: (&'static str, fn(&str) -> Option<&str>),
    /// `VERSION` becomes the version.
    description: &'static str,
    /// Endings of uncompressed pictures and of the codec's files.
    endings: [&'static str; 2],
    /// The encoder's command line for a setting of the knob.
    encode: fn(f64) -> String,
    /// The decoder's.
    decode: &'static str,
    knob: Knob,
    sweep: &'static [f64],
}

/// What finds the largest file that is not too large.
enum Knob {
    /// So many steps, and the setting of each.
    Steps(usize, fn(usize) -> f64),
    /// Bits per pixel, which the encoder meets by itself.
    BitsPerPixel,
}

/// Libwebp. The knob is the quality, 0 to 100, in quarters.
pub(super) const WEBP: Programs = Programs {
    encoder: "cwebp",
    decoder: "dwebp",
    package: "webp",
    version: ("-version", |said| said.lines().next()),
    description: "cwebp VERSION, lossy, -m 6",
    endings: ["ppm", "webp"],
    encode: |quality| format!("-quiet -m 6 -q {quality} IN -o OUT"),
    decode: "-quiet -ppm IN -o OUT",
    knob: Knob::Steps(401, |step| step as f64 / 4.0),
    sweep: &[
        0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0,
    ],
};

/// OpenJPEG.
pub(super) const JPEG_2000: Programs = Programs {
    encoder: "opj_compress",
    decoder: "opj_decompress",
    package: "libopenjp2-tools",
    version: ("-h", |said| {
        let (_, rest) = said.split_once("library v")?;
        Some(rest.split_whitespace().next()?.trim_end_matches('.'))
    }),
    description: "OpenJPEG VERSION, irreversible 9-7 wavelet, bare codestreams",
    endings: ["ppm", "j2k"],
    encode: |rate| format!("-i IN -o OUT -I -r {}", 24.0 / rate),
    decode: "-i IN -o OUT",
    knob: Knob::BitsPerPixel,
    sweep: &[0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5],
};

/// Libavif. The knob is 63 less the quantizer's level.
pub(super) const AVIF: Programs = Programs {
    encoder: "avifenc",
    decoder: "avifdec",
    package: "libavif-bin",
    version: ("-V", |said| {
        let line = said.lines().next()?;
        Some(line.trim_start_matches("Version: "))
    }),
    description: "avifenc VERSION, constant quality, 4:4:4, -s 4",
    endings: ["png", "avif"],
    encode: |setting| {
        let level = 63.0 - setting;
        format!("-s 4 -y 444 --min 0 --max 63 -a end-usage=q -a cq-level={level} IN OUT")
    },
    decode: "IN OUT",
    knob: Knob::Steps(64, |step| step as f64),
    sweep: &[
        3.0, 8.0, 13.0, 18.0, 23.0, 28.0, 33.0, 38.0, 43.0, 48.0, 53.0,
    ],
};

/// Libjxl. The knob goes from a Butteraugli distance of 25 to one of 0.1, even in its logarithm.
pub(super) const JPEG_XL: Programs = Programs {
    encoder: "cjxl",
    decoder: "djxl",
    package: "libjxl-tools",
    version: ("--version", |said| {
        said.split_whitespace().find(|word| word.starts_with("v0."))
    }),
    description: "cjxl VERSION, lossy, -e 7",
    endings: ["ppm", "jxl"],
    encode: |setting| {
        let distance = 25.0 * f64::powf(0.1 / 25.0, setting / 127.0);
        format!("IN OUT -d {distance:.4} -e 7 --quiet")
    },
    decode: "IN OUT",
    knob: Knob::Steps(128, |step| step as f64),
    sweep: &[
        0.0, 12.0, 24.0, 36.0, 48.0, 58.0, 68.0, 78.0, 88.0, 98.0, 108.0,
    ],
};

/// Times that a size is asked for: the encoder may exceed it by some bytes, and by as many again if
/// it is asked for just those fewer. So each time twice as many are left out.
const TRIES: u32 = 10;

/// Programs that were found.
pub(super) struct ProgramCodec {
    programs: &'static Programs,
    tools: Tools,
    version: String,
}

impl ProgramCodec {
    /// The codec, or why it cannot be used.
    pub fn find(programs: &'static Programs) -> Result<ProgramCodec, String> {
        let tools = Tools::find(programs.encoder, programs.decoder, programs.package)?;
        let (argument, version) = programs.version;
        let said = said(programs.encoder, &[argument]).unwrap_or_default();
        Ok(ProgramCodec {
            programs,
            tools,
            version: version(&said).unwrap_or_default().trim().to_string(),
        })
    }
}

impl PeerCodec for ProgramCodec {
    fn description(&self) -> String {
        let Programs { description, .. } = self.programs;
        description.replace("VERSION", &self.version)
    }

    fn sweep(&self) -> &'static [f64] {
        self.programs.sweep
    }

    fn encode(&mut self, picture: &Picture, setting: f64) -> Result<Encoded, RateDistortionError> {
        let Programs {
            encode, endings, ..
        } = self.programs;
        self.tools.encode(picture, *endings, &encode(setting))
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(Picture, f64), RateDistortionError> {
        let Programs {
            decode, endings, ..
        } = self.programs;
        self.tools.decode(bytes, *endings, decode)
    }

    fn within(
        &mut self,
        picture: &Picture,
        bytes: usize,
    ) -> Result<Option<Encoded>, RateDistortionError> {
        if let Knob::Steps(count, setting) = self.programs.knob {
            return largest_within(count, bytes, |step| self.encode(picture, setting(step)));
        }
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
