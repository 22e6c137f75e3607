//! Models that ship inside the program, and all others by path.

use crate::config::Config;
use crate::masked_lm::MaskedLmFile;
use crate::pipeline::{ModelError, ModelFile, fingerprint_number};
use crate::prior::PriorFile;
use crate::train::{FILE_NAME, TrainingCheckpoint};
use crate::transform_codec::TransformCodecFile;
use crate::weights_file::{WeightsFileError, name_of};
use bsq_runtime::checkpoint::{self, Selection, Weights};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Names of the tokenizers that ship, and their files.
const SHIPPED: [(&str, &[u8]); 6] = [
    ("default", TOKENIZER),
    ("default-1", TOKENIZER),
    (
        "bsq36",
        include_bytes!("../pretrained/bsq36/model.safetensors"),
    ),
    (
        "bsq18",
        include_bytes!("../pretrained/bsq18/model.safetensors"),
    ),
    (
        "video36",
        include_bytes!("../pretrained/video36/model.safetensors"),
    ),
    (
        "fashion",
        include_bytes!("../pretrained/fashion/model.safetensors"),
    ),
];
const TOKENIZER: &[u8] = include_bytes!("../pretrained/default/model.safetensors");

/// Names of the transform codecs that ship, and their files.
const SHIPPED_CODECS: [(&str, &[u8]); 1] = [(
    "default",
    include_bytes!("../pretrained/codec/codec.safetensors"),
)];

/// Names of the priors that ship, and their files. Those that were the default once stay: streams
/// that were coded with them decode for ever.
const SHIPPED_PRIORS: [(&str, &[u8]); 6] = [
    (
        "default",
        include_bytes!("../pretrained/prior/prior.safetensors"),
    ),
    (
        "bsq36",
        include_bytes!("../pretrained/bsq36/prior.safetensors"),
    ),
    (
        "bsq36-clips",
        include_bytes!("../pretrained/bsq36/prior_clips.safetensors"),
    ),
    (
        "bsq18",
        include_bytes!("../pretrained/bsq18/prior.safetensors"),
    ),
    (
        "video36",
        include_bytes!("../pretrained/video36/prior.safetensors"),
    ),
    (
        "default-1",
        include_bytes!("../pretrained/prior/earlier/default-1.safetensors"),
    ),
];

/// Codecs for predicted frames that ship, each with the fingerprint of the picture codec that it belongs to.
const SHIPPED_PREDICTED: [(&str, u64, &[u8]); 1] = [(
    "default",
    0x406d_ac78_1a85_804d,
    include_bytes!("../pretrained/clips/predicted.safetensors"),
)];
/// Names of the masked language models that ship, and their files.
const SHIPPED_MASKED_LMS: [(&str, &[u8]); 1] = [(
    "fashion",
    include_bytes!("../pretrained/fashion/masked_lm.safetensors"),
)];

/// Names of the models that ship.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The model of a name or path. A path may be that of weights, see [`ModelFile::open`], or of a
/// training's checkpoint or its folder, of which `selection` says whether the averages are taken, where it has
/// some. A file whose path is a shipped model's name is opened as `./NAME`.
///
/// ```
/// use bsq::pretrained;
/// use bsq_runtime::checkpoint::Weights;
///
/// let model = pretrained::open("default", Weights::Ema)?;
/// assert_eq!(model.tokenizer.config().quantizer.bits_per_token(), 36);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ModelError`], naming the file.
pub fn open<'a>(name: &str, selection: impl Into<Selection<'a>>) -> Result<ModelFile, ModelError> {
    let (path, selection) = (Path::new(name), selection.into());
    if let Some((_, bytes)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        let checkpoint = checkpoint::read(Cursor::new(*bytes), path, selection)?;
        return ModelFile::from_checkpoint(name, path, &checkpoint);
    }
    open_at(path, selection)
}

/// The model of a file of weights, or of a training's folder, whatever its name.
///
/// # Errors
/// [`ModelError`], naming the file.
pub fn open_at<'a>(
    path: &Path,
    selection: impl Into<Selection<'a>>,
) -> Result<ModelFile, ModelError> {
    let (path, selection) = (&weights_file(path), selection.into());
    let checkpoint = checkpoint::load(path, selection)?;
    let checkpoint = TrainingCheckpoint::weights_of(path, checkpoint, selection.weights);
    ModelFile::from_checkpoint(&name_of(path), path, &checkpoint)
}

/// The model of a file of weights, or of a training's folder, whose configuration is known.
///
/// # Errors
/// [`ModelError`], naming the file.
pub fn open_with<'a>(
    path: &str,
    selection: impl Into<Selection<'a>>,
    config: Config,
) -> Result<ModelFile, ModelError> {
    let (path, selection) = (&weights_file(Path::new(path)), selection.into());
    let checkpoint = checkpoint::load(path, selection)?;
    let checkpoint = TrainingCheckpoint::weights_of(path, checkpoint, selection.weights);
    ModelFile::with_config(&name_of(path), path, &checkpoint, config)
}

/// The tokenizer of that [`fingerprint`](crate::pipeline::fingerprint_number), if it is one that ships.
///
/// # Errors
/// [`ModelError`], if memory runs out.
pub fn with_fingerprint(fingerprint: u64) -> Result<Option<ModelFile>, ModelError> {
    for name in names() {
        let model = open(name, Weights::Ema)?;
        if fingerprint_number(model.tokenizer.config(), &model.parameters) == fingerprint {
            return Ok(Some(model));
        }
    }
    Ok(None)
}

/// The file of weights that a path means: in the folder of a training, its checkpoint.
pub fn weights_file(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join(FILE_NAME),
        false => path.to_path_buf(),
    }
}

/// Where the prior of a tokenizer lies: in the folder of its training.
pub fn prior_folder(training: &Path) -> PathBuf {
    training.join("prior")
}

/// Names of the priors that ship.
pub fn prior_names() -> impl Iterator<Item = &'static str> {
    SHIPPED_PRIORS.iter().map(|(name, _)| *name)
}

/// The prior of a name or path. A file whose path is a shipped prior's name is opened as
/// `./NAME`.
///
/// # Errors
/// [`WeightsFileError`], naming the file.
pub fn open_prior(name: &str) -> Result<PriorFile, WeightsFileError> {
    let path = Path::new(name);
    match SHIPPED_PRIORS.iter().find(|(shipped, _)| *shipped == name) {
        Some((_, bytes)) => {
            let checkpoint = checkpoint::read(Cursor::new(*bytes), path, Weights::Ema)?;
            PriorFile::from_checkpoint(name, path, &checkpoint)
        }
        None => PriorFile::open(&weights_file(path)),
    }
}

/// The prior of that [`fingerprint`](PriorFile::fingerprint), if it is one that ships.
///
/// # Errors
/// [`WeightsFileError`], if memory runs out.
pub fn prior_with_fingerprint(fingerprint: u64) -> Result<Option<PriorFile>, WeightsFileError> {
    for name in prior_names() {
        let prior = open_prior(name)?;
        if prior.fingerprint() == fingerprint {
            return Ok(Some(prior));
        }
    }
    Ok(None)
}

/// The prior that ships for the tokens of a tokenizer, whose [`fingerprint`](crate::pipeline::fingerprint)
/// is given; the newest, if there are several.
///
/// # Errors
/// [`WeightsFileError`], if memory runs out.
pub fn prior_for(tokenizer: &str) -> Result<Option<PriorFile>, WeightsFileError> {
    for name in prior_names() {
        let prior = open_prior(name)?;
        if prior.tokenizer == tokenizer {
            return Ok(Some(prior));
        }
    }
    Ok(None)
}

/// The prior that ships for clips of a tokenizer's tokens, one that sees the frame before, if there is one.
///
/// # Errors
/// [`WeightsFileError`], if memory runs out.
pub fn clip_prior_for(tokenizer: &str) -> Result<Option<PriorFile>, WeightsFileError> {
    for name in prior_names() {
        let prior = open_prior(name)?;
        if prior.tokenizer == tokenizer && prior.config.prior.frame_before > 0 {
            return Ok(Some(prior));
        }
    }
    Ok(None)
}

/// Names of the masked language models that ship.
pub fn masked_lm_names() -> impl Iterator<Item = &'static str> {
    SHIPPED_MASKED_LMS.iter().map(|(name, _)| *name)
}

/// The masked language model of a name or path. A file whose path is a shipped one's name is opened
/// as `./NAME`.
///
/// # Errors
/// [`WeightsFileError`], naming the file.
pub fn open_masked_lm(name: &str) -> Result<MaskedLmFile, WeightsFileError> {
    let path = Path::new(name);
    match SHIPPED_MASKED_LMS
        .iter()
        .find(|(shipped, _)| *shipped == name)
    {
        Some((_, bytes)) => {
            let checkpoint = checkpoint::read(Cursor::new(*bytes), path, Weights::Ema)?;
            MaskedLmFile::from_checkpoint(name, path, &checkpoint)
        }
        None => MaskedLmFile::open(&weights_file(path)),
    }
}

/// Names of the transform codecs that ship.
pub fn codec_names() -> impl Iterator<Item = &'static str> {
    SHIPPED_CODECS.iter().map(|(name, _)| *name)
}

/// Whether a name or path is that of a transform codec.
pub fn is_codec(name: &str) -> bool {
    let path = weights_file(Path::new(name));
    codec_names().any(|shipped| shipped == name)
        || checkpoint::load(&path, Weights::Raw)
            .is_ok_and(|checkpoint| TransformCodecFile::is_codec(&checkpoint))
}

/// The transform codec of a name or path. A file whose path is a shipped codec's name is opened as
/// `./NAME`.
///
/// # Errors
/// [`WeightsFileError`], naming the file.
pub fn open_codec(name: &str) -> Result<TransformCodecFile, WeightsFileError> {
    let path = Path::new(name);
    match SHIPPED_CODECS.iter().find(|(shipped, _)| *shipped == name) {
        Some((_, bytes)) => {
            let checkpoint = checkpoint::read(Cursor::new(*bytes), path, Weights::Ema)?;
            TransformCodecFile::from_checkpoint(name, path, &checkpoint)
        }
        None => TransformCodecFile::open(&weights_file(path)),
    }
}

/// The codec for predicted frames of a path: the folder of a training with a section `[clips]`, or a file of
/// its weights. What a file leaves out is that of `first`, which codes the frames that are not predicted.
///
/// # Errors
/// [`WeightsFileError`], naming the file.
pub fn open_predicted(
    path: &Path,
    first: &TransformCodecFile,
) -> Result<TransformCodecFile, WeightsFileError> {
    let path = weights_file(path);
    let checkpoint = checkpoint::load(&path, Weights::Ema)?;
    TransformCodecFile::beside(first, (&name_of(&path), &path), checkpoint)
}

/// The codec for predicted frames that belongs to a picture codec, if one ships.
///
/// # Errors
/// [`WeightsFileError`], if memory runs out.
pub fn predicted_for(
    codec: &TransformCodecFile,
) -> Result<Option<TransformCodecFile>, WeightsFileError> {
    let its = codec.fingerprint();
    for (name, fingerprint, bytes) in SHIPPED_PREDICTED {
        if fingerprint == its {
            let checkpoint = checkpoint::read(Cursor::new(bytes), Path::new(name), Weights::Ema)?;
            let its = (name, Path::new(name));
            return TransformCodecFile::beside(codec, its, checkpoint).map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_model_opens() {
        for name in names() {
            let model = open(name, Weights::Ema).unwrap();
            assert_eq!(model.name, name);
            assert!(model.parameter_count() > 100_000);
        }
    }

    /// Streams name codecs by these numbers: they must never change.
    #[test]
    fn every_shipped_codec_opens() {
        for name in codec_names() {
            let file = open_codec(name).unwrap();
            assert_eq!(file.name, name);
            assert!(is_codec(name) && file.parameter_count() > 100_000);
        }
        assert!(!is_codec("default-1") && !is_codec("nowhere"));
    }

    /// Clips' streams name both codecs by this number.
    #[test]
    fn the_default_codec_has_one_for_predicted_frames() {
        let first = open_codec("default").unwrap();
        let predicted = predicted_for(&first).unwrap().unwrap();
        assert_eq!(predicted.fingerprint(), 0x0e57_cb61_b214_fa3d);
        assert!(predicted.codec.config().expected_features > 0);
        assert!(predicted_for(&predicted).unwrap().is_none());
    }

    #[test]
    fn every_shipped_masked_lm_knows_the_tokens_of_a_tokenizer_that_ships() {
        for name in masked_lm_names() {
            let file = open_masked_lm(name).unwrap();
            assert_eq!(file.name, name);
            let tokenizer = u64::from_str_radix(&file.tokenizer, 16).unwrap();
            let tokenizer = with_fingerprint(tokenizer).unwrap();
            assert_eq!(tokenizer.map(|model| model.name).as_deref(), Some(name));
        }
    }

    /// Streams name priors by these numbers: they must never change.
    #[test]
    fn priors_are_found_by_identity() {
        for (name, fingerprint) in [
            ("default", 0x9806_5d6e_bb05_610e),
            ("default-1", 0x3f0a_13c2_aa3a_1108),
        ] {
            let prior = prior_with_fingerprint(fingerprint).unwrap().unwrap();
            assert_eq!(prior.name, name);
        }
        assert!(prior_with_fingerprint(1).unwrap().is_none());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = open("nowhere/to/be.found", Weights::Ema).unwrap_err();
        assert!(error.to_string().contains("nowhere/to/be.found"), "{error}");
    }
}
