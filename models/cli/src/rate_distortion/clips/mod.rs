//! Our streams of clips beside H.264 and HEVC, each along its own settings.
//!
//! | question | file |
//! |---|---|
//! | In which order is all of it measured? | `mod` |
//! | How are the others asked? | `peers` |
//! | What are a clip's figures? | `measure`; of all of them `fvd`, and of tokens `tokens` |
//! | What does ours do? | `ours` |
//! | How are clips watched side by side? | `page` |
//!
//! The others are run as in the BSQ-ViT paper: libx264 and libx265 of ffmpeg, preset medium, no
//! B-frames, 4:2:0, constant rate factors from 17 to 47, and raw streams are counted. Ours are whole files.
//! Quality is that of 8-bit RGB frames, ours and theirs made of Y'CbCr in the same way: a mean over the frames of
//! a clip, then over clips.

mod fvd;
mod measure;
mod ours;
mod page;
mod peers;
mod tokens;

pub use fvd::Fvd;
use fvd::Source;
pub use ours::{OurClips, QUALITIES};
use page::View;
pub use page::{Watched, clip_table, clips_page};
pub use peers::{ClipPeer, ffmpeg_is_there};
pub use tokens::TokenRates;

use super::{Comparison, Figures, Measured, Original, RateDistortionError};
use bsq::image_io::{ImageSize, Picture};
use bsq::metrics::Lpips;
use bsq::video_io::{ClipFormat, ClipOptions, ReadFrames, VideoError, create, open};
use measure::FrameMeans;
use peers::Coded;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is measured, and what is kept to be watched.
pub struct ClipBench<'a> {
    pub codec: &'a mut OurClips,
    /// Of ours, descending; one of a tokenizer, which has no knob.
    pub qualities: Vec<usize>,
    pub group: u16,
    /// The first so many frames of each clip; all if `None`.
    pub frames: Option<usize>,
    pub peers: Vec<ClipPeer>,
    pub lpips: Option<&'a mut Lpips>,
    pub fvd: Option<Fvd>,
    /// Folder for clips to be watched; none are kept without.
    pub videos: Option<PathBuf>,
}

impl ClipBench<'_> {
    /// Measures clips. `progress` hears how much is done and of how much; where it breaks off, the clips
    /// that are complete are the result, with what there is to watch of each.
    ///
    /// # Errors
    /// If a clip cannot be read or coded, or ffmpeg fails; not if it is missing.
    pub fn run(
        &mut self,
        paths: &[PathBuf],
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<(Comparison, Vec<Watched>), RateDistortionError> {
        let description = self.codec.description(self.group);
        let rungs = self.qualities.len();
        let mut codecs = vec![Figures::new("bsq", "bsq", description, rungs)];
        let missing = peers::missing();
        // Browsers are given what ffmpeg writes.
        self.videos.take_if(|_| missing.is_some());
        for peer in &self.peers {
            let description = missing.clone().unwrap_or_else(|| peer.description());
            let mut figures = Figures::new(peer.id(), peer.name(), description, rungs);
            figures.missing = missing.is_some();
            if !figures.missing {
                let settings = peers::RATES.iter();
                figures.sweep = settings.map(|&rate| (rate, Vec::new())).collect();
            }
            codecs.push(figures);
        }
        let each = codecs.iter().map(|figures| figures.sweep.len());
        let (mut done, total) = (0, (rungs + each.sum::<usize>()) * paths.len());
        let mut step = || {
            done += 1;
            progress(done, total).is_break()
        };
        let (mut pictures, mut views) = (Vec::new(), Vec::new());
        'clips: for path in paths {
            let clip = Clip::of(path, self.frames)?;
            self.compile(&clip)?;
            self.see(&clip)?;
            for rung in 0..rungs {
                let quality = self.qualities[rung];
                let stream = self.ours(&clip, quality)?;
                self.end(Source::Codec(0, rung));
                codecs[0].rungs[rung].push(Some(stream));
                if step() {
                    break 'clips;
                }
            }
            let peers = self.peers.clone().into_iter();
            for (number, (peer, figures)) in peers.zip(&mut codecs[1..]).enumerate() {
                figures.rungs.iter_mut().for_each(|rung| rung.push(None));
                for (setting, (rate, all)) in figures.sweep.iter_mut().enumerate() {
                    let coded = peer.encode(&clip, *rate)?;
                    all.push(self.measured(&clip, &coded)?);
                    self.end(Source::Codec(number + 1, setting));
                    if step() {
                        break 'clips;
                    }
                }
            }
            if let Some(fvd) = &mut self.fvd {
                fvd.end_clip();
            }
            let ImageSize { height, width } = clip.format.size;
            self.codec.end_clip(Some(clip.frames * height * width));
            let name = super::compare::name(path);
            views.push(Watched {
                views: self.views(&clip, (&name, pictures.len()), &codecs)?,
                frames: clip.frames,
                rate: clip.format.rate.per_second(),
            });
            self.codec.end_clip(None);
            pictures.push(Original {
                name,
                parts: Vec::new(),
                views: Vec::new(),
                rung: rungs / 2,
            });
        }
        codecs
            .iter_mut()
            .for_each(|figures| figures.keep(pictures.len()));
        if let Some(fvd) = &self.fvd {
            fvd.report(&mut codecs);
        }
        codecs[0].token_rates = self.codec.token_rates();
        let comparison = Comparison {
            pictures,
            knob: self.codec.knob(),
            rungs: self.qualities.clone(),
            codecs,
        };
        Ok((comparison, views))
    }

    /// Compiles what a clip's size needs: that is no part of coding.
    fn compile(&mut self, clip: &Clip) -> Result<(), RateDistortionError> {
        let first = Clip {
            frames: clip.frames.min(2),
            ..clip.clone()
        };
        self.ours(&first, self.qualities[0])?;
        self.end(Source::Original);
        self.codec.end_clip(None);
        Ok(())
    }

    /// What I3D sees in the original.
    fn see(&mut self, clip: &Clip) -> Result<(), RateDistortionError> {
        let Some(fvd) = &mut self.fvd else {
            return Ok(());
        };
        fvd.begin(clip.frames);
        let mut frames = clip.open()?;
        while let Some(frame) = frames.next()? {
            fvd.push(&frame)?;
        }
        fvd.end(Source::Original);
        Ok(())
    }

    fn end(&mut self, source: Source) {
        if let Some(fvd) = &mut self.fvd {
            fvd.end(source);
        }
    }

    fn ours(&mut self, clip: &Clip, quality: usize) -> Result<Measured, RateDistortionError> {
        let (stream, encoding_seconds) = self.codec.encode(clip, quality, self.group)?;
        let mut means = FrameMeans::new(clip.format.size);
        let (mut frames, mut decoding_seconds) = (clip.open()?, 0.0);
        let mut decoder = self.codec.decoder(&stream)?;
        loop {
            let start = Instant::now();
            let found = decoder.next_frame()?;
            decoding_seconds += start.elapsed().as_secs_f64();
            let (Some(found), Some(frame)) = (found, frames.next()?) else {
                break;
            };
            means.push(&frame, &found, self.lpips.as_deref_mut())?;
            if let Some(fvd) = &mut self.fvd {
                fvd.push(&found)?;
            }
        }
        Ok(means.measured(stream.len(), [encoding_seconds, decoding_seconds]))
    }

    fn measured(&mut self, clip: &Clip, coded: &Coded) -> Result<Measured, RateDistortionError> {
        let mut means = FrameMeans::new(clip.format.size);
        let (mut frames, mut decoded) = (clip.open()?, coded.open(clip)?);
        let start = Instant::now();
        let mut elsewhere = 0.0;
        while let Some(found) = decoded.next_frame()? {
            let pause = Instant::now();
            if let Some(frame) = frames.next()? {
                means.push(&frame, &found, self.lpips.as_deref_mut())?;
                if let Some(fvd) = &mut self.fvd {
                    fvd.push(&found)?;
                }
            }
            elsewhere += pause.elapsed().as_secs_f64();
        }
        let decoding = start.elapsed().as_secs_f64() - elsewhere;
        Ok(means.measured(coded.bytes, [coded.seconds, decoding]))
    }

    /// The original, ours at the middle of our qualities, and of each of the others the stream that is
    /// nearest to it in size, as files that browsers show.
    fn views(
        &mut self,
        clip: &Clip,
        (name, number): (&str, usize),
        codecs: &[Figures],
    ) -> Result<Vec<View>, RateDistortionError> {
        let Some(folder) = self.videos.clone() else {
            return Ok(Vec::new());
        };
        let file = |id: &str| folder.join(format!("{number}-{id}.mp4"));
        let rung = self.qualities.len() / 2;
        let own = codecs[0].rungs[rung][number].expect("ours are all there");
        let mut views = vec![
            View::new(name, file("original"), None),
            View::new("bsq", file("bsq"), Some(own)),
        ];
        let mut frames = clip.open()?;
        write(&views[0].path, &clip.format, &mut || frames.next())?;
        let (stream, _) = self.codec.encode(clip, self.qualities[rung], self.group)?;
        let mut decoder = self.codec.decoder(&stream)?;
        write(&views[1].path, &clip.format, &mut || {
            Ok(decoder.next_frame()?)
        })?;
        for (peer, figures) in self.peers.clone().into_iter().zip(&codecs[1..]) {
            let distance = |one: &Measured| (one.bits_per_pixel / own.bits_per_pixel).ln().abs();
            let nearest = figures
                .sweep
                .iter()
                .min_by(|(_, a), (_, b)| distance(&a[number]).total_cmp(&distance(&b[number])));
            let Some((rate, all)) = nearest else { continue };
            let view = View::new(peer.name(), file(peer.id()), Some(all[number]));
            let coded = peer.encode(clip, *rate)?;
            let mut decoded = coded.open(clip)?;
            write(&view.path, &clip.format, &mut || Ok(decoded.next_frame()?))?;
            views.push(view);
        }
        Ok(views)
    }
}

/// A clip that is read again for every codec, so that no more than a frame of it is in memory.
#[derive(Clone)]
pub(super) struct Clip {
    path: PathBuf,
    format: ClipFormat,
    frames: usize,
    /// Whether ffmpeg reads the file by itself.
    is_for_ffmpeg: bool,
}

/// The frames of a clip that are measured.
struct Frames {
    reader: Box<dyn ReadFrames>,
    left: usize,
}

impl Clip {
    fn of(path: &Path, limit: Option<usize>) -> Result<Clip, RateDistortionError> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut reader = open(path, &ClipOptions::default())?;
        let mut frames = 0;
        while frames < limit && reader.next_frame()?.is_some() {
            frames += 1;
        }
        if frames == 0 {
            return Err(RateDistortionError::Tool {
                program: "bsq",
                reason: format!("{}: no frames", path.display()),
            });
        }
        let ending = path.extension().unwrap_or_default();
        Ok(Clip {
            path: path.into(),
            format: ClipFormat {
                frames: Some(frames),
                ..*reader.format()
            },
            frames,
            is_for_ffmpeg: path.is_file() && !ending.eq_ignore_ascii_case("yuv"),
        })
    }

    fn format(&self) -> &ClipFormat {
        &self.format
    }

    fn open(&self) -> Result<Frames, VideoError> {
        Ok(Frames {
            reader: open(&self.path, &ClipOptions::default())?,
            left: self.frames,
        })
    }
}

impl Frames {
    fn next(&mut self) -> Result<Option<Picture>, RateDistortionError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Ok(self.reader.next_frame()?)
    }
}

fn write(
    path: &Path,
    format: &ClipFormat,
    next: &mut dyn FnMut() -> Result<Option<Picture>, RateDistortionError>,
) -> Result<(), RateDistortionError> {
    let mut writer = create(path, format)?;
    while let Some(frame) = next()? {
        writer.write(&frame)?;
    }
    Ok(writer.finish()?)
}
