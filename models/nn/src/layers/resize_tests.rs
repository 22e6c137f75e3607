//! Resizing beside numbers of PyTorch, Pillow and by hand.

use super::differences::{assert_close, check_grads, run};
use super::{Interpolation, resize};
use bsq_ir::eval::{Value, Values};
use bsq_ir::{DType::F32, Graph, Scope};

#[track_caller]
fn resized(x: &[f64], to: usize, how: Interpolation) -> Vec<f64> {
    let g = Graph::new();
    let y = resize(g.input("x", F32, [1, x.len()]), &[to], how);
    assert_eq!(*y.shape(), [1, to]);
    run(
        y,
        &Values::from([("x".into(), Value::new([1, x.len()], x.to_vec()))]),
    )
}

#[test]
fn neighbours_are_those_of_the_definition() {
    let x = [1.0, 2.0, 4.0, 8.0, 16.0];
    let nearest = |to| resized(&x, to, Interpolation::Nearest);
    assert_eq!(
        nearest(10),
        [1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0, 16.0, 16.0]
    );
    assert_eq!(nearest(3), [1.0, 2.0, 8.0]);
    assert_eq!(nearest(7), [1.0, 1.0, 2.0, 4.0, 4.0, 8.0, 16.0]);
    assert_eq!(nearest(1), [1.0]);
    assert_eq!(nearest(5), x);
    let linear = resized(&[1.0, 2.0, 4.0], 6, Interpolation::Linear);
    assert_close(&linear, &[1.0, 1.25, 1.75, 2.5, 3.5, 4.0]);
    let corner = resized(&[1.0, 2.0, 4.0], 6, Interpolation::LinearCorner);
    assert_close(&corner, &[1.0, 1.5, 2.0, 3.0, 4.0, 4.0]);
    // Without a filter every second pair is skipped; with it nothing is.
    let x: Vec<f64> = (0..8).map(|i| f64::from(i * i)).collect();
    assert_close(&resized(&x, 2, Interpolation::Linear), &[2.5, 30.5]);
}

/// A constant stays, and a ramp far from the border.
#[test]
fn filters_keep_lines() {
    for how in [
        Interpolation::Triangle,
        Interpolation::Cubic,
        Interpolation::Lanczos3,
    ] {
        for to in [3, 7, 12, 20, 31] {
            let flat = resized(&[0.7; 20], to, how);
            assert_close(&flat, &vec![0.7; to]);
        }
        let ramp: Vec<f64> = (0..40).map(f64::from).collect();
        let halved = resized(&ramp, 20, how);
        for (i, value) in halved.iter().enumerate().skip(4).take(12) {
            assert!(
                (value - (2.0 * i as f64 + 0.5)).abs() < 1e-5,
                "{how:?} {i}: {value}"
            );
        }
    }
    // Halving under a triangle: weights 1, 3, 3, 1.
    let x = [0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0];
    let halved = resized(&x, 4, Interpolation::Triangle);
    assert_close(&halved, &[0.0, 3.0, 1.0, 0.0]);
}

#[test]
fn resizing_has_derivatives() {
    for how in [
        Interpolation::Nearest,
        Interpolation::Linear,
        Interpolation::Cubic,
    ] {
        let g = Graph::new();
        let x = g.input("x", F32, [2, 5, 3]);
        let y = resize(x.square(), &[3, 7], how);
        check_grads(&Scope::root(&g), x, y);
    }
}
