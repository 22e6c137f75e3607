//! The functions of a model that `explain` shows and `bench` measures.

use super::error::CliError;
use bsq::config::Config;
use bsq::losses::{TokenizerLoss, total};
use bsq::optimizer::{AdamW, adamw};
use bsq::pipeline::ModelFile;
use bsq::tokenizer::Tokenizer;
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

/// Pictures to indices.
pub fn encode(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let encoded = tokenizer.encode(&Scope::root(&g), image);
    g.function([("indices", encoded.indices.id())], [])
}

/// Indices to pictures.
pub fn decode(tokenizer: &Tokenizer, batch: usize) -> Function {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let tokens = tokenizer.config().decoder.tokens();
    let indices = g.input("indices", DType::U64, [batch, tokens]);
    let decoded = tokenizer.decode(&scope, tokenizer.codes(&scope, indices));
    g.function([("reconstruction", decoded.reconstruction.id())], [])
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
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let forward = tokenizer.forward(&scope, image);
    let loss = TokenizerLoss::from_config(&config.loss, g.scalar("codebook_weight"));
    let loss = total(&loss.terms(&forward, image));
    let rule = AdamW::from_config(&config.optimizer, g.scalar("lr"));
    let mut step = adamw(loss, &tokenizer.trained(&scope), &rule);
    if config.train.use_ema {
        step = step.with_average(config.train.ema_decay);
    }
    step.function()
}
