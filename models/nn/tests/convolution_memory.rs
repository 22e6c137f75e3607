//! Convolutions are not unfolded in memory: not forward, and not in their gradients.

use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::Conv;
use bsq_runtime::{CompileOptions, Precision, compile};

const BATCH: usize = 2;
const CHANNELS: usize = 64;
const SIDE: usize = 32;

/// Bytes of one tensor of features, and of all its 3x3 windows.
const FEATURES: usize = 4 * BATCH * CHANNELS * SIDE * SIDE;
const WINDOWS: usize = 9 * FEATURES;

/// Bytes of temporaries of a program that computes a tensor.
fn temporaries(graph: &Graph, output: Tensor<'_>, precision: Precision) -> usize {
    let function = graph.function([("output", output.id())], []);
    let options = CompileOptions {
        precision,
        ..Default::default()
    };
    let executable = compile(&function, &options).unwrap();
    let kernels = executable.program().kernels.iter();
    let mut texts = kernels.map(|kernel| kernel.to_string());
    let is_narrow = texts.any(|text| text.contains("contract bf16"));
    assert_eq!(is_narrow, precision == Precision::Bf16Training);
    executable.program().arena_bytes
}

#[test]
fn no_program_of_a_convolution_holds_its_windows() {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let x = g.input("x", DType::F32, [BATCH, CHANNELS, SIDE, SIDE]);
    let conv = Conv::new(CHANNELS, [3, 3]).padding(1).without_bias();
    let y = conv.forward(&scope, x);
    let cotangent = g.input("g", DType::F32, y.shape());
    let weight = g.known_parameter("weight").expect("a convolution has one");
    let [by_x, by_w] = gradients((y * cotangent).sum(..), &[x, weight])[..] else {
        panic!("two gradients")
    };
    for (what, output) in [
        ("forward", y),
        ("by the input", by_x),
        ("by the weight", by_w),
    ] {
        for precision in [Precision::F32, Precision::Bf16Training] {
            let bytes = temporaries(&g, output, precision);
            // Two copies of features at most, padded, and packed weights.
            assert!(
                bytes <= 3 * FEATURES,
                "{what}, {precision:?}: {bytes} bytes, all windows are {WINDOWS}"
            );
        }
    }
}
