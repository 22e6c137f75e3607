//! Our side of `benches/peers/video.py`: clips through the block-causal tokenizer, run on demand.
//!
//! `ours_video FOLDER write CONFIG FRAMES SIDE` stores random weights, inputs and the description of a model of
//! clips of that many frames and pixels. `ours_video FOLDER serve encode` and `.. serve decode` answer commands.

use bsq::config::{Config, MaskType};
use bsq::image_io::ImageSize;
use bsq::pipeline::{CompileOptions, ModelFile, decode_clip_function};
use bsq::tokenizer::Tokenizer;
use bsq_benches::{Served, Tensors, data, description, serve, threads};
use bsq_ir::philox::random_word;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_runtime::checkpoint::{Weights, load, safetensors};
use bsq_runtime::{HostTensor, Outputs, Session, compile};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [folder, "write", config, frames, side] => write(
            Path::new(folder),
            Path::new(config),
            (frames.parse()?, side.parse()?),
        ),
        [folder, "serve", program] => {
            let (step, about) = Step::new(Path::new(folder), program)?;
            serve(step, about)
        }
        _ => Err("see the first lines of benches/src/bin/ours_video.rs".into()),
    }
}

fn write(
    folder: &Path,
    config: &Path,
    (frames, side): (usize, usize),
) -> Result<(), Box<dyn Error>> {
    let (mut config, _) = Config::load(config)?;
    for half in [&mut config.model.encoder, &mut config.model.decoder] {
        half.num_frames = frames;
        half.mask_type = MaskType::BlockCausal;
        half.image_size = ImageSize::square(side);
    }
    config.data.image_size = Some(side);
    let mut model = ModelFile::untrained("random", config, 0)?;
    // What a training would have made of the embeddings that start at zero.
    for (name, tensor) in &mut model.parameters {
        if name.contains("temporal") {
            *tensor = data::tensor(3, tensor.shape(), 0.02);
        }
    }
    let mut description = description(&model.config)?;
    description["frames"] = json!(frames);
    std::fs::write(folder.join("model.json"), format!("{description:#}\n"))?;
    std::fs::write(folder.join("model.toml"), model.config.to_toml())?;
    let path = folder.join("weights.safetensors");
    safetensors::save(&path, &model.parameters, &BTreeMap::new())?;
    let bits = model.config.model.quantizer.bits_per_token();
    let tokens = frames * model.config.model.decoder.tokens();
    let index = |i| {
        let word = |half| u64::from(random_word(2, half, i));
        (word(0) << 32 | word(1)) >> (64 - bits)
    };
    let indices: Vec<u64> = (0..tokens as u64).map(index).collect();
    let inputs = Tensors::from([
        (
            "clip".into(),
            data::tensor(1, &[1, frames, 3, side, side], 1.0),
        ),
        (
            "indices".into(),
            HostTensor::from_slice([1, tokens], &indices)?,
        ),
    ]);
    let path = folder.join("inputs.safetensors");
    Ok(safetensors::save(&path, &inputs, &BTreeMap::new())?)
}

/// A clip to indices, and the features that they are the signs of.
fn encode_function(tokenizer: &Tokenizer, frames: usize) -> Function {
    let g = Graph::new();
    let [_, channels, _, height, width] = tokenizer.clip_shape(1, frames);
    let clip = g.input("clip", DType::F32, [1, frames, channels, height, width]);
    let encoded = tokenizer.encode(&Scope::root(&g), clip.transpose(&[0, 2, 1, 3, 4]));
    let outputs = [
        ("indices", encoded.indices.id()),
        ("features", encoded.projected.id()),
    ];
    g.function(outputs, [])
}

/// One direction, and what it is given.
struct Step {
    session: Session,
    input: (&'static str, HostTensor),
    outputs: Outputs,
}

impl Step {
    fn new(folder: &Path, program: &str) -> Result<(Step, serde_json::Value), Box<dyn Error>> {
        let (config, _) = Config::load(folder.join("model.toml"))?;
        let tokenizer = Tokenizer::new(&config.model);
        let frames = tokenizer.frames();
        let (name, function) = match program {
            "encode" => ("clip", encode_function(&tokenizer, frames)),
            "decode" => ("indices", decode_clip_function(&tokenizer, 1, frames)),
            other => return Err(format!("{other}: encode or decode").into()),
        };
        let options = CompileOptions {
            threads: threads(),
            ..CompileOptions::default()
        };
        let executable = compile(&function, &options)?;
        let mut weights = load(folder.join("weights.safetensors"), Weights::Raw)?.tensors;
        let used: Vec<&str> = function.parameters().map(|(_, name, _)| name).collect();
        weights.retain(|name, _| used.contains(&name.as_str()));
        let mut inputs = load(folder.join("inputs.safetensors"), Weights::Raw)?.tensors;
        let input = inputs.remove(name).ok_or("no such input")?;
        let about = json!({
            "compile_seconds": executable.report().total().as_secs_f64(),
            "flops": executable.program().flops(),
        });
        let step = Step {
            session: executable.bind(weights.into_iter().collect())?,
            input: (name, input),
            outputs: Outputs::new(),
        };
        Ok((step, about))
    }
}

impl Served for Step {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let (name, input) = &self.input;
        self.outputs = self.session.run(&[(name, input)])?;
        Ok(())
    }

    fn results(&self) -> Result<Tensors, Box<dyn Error>> {
        Ok(self.outputs.clone().into_iter().collect())
    }
}
