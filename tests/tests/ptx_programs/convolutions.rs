//! Convolutions of trainings in bf16, on the tensor cores.

use bsq_codegen::lower::Precision;
use bsq_ir::DType::F32;
use bsq_ir::Graph;
use bsq_ir::autodiff::gradients;
use bsq_runtime::{CompileOptions, HostTensor, compile};
use bsq_tests::gpu::{self, Gpu, Target};

/// Rows of windows in one level of groups and in two, terms in two (a stride), slabs that end inside of a
/// group, blocks that are cut short, pieces of 4, 8 and 16 bytes.
#[test]
fn convolutions_and_their_gradients_in_bf16() {
    let target = Target {
        precision: Precision::Bf16Training,
        tf32: false,
    };
    for ([batch, channels, outputs], [height, width], size, stride, padding) in [
        ([2, 32, 16], [5, 6], 3, 1, 1),
        ([8, 8, 40], [9, 7], 3, 2, 1),
        ([4, 6, 2], [4, 20], 3, 1, 1),
        ([2, 66, 34], [8, 8], 2, 2, 0),
        ([6, 2, 130], [3, 70], 3, 1, 1),
    ] {
        let g = Graph::new();
        let x = g.input("x", F32, [batch, channels, height, width]);
        let w = g.parameter("w", F32, [outputs, channels, size, size]);
        let y = x.conv2d(w, stride, padding);
        let cotangent = g.input("g", F32, y.shape());
        let [by_x, by_w] = gradients((y * cotangent).sum(..), &[x, w])[..] else {
            panic!("two gradients")
        };
        let results = [("y", y), ("by x", by_x), ("by w", by_w)];
        let function = g.function(results.map(|(name, y)| (name, y.id())), []);
        let what = format!("{batch} {channels} {outputs}, {height} x {width}, {size}, {stride}");

        let inputs = gpu::inputs(&function);
        let parameters = gpu::parameters(&function);
        let options = CompileOptions {
            exact: false,
            precision: target.precision,
            ..Default::default()
        };
        let executable = compile(&function, &options).unwrap();
        let mut cpu = executable.bind(parameters.clone()).unwrap();
        let mut gpu = Gpu::new(&function, target, &parameters, 3);
        let inputs: Vec<(&str, &HostTensor)> =
            inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
        let wanted = cpu.run(&inputs).unwrap();
        let got = gpu
            .run(&inputs)
            .unwrap_or_else(|fault| panic!("{what}: {fault}"));
        let kernels = gpu.program().kernels.iter();
        let texts = kernels.map(|kernel| kernel.to_string());
        let found = texts.filter(|text| text.contains("contract bf16")).count();
        assert!(found >= 3, "{what}: {found} contractions in bf16");
        for name in ["y", "by x", "by w"] {
            let [wanted, got] = [&wanted, &got].map(|all| all[name].as_slice::<f32>().unwrap());
            let largest = wanted.iter().fold(0f32, |most, x| most.max(x.abs()));
            assert!(largest > 0.0);
            for (at, (x, y)) in wanted.iter().zip(got).enumerate() {
                assert!(
                    (x - y).abs() <= largest / 256.0,
                    "{what}, {name} at {at}: {x} on the CPU, {y}"
                );
            }
        }
    }
}
