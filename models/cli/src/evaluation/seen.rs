//! What Inception sees in pictures of one size.

use super::EvaluationError;
use bsq::inception::{CLASSES, Convention, Inception};
use bsq::metrics::sets::inception_score_of_parts;
use bsq::pipeline::CompileOptions;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::{HostTensor, Session, compile};
use std::path::Path;

/// The network, compiled for so many pictures of one size at once.
pub struct InceptionSession {
    session: Session,
    shape: [usize; 4],
}

/// What it sees, picture by picture.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// `[pictures, FEATURES]`.
    pub features: Vec<f32>,
    /// `[pictures, CLASSES]`.
    pub probabilities: Vec<f32>,
}

impl InceptionSession {
    /// For `batch` pictures of `height` x `width` pixels.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn new(
        weights: &Path,
        convention: Convention,
        [batch, height, width]: [usize; 3],
        options: &CompileOptions,
    ) -> Result<InceptionSession, EvaluationError> {
        let (network, shape) = (Inception { convention }, [batch, 3, height, width]);
        let graph = Graph::new();
        let pictures = graph.input("pictures", DType::F32, shape);
        let seen = network.forward(&Scope::root(&graph), pictures);
        let outputs = [
            ("features", seen.features),
            ("probabilities", seen.probabilities),
        ];
        let function = graph.function(outputs.map(|(name, tensor)| (name, tensor.id())), []);
        let mut parameters = network.load(weights)?;
        let known = |name: &str| function.parameters().any(|(_, own, _)| own == name);
        parameters.retain(|name, _| known(name));
        let session = compile(&function, options)?.bind(parameters)?;
        Ok(InceptionSession { session, shape })
    }

    /// Looks at pictures `[batch, 3, height, width]` in -1..1, of which the first `count` are kept.
    ///
    /// # Errors
    /// If the network cannot be run.
    pub fn look(
        &mut self,
        planes: &[f32],
        count: usize,
        seen: &mut Seen,
    ) -> Result<(), EvaluationError> {
        let pictures = HostTensor::from_slice(self.shape, planes)?;
        let outputs = self.session.run(&[("pictures", &pictures)])?;
        let first = |name: &str| -> Result<&[f32], EvaluationError> {
            let values = outputs[name].as_slice::<f32>()?;
            Ok(&values[..values.len() / self.shape[0] * count])
        };
        seen.features.extend_from_slice(first("features")?);
        seen.probabilities
            .extend_from_slice(first("probabilities")?);
        Ok(())
    }
}

impl Seen {
    /// Other pictures behind these.
    pub fn extend(&mut self, other: &Seen) {
        self.features.extend_from_slice(&other.features);
        self.probabilities.extend_from_slice(&other.probabilities);
    }

    /// The inception score, the mean over parts of so many pictures; none of no pictures.
    pub fn score(&self, part: usize) -> Option<f64> {
        let probabilities: Vec<f64> = self.probabilities.iter().map(|&p| f64::from(p)).collect();
        let pictures = probabilities.len() / CLASSES;
        let part = part.min(pictures);
        (part > 0).then(|| inception_score_of_parts(&probabilities, CLASSES, part).mean)
    }
}
