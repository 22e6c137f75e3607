//! Improved precision and recall (Kynkäänniemi et al., 2019): how much of each set lies among the
//! other.

/// Shares of points that lie within the other set.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// Of samples within a ball of the references.
    pub precision: f64,
    /// Of references within a ball of the samples.
    pub recall: f64,
    /// Squared distance of each reference to its k-th neighbour among the references.
    pub reference_radii: Vec<f64>,
    /// Squared distance of each sample to its k-th neighbour among the samples.
    pub sample_radii: Vec<f64>,
    /// Whether each reference lies within a ball of the samples.
    pub references_inside: Vec<bool>,
    /// Whether each sample lies within a ball of the references.
    pub samples_inside: Vec<bool>,
}

/// Of two sets, rows of `features` numbers. A point's ball reaches to its `k`-th nearest neighbour in
/// its own set, the point itself not counted; its border belongs to it.
///
/// # Panics
/// If a set has not more than `k` points.
#[track_caller]
pub fn precision_recall(
    references: &[f32],
    samples: &[f32],
    features: usize,
    k: usize,
) -> PrecisionRecall {
    let [reference_radii, sample_radii] =
        [references, samples].map(|points| radii(points, features, k));
    let samples_inside = inside(samples, references, &reference_radii, features);
    let references_inside = inside(references, samples, &sample_radii, features);
    let share = |inside: &[bool]| {
        inside.iter().filter(|&&inside| inside).count() as f64 / inside.len() as f64
    };
    PrecisionRecall {
        precision: share(&samples_inside),
        recall: share(&references_inside),
        reference_radii,
        sample_radii,
        references_inside,
        samples_inside,
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let difference = |(&a, &b): (&f32, &f32)| f64::from(a) - f64::from(b);
    a.iter().zip(b).map(difference).map(|d| d * d).sum()
}

#[track_caller]
fn radii(points: &[f32], features: usize, k: usize) -> Vec<f64> {
    let rows = || points.chunks_exact(features);
    let count = rows().len();
    assert!(k > 0 && count > k, "the {k}th neighbours of {count} points");
    let radius = |(own, point): (usize, &[f32])| {
        let others = rows().enumerate().filter(|&(at, _)| at != own);
        let mut distances: Vec<f64> = others
            .map(|(_, other)| squared_distance(point, other))
            .collect();
        *distances.select_nth_unstable_by(k - 1, f64::total_cmp).1
    };
    rows().enumerate().map(radius).collect()
}

fn inside(points: &[f32], centres: &[f32], radii: &[f64], features: usize) -> Vec<bool> {
    let is_inside = |point: &[f32]| {
        let mut balls = centres.chunks_exact(features).zip(radii);
        balls.any(|(centre, &radius)| squared_distance(point, centre) <= radius)
    };
    points.chunks_exact(features).map(is_inside).collect()
}
