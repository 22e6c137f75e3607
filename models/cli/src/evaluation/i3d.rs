//! What I3D sees in pieces of clips, and the distance between two sets of them.

use super::EvaluationError;
use bsq::i3d::{CLASSES, I3d};
use bsq::metrics::sets::{FeatureStatistics, frechet_distance};
use bsq::nn::layers::Interpolation;
use bsq::pipeline::CompileOptions;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::{HostTensor, Session, compile};
use std::path::Path;

/// I3D for pieces of so many frames, squares of one size.
pub struct I3dLogits {
    session: Session,
    frames: usize,
    side: usize,
}

impl I3dLogits {
    /// # Errors
    /// If the weights cannot be read, or the program cannot be compiled.
    pub fn new(
        weights: &Path,
        (frames, side): (usize, usize),
        options: &CompileOptions,
    ) -> Result<I3dLogits, EvaluationError> {
        let graph = Graph::new();
        let clip = graph.input("clip", DType::F32, [1, 3, frames, side, side]);
        let logits = I3d.logits(&Scope::root(&graph), clip, Interpolation::Linear);
        let function = graph.function([("logits", logits.id())], []);
        let session = compile(&function, options)?.bind(I3d.load(weights)?)?;
        Ok(I3dLogits {
            session,
            frames,
            side,
        })
    }

    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The logits of frames `[3, side, side]` in -1..1.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn of(&mut self, frames: &[Vec<f32>]) -> Result<Vec<f32>, EvaluationError> {
        let clip = by_colour(frames, self.side * self.side);
        let clip = HostTensor::from_slice([1, 3, self.frames, self.side, self.side], &clip)?;
        let outputs = self.session.run(&[("clip", &clip)])?;
        Ok(outputs["logits"].as_slice::<f32>()?.to_vec())
    }
}

/// Frames `[3, area]` as I3D takes them, `[3, frames, area]`.
fn by_colour(frames: &[Vec<f32>], area: usize) -> Vec<f32> {
    let plane = |colour: usize| {
        let own = move |frame: &Vec<f32>| frame[colour * area..][..area].to_vec();
        frames.iter().flat_map(own)
    };
    (0..3).flat_map(plane).collect()
}

/// FVD: the distance of Frechet between I3D's logits of originals and of what became of them, row by row; none of
/// fewer than two.
pub fn fvd(originals: &[Vec<f32>], found: &[Vec<f32>]) -> Option<f64> {
    let statistics = |rows: &[Vec<f32>]| {
        (rows.len() >= 2).then(|| FeatureStatistics::of(&rows.concat(), CLASSES))
    };
    Some(frechet_distance(
        &statistics(originals)?,
        &statistics(found)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_before_frames() {
        let frames = [
            vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            vec![7.0, 8.0, 9.0, 10.0, 11.0, 12.0],
        ];
        let expected = [1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12].map(|x| x as f32);
        assert_eq!(by_colour(&frames, 2), expected);
    }

    /// The distance of means that are `shift` apart in every class, with equal covariances.
    #[test]
    fn fvd_is_of_originals_and_reconstructions() {
        let own = |number: usize, shift: f32| {
            let logit = |class: usize| (number * class % 7) as f32 + shift;
            (0..CLASSES).map(logit).collect::<Vec<f32>>()
        };
        let clips = |shift| (0..4).map(|i| own(i, shift)).collect::<Vec<_>>();
        assert!(fvd(&clips(0.0), &clips(0.0)).unwrap().abs() < 1e-3);
        let found = fvd(&clips(0.0), &clips(0.5)).unwrap();
        assert!((found - 0.25 * CLASSES as f64).abs() < 1e-2, "{found}");
        assert!(fvd(&clips(0.5)[..1], &clips(0.0)[..1]).is_none());
    }
}
