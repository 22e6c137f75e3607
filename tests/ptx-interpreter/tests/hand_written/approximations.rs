//! ex2.approx: near the truth, and as far from it as allowed when asked for.

use super::{fixture, parse};
use bsq_ptx_interpreter::{Device, Launch, Options, Param};

/// From PTX ISA 9.1, section 9.7.3: neighbours of the correctly rounded result.
const ALLOWED: f64 = 2.0;

#[test]
fn an_approximation_errs_within_its_bound_and_by_it_when_perturbed() {
    let text =
        fixture("vector_add").replace("add.rn.f32 %f3, %f1, %f2;", "ex2.approx.ftz.f32 %f3, %f1;");
    let module = parse(&text);
    let x: Vec<f32> = (1..1000).map(|i| i as f32 * 0.0031).collect();
    let run = |options: Options| {
        let mut device = Device::with_options(options);
        let (a, c) = (device.upload(&x), device.allocate(4 * x.len()));
        let n = Param::U32(x.len() as u32);
        let params = [Param::Pointer(a), Param::Pointer(a), Param::Pointer(c), n];
        let launch = Launch::new([8, 1, 1], [128, 1, 1]);
        device
            .launch(&module, "vector_add", launch, &params)
            .unwrap();
        device.download::<f32>(c).unwrap()
    };
    let perturbed = |seed| {
        run(Options {
            perturb: true,
            seed,
            ..Options::default()
        })
    };
    let exact = |x: &f32| f64::from(*x).exp2() as f32;
    let plain = run(Options::default());
    assert_eq!(plain, x.iter().map(exact).collect::<Vec<f32>>());
    let (one, other) = (perturbed(0), perturbed(1));
    for list in [&one, &other] {
        let apart = |(found, wanted): (&f32, &f32)| found.to_bits().abs_diff(wanted.to_bits());
        let worst = list.iter().zip(&plain).map(apart).max().unwrap();
        let worst = f64::from(worst) / ALLOWED;
        assert!((0.9..=1.0).contains(&worst), "{worst} of what is allowed");
    }
    let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a != b).count();
    assert!(differ(&plain, &one) > 50 && differ(&other, &one) > 50);
}
