//! Models by the name of one that ships, or by path.

use super::error::CliError;
use super::output::Output;
use bsq::pipeline::{ModelFile, identity};
use bsq::pretrained;
use bsq_runtime::checkpoint::Weights;
use clap::Args;
use std::path::Path;

/// Which model to use.
#[derive(Args, Clone, Debug)]
pub struct ModelArgument {
    /// A model that ships (default), or a file of weights: safetensors, or a PyTorch checkpoint
    /// with its .toml or .yaml configuration beside it [default: default]
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
}

impl ModelArgument {
    /// The name or path, if one was given.
    pub fn given(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub fn open(&self, output: &Output) -> Result<ModelFile, CliError> {
        let model = open(self.given().unwrap_or("default"))?;
        output.detail(format_args!(
            "model {}: {} parameters, identity {}",
            model.name,
            model.parameter_count(),
            identity(model.tokenizer.config(), &model.parameters)
        ));
        Ok(model)
    }
}

/// The model of a name or path.
pub fn open(name: &str) -> Result<ModelFile, CliError> {
    if !Path::new(name).exists() && pretrained::names().all(|shipped| shipped != name) {
        let shipped: Vec<&str> = pretrained::names().collect();
        return Err(CliError::new(format_args!(
            "{name}: neither a file nor a model that ships ({})",
            shipped.join(", ")
        )));
    }
    Ok(pretrained::open(name, Weights::Ema)?)
}
