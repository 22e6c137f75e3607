//! FVD of codecs along their settings: pieces of 16 frames, the middle square of each frame at 224 pixels.
//!
//! A piece takes I3D half a second of a core, and is seen once of the original and once at each setting of each codec:
//! of long clips not all pieces are seen, but some that are spread evenly.

use super::super::{Figures, RateDistortionError};
use crate::evaluation::{EvaluationError, I3dLogits, fvd};
use bsq::image_io::resize::{Filter, resize_and_center_crop};
use bsq::image_io::{Picture, PixelRange, to_planar};
use bsq::pipeline::CompileOptions;
use std::collections::BTreeMap;
use std::path::Path;

/// Frames of a piece, and side of what I3D sees.
const FRAMES: usize = 16;
const SIDE: usize = 224;

/// Logits of pieces, one row each.
type Rows = Vec<Vec<f32>>;

/// What makes logits of a piece.
pub trait Sees {
    /// The logits of [`FRAMES`] frames `[3, 224, 224]` in -1..1.
    fn logits(&mut self, frames: &[Vec<f32>]) -> Result<Vec<f32>, EvaluationError>;
}

impl Sees for I3dLogits {
    fn logits(&mut self, frames: &[Vec<f32>]) -> Result<Vec<f32>, EvaluationError> {
        self.of(frames)
    }
}

/// I3D, and what it has seen.
pub struct Fvd {
    sees: Box<dyn Sees>,
    /// Pieces of a clip at most.
    most: usize,
    /// Every so many pieces of the clip under way are seen.
    stride: usize,
    /// Frames of it so far.
    frames: usize,
    /// Frames of a piece that is not complete.
    piece: Vec<Vec<f32>>,
    rows: Rows,
    /// Of originals, and by codec and setting; of the clip under way, and of those before.
    clip: BTreeMap<Source, Rows>,
    all: BTreeMap<Source, Rows>,
}

/// Whose frames they are: the original's, or a codec's at one of its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Original,
    Codec(usize, usize),
}

impl Fvd {
    /// With I3D's weights; of each clip at most `most` pieces are seen.
    ///
    /// # Errors
    /// If they cannot be read, or the program cannot be compiled.
    pub fn open(
        weights: &Path,
        most: usize,
        options: &CompileOptions,
    ) -> Result<Fvd, EvaluationError> {
        let i3d = I3dLogits::new(weights, (FRAMES, SIDE), options)?;
        Ok(Fvd::with(Box::new(i3d), most))
    }

    pub(super) fn with(sees: Box<dyn Sees>, most: usize) -> Fvd {
        Fvd {
            sees,
            most,
            stride: 1,
            frames: 0,
            piece: Vec::new(),
            rows: Vec::new(),
            clip: BTreeMap::new(),
            all: BTreeMap::new(),
        }
    }

    /// A clip of so many frames comes next, once from each source.
    pub(super) fn begin(&mut self, frames: usize) {
        self.stride = (frames / FRAMES).div_ceil(self.most).max(1);
    }

    /// Takes the next frame.
    pub(super) fn push(&mut self, frame: &Picture) -> Result<(), RateDistortionError> {
        let piece = self.frames / FRAMES;
        self.frames += 1;
        if !piece.is_multiple_of(self.stride) {
            return Ok(());
        }
        let square = resize_and_center_crop(frame, SIDE, Filter::Bilinear);
        self.piece
            .push(to_planar(&square, PixelRange::MinusOneToOne));
        if self.piece.len() == FRAMES {
            self.rows.push(self.sees.logits(&self.piece)?);
            self.piece.clear();
        }
        Ok(())
    }

    /// The frames so far are all that a clip has of a source; a last piece that is not complete does not count.
    pub(super) fn end(&mut self, source: Source) {
        self.piece.clear();
        self.frames = 0;
        self.clip.insert(source, std::mem::take(&mut self.rows));
    }

    /// All of a clip was measured.
    pub(super) fn end_clip(&mut self) {
        for (source, rows) in std::mem::take(&mut self.clip) {
            self.all.entry(source).or_default().extend(rows);
        }
    }

    /// Writes what came of it to each codec: at each of its settings, in their order.
    pub(super) fn report(&self, codecs: &mut [Figures]) {
        let none = Rows::new();
        let rows = |source| self.all.get(&source).unwrap_or(&none);
        for (number, codec) in codecs.iter_mut().enumerate() {
            let settings = match codec.sweep.is_empty() {
                true => codec.rungs.len(),
                false => codec.sweep.len(),
            };
            let of = |setting| fvd(rows(Source::Original), rows(Source::Codec(number, setting)));
            codec.fvd = (0..settings).map(of).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sees the mean of a piece's first frame, and nothing else.
    struct Mean;

    impl Sees for Mean {
        fn logits(&mut self, frames: &[Vec<f32>]) -> Result<Vec<f32>, EvaluationError> {
            assert_eq!(frames.len(), FRAMES);
            let mean = frames[0].iter().sum::<f32>() / frames[0].len() as f32;
            let mut logits = vec![0.0; bsq::i3d::CLASSES];
            logits[0] = mean;
            Ok(logits)
        }
    }

    fn frame(level: u8) -> Picture {
        Picture::new(8, 6, vec![level; 3 * 48])
    }

    #[test]
    fn pieces_are_those_of_complete_clips() {
        let mut fvd = Fvd::with(Box::new(Mean), 8);
        let mut clip = |levels: [u8; 2], change: u8, is_complete: bool| {
            fvd.begin(2 * FRAMES + 3);
            for (source, change) in [(Source::Original, 0), (Source::Codec(0, 0), change)] {
                // Two pieces, and frames that are too few for a third.
                for time in 0..2 * FRAMES + 3 {
                    let level = levels[usize::from(time >= FRAMES)] + change;
                    fvd.push(&frame(level)).unwrap();
                }
                fvd.end(source);
            }
            if is_complete {
                fvd.end_clip();
            }
        };
        clip([20, 60], 10, true);
        clip([100, 30], 10, true);
        clip([220, 210], 30, false);
        let mut codecs = [Figures::new("bsq", "bsq", String::new(), 2)];
        fvd.report(&mut codecs);
        // The means are 10 levels of 127.5 apart, the variances equal.
        let expected = (10.0_f64 / 127.5).powi(2);
        let found = codecs[0].fvd[0].unwrap();
        assert!(
            (found - expected).abs() < 0.02 * expected,
            "{found}, {expected}"
        );
        assert_eq!(codecs[0].fvd[1], None);
    }

    #[test]
    fn pieces_of_long_clips_are_spread() {
        for (pieces, seen) in [(7, vec![0, 3, 6]), (3, vec![0, 1, 2]), (1, vec![0])] {
            let mut fvd = Fvd::with(Box::new(Mean), 3);
            fvd.begin(pieces * FRAMES + 5);
            for time in 0..pieces * FRAMES + 5 {
                fvd.push(&frame((time / FRAMES) as u8)).unwrap();
            }
            fvd.end(Source::Original);
            let level = |row: &Vec<f32>| ((row[0] + 1.0) * 127.5).round() as usize;
            let levels: Vec<usize> = fvd.clip[&Source::Original].iter().map(level).collect();
            assert_eq!(levels, seen, "{pieces} pieces");
        }
    }
}
