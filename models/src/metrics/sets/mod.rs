//! How near two sets of pictures or clips are, by the features that a network sees in them.
//!
//! | metric | of features | |
//! |---|---|---|
//! | [`frechet_distance`] | mean and covariance of two sets | FID with [`Inception`](crate::inception::Inception)'s, FVD with [`I3d`](crate::i3d::I3d)'s |
//! | [`inception_score`] | class probabilities of one set | |
//! | [`precision_recall`] | nearest neighbours in two sets | |
//!
//! All arithmetic is f64. Sets of different sizes do not compare: all of these figures depend on
//! how many samples there are.

mod frechet;
mod inception_score;
mod npz;
mod precision_recall;
mod statistics;

pub use frechet::frechet_distance;
pub use inception_score::{InceptionScore, inception_score, inception_score_of_parts};
pub use npz::{NpzError, NpzPictures, write_pictures};
pub use precision_recall::{PrecisionRecall, precision_recall};
pub use statistics::FeatureStatistics;

#[cfg(test)]
mod tests;
