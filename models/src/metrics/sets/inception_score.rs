//! The inception score (Salimans et al., 2016): sure of each picture, and of many classes in all.

/// Scores of parts of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct InceptionScore {
    /// Of each part, in order.
    pub scores: Vec<f64>,
    pub mean: f64,
    /// Of the parts' scores, divisor n.
    pub deviation: f64,
}

/// Scores of `parts` equal parts of rows of class probabilities, in order; rows that are left over
/// are left out.
///
/// # Panics
/// If a part has no row.
#[track_caller]
pub fn inception_score(probabilities: &[f64], classes: usize, parts: usize) -> InceptionScore {
    let rows = probabilities.len() / classes.max(1);
    let size = rows / parts.max(1);
    assert!(size > 0, "{rows} rows in {parts} parts");
    summarised(&probabilities[..size * parts * classes], classes, size)
}

/// Scores of parts of `size` rows each, in order, the last of which may be shorter: ADM's, with
/// 5,000.
///
/// # Panics
/// If there are no rows, or `size` is 0.
#[track_caller]
pub fn inception_score_of_parts(
    probabilities: &[f64],
    classes: usize,
    size: usize,
) -> InceptionScore {
    assert!(size > 0 && !probabilities.is_empty(), "parts without rows");
    summarised(probabilities, classes, size)
}

fn summarised(probabilities: &[f64], classes: usize, size: usize) -> InceptionScore {
    let parts = probabilities.chunks(size * classes);
    let scores: Vec<f64> = parts.map(|part| score(part, classes)).collect();
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let squares: f64 = scores
        .iter()
        .map(|score| (score - mean) * (score - mean))
        .sum();
    InceptionScore {
        scores,
        mean,
        deviation: (squares / count).sqrt(),
    }
}

/// `exp` of the mean over rows of `sum p (ln p - ln mean p)`.
fn score(rows: &[f64], classes: usize) -> f64 {
    let count = (rows.len() / classes) as f64;
    let mut mean = vec![0.0; classes];
    for row in rows.chunks_exact(classes) {
        mean.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    let term = |p: f64, mean: f64| match p > 0.0 {
        true => p * (libm::log(p) - libm::log(mean)),
        false => 0.0,
    };
    let divergences = rows
        .chunks_exact(classes)
        .map(|row| -> f64 { row.iter().zip(&mean).map(|(&p, &mean)| term(p, mean)).sum() });
    libm::exp(divergences.sum::<f64>() / count)
}
