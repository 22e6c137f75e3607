//! Priors by the name of one that ships, or by path.

use super::error::CliError;
use super::model::ModelArgument;
use super::output::Output;
use super::train::shipped_here;
use bsq::config::{ConfigError, PriorConfig, Problem};
use bsq::pipeline::{ModelFile, fingerprint};
use bsq::pretrained;
use bsq::prior::PriorFile;
use clap::Args;
use std::path::Path;

const DEFAULT: &str = "default";

/// Which prior to use.
#[derive(Args, Clone, Debug)]
pub struct PriorArgument {
    /// The prior of a tokenizer: one that ships (default, bsq36, bsq36-clips, bsq18, video36), or a file that `bsq train` wrote
    /// [default: that in the folder of the tokenizer's training, or the one that ships for it]
    #[arg(long, value_name = "NAME|PATH")]
    prior: Option<String>,
}

impl PriorArgument {
    pub fn is_given(&self) -> bool {
        self.prior.is_some()
    }

    /// The one that is named, the one in the folder of the tokenizer's training, or the one that
    /// ships for its tokens.
    pub fn open_with(
        &self,
        tokenizer: &ModelFile,
        model: &ModelArgument,
        output: &Output,
    ) -> Result<PriorFile, CliError> {
        if self.prior.is_some() {
            return self.open(output);
        }
        if let Some(prior) = beside(model)? {
            return Ok(detailed(prior, output));
        }
        let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
        if let Some(prior) = pretrained::prior_for(&own)? {
            return Ok(detailed(prior, output));
        }
        let name = model.given().unwrap_or(&tokenizer.name);
        Err(CliError::new(format_args!(
            "{name}: no prior for its tokens: train one (bsq train prior --model {name} --data PHOTOS --out PRIOR) and name it with --prior, or give --raw"
        )))
    }

    /// The same for clips: of priors that ship, one that sees the frame before if there is one.
    pub fn open_for_clips(
        &self,
        tokenizer: &ModelFile,
        model: &ModelArgument,
        output: &Output,
    ) -> Result<PriorFile, CliError> {
        if self.prior.is_none() && beside(model)?.is_none() {
            let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
            if let Some(prior) = pretrained::clip_prior_for(&own)? {
                return Ok(detailed(prior, output));
            }
        }
        self.open_with(tokenizer, model, output)
    }

    pub fn open(&self, output: &Output) -> Result<PriorFile, CliError> {
        let shipped: Vec<&str> = pretrained::prior_names().collect();
        let name = self.prior.as_deref().unwrap_or(DEFAULT);
        if !Path::new(name).exists() && !shipped.contains(&name) {
            return Err(CliError::new(format_args!(
                "{name}: neither a file nor a prior that ships ({})",
                shipped.join(", ")
            )));
        }
        Ok(detailed(pretrained::open_prior(name)?, output))
    }

    /// The prior for a stream that names it by its fingerprint. The default is whatever it was when
    /// the stream was coded.
    pub fn open_for(
        &self,
        fingerprint: u64,
        model: &ModelArgument,
        output: &Output,
    ) -> Result<PriorFile, CliError> {
        if self.prior.is_none()
            && let Some(prior) = beside(model)?.filter(|prior| prior.fingerprint() == fingerprint)
        {
            return Ok(detailed(prior, output));
        }
        if self.prior.as_deref().unwrap_or(DEFAULT) == DEFAULT
            && let Some(prior) = pretrained::prior_with_fingerprint(fingerprint)?
        {
            return Ok(detailed(prior, output));
        }
        self.open(output)
    }
}

/// The prior in the folder of a tokenizer's training, if the model is one and it has one.
fn beside(model: &ModelArgument) -> Result<Option<PriorFile>, CliError> {
    let Some(folder) = model.given().map(Path::new).filter(|path| path.is_dir()) else {
        return Ok(None);
    };
    let weights = pretrained::weights_file(&pretrained::prior_folder(folder));
    match weights.is_file() {
        true => Ok(Some(PriorFile::open(&weights)?)),
        false => Ok(None),
    }
}

fn detailed(prior: PriorFile, output: &Output) -> PriorFile {
    output.detail(format_args!(
        "prior {}: {} parameters, fingerprint {:016x}",
        prior.name,
        prior.parameter_count(),
        prior.fingerprint()
    ));
    prior
}

/// A prior's configuration, a file or one that ships, of which nothing is trained. Where it leaves out
/// the bits of its tokens, they are those of the tokenizer that `bsq train` takes unless it is told another.
pub fn prior_config(name: &str, output: &Output) -> Result<PriorConfig, CliError> {
    let read = |bits: Option<usize>| match (shipped_here(Path::new(name)), bits) {
        (Some(text), None) => PriorConfig::from_toml(text),
        (Some(text), Some(bits)) => PriorConfig::from_toml_for(text, bits),
        (None, None) => PriorConfig::load(name),
        (None, Some(bits)) => PriorConfig::load_for(name, bits),
    };
    match read(None) {
        Err(ConfigError {
            problem: Problem::Missing { key, .. },
            ..
        }) if key == "prior.bits" => {
            let tokenizer = super::model::open(DEFAULT, None)?;
            let bits = tokenizer.tokenizer.config().quantizer.bits_per_token();
            output.note(format_args!(
                "{name}: prior.bits is left out: {bits}, those of the tokenizer {}; for another, write prior.bits",
                tokenizer.name
            ));
            Ok(read(Some(bits))?)
        }
        other => Ok(other?),
    }
}
