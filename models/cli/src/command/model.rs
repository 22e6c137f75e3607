//! Models by the name of one that ships, or by path.

use super::error::CliError;
use super::output::Output;
use bsq::any_model::AnyModel;
use bsq::config::{Config, reference_names, shipped_names};
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
    #[command(flatten)]
    config: ConfigArgument,
}

/// The configuration of weights.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgument {
    /// The configuration of weights that have none inside or beside them: a file, or the name of one
    /// that ships, such as bsq_256_b36g36 of the authors
    #[arg(long = "config", id = "model_config", value_name = "NAME|PATH")]
    config: Option<String>,
}

impl ConfigArgument {
    fn read(&self) -> Result<Option<Config>, CliError> {
        let Some(name) = &self.config else {
            return Ok(None);
        };
        if Path::new(name).exists() {
            return Ok(Some(Config::load(name)?.0));
        }
        match Config::named(name)? {
            Some((config, _)) => Ok(Some(config)),
            None => {
                let names: Vec<&str> = reference_names().chain(shipped_names()).collect();
                Err(CliError::new(format_args!(
                    "{name}: neither a file nor a configuration that ships ({})",
                    names.join(", ")
                )))
            }
        }
    }
}

/// A model of any kind as a command's subject.
#[derive(Args, Clone, Debug)]
pub struct OpenModel {
    /// A model that ships (default), the folder of a training, or a file of weights
    #[arg(value_name = "MODEL")]
    model: String,
    /// Where the weights are in the model's file, if that is not plain: keys joined by dots
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    config: ConfigArgument,
}

impl OpenModel {
    pub fn open(&self, output: &Output) -> Result<AnyModel, CliError> {
        let selection = Selection {
            weights: Weights::Ema,
            key: self.key.as_deref(),
        };
        let model = AnyModel::open(&self.model, selection, self.config.read()?)?;
        if let AnyModel::Tokenizer(tokenizer) = &model
            && let Some(notice) = &tokenizer.notice
        {
            output.note(notice);
        }
        Ok(model)
    }
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
        let name = self.given().unwrap_or("default");
        let config = self.config.read()?;
        let model = open_with(name, self.key.as_deref(), config)?;
        if let Some(notice) = &model.notice {
            output.note(notice);
        }
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
    open_with(name, key, None)
}

/// The same, whose configuration may be known.
fn open_with(name: &str, key: Option<&str>, config: Option<Config>) -> Result<ModelFile, CliError> {
    if !Path::new(name).exists() && pretrained::names().all(|shipped| shipped != name) {
        let shipped: Vec<&str> = pretrained::names().collect();
        return Err(CliError::new(format_args!(
            "{name}: neither a file nor a model that ships ({})",
            shipped.join(", ")
        )));
    }
    let extension = Path::new(name).extension().map(|e| e.to_ascii_lowercase());
    if extension.is_some_and(|e| e == "toml" || e == "yaml" || e == "yml") {
        return Err(CliError::new(format_args!(
            "{name}: a configuration, which has no weights: train it (bsq train {name} --data PHOTOS --out RUN), or name weights and give it as --config"
        )));
    }
    let weights = Weights::Ema;
    let selection = Selection { weights, key };
    Ok(match config {
        None => pretrained::open(name, selection)?,
        Some(config) => pretrained::open_with(name, selection, config)?,
    })
}
