//! Models by the name of one that ships, or by path.

use super::error::CliError;
use super::output::Output;
use bsq::pipeline::{ModelFile, fingerprint};
use bsq::pretrained;
use bsq::transform_codec::TransformCodecFile;
use bsq_runtime::checkpoint::{Selection, Weights};
use clap::Args;
use std::path::Path;

/// Which model to use.
#[derive(Args, Clone, Debug)]
pub struct ModelArgument {
    /// A model that ships (default), the folder of a training, or a file of weights: safetensors,
    /// or a PyTorch checkpoint with its .toml or .yaml configuration beside it [default: default]
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Where the weights are in the model's file, if that is not plain: keys joined by dots, such
    /// as generator.state_dict
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl ModelArgument {
    /// The name or path, if one was given.
    pub fn given(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The tokenizer that is named, or the one that ships and has a fingerprint.
    pub fn open_for(&self, fingerprint: u64, output: &Output) -> Result<ModelFile, CliError> {
        if self.model.is_none()
            && let Some(model) = pretrained::with_fingerprint(fingerprint)?
        {
            output.detail(format_args!("model {}", model.name));
            return Ok(model);
        }
        self.open(output)
    }

    pub fn open(&self, output: &Output) -> Result<ModelFile, CliError> {
        let model = open(self.given().unwrap_or("default"), self.key.as_deref())?;
        output.detail(format_args!(
            "model {}: {} parameters, fingerprint {}",
            model.name,
            model.parameter_count(),
            fingerprint(model.tokenizer.config(), &model.parameters)
        ));
        Ok(model)
    }
}

impl ModelArgument {
    /// The transform codec that it names, if it is one: the default of those who code photos.
    pub fn open_codec(&self, output: &Output) -> Result<Option<TransformCodecFile>, CliError> {
        let name = self.given().unwrap_or("default");
        if self.key.is_some() || !pretrained::is_codec(name) {
            return Ok(None);
        }
        let file = pretrained::open_codec(name)?;
        output.detail(format_args!(
            "codec {}: {} parameters, fingerprint {:016x}",
            file.name,
            file.parameter_count(),
            file.fingerprint()
        ));
        Ok(Some(file))
    }
}

/// The model of a name or path.
pub fn open(name: &str, key: Option<&str>) -> Result<ModelFile, CliError> {
    if !Path::new(name).exists() && pretrained::names().all(|shipped| shipped != name) {
        let shipped: Vec<&str> = pretrained::names().collect();
        return Err(CliError::new(format_args!(
            "{name}: neither a file nor a model that ships ({})",
            shipped.join(", ")
        )));
    }
    let weights = Weights::Ema;
    Ok(pretrained::open(name, Selection { weights, key })?)
}
