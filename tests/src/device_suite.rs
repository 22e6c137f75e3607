//! Programs whose results on a GPU must be, bit for bit, those of the CPU.
//!
//! `cargo test --features cuda-hardware` runs them on the GPU of this machine; without one they
//! run on the PTX interpreter behind a driver that is made for the tests (`tests/cuda_runtime.rs`).

use crate::{picture, small_config, training_step};
use bsq::config::PriorConfig;
use bsq::prior::{PriorFile, PriorModel, sub_token_function, tile_function, wavefront_function};
use bsq::tokenizer::Tokenizer;
use bsq::train::{prior_step_function, prior_step_program};
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_runtime::{CompileOptions, Device, HostTensor, Session, compile};
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, HostTensor>;

/// A prior of tokens of 12 bits in tiles of 4x4.
const PRIOR: &str = "
[prior]
bits = 12
side = 4
width = 16
layers = 2
heads = 2
head_width = 8
";

/// Runs of each program: the first also does what is done once, the second is recorded.
const RUNS: u32 = 3;

/// A session on a device, with zeros for parameters that are not given.
fn session(function: &Function, parameters: &Tensors, device: Device) -> Session {
    let options = CompileOptions {
        device,
        ..CompileOptions::default()
    };
    let bound = function.parameters().map(|(_, name, ty)| {
        let given = parameters.get(name).cloned();
        let tensor = given.unwrap_or_else(|| {
            HostTensor::zeros(ty.dtype, ty.shape.to_vec()).expect("memory for a small tensor")
        });
        (name.to_string(), tensor)
    });
    let executable = compile(function, &options).unwrap_or_else(|error| panic!("{error}"));
    let session = executable.bind(bound.collect());
    session.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a program on both, some times, and compares outputs and parameters.
fn same_bits(
    what: &str,
    function: &Function,
    parameters: &Tensors,
    device: Device,
    inputs: impl Fn(u32) -> Vec<(&'static str, HostTensor)>,
) {
    let mut wanted = session(function, parameters, Device::Cpu);
    let mut got = session(function, parameters, device);
    for run in 0..RUNS {
        let inputs = inputs(run);
        let inputs: Vec<_> = inputs.iter().map(|(name, x)| (*name, x)).collect();
        let wanted = wanted.run(&inputs).unwrap();
        // The last run is measured, launch by launch, which must not change anything.
        let got = match run + 1 == RUNS {
            false => got.run(&inputs).unwrap_or_else(|error| panic!("{error}")),
            true => {
                let (outputs, launches) = got.profile(&inputs).unwrap();
                assert!(!launches.is_empty());
                outputs
            }
        };
        for (name, wanted) in &wanted {
            assert!(*wanted == got[name], "{what}: {name} of run {run} differs");
        }
        assert_eq!(wanted.len(), got.len());
    }
    let (wanted, got) = (wanted.parameters().unwrap(), got.parameters().unwrap());
    assert_eq!(wanted.len(), got.len());
    for ((name, wanted), (_, got)) in wanted.iter().zip(&got) {
        assert!(wanted == got, "{what}: parameter {name} differs");
    }
}

/// The small tokenizer: pictures to indices and back.
pub fn forward(device: Device) {
    let tokenizer = Tokenizer::new(&small_config().model);
    let graph = Graph::new();
    let shape = tokenizer.image_shape(2);
    let image = graph.input("image", DType::F32, shape);
    let forward = tokenizer.forward(&Scope::root(&graph), image);
    let outputs = [
        ("indices", forward.encoded.indices.id()),
        ("reconstruction", forward.decoded.reconstruction.id()),
    ];
    let function = graph.function(outputs, []);
    let parameters = tokenizer.init(7).expect("memory for a small model");
    same_bits("forward", &function, &parameters, device, |run| {
        vec![("image", picture(shape, run))]
    });
}

/// A whole training step: forward, backward, optimizer and average.
pub fn training(device: Device) {
    let config = small_config();
    let graph = Graph::new();
    let step = training_step(&graph, &config.model, &config.loss, 2);
    let tokenizer = Tokenizer::new(&config.model);
    let mut parameters: Tensors = tokenizer.init(7).expect("memory for a small model");
    parameters.extend(step.initial_state(&parameters).expect("memory"));
    let scalar = |x: f32| HostTensor::scalar(x).expect("memory for a number");
    same_bits("training", &step.function(), &parameters, device, |run| {
        vec![
            ("image", picture(tokenizer.image_shape(2), run)),
            ("lr", scalar(1e-3)),
            ("codebook_weight", scalar(0.1)),
        ]
    });
}

/// The prior's programs, its cache and its training step.
pub fn prior(device: Device) {
    let mut config = PriorConfig::from_toml(PRIOR).expect("the configuration is valid");
    config.data.batch_size = 2;
    let prior = PriorFile::untrained("small", config.clone(), "").expect("memory");
    let model = PriorModel::new(&config.prior);
    let start = prior_step_program(&config, prior.parameters.clone()).expect("memory");
    let functions = [
        ("tile", tile_function(&model, 2), &prior.parameters),
        (
            "wavefront",
            wavefront_function(&model, 2, model.order().wavefronts()),
            &prior.parameters,
        ),
        (
            "sub-token",
            sub_token_function(&model, 8),
            &prior.parameters,
        ),
        ("prior's step", prior_step_function(&config), &start.1),
    ];
    for (what, function, parameters) in &functions {
        same_bits(what, function, parameters, device, |run| {
            let inputs = function.inputs();
            let inputs = inputs.map(|(_, name, ty)| (leaked(name), input(name, ty, run)));
            inputs.collect()
        });
    }
}

/// Names of inputs live as long as the tests.
fn leaked(name: &str) -> &'static str {
    ["known", "tokens", "wavefront", "projected", "index", "lr"]
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or_else(|| panic!("no such input: {name}"))
}

/// Values that the prior can meet: sub-tokens, the number of a run, small numbers.
fn input(name: &str, ty: &bsq_ir::Type, run: u32) -> HostTensor {
    let shape = ty.shape.to_vec();
    let word = |i: usize| bsq_ir::philox::random_word(u64::from(run), 0, i as u64);
    let count = ty.shape.elements();
    let tensor = match ty.dtype {
        DType::F32 => {
            let values: Vec<f32> = (0..count)
                .map(|i| (f64::from(word(i)) / 2f64.powi(36)) as f32)
                .collect();
            HostTensor::from_slice(shape, &values)
        }
        _ if ["wavefront", "index"].contains(&name) => HostTensor::scalar(run as i32),
        _ => {
            let values: Vec<i32> = (0..count).map(|i| (word(i) % 4) as i32).collect();
            HostTensor::from_slice(shape, &values)
        }
    };
    tensor.expect("as many elements as the shape says")
}

/// What a session promises beside results: parameters replaced from outside are seen, and inputs
/// are checked as on the CPU.
pub fn sessions(device: Device) {
    let graph = Graph::new();
    let x = graph.input("x", DType::F32, [4, 8]);
    let w = graph.parameter("w", DType::F32, [8, 8]);
    let function = graph.function([("y", x.matmul(w).id())], []);
    let numbers = |scale: f32| {
        let values: Vec<f32> = (0..64).map(|i| scale * (i as f32 - 31.0)).collect();
        HostTensor::from_slice([8, 8], &values).expect("64 numbers")
    };
    let x = HostTensor::from_slice([4, 8], &[0.25f32; 32]).expect("32 numbers");
    let mut sessions = [Device::Cpu, device].map(|device| {
        let parameters = [("w".to_string(), numbers(1.0))].into();
        session(&function, &parameters, device)
    });
    for scale in [1.0, -3.5] {
        let [wanted, got] = sessions.each_mut().map(|session| {
            session.set_parameter("w", &numbers(scale)).unwrap();
            assert_eq!(*session.parameter("w").unwrap(), numbers(scale));
            session.run(&[("x", &x)]).unwrap()
        });
        assert_eq!(wanted, got);
    }
    let [wanted, got] = sessions.each_mut().map(|session| {
        let missing = session.run(&[]).unwrap_err().to_string();
        let unknown = session.parameter("v").unwrap_err().to_string();
        let shape = session.run(&[("x", &numbers(1.0))]).unwrap_err();
        [missing, unknown, shape.to_string()]
    });
    assert_eq!(wanted, got);
}
