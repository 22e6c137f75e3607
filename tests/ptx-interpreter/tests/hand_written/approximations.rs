//! ex2.approx and the like: near the truth, and as far from it as allowed when asked for.

use super::{fixture, parse};
use bsq_ptx_interpreter::{Device, Launch, Options, Param};

/// Instruction, the exact function, and the error that is allowed: relative, absolute, and in
/// neighbours of the correctly rounded result.
type Row = (&'static str, fn(f64) -> f64, f64, f64, u32);

/// From PTX ISA 9.1, section 9.7.3; arguments are positive and below pi.
fn table() -> [Row; 8] {
    let power = f64::exp2;
    [
        ("ex2.approx.f32", f64::exp2, 0.0, 0.0, 2),
        ("lg2.approx.f32", f64::log2, power(-22.0), power(-22.0), 0),
        ("rcp.approx.f32", |x| 1.0 / x, 0.0, 0.0, 1),
        ("rsqrt.approx.f32", |x| 1.0 / x.sqrt(), power(-22.9), 0.0, 0),
        ("sqrt.approx.f32", f64::sqrt, power(-23.0), 0.0, 0),
        ("tanh.approx.f32", f64::tanh, power(-11.0), 0.0, 0),
        ("sin.approx.f32", f64::sin, 0.0, power(-20.5), 0),
        ("cos.approx.f32", f64::cos, 0.0, power(-20.5), 0),
    ]
}

#[test]
fn approximations_err_within_their_bounds_and_by_them_when_perturbed() {
    let template = fixture("vector_add");
    let x: Vec<f32> = (1..1000).map(|i| i as f32 * 0.0031).collect();
    for (opcode, exact, relative, absolute, ulps) in table() {
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
        // The error beside the one that is allowed.
        let error = |x: f32, found: f32| {
            let wanted = exact(f64::from(x));
            match ulps {
                0 => {
                    // lg2 is bounded one way near 1 and the other way elsewhere.
                    let of_log = opcode.starts_with("lg2");
                    let near = !of_log || (0.5 < x && x < 2.0);
                    let relative = if of_log && near { 0.0 } else { relative };
                    let absolute = if near { absolute } else { 0.0 };
                    let allowed = relative * wanted.abs() + absolute;
                    (f64::from(found) - wanted).abs() / allowed
                }
                _ => {
                    let apart = found.to_bits().abs_diff((wanted as f32).to_bits());
                    f64::from(apart) / f64::from(ulps)
                }
            }
        };
        for (list, least) in [(&plain, 0.0), (&perturbed, 0.9), (&other, 0.9)] {
            let errors = x.iter().zip(list).map(|(&x, &found)| error(x, found));
            let worst = errors.fold(0.0, f64::max);
            assert!(worst <= 1.0, "{opcode}: {worst} times what is allowed");
            assert!(worst >= least, "{opcode}: only {worst} of what is allowed");
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
