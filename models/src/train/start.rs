//! Beginning a training with the weights of another: step 0, and a fresh optimizer.

use super::changes::{changes, is_of_model};
use super::{FILE_NAME, Progress, TrainError, TrainingCheckpoint};
use crate::config::{Config, ConfigError, PriorConfig, PriorModelConfig, TransformCodecConfig};
use crate::masked_lm::MaskedLmFile;
use crate::pretrained;
use crate::prior::{PriorFile, Storage};
use crate::tokenizer::Tokenizer;
use crate::transform_codec::TransformCodecFile;
use crate::weights_file::WeightsFileError;
use bsq_ir::tensor::ParameterSpec;
use bsq_nn::train::Change;
use bsq_runtime::checkpoint::{Checkpoint, Mismatch, Source, Weights, load};
use bsq_runtime::executor::Tensors;
use bsq_runtime::tensor_data::HostTensor;
use std::path::{Path, PathBuf};

/// The weights of a prior's input, of which the tokens of the frame before are the last columns.
const STEM: &str = "stem.weight";

/// The weights that a tokenizer begins with: those of a file, of a training's folder, or of a
/// model that ships. Only names and shapes have to fit; other settings that differ are said.
pub(super) fn tokenizer(
    name: &str,
    config: &Config,
    tokenizer: &Tokenizer,
    progress: &mut dyn Progress,
) -> Result<Tensors, TrainError> {
    let path = file_of(name);
    if pretrained::names().any(|shipped| shipped == name) {
        let model =
            pretrained::open(name, Weights::Ema).map_err(|error| TrainError::StartFile {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        let old = model.config.to_toml();
        let checkpoint = Checkpoint {
            tensors: model.parameters,
            metadata: Default::default(),
            source: Source::Safetensors,
            ..Checkpoint::default()
        };
        let parameters = fitted(tokenizer, &checkpoint, path)?;
        say_differences(name, &old, &config.to_toml(), progress);
        return Ok(parameters);
    }
    let checkpoint = load(&path, Weights::Ema)?;
    let old = checkpoint.metadata.get("config").cloned();
    if old.as_deref().is_some_and(PriorConfig::is_prior) {
        let reason = "it is a prior, and the configuration is that of a tokenizer".to_string();
        return Err(TrainError::StartFile { path, reason });
    }
    let checkpoint = TrainingCheckpoint::weights_of(&path, checkpoint, Weights::Ema);
    let parameters = fitted(tokenizer, &checkpoint, path)?;
    if let Some(old) = old {
        say_differences(name, &old, &config.to_toml(), progress);
    }
    Ok(parameters)
}

fn fitted(
    tokenizer: &Tokenizer,
    checkpoint: &Checkpoint,
    path: PathBuf,
) -> Result<Tensors, TrainError> {
    tokenizer
        .inflated(checkpoint)
        .map_err(|error| TrainError::Start {
            path,
            error: Box::new(error),
        })
}

/// The weights that a prior begins with. Its tokenizer may be another, which is said. A prior of pictures begins one
/// of clips, which sees nothing of the frame before at first.
pub(super) fn prior(
    name: &str,
    fresh: &PriorFile,
    specs: &[ParameterSpec],
    progress: &mut dyn Progress,
) -> Result<Tensors, TrainError> {
    let path = file_of(name);
    let unfit = |reason: String| TrainError::StartFile {
        path: path.clone(),
        reason,
    };
    let is_shipped = pretrained::prior_names().any(|shipped| shipped == name);
    let other = match is_shipped {
        true => pretrained::open_prior(name),
        false => PriorFile::open(&path),
    };
    // The error of a file names it already.
    let other = other.map_err(|error| TrainError::WeightsFile(Box::new(error)))?;
    if other.model.storage() != Storage::F32 {
        let storage = other.model.storage().name();
        return Err(unfit(format!(
            "its weights are rounded to {storage}, and training goes on from f32: take the checkpoint of its training"
        )));
    }
    let (old, new) = (other.config.to_toml(), fresh.config.to_toml());
    let parameters = widened(&other, fresh)?;
    for ParameterSpec { name, ty, .. } in specs {
        let found = parameters.get(name).map(|tensor| tensor.shape());
        if found != Some(&ty.shape[..]) {
            let found = found.map_or("absent".to_string(), |shape| format!("{shape:?}"));
            let first = changes(&old, &new)?;
            let first = first.iter().find(|change| change.is_another_model);
            let first = first.map_or(String::new(), |change| format!(" ({change})"));
            return Err(unfit(format!(
                "`{name}` is {found}, not {:?}{first}",
                &ty.shape[..]
            )));
        }
    }
    say_differences(name, &old, &new, progress);
    if other.tokenizer != fresh.tokenizer {
        progress.note(&format!(
            "{name}: it knows the tokens of another tokenizer ({}, not {})",
            other.tokenizer, fresh.tokenizer
        ));
    }
    Ok(parameters)
}

/// The parameters of a prior, with zeros for tokens of the frame before that only the new one sees.
fn widened(old: &PriorFile, new: &PriorFile) -> Result<Tensors, TrainError> {
    let mut parameters = old.parameters.clone();
    let (of_old, of_new) = (&old.config.prior, &new.config.prior);
    let same = PriorModelConfig {
        frame_before: of_new.frame_before,
        truncation: of_new.truncation,
        ..of_old.clone()
    };
    if same != *of_new || of_new.frame_before <= of_old.frame_before {
        return Ok(parameters);
    }
    if let Some(stem) = parameters.get_mut(STEM) {
        let [rows, columns] = stem.shape()[..] else {
            return Ok(parameters);
        };
        let more = of_new.frame_before - of_old.frame_before;
        let wide = columns + more * of_new.sub_tokens() * of_new.classes();
        let mut values = vec![0.0; rows * wide];
        let own = stem.as_slice::<f32>()?.chunks_exact(columns);
        for (to, from) in values.chunks_exact_mut(wide).zip(own) {
            to[..columns].copy_from_slice(from);
        }
        *stem = HostTensor::from_slice([rows, wide], &values)?;
    }
    Ok(parameters)
}

/// The weights that a transform codec begins with. The model's section of their configuration must be
/// the same: shapes do not show how coarsely levels are rounded.
pub(super) fn transform_codec(
    name: &str,
    config: &TransformCodecConfig,
) -> Result<Tensors, TrainError> {
    let unfit = |reason: String| TrainError::StartFile {
        path: file_of(name),
        reason,
    };
    let other = pretrained::open_codec(name).map_err(|error| match error {
        WeightsFileError::Mismatch { error, .. } => unfit(first(&error)),
        // It names the file already.
        error => TrainError::WeightsFile(Box::new(error)),
    })?;
    let changes = changes_of_model(&other.config.to_toml(), &config.to_toml())?;
    match changes.first() {
        None => Ok(other.parameters),
        Some(change) => Err(unfit(format!("{change}: this makes another model"))),
    }
}

/// The weights that a codec of predicted frames begins with: those of another codec that fit, and fresh
/// ones where it has none of the shape. The transforms must be the same.
pub(super) fn predicted(
    other: &TransformCodecFile,
    config: &TransformCodecConfig,
    specs: &[ParameterSpec],
    progress: &mut dyn Progress,
) -> Result<Tensors, TrainError> {
    let name = &other.name;
    let mut parameters = bsq_nn::init::init(specs, config.train.seed)?;
    let mut fresh = 0;
    for ParameterSpec { name: key, ty, .. } in specs {
        match other.parameters.get(key) {
            Some(tensor) if tensor.shape() == &ty.shape[..] => {
                parameters.insert(key.clone(), tensor.clone());
            }
            _ if key.contains("transform.") => {
                return Err(TrainError::StartFile {
                    path: file_of(name),
                    reason: format!("`{key}` is missing or has another shape"),
                });
            }
            _ => fresh += 1,
        }
    }
    if fresh > 0 {
        progress.note(&format!(
            "{name}: {fresh} of {} parameters are fresh, since it has none of their names and shapes",
            specs.len()
        ));
    }
    Ok(parameters)
}

/// The weights that a masked language model begins with. Its tokenizer may be another, which is said.
pub(super) fn masked_lm(
    name: &str,
    fresh: &MaskedLmFile,
    progress: &mut dyn Progress,
) -> Result<Tensors, TrainError> {
    let unfit = |reason: String| TrainError::StartFile {
        path: file_of(name),
        reason,
    };
    let other = pretrained::open_masked_lm(name);
    let other = other.map_err(|error| TrainError::WeightsFile(Box::new(error)))?;
    let changes = changes_of_model(&other.config.to_toml(), &fresh.config.to_toml())?;
    if let Some(change) = changes.first() {
        return Err(unfit(format!("{change}: this makes another model")));
    }
    if other.tokenizer != fresh.tokenizer {
        progress.note(&format!(
            "{name}: it knows the tokens of another tokenizer ({}, not {})",
            other.tokenizer, fresh.tokenizer
        ));
    }
    Ok(other.parameters)
}

/// The first parameter that does not fit, in one line.
fn first(mismatch: &Mismatch) -> String {
    if let Some(shapes) = mismatch.misshapen.first() {
        let (name, found, expected) = (&shapes.name, &shapes.found, &shapes.expected);
        return format!("`{name}` is {found:?}, not {expected:?}");
    }
    match mismatch.missing.first() {
        Some((name, expected)) => format!("`{name}` is absent, not {expected:?}"),
        None => mismatch.to_string(),
    }
}

/// The file of a path, which may be the folder of a training.
fn file_of(name: &str) -> PathBuf {
    let path = Path::new(name);
    match path.is_dir() {
        true => path.join(FILE_NAME),
        false => path.to_path_buf(),
    }
}

/// Settings of the model that shapes do not show, such as the number of heads.
fn say_differences(name: &str, old: &str, new: &str, progress: &mut dyn Progress) {
    // The weights are what counts: a configuration that cannot be read keeps nobody from them.
    for change in changes_of_model(old, new).unwrap_or_default() {
        progress.note(&format!("{name}: it was trained otherwise: {change}"));
    }
}

/// What makes another model of it, in the sections of the model.
fn changes_of_model(old: &str, new: &str) -> Result<Vec<Change>, ConfigError> {
    let mut changes = changes(old, new)?;
    changes.retain(|change| is_of_model(&change.key) && change.is_another_model);
    Ok(changes)
}
