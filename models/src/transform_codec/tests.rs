//! The transform's inverse and orthogonality, what probabilities depend on and sum to, and the pass
//! as a whole.

use super::logistic::Mixture;
use super::*;
use crate::config::TransformCodecConfig;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Function, Graph};
use bsq_nn::init::init;
use bsq_runtime::executor::{Compiler, Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;

fn noise(shape: &[usize], scale: f32) -> HostTensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| (i as f32 * 12.9898).sin() * 43_758.547 % 1.0 * scale;
    let values: Vec<f32> = (0..count).map(value).collect();
    HostTensor::from_slice(shape.to_vec(), &values).unwrap()
}

fn run(function: &Function, parameters: &Tensors, inputs: &[(&str, &HostTensor)]) -> Tensors {
    let named = inputs
        .iter()
        .map(|&(name, x)| (name.to_string(), x.clone()));
    let results = Compiler::default().run(function, parameters, &named.collect());
    results.unwrap().outputs
}

fn transform(block: usize, steepness: f64) -> LappedTransform {
    LappedTransform {
        channels: 3,
        block,
        coordinates: 3 * block * block,
        steepness,
    }
}

/// A picture of noise, its filtered patches, and the picture of these.
fn there_and_back(transform: &LappedTransform) -> [Vec<f32>; 3] {
    let graph = Graph::new();
    let shape = [2, 3, 3 * transform.block, 4 * transform.block];
    let x = graph.input("x", DType::F32, shape);
    let patches = transform.filtered_patches(x);
    let back = transform.picture(patches);
    let function = graph.function([("patches", patches.id()), ("back", back.id())], []);
    let x = noise(&shape, 100.0);
    let outputs = run(&function, &Tensors::new(), &[("x", &x)]);
    [&x, &outputs["patches"], &outputs["back"]].map(|t| t.as_slice::<f32>().unwrap().to_vec())
}

fn energy(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum()
}

#[test]
fn the_filters_inverse_gives_the_picture_back() {
    for block in [4, 8] {
        for steepness in [1.0, 1.3, 2.0] {
            let [x, patches, back] = there_and_back(&transform(block, steepness));
            for (a, b) in x.iter().zip(&back) {
                assert!((a - b).abs() < 1e-4, "{block}, {steepness}: {a} {b}");
            }
            assert_ne!(x, patches);
        }
    }
}

#[test]
fn with_steepness_1_the_filter_is_orthogonal_and_else_not() {
    for block in [4, 8] {
        let ratio = |steepness: f64| {
            let [x, patches, _] = there_and_back(&transform(block, steepness));
            energy(&patches) / energy(&x)
        };
        assert!((ratio(1.0) - 1.0).abs() < 1e-5, "{}", ratio(1.0));
        assert!((ratio(1.3) - 1.0).abs() > 1e-2, "{}", ratio(1.3));
    }
}

#[test]
fn a_flat_picture_stays_flat_under_the_filter() {
    for block in [4, 8] {
        let graph = Graph::new();
        let x = graph.full(50.0, DType::F32, [1, 3, 3 * block, 2 * block]);
        let patches = transform(block, 1.3).filtered_patches(x);
        let function = graph.function([("patches", patches.id())], []);
        let outputs = run(&function, &Tensors::new(), &[]);
        for &x in outputs["patches"].as_slice::<f32>().unwrap() {
            assert!((x - 50.0).abs() < 1e-4, "{x}");
        }
    }
}

const CONTEXT: ContextModel = ContextModel {
    coordinates: 5,
    width: 16,
    level_width: 3,
    first_group: 1,
};
/// Rows and columns of patches in the tests of the context model.
const GRID: [usize; 2] = [4, 5];

/// All parameters of all distributions, `[4, K, R, C]`, given levels `[1, R, C, K]` and a coarse
/// picture, under random weights.
fn distributions(levels: &HostTensor, coarse: &HostTensor) -> Vec<f32> {
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let [rows, columns] = GRID;
    let known = graph.input(
        "levels",
        DType::F32,
        [1, rows, columns, CONTEXT.coordinates],
    );
    let picture = graph.input("coarse", DType::F32, [1, rows, columns, 3]);
    let step = graph.full(0.3, DType::F32, [1]);
    let side = context::surroundings(picture);
    let before = context::Before {
        side: Some(side),
        expected: None,
    };
    let mixture = CONTEXT.mixture(&scope, known, step, before);
    let [first, second] = mixture.log_scales;
    let all = [mixture.mean, first, second, mixture.share].map(|x| x.unsqueeze(0));
    let all = graph.concat(&all, 0);
    let function = graph.function([("all", all.id())], []);
    let parameters = scope.specs().into_iter().map(|spec| {
        // What starts at zero would hide what it must not see.
        let values = noise(&spec.ty.shape, 1.0);
        (spec.name, values)
    });
    let outputs = run(
        &function,
        &parameters.collect(),
        &[("levels", levels), ("coarse", coarse)],
    );
    outputs["all"].as_slice::<f32>().unwrap().to_vec()
}

fn rounded(tensor: &HostTensor) -> Vec<f32> {
    let values = tensor.as_slice::<f32>().unwrap();
    values.iter().map(|x| x.round()).collect()
}

/// A decoder has only what is coded before a level: everything else may change and its
/// distribution must not, by a bit. What is coded before must matter.
#[test]
fn a_distribution_depends_on_no_level_that_is_not_yet_coded() {
    let ([rows, columns], k) = (GRID, CONTEXT.coordinates);
    let shape = [1, rows, columns, k];
    let levels = rounded(&noise(&shape, 6.0));
    let tensor = |values: &[f32]| HostTensor::from_slice(shape, values).unwrap();
    let coarse = noise(&[1, rows, columns, 3], 4.0);
    let before = distributions(&tensor(&levels), &coarse);
    let (mut seen, patches) = (0, rows * columns);
    let groups = CONTEXT.groups();
    assert_eq!(groups, [0..1, 1..2, 2..3, 3..5]);
    let group = |coordinate: usize| groups.iter().position(|g| g.contains(&coordinate));
    for changed in 0..levels.len() {
        let mut other = levels.clone();
        other[changed] += 3.0;
        let after = distributions(&tensor(&other), &coarse);
        for place in 0..levels.len() {
            let (patch, coordinate) = (place / k, place % k);
            let is_same = (0..4).all(|part| {
                let at = (part * k + coordinate) * patches + patch;
                before[at].to_bits() == after[at].to_bits()
            });
            // Levels are in the order in which they are coded, those of a group at once.
            let is_earlier = (changed / k, group(changed % k)) < (patch, group(coordinate));
            assert!(is_same || is_earlier, "{changed} is seen at {place}");
            seen += usize::from(!is_same);
        }
    }
    // Each level is seen by the later ones of its patch, and by patches right, below and beside.
    assert!(seen > levels.len() * k, "{seen}");
}

#[test]
fn the_coarse_picture_is_seen_on_all_sides() {
    let ([rows, columns], k) = (GRID, CONTEXT.coordinates);
    let levels = noise(&[1, rows, columns, k], 0.0);
    let picture = noise(&[1, rows, columns, 3], 4.0);
    let before = distributions(&levels, &picture);
    let mut other = picture.as_slice::<f32>().unwrap().to_vec();
    let (row, column) = (2, 3);
    other[(row * columns + column) * 3] += 1.0;
    let other = HostTensor::from_slice([1, rows, columns, 3], &other).unwrap();
    let after = distributions(&levels, &other);
    for patch in 0..rows * columns {
        let is_near = (patch / columns).abs_diff(row) < 2 && (patch % columns).abs_diff(column) < 2;
        let is_same = before[patch] == after[patch];
        assert_eq!(is_same, !is_near, "{patch}");
    }
}

#[test]
fn probabilities_of_levels_sum_to_one() {
    for (mean, scales, share) in [
        (0.0, [-4.0, -3.0], 1.0),
        (0.3, [-1.0, 1.0], -2.0),
        (-7.5, [0.0, 2.5], 0.0),
        (12.4, [-9.0, 0.5], 3.0),
    ] {
        let graph = Graph::new();
        let levels: Vec<f32> = (-400..=400).map(|q| q as f32).collect();
        let levels = graph.constant_f32(&levels, [801]);
        let constant = |x: f64| graph.full(x, DType::F32, [801]);
        let mixture = Mixture {
            mean: constant(mean),
            log_scales: scales.map(constant),
            share: constant(share),
        };
        let bits = mixture.bits(levels);
        let function = graph.function([("bits", bits.id())], []);
        let outputs = run(&function, &Tensors::new(), &[]);
        let bits = outputs["bits"].as_slice::<f32>().unwrap();
        let sum: f64 = bits.iter().map(|&b| (-f64::from(b)).exp2()).sum();
        // Each of the 801 has the floor in addition.
        assert!(
            (sum - 1.0 - 801e-6).abs() < 1e-5,
            "{mean} {scales:?}: {sum}"
        );
        assert!(bits.iter().all(|&b| (-1e-3..20.0).contains(&b)));
    }
}

#[test]
fn gradients_of_far_levels_are_finite() {
    let graph = Graph::new();
    let levels = graph.constant_f32(&[0.0, 3.0, -500.0, 1e6], [4]);
    let mean = graph.input("mean", DType::F32, [4]);
    let scale = graph.input("scale", DType::F32, [4]);
    let mixture = Mixture {
        mean,
        log_scales: [scale, scale + 1.0],
        share: mean,
    };
    let found = gradients(mixture.bits(levels).sum(..), &[mean, scale]);
    let function = graph.function([("mean", found[0].id()), ("scale", found[1].id())], []);
    let [mean, scale] = [[0.2, 0.0, 3.0, 1.0], [-4.0, 0.0, -2.0, 1.0]]
        .map(|x: [f32; 4]| HostTensor::from_slice([4], &x).unwrap());
    let outputs = run(
        &function,
        &Tensors::new(),
        &[("mean", &mean), ("scale", &scale)],
    );
    for tensor in outputs.values() {
        let values = tensor.as_slice::<f32>().unwrap();
        assert!(values.iter().all(|x| x.is_finite()), "{values:?}");
    }
}

fn config(second_level: bool) -> TransformCodecConfig {
    let text = format!(
        "[transform_codec]\ncoordinates = 60\nbase_coordinates = 10\nsecond_level = {second_level}\nencoder_width = 8\n\
         decoder_width = 8\ndecoder_blocks = 1\ncontext_width = 8\ncoarse_context_width = 8\ndetail_context_width = 8\n\
         level_width = 2\n[data]\nimage_size = 32\n"
    );
    TransformCodecConfig::from_toml(&text).unwrap()
}

/// Both terms of the loss must reach the encoder, and every parameter must be one that training
/// changes: those that are zero by multiplication with zeros come to life with the second step.
#[test]
fn every_parameter_has_a_gradient() {
    for second_level in [false, true] {
        let config = config(second_level);
        let codec = TransformCodec::new(&config.model);
        let graph = Graph::new();
        let scope = Scope::root(&graph);
        let image = graph.input("image", DType::F32, [1, 3, 96, 96]);
        let step = graph.input("step", DType::F32, [1]);
        let forward = codec.forward(&scope, image, step, None);
        let loss = rate_distortion(&config.loss, &forward, image, step).loss;
        let found = gradients(loss, &scope.parameters());
        let specs = scope.specs();
        let named = specs.iter().zip(&found);
        let function = graph.function(named.map(|(spec, g)| (spec.name.as_str(), g.id())), []);
        let mut parameters = init(&specs, 1).unwrap();
        for (name, tensor) in &mut parameters {
            let is_zero = tensor.as_slice::<f32>().unwrap().iter().all(|&x| x == 0.0);
            if is_zero {
                let scale = if name.contains("transform") { 8.0 } else { 0.1 };
                *tensor = noise(tensor.shape(), scale);
            }
        }
        let image = noise(&[1, 3, 96, 96], 1.0);
        let step = HostTensor::from_slice([1], &[25.0_f32]).unwrap();
        let outputs = run(
            &function,
            &parameters,
            &[("image", &image), ("step", &step)],
        );
        for (name, gradient) in &outputs {
            let values = gradient.as_slice::<f32>().unwrap();
            assert!(values.iter().all(|x| x.is_finite()), "{name}");
            assert!(values.iter().any(|&x| x != 0.0), "{name} has no gradient");
        }
    }
}
