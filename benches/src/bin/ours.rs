//! Our side of `benches/peers`: one program of a model, run on demand.
//!
//! `write` stores what everybody starts from; `serve` answers commands, and to `probe` what the machine can
//! do: `{"gflops": .., "gbytes": ..}`. What the process has had of memory until it was first probed counts.

use bsq::config::Config;
use bsq::pipeline::{ModelFile, decode_function};
use bsq::tokenizer::Tokenizer;
use bsq::train::StepProgram;
use bsq_benches::{Served, data, description, peak_bytes, threads};
use bsq_cli::machine::{Probe, cpu_name};
use bsq_codegen::cpu::microkernel::selected;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_runtime::checkpoint::{Weights, load, safetensors};
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, HostTensor, Outputs, Session, compile};
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

const LEARNING_RATE: f32 = 1e-4;
const CODEBOOK_WEIGHT: f32 = 0.3;
/// What the moving average of the parameters keeps at each step.
const EMA_DECAY: f64 = 0.999;
/// Tensors of the first moments that are compared after a training step: one from each end of the
/// model, and one from its middle.
const COMPARED_MOMENTS: [&str; 3] = [
    "encoder.conv1.weight",
    "decoder.transformer.resblocks.0.attn.in_proj_weight",
    "decoder.conv_out.weight",
];

/// One implementation of benches/peers; started by compare.py.
#[derive(Parser)]
struct Arguments {
    /// Where weights, inputs and the description of the model are
    #[arg(long)]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes weights, the description of the model, and inputs for each batch size
    Write {
        /// A configuration, .toml or .yaml
        #[arg(long)]
        model: PathBuf,
        #[arg(long, value_delimiter = ',')]
        batch: Vec<usize>,
    },
    /// Answers commands
    Serve {
        #[arg(long, value_enum)]
        program: Program,
        #[arg(long)]
        batch: usize,
        #[arg(long, value_enum, default_value = "f32")]
        precision: Precision,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Program {
    Encode,
    Decode,
    Train,
}

/// The number format of the arithmetic.
#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
    Bf16,
    Int8,
    Int8All,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { folder, command } = Arguments::parse();
    match command {
        Command::Write { model, batch } => write(&folder, &model, &batch),
        Command::Serve {
            program,
            batch,
            precision,
        } => serve(&folder, program, batch, precision),
    }
}

fn options(precision: Precision) -> CompileOptions {
    CompileOptions {
        precision: match precision {
            Precision::F32 => bsq_runtime::Precision::F32,
            Precision::Bf16 => bsq_runtime::Precision::Bf16,
            Precision::Int8 => bsq_runtime::Precision::Int8,
            Precision::Int8All => bsq_runtime::Precision::Int8All,
        },
        threads: threads(),
        ..CompileOptions::default()
    }
}

/// What everybody starts from.
fn write(folder: &Path, config: &Path, batches: &[usize]) -> Result<(), Box<dyn Error>> {
    let (mut config, _) = Config::load(config)?;
    config.train.use_ema = true;
    config.train.ema_decay = EMA_DECAY;
    let model = ModelFile::untrained("random", config, 0)?;
    let mut description = description(&model.config)?;
    let own = json!({
        "lr": LEARNING_RATE,
        "codebook_weight": CODEBOOK_WEIGHT,
        "ema_decay": EMA_DECAY,
        "compared_moments": COMPARED_MOMENTS,
        "cpu": cpu_name(),
        "family": selected()?.to_string(),
    });
    let own = own.as_object().expect("it is spelled as one").clone();
    description.as_object_mut().expect("it is one").extend(own);
    std::fs::write(folder.join("model.json"), format!("{description:#}\n"))?;
    std::fs::write(folder.join("model.toml"), model.config.to_toml())?;
    let path = folder.join("weights.safetensors");
    safetensors::save(&path, &model.parameters, &BTreeMap::new())?;
    for &batch in batches {
        let image = data::tensor(1, &model.tokenizer.image_shape(batch), 1.0);
        // Indices that are those of no picture serve decoders as well.
        let bits = model.config.model.quantizer.bits_per_token();
        let count = batch * model.config.model.decoder.tokens();
        let words = data::uniform(2, 2 * count, 1.0);
        let indices = words.chunks(2).map(|pair| {
            let word = u64::from(pair[0].to_bits()) << 32 | u64::from(pair[1].to_bits());
            word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - bits)
        });
        let indices: Vec<u64> = indices.collect();
        let shape = [batch, model.config.model.decoder.tokens()];
        let indices = HostTensor::from_slice(shape, &indices)?;
        let inputs = [("image", image), ("indices", indices)];
        let inputs = inputs.map(|(name, tensor)| (name.to_string(), tensor));
        let path = folder.join(format!("inputs-{batch}.safetensors"));
        safetensors::save(&path, &Tensors::from(inputs), &BTreeMap::new())?;
    }
    Ok(())
}

/// Pictures to indices, and the features that they are the signs of.
fn encode_function(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let encoded = tokenizer.encode(&Scope::root(&g), image);
    let outputs = [
        ("indices", encoded.indices.id()),
        ("features", encoded.projected.id()),
    ];
    g.function(outputs, [])
}

fn serve(
    folder: &Path,
    program: Program,
    batch: usize,
    precision: Precision,
) -> Result<(), Box<dyn Error>> {
    let (mut config, _) = Config::load(folder.join("model.toml"))?;
    config.data.batch_size = batch;
    let tokenizer = Tokenizer::new(&config.model);
    let read = |name: &str| load(folder.join(name), Weights::Raw);
    let weights: Tensors = read("weights.safetensors")?.tensors.into_iter().collect();
    let mut inputs: Tensors = read(&format!("inputs-{batch}.safetensors"))?
        .tensors
        .into_iter()
        .collect();
    inputs.insert("lr".to_string(), HostTensor::scalar(LEARNING_RATE)?);
    let weight = HostTensor::scalar(CODEBOOK_WEIGHT)?;
    inputs.insert("codebook_weight".to_string(), weight);
    let (function, parameters) = match program {
        Program::Encode => (encode_function(&tokenizer, batch), weights),
        Program::Decode => (decode_function(&tokenizer, batch), weights),
        Program::Train => {
            let step = StepProgram::new(&config, &tokenizer, weights)?;
            (step.function, step.start)
        }
    };
    let options = CompileOptions {
        exact: !matches!(program, Program::Train) || config.train.exact,
        ..options(precision)
    };
    let executable = compile(&function, &options)?;
    let names: Vec<String> = function
        .parameters()
        .map(|(_, n, _)| n.to_string())
        .collect();
    let mut bound = parameters;
    bound.retain(|name, _| names.contains(name));
    let server = Server {
        session: executable.bind(bound)?,
        inputs: function
            .inputs()
            .map(|(_, name, _)| (name.to_string(), inputs[name].clone()))
            .collect(),
        outputs: Outputs::new(),
        probe: None,
        peak_before_probe: None,
    };
    let about = json!({
        "compile_seconds": executable.report().total().as_secs_f64(),
        "flops": executable.program().flops(),
        "planned_bytes": executable.program().peak_bytes(),
    });
    bsq_benches::serve(server, about)
}

struct Server {
    session: Session,
    inputs: Tensors,
    outputs: Outputs,
    /// Made when it is first asked for: it takes memory.
    probe: Option<Probe>,
    /// The most memory that runs have taken, without the probe's.
    peak_before_probe: Option<u64>,
}

impl Served for Server {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let inputs = self.inputs.iter();
        let inputs: Vec<(&str, &HostTensor)> = inputs.map(|(name, t)| (&**name, t)).collect();
        self.outputs = self.session.run(&inputs)?;
        Ok(())
    }

    /// The outputs, and of a training step the moments that are compared.
    fn results(&self) -> Result<bsq_benches::Tensors, Box<dyn Error>> {
        let mut saved: bsq_benches::Tensors = self.outputs.clone().into_iter().collect();
        for name in COMPARED_MOMENTS {
            if let Ok(moment) = self.session.parameter(&format!("adamw.exp_avg.{name}")) {
                saved.insert(format!("exp_avg.{name}"), moment.clone());
            }
        }
        Ok(saved)
    }

    fn answer(&mut self, command: &str) -> Result<Option<Value>, Box<dyn Error>> {
        if command != "probe" {
            return Ok(None);
        }
        let family = selected()?;
        if self.probe.is_none() {
            self.peak_before_probe = peak_bytes();
        }
        let probe = self
            .probe
            .get_or_insert_with(|| Probe::new(family, threads()));
        probe.restart();
        probe.sample();
        let rates = probe.rates();
        Ok(Some(
            json!({ "gflops": rates.gflops, "gbytes": rates.gbytes }),
        ))
    }

    fn peak_bytes(&self) -> Option<u64> {
        self.peak_before_probe.or_else(peak_bytes)
    }
}
