//! Figures of all pictures together: FID, inception score, precision and recall.

use super::seen::{InceptionSession, Seen};
use super::{EvaluationError, Pair};
use bsq::inception::{Convention, FEATURES};
use bsq::metrics::sets::{FeatureStatistics, frechet_distance, precision_recall};
use bsq::pipeline::CompileOptions;
use std::path::Path;

/// Neighbours that make a ball.
pub(super) const NEIGHBOURS: usize = 3;

/// What Inception sees in originals and reconstructions.
pub struct Sets {
    network: InceptionSession,
    originals: Seen,
    reconstructions: Seen,
}

/// Figures of two sets.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SetFigures {
    /// None of fewer than two pictures.
    pub fid: Option<f64>,
    pub inception_score: Option<f64>,
    /// None of not more than three pictures.
    pub precision: Option<f64>,
    pub recall: Option<f64>,
}

impl Sets {
    /// For pictures of `side` pixels.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn new(
        weights: &Path,
        convention: Convention,
        side: usize,
        options: &CompileOptions,
    ) -> Result<Sets, EvaluationError> {
        Ok(Sets {
            network: InceptionSession::new(weights, convention, [1, side, side], options)?,
            originals: Seen::default(),
            reconstructions: Seen::default(),
        })
    }

    /// What the network sees in a picture and its reconstruction, to be [added](Sets::add).
    ///
    /// # Errors
    /// If the network cannot be run.
    pub fn see(&mut self, pair: &Pair) -> Result<[Seen; 2], EvaluationError> {
        let mut seen = [Seen::default(), Seen::default()];
        for (planes, seen) in pair.planes.iter().zip(&mut seen) {
            self.network.look(planes, 1, seen)?;
        }
        Ok(seen)
    }

    /// Takes a picture into the sets.
    pub fn add(&mut self, [original, reconstruction]: &[Seen; 2]) {
        self.originals.extend(original);
        self.reconstructions.extend(reconstruction);
    }

    /// The statistics of the originals; none of fewer than two.
    pub fn statistics(&self) -> Option<FeatureStatistics> {
        statistics_of(&self.originals)
    }

    /// Against `reference`, or against the originals.
    pub fn figures(&self, reference: Option<&FeatureStatistics>) -> SetFigures {
        let own = self.statistics();
        let found = statistics_of(&self.reconstructions);
        let fid = reference.or(own.as_ref()).zip(found.as_ref());
        SetFigures {
            fid: fid.map(|(reference, found)| frechet_distance(reference, found)),
            inception_score: self.reconstructions.score(usize::MAX),
            ..shares(&self.originals, &self.reconstructions)
        }
    }
}

/// Those of pictures that Inception has seen; none of fewer than two.
pub(super) fn statistics_of(seen: &Seen) -> Option<FeatureStatistics> {
    let enough = seen.features.len() >= 2 * FEATURES;
    enough.then(|| FeatureStatistics::of(&seen.features, FEATURES))
}

/// Precision and recall alone.
pub(super) fn shares(reference: &Seen, found: &Seen) -> SetFigures {
    let enough = |seen: &Seen| seen.features.len() / FEATURES > NEIGHBOURS;
    let shares = (enough(reference) && enough(found)).then(|| {
        let (reference, found) = (&reference.features, &found.features);
        precision_recall(reference, found, FEATURES, NEIGHBOURS)
    });
    SetFigures {
        fid: None,
        inception_score: None,
        precision: shares.as_ref().map(|shares| shares.precision),
        recall: shares.as_ref().map(|shares| shares.recall),
    }
}
