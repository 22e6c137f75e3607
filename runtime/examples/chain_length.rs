//! How compile time grows with a chain's length: `chain_length 1000 2000 4000`, in milliseconds.

use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph};
use bsq_runtime::{CompileOptions, compile};

fn main() {
    let lengths = std::env::args()
        .skip(1)
        .map(|n| n.parse().expect("a number of ops"));
    println!(
        "{:>8} {:>9}  rewrite  lower   code  kernels launches",
        "ops", ""
    );
    for length in lengths {
        for gradient in [false, true] {
            let g = Graph::new();
            let x = g.input("x", DType::F32, [100]);
            let y = match gradient {
                false => (0..length).fold(x, |y, k| if k % 2 == 0 { y * 1.0001 } else { y.tanh() }),
                true => (0..length / 2).fold(x, |y, _| y.tanh() + x),
            };
            let y = if gradient {
                gradients(y.sum(..), &[x])[0]
            } else {
                y
            };
            let function = g.function([("y", y.id())], []);
            let executable = compile(&function, &CompileOptions::default()).expect("a program");
            let report = executable.report();
            let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
            println!(
                "{length:>8} {:>9} {:8.0} {:6.0} {:6.0} {:8} {:8}",
                if gradient { "gradient" } else { "chain" },
                ms(report.rewrite_time()),
                ms(report.lower_time()),
                ms(report.code_time()),
                report.kernels,
                report.launches,
            );
        }
    }
}
