//! Our side of `benches/peers/masked_lm.py`: one step of a masked language model's sampler, with
//! guidance, run on demand.
//!
//! `ours_masked_lm FOLDER write CONFIG BATCH` stores random weights, inputs and the description of a model.
//! `ours_masked_lm FOLDER serve` answers commands; results are the probabilities.

use bsq::config::MaskedLmConfig;
use bsq::masked_lm::{MaskedLmFile, probabilities_function};
use bsq::pipeline::CompileOptions;
use bsq_benches::{Served, Tensors, serve, threads};
use bsq_ir::DType;
use bsq_ir::philox::random_word;
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
        [folder, "write", config, batch] => {
            write(Path::new(folder), Path::new(config), batch.parse()?)
        }
        [folder, "serve"] => serve(Step::new(Path::new(folder))?, json!({})),
        _ => Err("see the first lines of benches/src/bin/ours_masked_lm.rs".into()),
    }
}

fn write(folder: &Path, config: &Path, batch: usize) -> Result<(), Box<dyn Error>> {
    // Of a file that leaves them out: the sizes of `fashion`.
    let text = std::fs::read_to_string(config)?;
    let sizes = match text.contains("\nbits") {
        true => text,
        false => text.replacen("[masked_lm]", "[masked_lm]\nbits = 40\ntokens = 16", 1),
    };
    let config = MaskedLmConfig::from_toml(&sizes)?;
    let lm = config.masked_lm.clone();
    let file = MaskedLmFile::untrained("random", config, "none")?;
    file.save(&folder.join("model.safetensors"), DType::F32)?;
    let shape = [batch, lm.tokens, lm.groups];
    // Half of the sub-tokens are masked.
    let values = 2 * lm.vocabulary();
    let value = |i| (random_word(1, 0, i) as usize % values).min(lm.vocabulary()) as i32;
    let count = shape.iter().product::<usize>() as u64;
    let tokens: Vec<i32> = (0..count).map(value).collect();
    let class = |i| (random_word(2, 0, i) as usize % lm.classes.len()) as i32;
    let classes: Vec<i32> = (0..batch as u64).map(class).collect();
    let inputs = Tensors::from([
        ("tokens".into(), HostTensor::from_slice(shape, &tokens)?),
        ("classes".into(), HostTensor::from_slice([batch], &classes)?),
        ("guidance".into(), HostTensor::from_slice([], &[0.5_f32])?),
    ]);
    let path = folder.join("inputs.safetensors");
    safetensors::save(&path, &inputs, &BTreeMap::new())?;
    let description = json!({
        "groups": lm.groups,
        "vocabulary": lm.vocabulary(),
        "layers": lm.layers,
        "heads": lm.heads,
    });
    Ok(std::fs::write(
        folder.join("model.json"),
        format!("{description:#}\n"),
    )?)
}

/// A step of the sampler, and what it is given.
struct Step {
    session: Session,
    inputs: Tensors,
    outputs: Outputs,
}

impl Step {
    fn new(folder: &Path) -> Result<Step, Box<dyn Error>> {
        let file = MaskedLmFile::open(&folder.join("model.safetensors"))?;
        let inputs = load(folder.join("inputs.safetensors"), Weights::Raw)?.tensors;
        let batch = inputs["classes"].shape()[0];
        let function = probabilities_function(&file.model, batch, true);
        let options = CompileOptions {
            threads: threads(),
            ..CompileOptions::default()
        };
        Ok(Step {
            session: compile(&function, &options)?.bind(file.parameters.clone())?,
            inputs,
            outputs: Outputs::new(),
        })
    }
}

impl Served for Step {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let inputs = self.inputs.iter();
        let given: Vec<(&str, &HostTensor)> = inputs.map(|(name, t)| (&**name, t)).collect();
        self.outputs = self.session.run(&given)?;
        Ok(())
    }

    fn results(&self) -> Result<Tensors, Box<dyn Error>> {
        Ok(self.outputs.clone().into_iter().collect())
    }
}
