//! Elementwise words.

use super::{INF, NAN, assert_bits, assert_close, data, each, numbers, whole};
use bsq_ir::eval::{Precision, Values, evaluate};
use bsq_ir::{DType, Graph};

#[test]
fn activations() {
    let x = [-INF, -2.0, -0.0, 0.0, 3.0, INF, NAN];
    assert_bits(
        &each(&x, |x| x.relu()),
        &[0.0, 0.0, 0.0, 0.0, 3.0, INF, NAN],
    );
    assert_bits(
        &each(&x, |x| x.leaky_relu(0.5)),
        &[-INF, -1.0, -0.0, 0.0, 3.0, INF, NAN],
    );
    let x = numbers(40);
    let wide = || x.iter().map(|&x| f64::from(x));
    assert_close(
        &each(&x, |x| x.silu()),
        wide().map(|x| x / (1.0 + (-x).exp())),
        1e-6,
    );
    assert_bits(
        &each(&[-1000.0, INF, -INF], |x| x.silu()),
        &[-0.0, INF, NAN],
    );
    let gelu =
        |x: f64| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh());
    let errors = each(&x, |x| x.gelu_tanh())
        .into_iter()
        .zip(wide().map(gelu));
    assert!(
        errors
            .into_iter()
            .all(|(y, wanted)| (f64::from(y) - wanted).abs() < 1e-6)
    );
    assert_close(
        &each(&[4.0, 0.25, 0.0, -1.0, INF], |x| x.rsqrt()),
        [0.5, 2.0, f64::INFINITY, f64::NAN, 0.0],
        0.0,
    );
}

#[test]
fn rounding() {
    let mut x = vec![
        -INF,
        INF,
        NAN,
        0.0,
        -0.0,
        0.499_999_97,
        -0.499_999_97,
        8_388_609.0,
        -8_388_607.5,
    ];
    x.extend([
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        -2.5,
        1e-40,
        -1e-40,
        f32::MAX,
        4_194_303.5,
        4_194_304.5,
    ]);
    x.extend(numbers(60));
    let wanted = |f: fn(f32) -> f32| -> Vec<f32> { x.iter().map(|&x| f(x)).collect() };
    assert_bits(&each(&x, |x| x.round()), &wanted(f32::round_ties_even));
    assert_bits(&each(&x, |x| x.ceil()), &wanted(f32::ceil));
    assert_bits(&each(&x, |x| x.trunc()), &wanted(f32::trunc));
}

#[test]
fn powers() {
    let x = [-3.0, -1.0, -0.0, 0.0, 0.5, 2.0, INF, NAN];
    for n in [-3, -2, -1, 0, 1, 2, 3, 7, 64] {
        let wanted: Vec<f64> = x.iter().map(|&x| f64::from(x).powi(n)).collect();
        let wanted = wanted.into_iter().map(|x| {
            if x.abs() > 1e39 {
                x.signum() * f64::INFINITY
            } else {
                x
            }
        });
        assert_close(&each(&x, |x| x.powi(n)), wanted, 1e-6);
        let whole = f64::from(n);
        assert_bits(&each(&x, |x| x.pow(whole)), &each(&x, |x| x.powi(n)));
    }
    assert_bits(&each(&[4.0, -1.0], |x| x.pow(0.5)), &[2.0, NAN]);
    // Bases down, exponents across.
    let bases = [-2.5, -1.0, 0.0, 0.3, 1.0, 7.0, INF, NAN];
    let exponents = [-3.0, -1.5, 0.0, 0.5, 1.0, 2.0, 3.0];
    let g = Graph::new();
    let x = g.constant_f32(&bases, [bases.len(), 1]);
    let y = x.pow(g.constant_f32(&exponents, [exponents.len()]));
    let function = g.function([("y", y.id())], []);
    let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
    let wanted = bases
        .iter()
        .flat_map(|&x| exponents.map(|y| f64::from(x).powf(f64::from(y))));
    assert_close(run.outputs["y"].as_f32(), wanted, 2e-6);
    // Numbers through the logarithm.
    let wanted = bases.map(|x| f64::from(x).powf(1.7));
    assert_close(&each(&bases, |x| x.pow(1.7)), wanted, 2e-6);
    let wanted = bases
        .map(|x| f64::from(x).powf(-71.0))
        .map(|x| if x.abs() < 1e-45 { 0.0 } else { x });
    assert_close(&each(&bases, |x| x.pow(-71.0)), wanted, 2e-5);
    let integers = data(&[3], &[-3.0, 0.0, 5.0], |x| x.cast(DType::I32).powi(3));
    assert_eq!(whole(&integers, DType::I32), [-27, 0, 125]);
}
