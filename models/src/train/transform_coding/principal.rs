//! Principal components: the covariance of samples and its eigenvectors, in f64 and fixed order.

/// The mean of samples, and the directions in which they vary most.
#[derive(Clone, Debug)]
pub struct PrincipalComponents {
    /// `[features]`.
    pub mean: Vec<f64>,
    /// Variance along each direction, largest first.
    pub variances: Vec<f64>,
    /// Unit vectors `[features]`, in the order of the variances.
    pub directions: Vec<Vec<f64>>,
}

impl PrincipalComponents {
    /// Those of samples `[count, features]`.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(samples: &[f32], features: usize) -> PrincipalComponents {
        let count = samples.len() / features;
        assert!(count > 0, "principal components of no samples");
        let mut mean = vec![0.0; features];
        for sample in samples.chunks_exact(features) {
            for (sum, &x) in mean.iter_mut().zip(sample) {
                *sum += f64::from(x);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= count as f64);
        let mut covariance = vec![0.0; features * features];
        let mut centred = vec![0.0; features];
        for sample in samples.chunks_exact(features) {
            for ((c, &x), mean) in centred.iter_mut().zip(sample).zip(&mean) {
                *c = f64::from(x) - mean;
            }
            for (i, row) in covariance.chunks_exact_mut(features).enumerate() {
                let x = centred[i];
                let pairs = row[i..].iter_mut().zip(&centred[i..]);
                pairs.for_each(|(sum, y)| *sum += x * y);
            }
        }
        for i in 0..features {
            for j in i..features {
                covariance[i * features + j] /= count as f64;
                covariance[j * features + i] = covariance[i * features + j];
            }
        }
        let (variances, directions) = eigenvectors(covariance, features);
        PrincipalComponents {
            mean,
            variances,
            directions,
        }
    }

    /// A sample's coordinate along direction `index`.
    pub fn coordinate(&self, sample: &[f32], index: usize) -> f64 {
        let direction = self.directions[index].iter();
        let terms = direction.zip(sample).zip(&self.mean);
        terms.map(|((d, &x), mean)| d * (f64::from(x) - mean)).sum()
    }
}

/// Eigenvalues, largest first, and eigenvectors of a symmetric matrix, by cyclic Jacobi rotations.
fn eigenvectors(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    // Rows of `v` become the eigenvectors.
    let mut v: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(i == j)).collect())
        .collect();
    for _sweep in 0..30 {
        let off: f64 = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| a[i * n + j] * a[i * n + j])
            .sum();
        let diagonal: f64 = (0..n).map(|i| a[i * n + i] * a[i * n + i]).sum();
        if off <= 1e-26 * diagonal {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                if apq == 0.0 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                }
                let (head, tail) = v.split_at_mut(q);
                for (x, y) in head[p].iter_mut().zip(&mut tail[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    let values = order.iter().map(|&i| a[i * n + i]).collect();
    (values, order.iter().map(|&i| v[i].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_and_variances_of_a_stretched_cloud() {
        // Points ±3 along (3, 4) / 5 and ±1 across it, around (10, 20).
        let (along, across) = ([0.6, 0.8], [-0.8, 0.6]);
        let points = [(3.0, along), (-3.0, along), (1.0, across), (-1.0, across)];
        let samples: Vec<f32> = points
            .iter()
            .flat_map(|(r, d)| [10.0 + r * d[0], 20.0 + r * d[1]].map(|x: f64| x as f32))
            .collect();
        let found = PrincipalComponents::of(&samples, 2);
        assert!((found.variances[0] - 4.5).abs() < 1e-5, "{found:?}");
        assert!((found.variances[1] - 0.5).abs() < 1e-5, "{found:?}");
        let dot = found.directions[0][0] * 0.6 + found.directions[0][1] * 0.8;
        assert!((dot.abs() - 1.0).abs() < 1e-6, "{found:?}");
        let coordinate = found.coordinate(&samples[..2], 0);
        assert!((coordinate.abs() - 3.0).abs() < 1e-5, "{coordinate}");
    }
}
