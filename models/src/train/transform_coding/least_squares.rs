//! Linear least squares in f64 and fixed order, by the normal equations.

/// Added to the diagonal, as a part of its mean: keeps solutions small where many are as good.
const RIDGE: f64 = 1e-7;

/// The `x` for which `rows x` is nearest to `targets`.
///
/// # Panics
/// If there are no rows, or a row has another length than the first.
pub fn least_squares(rows: &[Vec<f64>], targets: &[f64]) -> Vec<f64> {
    let n = rows[0].len();
    let mut normal = vec![0.0; n * n];
    let mut right = vec![0.0; n];
    for (row, target) in rows.iter().zip(targets) {
        assert_eq!(row.len(), n, "rows of one length");
        for i in 0..n {
            right[i] += row[i] * target;
            for j in 0..=i {
                normal[i * n + j] += row[i] * row[j];
            }
        }
    }
    let ridge = RIDGE * (0..n).map(|i| normal[i * n + i]).sum::<f64>() / n as f64;
    // Cholesky: normal = L transposed(L), in place.
    for i in 0..n {
        normal[i * n + i] += ridge;
        for j in 0..=i {
            let products = (0..j).map(|k| normal[i * n + k] * normal[j * n + k]);
            let rest = normal[i * n + j] - products.sum::<f64>();
            normal[i * n + j] = match i == j {
                true => rest.sqrt(),
                false => rest / normal[j * n + j],
            };
        }
    }
    for i in 0..n {
        let products = (0..i).map(|k| normal[i * n + k] * right[k]);
        right[i] = (right[i] - products.sum::<f64>()) / normal[i * n + i];
    }
    for i in (0..n).rev() {
        let products = (i + 1..n).map(|k| normal[k * n + i] * right[k]);
        right[i] = (right[i] - products.sum::<f64>()) / normal[i * n + i];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_points() {
        let rows: Vec<Vec<f64>> = (0..5).map(|x| vec![1.0, f64::from(x)]).collect();
        let targets: Vec<f64> = (0..5).map(|x| 3.0 - 2.0 * f64::from(x)).collect();
        let x = least_squares(&rows, &targets);
        assert!(
            (x[0] - 3.0).abs() < 1e-5 && (x[1] + 2.0).abs() < 1e-5,
            "{x:?}"
        );
    }
}
