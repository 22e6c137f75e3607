//! Accuracy over the whole range, and exact values at the edges.

mod elementwise;

use super::*;
use crate::dtype::DType;

/// Visits every `step`-th `f32` in bit order, NaN included.
fn sweep(step: usize, mut visit: impl FnMut(f32)) {
    (0..=u32::MAX)
        .step_by(step)
        .for_each(|bits| visit(f32::from_bits(bits)));
}

/// The largest error in ulp against `exact`, and where. Infinities and NaN must agree.
fn largest_error(approximate: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    with_fma(|| {
        sweep(257, |x| {
            let (y, wanted) = (approximate(x), exact(f64::from(x)));
            let nearest = wanted as f32;
            if !nearest.is_finite() || !y.is_finite() {
                let overflow = error_in_ulp(f64::from(f32::MAX), wanted) <= 1.0;
                let same = y == nearest || (y.is_nan() && nearest.is_nan());
                assert!(same || overflow, "f({x:e}) = {y:e}, not {nearest:e}");
                return;
            }
            let error = error_in_ulp(f64::from(y), wanted);
            if error > worst.0 {
                worst = (error, x);
            }
        });
    });
    worst
}

/// Distance in units of the spacing of `f32` at `wanted`.
fn error_in_ulp(y: f64, wanted: f64) -> f64 {
    let exponent = libm::ilogb(wanted).clamp(-126, 127);
    (y - wanted).abs() / libm::ldexp(1.0, exponent - 23)
}

#[track_caller]
fn assert_within(bound: f64, (error, at): (f64, f32)) {
    println!("largest error {error:.3} ulp at {at:e}");
    assert!(error <= bound, "{error} ulp at {at:e}");
}

#[test]
fn exp_is_accurate_everywhere() {
    let error = largest_error(|x| exp(&mut Scalar, x), libm::exp);
    assert_within(1.0, error);
}

#[test]
fn log_is_accurate_everywhere() {
    let error = largest_error(|x| log(&mut Scalar, x), libm::log);
    assert_within(1.0, error);
}

#[test]
fn tanh_is_accurate_everywhere() {
    let error = largest_error(|x| tanh(&mut Scalar, x), libm::tanh);
    assert_within(2.0, error);
}

#[test]
fn erf_is_accurate_everywhere() {
    let error = largest_error(|x| erf(&mut Scalar, x), libm::erf);
    assert_within(2.0, error);
}

/// NaN outside of the range, as the function is.
fn up_to_largest_angle(exact: fn(f64) -> f64) -> impl Fn(f64) -> f64 {
    move |x| match x.abs() <= f64::from(LARGEST_ANGLE) {
        true => exact(x),
        false => f64::NAN,
    }
}

#[test]
fn sin_and_cos_are_accurate_up_to_the_largest_angle() {
    let error = largest_error(|x| sin(&mut Scalar, x), up_to_largest_angle(libm::sin));
    assert_within(2.0, error);
    let error = largest_error(|x| cos(&mut Scalar, x), up_to_largest_angle(libm::cos));
    assert_within(2.0, error);
}

/// The neighbours of every multiple of pi / 4: next to 0 little is left of an angle, and half way
/// the polynomials take turns.
#[test]
fn sin_and_cos_are_accurate_where_an_angle_cancels() {
    let mut worst = 0.0_f64;
    with_fma(|| {
        for n in 1..=1_335_000 {
            let near = (f64::from(n) * std::f64::consts::FRAC_PI_4) as f32;
            for x in [near.next_down(), near, near.next_up()] {
                let exact = f64::from(x);
                let sine = error_in_ulp(f64::from(sin(&mut Scalar, x)), libm::sin(exact));
                let cosine = error_in_ulp(f64::from(cos(&mut Scalar, x)), libm::cos(exact));
                worst = worst.max(sine).max(cosine);
            }
        }
    });
    assert!(worst <= 2.0, "{worst} ulp");
}

const INFINITY: f32 = f32::INFINITY;
const SUBNORMAL: f32 = 1e-45;

#[track_caller]
fn assert_bits(got: f32, wanted: f32) {
    let same = got.to_bits() == wanted.to_bits() || (got.is_nan() && wanted.is_nan());
    assert!(same, "{got:e}, not {wanted:e}");
}

#[test]
fn exp_at_the_edges() {
    let exp = |x| exp(&mut Scalar, x);
    for (x, wanted) in [
        (0.0, 1.0),
        (-0.0, 1.0),
        (INFINITY, INFINITY),
        (-INFINITY, 0.0),
        (f32::NAN, f32::NAN),
        (88.722_84, INFINITY),
        (f32::MAX, INFINITY),
        (-103.0, SUBNORMAL),
        (-104.0, 0.0),
        (f32::MIN, 0.0),
        (SUBNORMAL, 1.0),
    ] {
        assert_bits(exp(x), wanted);
    }
    assert!(
        exp(88.722_83).is_finite(),
        "the largest argument below overflow"
    );
    assert!(exp(-90.0).is_subnormal(), "subnormal results are kept");
}

#[test]
fn log_at_the_edges() {
    let log = |x| log(&mut Scalar, x);
    for (x, wanted) in [
        (1.0, 0.0),
        (0.0, -INFINITY),
        (-0.0, -INFINITY),
        (-1.0, f32::NAN),
        (-SUBNORMAL, f32::NAN),
        (INFINITY, INFINITY),
        (-INFINITY, f32::NAN),
        (f32::NAN, f32::NAN),
        (SUBNORMAL, -103.278_93),
    ] {
        assert_bits(log(x), wanted);
    }
}

#[test]
fn tanh_and_erf_are_odd_and_saturate() {
    for f in [tanh::<Scalar>, erf::<Scalar>] {
        let f = |x| f(&mut Scalar, x);
        for (x, wanted) in [
            (0.0, 0.0),
            (-0.0, -0.0),
            (INFINITY, 1.0),
            (-INFINITY, -1.0),
            (10.0, 1.0),
            (f32::MIN, -1.0),
            (f32::NAN, f32::NAN),
            (SUBNORMAL, SUBNORMAL),
        ] {
            assert_bits(f(x), wanted);
        }
        sweep(65_537, |x| {
            assert_bits(f(-x), -f(x));
            assert!(x.is_nan() || f(x).abs() <= 1.0);
        });
    }
}

#[test]
fn sin_and_cos_at_the_edges() {
    let beyond = LARGEST_ANGLE.next_up();
    for (x, sine, cosine) in [
        (0.0, 0.0, 1.0),
        (-0.0, -0.0, 1.0),
        (SUBNORMAL, SUBNORMAL, 1.0),
        (-SUBNORMAL, -SUBNORMAL, 1.0),
        (beyond, f32::NAN, f32::NAN),
        (-beyond, f32::NAN, f32::NAN),
        (INFINITY, f32::NAN, f32::NAN),
        (-INFINITY, f32::NAN, f32::NAN),
        (f32::NAN, f32::NAN, f32::NAN),
    ] {
        assert_bits(sin(&mut Scalar, x), sine);
        assert_bits(cos(&mut Scalar, x), cosine);
    }
    assert!(sin(&mut Scalar, LARGEST_ANGLE).is_finite());
    sweep(65_537, |x| {
        let [sine, cosine] = [sin(&mut Scalar, x), cos(&mut Scalar, x)];
        assert_bits(sin(&mut Scalar, -x), -sine);
        assert_bits(cos(&mut Scalar, -x), cosine);
        assert!(sine.is_nan() || sine.abs().max(cosine.abs()) <= 1.0);
    });
}

#[test]
fn hardware_and_emulated_fma_agree() {
    sweep(1_000_003, |x| {
        let both = || [exp, erf, sin, cos].map(|f: fn(&mut Scalar, f32) -> f32| f(&mut Scalar, x));
        let emulated = both();
        let hardware = with_fma(|| {
            [
                exp(&mut Scalar, x),
                erf(&mut Scalar, x),
                sin(&mut Scalar, x),
                cos(&mut Scalar, x),
            ]
        });
        for (emulated, hardware) in emulated.into_iter().zip(hardware) {
            assert_bits(emulated, hardware);
        }
    });
}

/// Counts the operations that depend on a lane; constants are free.
#[derive(Default)]
struct Counter(usize);

macro_rules! counted {
    ($($name:ident($($argument:ty),*);)*) => {
        $(fn $name(&mut self, $(_: $argument),*) {
            self.0 += 1;
        })*
    };
}

impl Lanes for Counter {
    type F = ();
    type I = ();
    type B = ();

    fn f32(&mut self, _: f32) {}
    fn i32(&mut self, _: i32) {}
    /// A change of name, not an operation.
    fn bits(&mut self, _: ()) {}
    fn with_bits(&mut self, _: ()) {}

    counted! {
        float(Float, (), ()); fma((), (), ()); sqrt(()); floor(());
        compare(Comparison, (), ()); unordered((), ()); select((), (), ());
        float_of(DType, ()); integer_of(DType, ());
        integer(Integer, (), ()); shift(Shift, (), u32);
        compare_integers(Comparison, bool, (), ()); select_integer((), (), ());
        resize(DType, DType, ()); logic(Logic, (), ()); not(()); if_true((), i32);
    }
}

#[test]
fn operation_counts_are_those_of_the_table() {
    let count = |f: fn(&mut Counter, ())| {
        let mut counter = Counter::default();
        f(&mut counter, ());
        counter.0
    };
    let counts = [exp::<Counter>, log, tanh, erf, sin, cos].map(count);
    assert_eq!(counts, [18, 28, 27, 26, 37, 35]);
}

/// The bits that every machine must produce, as an FNV-1a hash over a sweep.
#[test]
fn bits_are_pinned() {
    let hash = |f: fn(&mut Scalar, f32) -> f32| {
        let mut hash = 0xCBF2_9CE4_8422_2325u64;
        sweep(65_521, |x| {
            let y = f(&mut Scalar, x);
            let bits = if y.is_nan() { 0x7FC0_0000 } else { y.to_bits() };
            for byte in bits.to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
            }
        });
        hash
    };
    let hashes = [exp::<Scalar>, log, tanh, erf, sin, cos].map(hash);
    let pinned = [
        0x91eb_972c_44e3_1057,
        0x2893_1911_d2f1_57bc,
        0x4455_844c_60d5_d8f6,
        0xa394_0f8a_5a5d_7af3,
        0xf43a_98c8_60d4_97ce,
        0x6647_b12b_1676_4d2b,
    ];
    assert_eq!(hashes, pinned, "{hashes:#x?}");
}
