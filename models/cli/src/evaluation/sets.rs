//! Figures of all pictures together: FID, inception score, precision and recall.

use super::{EvaluationError, Pair};
use bsq::inception::{FEATURES, Inception};
use bsq::metrics::sets::{FeatureStatistics, frechet_distance, inception_score, precision_recall};
use bsq::pipeline::CompileOptions;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::{HostTensor, Session, compile};
use std::path::Path;

/// Neighbours that make a ball.
const NEIGHBOURS: usize = 3;

/// What pytorch-fid's Inception sees in originals and reconstructions.
pub struct Sets {
    session: Session,
    side: usize,
    originals: Vec<f32>,
    reconstructions: Vec<f32>,
    probabilities: Vec<f64>,
    classes: usize,
}

/// What the network sees in a picture and its reconstruction: features of both, and the probabilities of
/// classes of the reconstruction.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    features: Vec<f32>,
    probabilities: Vec<f32>,
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
        side: usize,
        options: &CompileOptions,
    ) -> Result<Sets, EvaluationError> {
        let graph = Graph::new();
        let pictures = graph.input("pictures", DType::F32, [2, 3, side, side]);
        let seen = Inception.forward(&Scope::root(&graph), pictures);
        let outputs = [
            ("features", seen.features),
            ("probabilities", seen.probabilities),
        ];
        let function = graph.function(outputs.map(|(name, tensor)| (name, tensor.id())), []);
        let mut parameters = Inception.load(weights)?;
        let known = |name: &str| function.parameters().any(|(_, own, _)| own == name);
        parameters.retain(|name, _| known(name));
        Ok(Sets {
            session: compile(&function, options)?.bind(parameters)?,
            side,
            originals: Vec::new(),
            reconstructions: Vec::new(),
            probabilities: Vec::new(),
            classes: bsq::inception::CLASSES,
        })
    }

    /// What the network sees in a picture and its reconstruction, to be [added](Sets::add).
    ///
    /// # Errors
    /// If the network cannot be run.
    pub fn see(&mut self, pair: &Pair) -> Result<Seen, EvaluationError> {
        let both = pair.planes.concat();
        let pictures = HostTensor::from_slice([2, 3, self.side, self.side], &both)?;
        let outputs = self.session.run(&[("pictures", &pictures)])?;
        let probabilities = outputs["probabilities"].as_slice::<f32>()?;
        Ok(Seen {
            features: outputs["features"].as_slice::<f32>()?.to_vec(),
            probabilities: probabilities[self.classes..].to_vec(),
        })
    }

    /// Takes a picture into the sets.
    pub fn add(&mut self, seen: &Seen) {
        self.originals.extend(&seen.features[..FEATURES]);
        self.reconstructions.extend(&seen.features[FEATURES..]);
        let probabilities = seen.probabilities.iter();
        self.probabilities
            .extend(probabilities.map(|&p| f64::from(p)));
    }

    /// The statistics of the originals; none of fewer than two.
    pub fn statistics(&self) -> Option<FeatureStatistics> {
        let enough = self.originals.len() >= 2 * FEATURES;
        enough.then(|| FeatureStatistics::of(&self.originals, FEATURES))
    }

    /// Against `reference`, or against the originals.
    pub fn figures(&self, reference: Option<&FeatureStatistics>) -> SetFigures {
        let count = self.originals.len() / FEATURES;
        let own = self.statistics();
        let fid = reference
            .or(own.as_ref())
            .filter(|_| count >= 2)
            .map(|reference| {
                let found = FeatureStatistics::of(&self.reconstructions, FEATURES);
                frechet_distance(reference, &found)
            });
        let shares = (count > NEIGHBOURS).then(|| {
            precision_recall(&self.originals, &self.reconstructions, FEATURES, NEIGHBOURS)
        });
        SetFigures {
            fid,
            inception_score: (count > 0)
                .then(|| inception_score(&self.probabilities, self.classes, 1).mean),
            precision: shares.as_ref().map(|shares| shares.precision),
            recall: shares.as_ref().map(|shares| shares.recall),
        }
    }
}
