//! Every picture through every codec, at every rung of our rate ladder and along each curve.

use super::clips::TokenRates;
use super::jpeg::Jpeg;
use super::programs::{AVIF, JPEG_2000, JPEG_XL, ProgramCodec, WEBP};
use super::view::rung_shown;
use super::{Encoded, Measured, Original, Ours, Part, PeerCodec, RateDistortionError};
use bsq::image_io::{Picture, PixelRange, load, to_planar};
use bsq::metrics::{Lpips, LpipsError};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A codec that ours is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Jpeg,
    WebP,
    Jpeg2000,
    Avif,
    JpegXl,
}

impl Choice {
    pub const ALL: [Choice; 5] = [
        Choice::Jpeg,
        Choice::WebP,
        Choice::Jpeg2000,
        Choice::Avif,
        Choice::JpegXl,
    ];

    /// As in file names and on the command line.
    pub fn id(self) -> &'static str {
        match self {
            Choice::Jpeg => "jpeg",
            Choice::WebP => "webp",
            Choice::Jpeg2000 => "jpeg2000",
            Choice::Avif => "avif",
            Choice::JpegXl => "jpeg-xl",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Choice::Jpeg => "JPEG",
            Choice::WebP => "WebP",
            Choice::Jpeg2000 => "JPEG 2000",
            Choice::Avif => "AVIF",
            Choice::JpegXl => "JPEG XL",
        }
    }

    fn find(self) -> Result<Box<dyn PeerCodec>, String> {
        Ok(match self {
            Choice::Jpeg => Box::new(Jpeg),
            Choice::WebP => Box::new(ProgramCodec::find(&WEBP)?),
            Choice::Jpeg2000 => Box::new(ProgramCodec::find(&JPEG_2000)?),
            Choice::Avif => Box::new(ProgramCodec::find(&AVIF)?),
            Choice::JpegXl => Box::new(ProgramCodec::find(&JPEG_XL)?),
        })
    }
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub pictures: Vec<Original>,
    /// What our rungs are counted in.
    pub knob: &'static str,
    /// Our qualities, or sub-tokens that are kept, at each rung; the first has the largest files.
    pub rungs: Vec<usize>,
    /// Ours first.
    pub codecs: Vec<Figures>,
}

/// What one codec came to.
#[derive(Clone, Debug)]
pub struct Figures {
    /// As in file names.
    pub id: &'static str,
    pub name: &'static str,
    /// Version and settings; for a missing codec, why it is missing.
    pub description: String,
    pub missing: bool,
    /// One for each rung of ours: files of at most that many bytes.
    pub rungs: Vec<Rung>,
    /// The curve: the knob's setting, and each picture's figures. Our own curve is the ladder.
    pub sweep: Vec<(f64, Vec<Measured>)>,
    /// FVD at each point of the curve; nothing of pictures, and without weights.
    pub fvd: Vec<Option<f64>>,
    /// Of our clips as tokens, how many bits they take in other ways.
    pub token_rates: Option<TokenRates>,
    /// The parts of each picture as they are decoded at its rung; nothing where there is no file.
    pub views: Vec<Vec<Picture>>,
}

/// Each picture's figures at one rung; `None` where the codec has no file that small.
pub type Rung = Vec<Option<Measured>>;

impl Figures {
    pub(super) fn new(
        id: &'static str,
        name: &'static str,
        description: String,
        rungs: usize,
    ) -> Figures {
        Figures {
            id,
            name,
            description,
            missing: false,
            rungs: vec![Rung::new(); rungs],
            sweep: Vec::new(),
            fvd: Vec::new(),
            token_rates: None,
            views: Vec::new(),
        }
    }

    /// Leaves out all but the first pictures.
    pub(super) fn keep(&mut self, pictures: usize) {
        self.rungs
            .iter_mut()
            .for_each(|rung| rung.truncate(pictures));
        self.sweep
            .iter_mut()
            .for_each(|(_, all)| all.truncate(pictures));
        self.views.truncate(pictures);
    }

    /// The means of a rung, if there is a file for every picture.
    pub fn mean(&self, rung: usize) -> Option<Measured> {
        let all: Option<Vec<Measured>> = self.rungs[rung].iter().copied().collect();
        Measured::mean(&all?)
    }
}

/// Measures, LPIPS too if it is given. `progress` hears how much is done and of how much; where it
/// breaks off, the pictures that are complete are the result.
///
/// # Errors
/// If a picture cannot be read or coded, or a codec's program fails; not if it is missing.
pub fn compare(
    ours: &mut Ours,
    rungs: &[usize],
    paths: &[PathBuf],
    choices: &[Choice],
    mut lpips: Option<&mut Lpips>,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Comparison, RateDistortionError> {
    let description = ours.description().to_string();
    let mut own = Figures::new("bsq", "bsq", description, rungs.len());
    let mut peers = Vec::new();
    for &choice in choices {
        let (id, name) = (choice.id(), choice.name());
        match choice.find() {
            Ok(codec) => {
                let mut figures = Figures::new(id, name, codec.description(), rungs.len());
                let settings = codec.sweep().iter();
                figures.sweep = settings.map(|&setting| (setting, Vec::new())).collect();
                peers.push((figures, Some(codec)));
            }
            Err(reason) => {
                let mut figures = Figures::new(id, name, reason, rungs.len());
                figures.missing = true;
                peers.push((figures, None));
            }
        }
    }
    let steps = |figures: &Figures| figures.rungs.len() + figures.sweep.len();
    let present = peers.iter().filter(|(_, codec)| codec.is_some());
    let each = rungs.len() + present.map(|(figures, _)| steps(figures)).sum::<usize>();
    let (mut done, total) = (0, each * paths.len());
    let mut step = || {
        done += 1;
        progress(done, total).is_break()
    };
    let (mut pictures, mut last_size) = (Vec::new(), None);
    'pictures: for path in paths {
        let picture = load(path)?.picture;
        let size = (picture.width, picture.height);
        if last_size != Some(size) {
            // A new size compiles programs; that is no part of coding.
            let (stream, _) = ours.encode(&picture, rungs[0])?;
            ours.decode(&stream)?;
            last_size = Some(size);
        }
        let parts = Part::of(&picture);
        let views = |of: &Picture| parts.iter().map(|part| part.view(of)).collect::<Vec<_>>();
        let (mut sizes, mut rates, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for (rung, &setting) in rungs.iter().enumerate() {
            let (stream, encoding_seconds) = ours.encode(&picture, setting)?;
            let (decoded, decoding_seconds) = ours.decode(&stream)?;
            let measured = Measured {
                encoding_seconds,
                decoding_seconds,
                lpips: distance(lpips.as_deref_mut(), &picture, &decoded)?,
                ..Measured::of(&picture, &decoded, stream.len())
            };
            sizes.push(stream.len());
            rates.push(measured.bits_per_pixel);
            seen.push(views(&decoded));
            own.rungs[rung].push(Some(measured));
            if step() {
                break 'pictures;
            }
        }
        let shown = rung_shown(&rates);
        own.views.push(seen.swap_remove(shown));
        for (figures, codec) in &mut peers {
            let Some(codec) = codec else {
                figures.rungs.iter_mut().for_each(|rung| rung.push(None));
                figures.views.push(Vec::new());
                continue;
            };
            for (rung, &bytes) in sizes.iter().enumerate() {
                let found = codec.within(&picture, bytes)?;
                let found =
                    found.map(|file| measured(&mut **codec, &picture, file, lpips.as_deref_mut()));
                let (measured, decoded) = found.transpose()?.unzip();
                figures.rungs[rung].push(measured);
                if rung == shown {
                    figures
                        .views
                        .push(decoded.as_ref().map_or(Vec::new(), views));
                }
                if step() {
                    break 'pictures;
                }
            }
            for (setting, all) in &mut figures.sweep {
                let file = codec.encode(&picture, *setting)?;
                all.push(measured(&mut **codec, &picture, file, lpips.as_deref_mut())?.0);
                if step() {
                    break 'pictures;
                }
            }
        }
        pictures.push(Original {
            name: name(path),
            views: views(&picture),
            parts,
            rung: shown,
        });
    }
    let codecs = peers.into_iter().map(|(figures, _)| figures);
    let mut codecs: Vec<Figures> = std::iter::once(own).chain(codecs).collect();
    codecs
        .iter_mut()
        .for_each(|figures| figures.keep(pictures.len()));
    Ok(Comparison {
        pictures,
        knob: ours.knob(),
        rungs: rungs.to_vec(),
        codecs,
    })
}

fn measured(
    codec: &mut dyn PeerCodec,
    picture: &Picture,
    file: Encoded,
    lpips: Option<&mut Lpips>,
) -> Result<(Measured, Picture), RateDistortionError> {
    let (decoded, decoding_seconds) = codec.decode(&file.bytes)?;
    let figures = Measured {
        encoding_seconds: file.seconds,
        decoding_seconds,
        lpips: distance(lpips, picture, &decoded)?,
        ..Measured::of(picture, &decoded, file.bytes.len())
    };
    Ok((figures, decoded))
}

fn distance(
    lpips: Option<&mut Lpips>,
    original: &Picture,
    decoded: &Picture,
) -> Result<Option<f64>, LpipsError> {
    let Some(lpips) = lpips else { return Ok(None) };
    let [a, b] = [original, decoded].map(|picture| to_planar(picture, PixelRange::MinusOneToOne));
    lpips.distance(&a, &b, [original.height, original.width])
}

pub(super) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
