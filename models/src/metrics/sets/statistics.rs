//! Mean and covariance of features.

/// Mean and sample covariance (divisor n - 1) of a set of features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStatistics {
    /// `[features]`.
    pub mean: Vec<f64>,
    /// `[features, features]`, row-major.
    pub covariance: Vec<f64>,
}

impl FeatureStatistics {
    /// Of rows of `features` numbers each.
    ///
    /// # Panics
    /// If there are fewer than two, or a part of one is left.
    #[track_caller]
    pub fn of(rows: &[f32], features: usize) -> FeatureStatistics {
        let count = rows.len() / features.max(1);
        assert!(
            count >= 2 && count * features == rows.len(),
            "the covariance of {count} rows of {features} features"
        );
        let mut mean = vec![0.0; features];
        for row in rows.chunks_exact(features) {
            for (sum, &x) in mean.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= count as f64);
        let centred = nalgebra::DMatrix::from_fn(features, count, |feature, row| {
            f64::from(rows[row * features + feature]) - mean[feature]
        });
        let covariance = &centred * centred.transpose() / (count as f64 - 1.0);
        FeatureStatistics {
            mean,
            covariance: covariance.as_slice().to_vec(),
        }
    }

    /// The sum of the variances.
    pub fn trace(&self) -> f64 {
        let features = self.mean.len();
        (0..features)
            .map(|i| self.covariance[i * features + i])
            .sum()
    }
}
