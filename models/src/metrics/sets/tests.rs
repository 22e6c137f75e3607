//! Known distances, and files of others.

use super::*;

fn line(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// Along one axis: (m_a - m_b)^2 + (s_a - s_b)^2.
#[test]
fn the_distance_of_two_normal_distributions_on_a_line() {
    let a = FeatureStatistics::of(&line(&[0.0, 2.0, 4.0]), 1);
    let b = FeatureStatistics::of(&line(&[5.0, 6.0, 7.0]), 1);
    assert_eq!((a.mean[0], a.covariance[0]), (2.0, 4.0));
    assert!((frechet_distance(&a, &b) - 17.0).abs() < 1e-12);
    assert!(frechet_distance(&a, &a).abs() < 1e-12);
}

/// Covariances without full rank, and their product, too.
#[test]
fn flat_sets_have_a_distance() {
    let a = FeatureStatistics::of(&line(&[0.0, 0.0, 2.0, 0.0]), 2);
    let b = FeatureStatistics::of(&line(&[0.0, 0.0, 0.0, 6.0]), 2);
    // Variances 2 and 18 along different axes: no root is left of the product.
    let wanted = 1.0 + 9.0 + 2.0 + 18.0;
    assert!((frechet_distance(&a, &b) - wanted).abs() < 1e-12);
}

#[test]
fn one_class_scores_one_and_all_classes_their_number() {
    let sure = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    assert!((inception_score(&sure, 3, 1).mean - 3.0).abs() < 1e-12);
    assert!((inception_score(&sure, 3, 3).mean - 1.0).abs() < 1e-12);
    let parts = inception_score_of_parts(&sure, 3, 2);
    assert!((parts.scores[0] - 2.0).abs() < 1e-12 && (parts.scores[1] - 1.0).abs() < 1e-12);
    assert!((parts.mean - 1.5).abs() < 1e-12 && (parts.deviation - 0.5).abs() < 1e-12);
}

#[test]
fn the_border_of_a_ball_belongs_to_it() {
    // References 0, 1, 3; nearest neighbours 1, 1, 2 away.
    let found = precision_recall(&line(&[0.0, 1.0, 3.0]), &line(&[-1.0, 5.5, 2.0]), 1, 1);
    assert_eq!(found.reference_radii, [1.0, 1.0, 4.0]);
    assert_eq!(found.samples_inside, [true, false, true]);
    assert_eq!(found.sample_radii, [9.0, 12.25, 9.0]);
    assert_eq!(found.references_inside, [true, true, true]);
    assert!((found.precision - 2.0 / 3.0).abs() < 1e-12 && found.recall == 1.0);
}

#[test]
fn statistics_come_back_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.npz");
    let own = FeatureStatistics::of(&line(&[0.1, 2.0, 4.5, 1.0, 0.3, 0.7]), 2);
    own.write(&path).unwrap();
    assert_eq!(FeatureStatistics::read(&path).unwrap(), own);
    std::fs::write(&path, b"no zip").unwrap();
    let error = FeatureStatistics::read(&path).unwrap_err().to_string();
    assert!(error.contains("own.npz: no .npz file"), "{error}");
}

/// Written by `numpy.savez_compressed(FILE, mu=numpy.array([1, 2], "f4"), sigma=[[4, .5], [.5, 9]])`.
#[test]
fn statistics_of_numpy_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numpy.npz");
    std::fs::write(&path, include_bytes!("numpy.npz")).unwrap();
    let found = FeatureStatistics::read(&path).unwrap();
    assert_eq!(found.mean, [1.0, 2.0]);
    assert_eq!(found.covariance, [4.0, 0.5, 0.5, 9.0]);
}
