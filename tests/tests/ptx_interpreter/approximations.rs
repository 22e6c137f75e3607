//! ex2.approx and the like: near the truth, and as far from it as allowed when asked for.

use super::{fixture, parse};
use bsq_tests::ptx::{Device, Launch, Options, Param};

/// Instruction, the exact function, and the error that is allowed (relative, and absolute).
type Row = (&'static str, fn(f64) -> f64, f64, f64);

const TABLE: [Row; 8] = [
    ("ex2.approx.f32", f64::exp2, 2.4e-7, 0.0),
    ("lg2.approx.f32", f64::log2, 2.4e-7, 2.4e-7),
    ("rcp.approx.f32", |x| 1.0 / x, 1.8e-7, 0.0),
    ("rsqrt.approx.f32", |x| 1.0 / x.sqrt(), 2e-7, 0.0),
    ("sqrt.approx.f32", f64::sqrt, 2e-7, 0.0),
    ("tanh.approx.f32", f64::tanh, 5e-4, 0.0),
    ("sin.approx.f32", f64::sin, 0.0, 6e-7),
    ("cos.approx.f32", f64::cos, 0.0, 6e-7),
];

#[test]
fn approximations_err_within_their_bounds_and_by_them_when_perturbed() {
    let template = fixture("vector_add");
    let x: Vec<f32> = (1..1000).map(|i| i as f32 * 0.0031).collect();
    for (opcode, exact, relative, absolute) in TABLE {
        let text = template.replace("add.rn.f32 %f3, %f1, %f2;", &format!("{opcode} %f3, %f1;"));
        let module = parse(&text);
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
        let plain = run(Options::default());
        let perturbed = run(Options {
            perturb: true,
            ..Options::default()
        });
        let other = run(Options {
            perturb: true,
            seed: 1,
            ..Options::default()
        });
        for list in [&plain, &perturbed, &other] {
            for (x, found) in x.iter().zip(list) {
                let wanted = exact(f64::from(*x));
                let error = (f64::from(*found) - wanted).abs();
                assert!(
                    error <= relative * wanted.abs() + absolute,
                    "{opcode} of {x}: {found}"
                );
            }
        }
        let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a != b).count();
        assert!(
            differ(&plain, &perturbed) > 50,
            "{opcode}: {}",
            differ(&plain, &perturbed)
        );
        assert!(differ(&other, &perturbed) > 50, "{opcode}");
        let exact = |x: &f32| exact(f64::from(*x)) as f32;
        assert_eq!(plain, x.iter().map(exact).collect::<Vec<f32>>(), "{opcode}");
    }
}
