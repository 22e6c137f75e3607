//! The distance of Fréchet between two normal distributions (Dowson and Landau, 1982).

use super::FeatureStatistics;
use nalgebra::DMatrix;

/// What is left of a variance, relative to the largest, is rounding below this.
const NOTHING: f64 = 1e-14;

/// `|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))`, of features as they are: FID and FVD.
///
/// With a factor L L' = S_a, the product's root has the trace of the roots of the eigenvalues of
/// L' S_b L, which is symmetric: nothing complex appears, and singular covariances, of fewer samples
/// than features, need no care.
///
/// # Panics
/// If the numbers of features differ.
#[track_caller]
pub fn frechet_distance(a: &FeatureStatistics, b: &FeatureStatistics) -> f64 {
    let features = a.mean.len();
    assert_eq!(features, b.mean.len(), "statistics of different features");
    let difference = a.mean.iter().zip(&b.mean).map(|(x, y)| (x - y) * (x - y));
    let means: f64 = difference.sum();
    let factor = factor(&a.covariance, features);
    let of_b = DMatrix::from_row_slice(features, features, &b.covariance);
    let product = factor.transpose() * of_b * &factor;
    let symmetric = (&product + product.transpose()) * 0.5;
    let root: f64 = symmetric
        .symmetric_eigenvalues()
        .iter()
        .map(|x| x.max(0.0).sqrt())
        .sum();
    means + a.trace() + b.trace() - 2.0 * root
}

/// L, `[n, rank]`, with L L' the positive semidefinite matrix: Cholesky's, with the largest variance
/// that is left taken first and none that is only rounding.
fn factor(matrix: &[f64], n: usize) -> DMatrix<f64> {
    let mut left: Vec<f64> = (0..n).map(|i| matrix[i * n + i]).collect();
    let largest = left.iter().copied().fold(0.0, f64::max);
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut done = vec![false; n];
    while columns.len() < n {
        let open = (0..n).filter(|&i| !done[i]);
        let Some(pivot) = open.max_by(|&i, &j| left[i].total_cmp(&left[j])) else {
            break;
        };
        if left[pivot] <= NOTHING * largest {
            break;
        }
        let root = left[pivot].sqrt();
        let mut column = vec![0.0; n];
        for i in (0..n).filter(|&i| !done[i]) {
            let known: f64 = columns.iter().map(|own| own[i] * own[pivot]).sum();
            column[i] = (matrix[i * n + pivot] - known) / root;
            left[i] -= column[i] * column[i];
        }
        column[pivot] = root;
        done[pivot] = true;
        columns.push(column);
    }
    DMatrix::from_fn(n, columns.len(), |row, column| columns[column][row])
}
