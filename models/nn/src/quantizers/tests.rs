//! Quantizers beside their definitions in plain arithmetic, and their gradients.

use super::*;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::executor::{Evaluator, Executor, Results};
use bsq_runtime::tensor_data::HostTensor;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Outputs of a function of `x`.
fn run<'g>(
    graph: &'g Graph,
    outputs: &[(&str, Tensor<'g>)],
    x: &[f32],
    shape: &[usize],
) -> Results {
    let named = outputs.iter().map(|(name, tensor)| (*name, tensor.id()));
    let function = graph.function(named, []);
    let x = HostTensor::from_slice(shape.to_vec(), x).unwrap();
    let inputs = BTreeMap::from([("x".to_string(), x)]);
    let shift = HostTensor::from_slice([shape[1]], &vec![0.125_f32; shape[1]]).unwrap();
    let parameters = BTreeMap::from([("shift".to_string(), shift)]);
    Evaluator.run(&function, &parameters, &inputs).unwrap()
}

fn floats(results: &Results, name: &str) -> Vec<f32> {
    results.outputs[name].as_slice::<f32>().unwrap().to_vec()
}

/// Features whose distances from all thresholds are exact in `f32`.
fn feature() -> impl Strategy<Value = f32> {
    (-3000_i32..3000).prop_map(|x| x as f32 / 1024.0)
}

proptest! {
    #[test]
    fn residual_signs_are_a_uniform_quantizer(
        x in proptest::collection::vec(feature(), 12), a in 0_i32..3, bits in [0_usize..8, 1..8, 1..8],
    ) {
        let step = 0.5_f64.powi(a);
        let quantizer = ResidualBinary::new(bits.to_vec(), step);
        prop_assert_eq!(quantizer.total_bits(), bits.iter().sum::<usize>());
        let graph = Graph::new();
        let input = graph.input("x", DType::F32, [4, 3]);
        let (signs, value) = quantizer.encode(input);
        let decoded = quantizer.decode(signs);
        let trained = quantizer.quantize(input);
        let gradient = gradients(trained.sum(..), &[input])[0];
        let names = [("value", value), ("decoded", decoded), ("trained", trained), ("gradient", gradient)];
        let results = run(&graph, &names, &x, &[4, 3]);
        let expected = |(i, &x): (usize, &f32)| {
            let k = bits[i % 3] as i32;
            if k == 0 {
                return 0.0;
            }
            // 2^K levels, half a spacing beside each threshold; a threshold belongs to the lower.
            let spacing = step as f32 * 2.0_f32.powi(2 - k);
            let place = (x / spacing).ceil() - 0.5;
            let last = 2.0_f32.powi(k - 1) - 0.5;
            place.clamp(-last, last) * spacing
        };
        let expected: Vec<f32> = x.iter().enumerate().map(expected).collect();
        prop_assert_eq!(&floats(&results, "value"), &expected);
        prop_assert_eq!(&floats(&results, "decoded"), &expected);
        prop_assert_eq!(&floats(&results, "trained"), &expected);
        prop_assert_eq!(floats(&results, "gradient"), vec![1.0; 12]);
    }

    #[test]
    fn levels_are_rounded_towards_zero_from_the_rounding_on(
        x in proptest::collection::vec(-40.0_f32..40.0, 6), rounding in 0.1_f64..0.5,
    ) {
        let quantizer = DeadZone { rounding };
        let graph = Graph::new();
        let input = graph.input("x", DType::F32, [2, 3]);
        let levels = quantizer.levels(input);
        let value = quantizer.reconstruct(Scope::root(&graph), levels);
        let gradient = gradients(value.sum(..), &[input])[0];
        let names = [("levels", levels), ("value", value), ("gradient", gradient)];
        let results = run(&graph, &names, &x, &[2, 3]);
        let level = |x: &f32| (x.abs() + rounding as f32).floor().copysign(*x) + 0.0;
        let expected: Vec<f32> = x.iter().map(level).collect();
        prop_assert_eq!(&floats(&results, "levels"), &expected);
        let values = expected.iter().map(|q| match *q == 0.0 {
            true => 0.0,
            false => q - 0.125 * q.signum(),
        });
        prop_assert_eq!(floats(&results, "value"), values.collect::<Vec<f32>>());
        prop_assert_eq!(floats(&results, "gradient"), vec![1.0; 6]);
    }
}
