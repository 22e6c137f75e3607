//! Checks this implementation against recorded cases of another one.
//!
//! A case is `NAME.json`, what was run, with `NAME.weights.safetensors` and `NAME.io.safetensors`
//! beside it where it has tensors. [`check`] builds the same thing, computes every recorded
//! tensor and says how far each is off.
//!
//! | compared | how | limit |
//! |---|---|---|
//! | results of the forward pass | Euclidean norm of the difference over that of the record | 3e-6 |
//! | the same of convolutional networks | the same | 1e-5 |
//! | gradients | the same | 1e-4 |
//! | second derivatives | the same | 1e-3, or twice what the record's own f32 is off |
//! | figures of sets of features | the same, in f64 | 1e-6 |
//! | a scalar that is a difference of larger terms | difference over the sum of the terms | 3e-6 |
//! | parameters after steps, averages | norm of the difference over that of the recorded displacement | 1e-4, and the rounding of the record |
//! | bits, indices | number that differ | 0 |
//!
//! A bit whose feature is nearer to zero than 1e-6 may differ: there the record itself is noise.

mod adversarial;
mod case;
mod compare;
mod discriminator;
mod full;
mod hashed;
mod kind;
mod masked_lm;
mod outputs;
mod perceptual;
mod sets;
mod tables;
mod tokenizer;
mod training;

pub use case::CheckError;
pub use compare::Comparison;
pub use kind::Kind;

use bsq_runtime::executor::Executor;
use case::Case;
use std::path::Path;

/// The outcome of one case.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct CaseReport {
    /// The file's name without `.json`.
    pub name: String,
    /// What was recorded.
    pub kind: Kind,
    /// Every recorded tensor.
    pub comparisons: Vec<Comparison>,
}

impl CaseReport {
    /// Whether every tensor is within its limit.
    pub fn passes(&self) -> bool {
        let all = self.comparisons.iter().all(Comparison::passes);
        !self.comparisons.is_empty() && all
    }

    /// The comparison that is farthest off, measured by its limit.
    pub fn worst(&self) -> Option<&Comparison> {
        let ratio = |comparison: &&Comparison| comparison.severity();
        let by_ratio = |a: &&Comparison, b: &&Comparison| ratio(a).total_cmp(&ratio(b));
        self.comparisons.iter().max_by(by_ratio)
    }
}

/// Runs the case recorded in `path`, a `.json` file. `weights` is the folder of real weights, which
/// some cases name and no repository holds; they are looked for beside the case, too.
///
/// # Errors
/// If the files cannot be read, are no such case, or do not fit together; [`CheckError::NoWeights`]
/// if real weights are not at hand.
pub fn check(
    path: &Path,
    weights: Option<&Path>,
    executor: &dyn Executor,
) -> Result<CaseReport, CheckError> {
    let case = Case::read(path, weights)?;
    let kind = case.kind;
    let comparisons = match kind {
        Kind::Tokenizer | Kind::VideoTokenizer => tokenizer::check(&case, executor),
        Kind::FullSize => full::check(&case, executor),
        Kind::AdamW => training::check_adamw(&case, executor),
        Kind::Training => training::check_training(&case, executor),
        Kind::GradientClipping => training::check_clipping(&case, executor),
        Kind::LearningRate => tables::check_learning_rate(&case),
        Kind::Metrics => tables::check_metrics(&case),
        Kind::Discriminator => discriminator::check(&case, executor),
        Kind::AdversarialStep => adversarial::check(&case, executor),
        Kind::Perceptual => perceptual::check(&case, executor),
        Kind::FrechetDistance => sets::check_fid(&case),
        Kind::InceptionScore => sets::check_inception(&case),
        Kind::PrecisionRecall => sets::check_precision(&case),
        Kind::VideoFeatures => sets::check_i3d(&case, executor),
        Kind::MaskedLm => masked_lm::check(&case, executor),
        Kind::MaskedLmSampling => masked_lm::check_sampling(&case, executor),
    }?;
    Ok(CaseReport {
        name: case.name,
        kind,
        comparisons,
    })
}
