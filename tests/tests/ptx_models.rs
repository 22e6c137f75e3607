//! Whole models on an interpreted GPU: in f32 the bits of every other machine, in narrower
//! formats within a bound.

use bsq::config::PriorConfig;
use bsq::prior::{PriorFile, sub_token_function, tile_function, wavefront_function};
use bsq::tokenizer::Tokenizer;
use bsq_codegen::lower::Precision;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_runtime::{CompileOptions, HostTensor, compile};
use bsq_tests::gpu::{Gpu, Target, fill};
use bsq_tests::{fnv1a, picture, small_config, training_step};
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, HostTensor>;

const STEPS: u32 = 3;

/// The table that every CPU reproduces.
fn wanted_hashes() -> String {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/result_hashes.txt");
    std::fs::read_to_string(table).unwrap()
}

fn hash(value: &HostTensor) -> String {
    format!("{:016x}", fnv1a(value.bytes().iter().copied()))
}

/// Three training steps, forward and backward, optimizer and average.
#[test]
fn training_has_the_bits_of_every_machine() {
    let config = small_config();
    let graph = Graph::new();
    let step = training_step(&graph, &config.model, &config.loss, 3);
    let tokenizer = Tokenizer::new(&config.model);
    let mut parameters: Tensors = tokenizer.init(7).unwrap();
    parameters.extend(step.initial_state(&parameters).unwrap());
    let mut gpu = Gpu::new(&step.function(), Target::default(), &parameters, 3);
    let (lr, weight) = (
        HostTensor::scalar(1e-3f32).unwrap(),
        HostTensor::scalar(0.1f32).unwrap(),
    );
    let mut lines = Vec::new();
    for step in 0..STEPS {
        let image = picture(tokenizer.image_shape(3), step);
        let inputs = [("image", &image), ("lr", &lr), ("codebook_weight", &weight)];
        let outputs = gpu.run(&inputs).unwrap_or_else(|fault| panic!("{fault}"));
        lines.extend(
            outputs
                .iter()
                .map(|(name, x)| format!("step {step} {name} {}", hash(x))),
        );
    }
    let parameters = gpu.parameters().unwrap();
    lines.extend(
        parameters
            .iter()
            .map(|(name, x)| format!("{name} {}", hash(x))),
    );
    let wanted = wanted_hashes();
    assert_eq!(wanted.lines().collect::<Vec<_>>(), lines);
}

/// Runs a function twice on both targets: outputs and parameters must be equal, bit for bit.
fn same_on_both(function: &Function, given: &Tensors) {
    let mut parameters = Tensors::new();
    for (_, name, ty) in function.parameters() {
        let zeros = || HostTensor::zeros(ty.dtype, ty.shape.to_vec()).unwrap();
        let value = given.get(name).cloned().unwrap_or_else(zeros);
        parameters.insert(name.to_string(), value);
    }
    let mut inputs = Vec::new();
    for (_, name, ty) in function.inputs() {
        inputs.push((name, fill(name, ty.dtype, &ty.shape)));
    }
    let inputs: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, x)| (*n, x)).collect();
    let executable = compile(function, &CompileOptions::default()).unwrap();
    let mut cpu = executable.bind(parameters.clone()).unwrap();
    let mut gpu = Gpu::new(function, Target::default(), &parameters, 5);
    for _ in 0..2 {
        let wanted = cpu.run(&inputs).unwrap();
        let got = gpu.run(&inputs).unwrap_or_else(|fault| panic!("{fault}"));
        for (name, wanted) in &wanted {
            assert_eq!(hash(wanted), hash(&got[name]), "{name}");
        }
    }
    let got = gpu.parameters().unwrap();
    for (name, wanted) in cpu.parameters().unwrap() {
        assert_eq!(hash(wanted), hash(&got[name]), "{name}");
    }
}

/// All positions at once, a wavefront with its cache, and a sub-token.
#[test]
fn the_prior_has_the_bits_of_the_cpu() {
    let config = PriorConfig::from_toml(
        "[prior]\nbits = 12\nside = 4\nwidth = 32\nlayers = 2\nheads = 2\nhead_width = 16",
    );
    let prior = PriorFile::untrained("random", config.unwrap(), "none").unwrap();
    for batch in [1, 2] {
        same_on_both(&tile_function(&prior.model, batch), &prior.parameters);
        for times in [2, prior.model.order().wavefronts()] {
            let step = wavefront_function(&prior.model, batch, times);
            same_on_both(&step, &prior.parameters);
        }
        same_on_both(&sub_token_function(&prior.model, batch), &prior.parameters);
    }
}

/// The small tokenizer's reconstruction, and its parameters.
fn forward() -> (Function, Tensors, HostTensor) {
    let config = small_config();
    let tokenizer = Tokenizer::new(&config.model);
    let graph = Graph::new();
    let shape = tokenizer.image_shape(2);
    let image = graph.input("image", DType::F32, shape);
    let forward = tokenizer.forward(&Scope::root(&graph), image);
    let function = graph.function([("y", forward.decoded.reconstruction.id())], []);
    (function, tokenizer.init(7).unwrap(), picture(shape, 5))
}

fn on_cpu(
    function: &Function,
    precision: Precision,
    parameters: &Tensors,
    x: &HostTensor,
) -> Vec<f32> {
    let options = CompileOptions {
        precision,
        narrow_activations: Some(true),
        ..Default::default()
    };
    let used: Vec<&str> = function.parameters().map(|(_, name, _)| name).collect();
    let parameters = parameters
        .iter()
        .filter(|(name, _)| used.contains(&name.as_str()));
    let parameters = parameters
        .map(|(name, x)| (name.clone(), x.clone()))
        .collect();
    let mut session = compile(function, &options)
        .unwrap()
        .bind(parameters)
        .unwrap();
    let outputs = session.run(&[("image", x)]).unwrap();
    outputs["y"].as_slice::<f32>().unwrap().to_vec()
}

/// The largest difference to the CPU in f32, in parts of the largest value.
fn distance(wanted: &[f32], got: &[f32]) -> f32 {
    let largest = wanted.iter().fold(0f32, |m, x| m.max(x.abs()));
    let pairs = wanted.iter().zip(got);
    pairs.map(|(x, y)| (x - y).abs()).fold(0f32, f32::max) / largest
}

/// The tensor cores round the sides of products to the format, as the CPU does, and sum in
/// another order: what differs is a few roundings of f32, and where one of them decides
/// another rounding to the format, one unit of that.
#[test]
fn narrower_formats_stay_close() {
    let (function, parameters, image) = forward();
    let exact = on_cpu(&function, Precision::F32, &parameters, &image);
    // The format's unit roundoff, with 8 bits the step of the largest value.
    let targets = [
        (Precision::F32, true, 2f32.powi(-11)),
        (Precision::Bf16, false, 2f32.powi(-9)),
        (Precision::F16, false, 2f32.powi(-12)),
        (Precision::Int8, false, 2f32.powi(-8)),
        (Precision::Int8All, false, 2f32.powi(-8)),
    ];
    for (precision, tf32, bound) in targets {
        let mut gpu = Gpu::new(&function, Target { precision, tf32 }, &parameters, 4);
        let outputs = gpu
            .run(&[("image", &image)])
            .unwrap_or_else(|fault| panic!("{fault}"));
        let got = outputs["y"].as_slice::<f32>().unwrap();
        let tensor = gpu.stats.iter().flat_map(|stats| &stats.opcodes);
        let tensor = tensor
            .filter(|(name, _)| name.starts_with("mma.sync"))
            .count();
        assert!(tensor > 0, "{precision:?} does not use the tensor cores");
        let same_format = on_cpu(&function, precision, &parameters, &image);
        let apart = distance(&same_format, got);
        assert!(
            apart <= bound,
            "{precision:?}, tf32 {tf32}: {apart} from the CPU"
        );
        assert!(distance(&exact, got) > 0.0, "{precision:?} is f32");
    }
}

/// Of a step from nothing, the moments are the gradients.
#[test]
fn the_gradients_of_a_training_in_bf16_are_near_those_of_f32() {
    let config = small_config();
    let graph = Graph::new();
    let step = training_step(&graph, &config.model, &config.loss, 4);
    let (function, tokenizer) = (step.function(), Tokenizer::new(&config.model));
    let mut parameters: Tensors = tokenizer.init(7).unwrap();
    parameters.extend(step.initial_state(&parameters).unwrap());
    let scalar = |value: f32| HostTensor::scalar(value).unwrap();
    let image = picture(tokenizer.image_shape(4), 1);
    let (lr, weight) = (scalar(1e-3), scalar(0.1));
    let inputs = [("image", &image), ("lr", &lr), ("codebook_weight", &weight)];

    let options = CompileOptions {
        exact: false,
        ..Default::default()
    };
    let executable = compile(&function, &options).unwrap();
    let mut session = executable.bind(parameters.clone()).unwrap();
    session.run(&inputs).unwrap();
    let target = Target {
        precision: Precision::Bf16Training,
        tf32: false,
    };
    let mut gpu = Gpu::new(&function, target, &parameters, 5);
    gpu.run(&inputs).unwrap_or_else(|fault| panic!("{fault}"));
    let products = gpu.stats.iter().flat_map(|stats| &stats.opcodes);
    let on = |format: &str| {
        let mut names = products.clone().map(|(name, _)| name);
        names.any(|name| name.starts_with("mma.sync") && name.contains(format))
    };
    assert!(on(".bf16."), "contractions are not on the tensor cores");
    let found = gpu.parameters().unwrap();
    let moments = found
        .iter()
        .filter(|(name, _)| name.starts_with("adamw.exp_avg."));
    for (name, found) in moments {
        let wanted = session.parameter(name).unwrap().as_slice::<f32>().unwrap();
        let pairs = wanted.iter().zip(found.as_slice::<f32>().unwrap());
        let square = |x: f32| f64::from(x).powi(2);
        let off: f64 = pairs.map(|(a, b)| square(a - b)).sum();
        let length: f64 = wanted.iter().copied().map(square).sum();
        let off = (off / length.max(1e-30)).sqrt();
        assert!(off < 0.05, "{name}: off by {off}");
    }
}
