//! What a configuration that is not refused has to do.

use bsq::config::{Config, PriorConfig, QuantizerConfig, VitConfig};
use bsq::image_io::{Picture, save_png};
use bsq::pipeline::{decode_clip_function, decode_function, encode_clip_function, encode_function};
use bsq::prior::{PriorFile, PriorModel, TileTokens, parameter_specs, tile_function};
use bsq::tokenizer::Tokenizer;
use bsq::train::{
    self, Silent, StepProgram, TrainError, TrainRun, check_supported, prior_step_program,
};
use bsq_codegen::ptx;
use bsq_ir::{DType, Function};
use bsq_runtime::cuda::{PtxOptions, compile_ptx};
use bsq_runtime::executor::{Evaluator, Executor, Tensors};
use bsq_runtime::{CompileOptions, Device, HostTensor, Precision, compile};
use std::sync::Arc;

/// How far it came.
#[derive(Clone, Copy, Debug)]
pub enum Tried {
    Refused,
    /// A model, but one that takes too long for a test.
    Large,
    Worked,
}

/// Reads a configuration, compiles its programs and runs them; or says why not.
pub fn try_out(text: &str, choice: u64) -> Result<Tried, String> {
    match PriorConfig::is_prior(text) {
        true => prior(text, choice),
        false => tokenizer(text, choice),
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn tokenizer(text: &str, choice: u64) -> Result<Tried, String> {
    let config = Config::from_toml(text).map_err(words)?;
    assert_eq!(Config::from_toml(&config.to_toml()).as_ref(), Ok(&config));
    check_supported(&config).map_err(words)?;
    let tokenizer = Tokenizer::new(&config.model);
    if is_large(&config) {
        return Ok(Tried::Large);
    }
    let parameters = tokenizer.init(choice).unwrap();
    let pixels = random(&tokenizer.image_shape(2), choice, config.data.zero_mean);
    let image = Tensors::from([("image".to_string(), pixels)]);
    let encode = encode_function(&tokenizer, 2);
    let encoded = forward(&encode, &parameters, &image, choice);
    forward(
        &decode_function(&tokenizer, 2),
        &parameters,
        &encoded,
        choice / 5,
    );

    if tokenizer.frames() > 1 {
        let frames = tokenizer.frames();
        let [_, channels, _, height, width] = tokenizer.clip_shape(1, frames);
        let clip = [1, frames, channels, height, width];
        let clip = random(&clip, choice, config.data.zero_mean);
        let clip = Tensors::from([("clip".to_string(), clip)]);
        let encode = encode_clip_function(&tokenizer, 1, frames);
        let encoded = forward(&encode, &parameters, &clip, choice);
        let decode = decode_clip_function(&tokenizer, 1, frames);
        forward(&decode, &parameters, &encoded, choice / 5);
    }

    let StepProgram {
        function, start, ..
    } = StepProgram::new(&config, &tokenizer, parameters).unwrap();
    let (batch, frames) = (config.data.batch_size, tokenizer.frames());
    let shape = match frames {
        1 => tokenizer.image_shape(batch).to_vec(),
        _ => tokenizer.clip_shape(batch, frames).to_vec(),
    };
    let scalar = |value: f64| HostTensor::scalar(value as f32).unwrap();
    let inputs = Tensors::from([
        (
            "image".to_string(),
            random(&shape, choice, config.data.zero_mean),
        ),
        ("lr".to_string(), scalar(config.learning_rate(0))),
        (
            "codebook_weight".to_string(),
            scalar(config.loss.codebook_weight_at(0)),
        ),
    ]);
    train_step(&function, &start, &inputs, config.train.exact, choice);
    train_on_pictures(config)
}

/// A step from the pictures of a folder to a checkpoint. It may diverge, but must say so.
fn train_on_pictures(config: Config) -> Result<Tried, String> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for (width, height) in [(1, 1), (5, 3), (30, 41)] {
        let word = |i: usize| bsq_ir::philox::random_word(1, 0, i as u64) as u8;
        let picture = Picture::new(width, height, (0..3 * width * height).map(word).collect());
        save_png(&picture, data.join(format!("{width}.png"))).unwrap();
    }
    let run = TrainRun {
        config,
        data,
        out: folder.path().join("out"),
        resume: false,
        steps: Some(1),
        threads: 1,
        device: Device::Cpu,
        stop: Arc::default(),
    };
    match train::run(&run, &mut Silent) {
        Ok(_) | Err(TrainError::Loop(bsq_nn::train::TrainError::Diverged { .. })) => {
            Ok(Tried::Worked)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn prior(text: &str, choice: u64) -> Result<Tried, String> {
    let config = PriorConfig::from_toml(text).map_err(words)?;
    assert_eq!(
        PriorConfig::from_toml(&config.to_toml()).as_ref(),
        Ok(&config)
    );
    let p = &config.prior;
    let positions = p.side * p.side * config.data.batch_size;
    let sizes = [
        p.width,
        p.mlp_width(),
        p.head_width,
        p.classes(),
        positions * p.sub_tokens(),
    ];
    if sizes.iter().any(|&size| size > 1024) || p.layers > 3 {
        return Ok(Tried::Large);
    }
    let model = PriorModel::new(p);
    let parameters = PriorFile::untrained("any", config.clone(), "any")
        .unwrap()
        .parameters;
    assert_eq!(parameters.len(), parameter_specs(&model).len());
    let function = tile_function(&model, config.data.batch_size);
    let known = inputs_of(&model, &function);
    forward(&function, &parameters, &known, choice);
    let (function, start) = prior_step_program(&config, parameters).unwrap();
    let mut inputs = inputs_of(&model, &function);
    let rate = HostTensor::scalar(config.learning_rate(0) as f32).unwrap();
    inputs.insert("lr".to_string(), rate);
    train_step(&function, &start, &inputs, config.train.exact, choice);
    Ok(Tried::Worked)
}

/// Tiles of the first token everywhere, as the integers that a function takes.
fn inputs_of(model: &PriorModel, function: &Function) -> Tensors {
    let side = model.config().side;
    let tile = TileTokens::new(model, side, side, &vec![0; side * side], usize::MAX);
    assert_eq!(tile.token(0, 0).len(), model.config().sub_tokens());
    let integers = function.inputs().filter(|(_, _, ty)| !ty.dtype.is_float());
    let zeros = |ty: &bsq_ir::Type| HostTensor::zeros(ty.dtype, ty.shape.to_vec()).unwrap();
    integers
        .map(|(_, name, ty)| (name.to_string(), zeros(ty)))
        .collect()
}

/// Whether a test would take too long.
fn is_large(config: &Config) -> bool {
    let vit = |vit: &VitConfig| {
        let pixels = vit.image_size.height * vit.image_size.width;
        let sizes = [
            vit.width,
            vit.mlp_width(),
            vit.dim_ffn_output,
            vit.tokens() * 8,
        ];
        vit.layers > 3 || pixels > 1024 || sizes.iter().any(|&size| size > 512)
    };
    let quantizer = match &config.model.quantizer {
        QuantizerConfig::Bsq(bsq) => bsq.embed_group_size > 9,
        QuantizerConfig::Vq(vq) => vq.n_embed > 256 || vq.embed_dim > 64,
        QuantizerConfig::Fsq(_) => false,
    };
    let tokens = config.model.encoder.tokens() * config.data.batch_size;
    quantizer || tokens > 128 || vit(&config.model.encoder) || vit(&config.model.decoder)
}

const FORMATS: [Precision; 5] = [
    Precision::F32,
    Precision::Bf16,
    Precision::Int8,
    Precision::Int8All,
    Precision::F16,
];

/// Compiles and runs in one of the CPU's formats, as PTX in one of a GPU's; in f32 the bits are the
/// evaluator's.
fn forward(function: &Function, parameters: &Tensors, inputs: &Tensors, choice: u64) -> Tensors {
    generate_ptx(function, true, choice / 4);
    let read: Tensors = read_by(function, parameters);
    let expected = Evaluator.run(function, &read, inputs).unwrap().outputs;
    let precision = FORMATS[(choice % 4) as usize];
    let found = run(function, &read, inputs, true, precision);
    if precision == Precision::F32 {
        assert_same(&expected, &found);
    }
    expected
}

/// Compiles and runs a step twice; an exact one has the evaluator's bits.
fn train_step(function: &Function, start: &Tensors, inputs: &Tensors, exact: bool, choice: u64) {
    generate_ptx(function, exact, choice / 20);
    let inputs = function
        .inputs()
        .map(|(_, name, _)| (name.to_string(), inputs[name].clone()));
    let inputs: Tensors = inputs.collect();
    let start = read_by(function, start);
    let found = run(function, &start, &inputs, exact, Precision::F32);
    if exact {
        assert_same(
            &Evaluator.run(function, &start, &inputs).unwrap().outputs,
            &found,
        );
    }
}

fn run(
    function: &Function,
    parameters: &Tensors,
    inputs: &Tensors,
    exact: bool,
    precision: Precision,
) -> Tensors {
    let options = CompileOptions {
        exact,
        precision,
        threads: 1,
        ..CompileOptions::default()
    };
    let mut session = compile(function, &options)
        .unwrap()
        .bind(parameters.clone())
        .unwrap();
    let inputs: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let outputs = session.run(&inputs).unwrap();
    session.run(&inputs).unwrap();
    outputs.into_iter().collect()
}

fn generate_ptx(function: &Function, exact: bool, choice: u64) {
    let options = PtxOptions {
        exact,
        precision: FORMATS[(choice % 5) as usize],
        target: ptx::Options {
            sm: 86,
            tf32: false,
        },
        memory: None,
    };
    let compiled = compile_ptx(function, &options).unwrap();
    assert!(!compiled.entries.is_empty());
}

/// The parameters that a function reads.
fn read_by(function: &Function, parameters: &Tensors) -> Tensors {
    let read = function.parameters();
    read.map(|(_, name, _)| (name.to_string(), parameters[name].clone()))
        .collect()
}

fn assert_same(expected: &Tensors, found: &Tensors) {
    for (name, expected) in expected {
        let found = &found[name];
        let same = match expected.dtype() {
            DType::F32 => {
                let (a, b) = (
                    expected.as_slice::<f32>().unwrap(),
                    found.as_slice().unwrap(),
                );
                let equal =
                    |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                a.iter().zip(b).all(equal)
            }
            _ => expected == found,
        };
        assert!(
            same,
            "`{name}` is not what the evaluator says: {found:?}, not {expected:?}"
        );
    }
}

/// Pixels between the two ends of a range.
fn random(shape: &[usize], seed: u64, zero_mean: bool) -> HostTensor {
    let count: usize = shape.iter().product();
    let word = |i: usize| bsq_ir::philox::random_word(seed, 0, i as u64);
    let unit = |i: usize| word(i) as f32 / u32::MAX as f32;
    let value = |i: usize| {
        if zero_mean {
            2.0 * unit(i) - 1.0
        } else {
            unit(i)
        }
    };
    let values: Vec<f32> = (0..count).map(value).collect();
    HostTensor::from_slice(shape.to_vec(), &values).unwrap()
}
