//! The functions of a model that `explain` shows and `bench` measures.

use super::error::CliError;
use bsq::config::Config;
use bsq::pipeline::ModelFile;
use bsq::tokenizer::Tokenizer;
use bsq::train::StepProgram;
use bsq_ir::{DType, Function, Graph, Scope};
use std::path::Path;

/// The configuration of a model: a configuration file's own, or that of weights.
pub fn config_of(name: &str) -> Result<Config, CliError> {
    let extension = Path::new(name).extension().map(|e| e.to_ascii_lowercase());
    let is_config = extension.is_some_and(|e| ["toml", "yaml", "yml"].iter().any(|x| e == *x));
    match is_config {
        true => Ok(Config::load(name)?.0),
        false => {
            let ModelFile { config, .. } = super::model::open(name)?;
            Ok(config)
        }
    }
}

/// Pictures to indices and to pictures again.
pub fn reconstruct(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let encoded = tokenizer.encode(&scope, image);
    let decoded = tokenizer.decode(&scope, tokenizer.codes(&scope, encoded.indices));
    let outputs = [
        ("indices", encoded.indices.id()),
        ("reconstruction", decoded.reconstruction.id()),
    ];
    g.function(outputs, [])
}

/// A whole training step: forward, loss, backward, AdamW and the moving average.
pub fn training_step(config: &Config, tokenizer: &Tokenizer, batch: usize) -> Function {
    let mut config = config.clone();
    config.data.batch_size = batch;
    StepProgram::function_of(&config, tokenizer)
}
