//! MS-SSIM as a loss against the metric, its gradient, and its place in the transform codec's loss.

use super::*;
use crate::config::{RateDistortionConfig, TransformCodecConfig};
use crate::metrics;
use crate::transform_codec::{Forward, TransformCodec, rate_distortion};
use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::{DType, Function, Scope};
use bsq_runtime::executor::{Compiler, Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;
use safetensors::SafeTensors;

const IMAGES: &[u8] = include_bytes!("../../../../tests/fixtures/parity/metrics.io.safetensors");

/// Pictures of which the metric is recorded, in -127.5..127.5.
fn recorded(name: &str) -> Vec<f32> {
    let images = SafeTensors::deserialize(IMAGES).unwrap();
    let samples = images.tensor(name).unwrap();
    samples
        .data()
        .iter()
        .map(|&x| f32::from(x) - 127.5)
        .collect()
}

/// A smooth plane with noise of some strength.
fn noisy(count: usize, strength: f32) -> Vec<f32> {
    let noise = |i: usize| (i as f32 * 12.9898).sin() * 43_758.547 % 1.0 * strength;
    let value = |i: usize| 60.0 * (i as f32 * 0.013).sin() + noise(i);
    (0..count).map(value).collect()
}

/// The similarities of two batches of a shape, and the gradient of their sum by the second.
fn function(shape: [usize; 4]) -> Function {
    let graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| graph.input(name, DType::F32, shape));
    let similarity = ms_ssim(a, b);
    let gradient = gradients(similarity.sum(..), &[b])[0];
    let outputs = [("similarity", similarity.id()), ("gradient", gradient.id())];
    graph.function(outputs, [])
}

/// Compiled, as training runs it.
fn run(shape: [usize; 4], a: &[f32], b: &[f32]) -> [Vec<f32>; 2] {
    let tensor = |values: &[f32]| HostTensor::from_slice(shape, values).unwrap();
    let inputs = [("a", tensor(a)), ("b", tensor(b))];
    let inputs = inputs.map(|(name, tensor)| (name.to_string(), tensor));
    let results = Compiler::default().run(&function(shape), &Tensors::new(), &inputs.into());
    let outputs = results.unwrap().outputs;
    ["similarity", "gradient"].map(|name| outputs[name].as_slice::<f32>().unwrap().to_vec())
}

#[test]
fn it_is_the_metric() {
    let close = |shape: [usize; 4], a: &[f32], b: &[f32], name: &str| {
        let [found, _] = run(shape, a, b);
        let [batch, channels, height, width] = shape;
        let planes = |values: &[f32]| values.iter().map(|x| x / 127.5).collect::<Vec<f32>>();
        let size = a.len() / batch;
        for (picture, found) in found.iter().enumerate() {
            let [a, b] = [a, b].map(|x| planes(&x[picture * size..(picture + 1) * size]));
            let expected = metrics::ms_ssim(&a, &b, [channels, height, width]).unwrap();
            let error = (f64::from(*found) - expected).abs();
            assert!(error < 1e-5, "{name}: {found}, not {expected}");
        }
    };
    for name in ["random", "smooth_noise", "smooth_shift"] {
        let [a, b] = ["a", "b"].map(|which| recorded(&format!("{name}.{which}")));
        close([1, 3, 256, 256], &a, &b, name);
    }
    // Two pictures of other sides, of which the second is bright and flat.
    let shape = [2, 1, 272, 320];
    let mut a = noisy(2 * 272 * 320, 3.0);
    a[272 * 320..]
        .iter_mut()
        .for_each(|x| *x = *x / 6.0 + 100.0);
    let noise = noisy(a.len(), 25.0).into_iter().zip(noisy(a.len(), 0.0));
    let b: Vec<f32> = a.iter().zip(noise).map(|(x, (y, z))| x + y - z).collect();
    close(shape, &a, &b, "noise");
    // Contrasts that are opposite count as no similarity.
    let opposite: Vec<f32> = a.iter().map(|x| -x).collect();
    close(shape, &a, &opposite, "opposite");
}

#[test]
fn equal_and_opposite_pictures_have_finite_gradients() {
    let shape = [1, 1, 176, 192];
    let a = noisy(176 * 192, 3.0);
    let [similarity, gradient] = run(shape, &a, &a);
    assert_eq!(similarity, [1.0]);
    assert!(gradient.iter().all(|x| x.abs() < 1e-7), "equal");
    let grey = vec![0.0; a.len()];
    let [similarity, gradient] = run(shape, &grey, &grey);
    assert_eq!(similarity, [1.0]);
    assert!(gradient.iter().all(|&x| x == 0.0), "equal and grey");
    let opposite: Vec<f32> = a.iter().map(|x| -x).collect();
    let [similarity, gradient] = run(shape, &a, &opposite);
    assert_eq!(similarity, [0.0]);
    assert!(gradient.iter().all(|&x| x == 0.0), "opposite");
}

#[test]
fn its_gradient_is_that_of_finite_differences() {
    let shape = [1, 1, 176, 176];
    let function = function(shape);
    let exact = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
    let a = exact(noisy(176 * 176, 3.0));
    let b: Vec<f64> = a
        .iter()
        .zip(exact(noisy(a.len(), 30.0)))
        .map(|(x, y)| 0.8 * x + 0.2 * y)
        .collect();
    let at = |b: Vec<f64>| {
        let values = [("a", a.clone()), ("b", b)];
        let values = values.map(|(name, x)| (name.to_string(), Value::new(shape, x)));
        let results = evaluate(&function, &values.into(), &Values::new(), Precision::F64);
        results.unwrap().outputs
    };
    let here = at(b.clone());
    let gradient = here["gradient"].to_f64();
    // Along the gradient, and along a few pixels: near a corner, at an edge, in the middle.
    let one = |place: usize| (0..a.len()).map(move |i| f64::from(u8::from(i == place)));
    let mut directions = vec![gradient.clone()];
    directions.extend([5 * 176 + 5, 90, 88 * 176 + 88].map(|place| one(place).collect()));
    for direction in directions {
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        let moved = |step: f64| {
            let moved = b.iter().zip(&direction).map(|(x, y)| x + step * y / length);
            at(moved.collect())["similarity"].to_f64()[0]
        };
        let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        let expected = gradient.iter().zip(&direction).map(|(x, y)| x * y / length);
        let expected: f64 = expected.sum();
        let error = (difference - expected).abs();
        assert!(
            error < 1e-5 * expected.abs(),
            "{difference}, not {expected}"
        );
    }
}

const CROPS: [usize; 4] = [2, 3, 192, 192];

fn config() -> TransformCodecConfig {
    TransformCodecConfig::from_toml("[transform_codec]").unwrap()
}

/// The transform codec's loss of two crops, whose pixels and bits are inputs, or what `loss` makes of
/// image, pixels, step and bits.
fn loss_of_codec(
    config: &RateDistortionConfig,
    loss: Option<for<'g> fn([Tensor<'g>; 4]) -> Tensor<'g>>,
) -> Function {
    let graph = Graph::new();
    let [image, pixels] = ["image", "pixels"].map(|name| graph.input(name, DType::F32, CROPS));
    let [step, bits] = ["step", "bits"].map(|name| graph.input(name, DType::F32, [2]));
    let codec = TransformCodec::new(&self::config().model);
    let forward = Forward {
        pixels,
        bits,
        ..codec.forward(&Scope::root(&graph), image, step, None)
    };
    let loss = match loss {
        Some(loss) => loss([image, pixels, step, bits]),
        None => rate_distortion(config, &forward, image, step).loss,
    };
    graph.function([("loss", loss.id())], [])
}

#[test]
fn without_a_weight_the_codecs_loss_is_the_program_that_it_was() {
    let config = config().loss;
    let expected = loss_of_codec(
        &config,
        Some(|[image, pixels, step, bits]| {
            let share = 1.0 / (192.0 * 192.0);
            let error = (pixels - image * 127.5).square().sum([1, 2, 3]) * share;
            let bits_per_pixel = bits * share;
            let loss = error / step.square() + bits_per_pixel * 0.14;
            (loss * ((step * (1.0 / 80.0)).log() * 1.0).exp()).mean(..)
        }),
    );
    let found = loss_of_codec(&config, None);
    assert_eq!(found.to_string(), expected.to_string());
}

#[test]
fn a_weight_adds_the_squared_error_that_similarity_is_worth() {
    let image = noisy(CROPS.iter().product(), 3.0);
    let noise = noisy(image.len(), 30.0);
    let pixels: Vec<f32> = image
        .iter()
        .zip(&noise)
        .map(|(x, y)| 0.8 * x + 0.2 * y)
        .collect();
    let [similarity, _] = run(CROPS, &image, &pixels);
    let loss = |ms_ssim_weight: f64| {
        let config = RateDistortionConfig {
            ms_ssim_weight,
            ..config().loss
        };
        let image: Vec<f32> = image.iter().map(|x| x / 127.5).collect();
        let tensor = |values: &[f32]| HostTensor::from_slice(CROPS, values).unwrap();
        let pair = |values: [f32; 2]| HostTensor::from_slice([2], &values).unwrap();
        let inputs = [
            ("image", tensor(&image)),
            ("pixels", tensor(&pixels)),
            ("step", pair([40.0, 160.0])),
            ("bits", pair([9e3, 2e3])),
        ];
        let inputs = inputs.map(|(name, tensor)| (name.to_string(), tensor));
        let function = loss_of_codec(&config, None);
        let results = Compiler::default().run(&function, &Tensors::new(), &inputs.into());
        f64::from(results.unwrap().outputs["loss"].item::<f32>().unwrap())
    };
    let [first, second] = [0, 1].map(|crop| 2500.0 * (1.0 - f64::from(similarity[crop])));
    // (step / 80)^1 / step^2.
    let expected = (first * 0.5 / 1600.0 + second * 2.0 / 25600.0) / 2.0;
    let found = loss(3.0) - loss(0.0);
    let error = (found - 3.0 * expected).abs();
    assert!(error < 1e-5 * expected, "{found}, not 3 * {expected}");
}
