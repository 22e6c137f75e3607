//! What a file of weights turns out to be, and its architecture in a line.

use bsq::any_model::AnyModel;
use bsq::config::{
    Config, MaskedLmModelConfig, PriorModelConfig, QuantizerConfig, TransformCodecModelConfig,
};
use bsq::pipeline::{TokenFile, fingerprint};
use bsq::train::TrainingCheckpoint;
use bsq::transform_codec::LevelsFile;
use bsq_runtime::checkpoint::Checkpoint;
use std::path::Path;

/// What a checkpoint was recognised as, and what more there is to say of it.
pub struct Kind {
    pub name: &'static str,
    pub details: Vec<String>,
}

pub fn kind(path: &Path, checkpoint: &Checkpoint) -> Kind {
    if TokenFile::is_token_file(checkpoint) {
        let text = |key: &str| {
            checkpoint
                .metadata
                .get(key)
                .map_or("unknown", String::as_str)
        };
        let count = |what: &str| {
            let entries = (0..).map_while(|n| checkpoint.metadata.get(&format!("{what}.{n}")));
            entries.count()
        };
        let (pictures, clips) = (count("pictures"), count("clips"));
        let holds = match (pictures, clips) {
            (pictures, 0) => format!("{pictures} pictures"),
            (0, clips) => format!("{clips} clips"),
            (pictures, clips) => format!("{pictures} pictures, {clips} clips"),
        };
        let details = vec![
            format!(
                "made by the model {} ({})",
                text("model_name"),
                text("model")
            ),
            holds,
        ];
        return Kind {
            name: match LevelsFile::is_levels_file(checkpoint) {
                true => "file of levels",
                false => "token file",
            },
            details,
        };
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    let model = AnyModel::from_checkpoint(&name.to_string_lossy(), path, checkpoint);
    if let Ok(training) = TrainingCheckpoint::of(path, checkpoint) {
        let mut details = vec![format!("{} steps done", training.step)];
        match model {
            Ok(model) => details.extend(of_model(&model).details),
            Err(error) => details.push(error.to_string()),
        }
        return Kind {
            name: "checkpoint of a training",
            details,
        };
    }
    match model {
        Ok(model) => return of_model(&model),
        Err(error) if checkpoint.metadata.contains_key("config") => {
            return Kind {
                name: "model that cannot be used",
                details: vec![error.to_string()],
            };
        }
        Err(_) => {}
    }
    match guess(checkpoint) {
        Some(details) => Kind {
            name: "tokenizer weights without a configuration",
            details: vec![details],
        },
        None => Kind {
            name: "tensors of no known kind",
            details: Vec::new(),
        },
    }
}

/// What a model is.
pub fn of_model(model: &AnyModel) -> Kind {
    let (name, mut details) = match model {
        AnyModel::Tokenizer(model) => {
            let fingerprint = fingerprint(model.tokenizer.config(), &model.parameters);
            let mut details = vec![
                architecture(&model.config),
                format!("fingerprint {fingerprint}"),
            ];
            details.extend(model.notice.clone());
            ("tokenizer model", details)
        }
        AnyModel::Prior(prior) => {
            let (own, tokenizer) = (prior.fingerprint(), &prior.tokenizer);
            let fingerprint = format!("fingerprint {own:016x}, for tokens of {tokenizer}");
            let architecture = prior_architecture(&prior.config.prior);
            ("prior", vec![architecture, fingerprint])
        }
        AnyModel::TransformCodec(codec) => {
            let fingerprint = format!("fingerprint {:016x}", codec.fingerprint());
            let architecture = codec_architecture(&codec.config.model);
            ("transform codec", vec![architecture, fingerprint])
        }
        AnyModel::MaskedLm(lm) => {
            let (own, tokenizer) = (lm.fingerprint(), &lm.tokenizer);
            let fingerprint = format!("fingerprint {own:016x}, for tokens of {tokenizer}");
            let architecture = lm_architecture(&lm.config.masked_lm);
            ("masked language model", vec![architecture, fingerprint])
        }
    };
    let parameters = model.parameters().values();
    let count: usize = parameters.map(|tensor| tensor.element_count()).sum();
    details.insert(1, format!("{count} parameters"));
    Kind { name, details }
}

/// The architecture that the shapes of a tokenizer's weights tell.
fn guess(checkpoint: &Checkpoint) -> Option<String> {
    let shape = |name: &str| checkpoint.tensors.get(name).map(|tensor| tensor.shape());
    let [width, pixels] = *shape("encoder.conv1.weight")? else {
        return None;
    };
    let [bits, _] = *shape("quant_embed.weight")? else {
        return None;
    };
    let [tokens, _] = *shape("encoder.positional_embedding")? else {
        return None;
    };
    let blocks = |half: &str| {
        let block = |n: usize| format!("{half}.transformer.resblocks.{n}.ln_1.weight");
        (0..).take_while(|&n| shape(&block(n)).is_some()).count()
    };
    let patch = ((pixels / 3) as f64).sqrt().round();
    Some(format!(
        "by its shapes: patch {patch}, width {width}, {}+{} layers, {tokens} tokens of {bits} features",
        blocks("encoder"),
        blocks("decoder")
    ))
}

/// A prior in one line.
pub fn prior_architecture(prior: &PriorModelConfig) -> String {
    format!(
        "prior of tokens of {} bits in {} sub-tokens; tiles of {side}x{side}, slope {}; width {}, {} layers, {} heads",
        prior.bits,
        prior.sub_tokens(),
        prior.slope,
        prior.width,
        prior.layers,
        prior.heads,
        side = prior.side,
    )
}

/// A transform codec in one line.
pub fn codec_architecture(codec: &TransformCodecModelConfig) -> String {
    format!(
        "transform codec of {} coordinates; encoder: width {}, {} blocks; decoder: width {}, {} blocks; contexts of widths {}, {}, {}",
        codec.coordinates,
        codec.encoder_width,
        codec.encoder_blocks,
        codec.decoder_width,
        codec.decoder_blocks,
        codec.coarse_context_width,
        codec.context_width,
        codec.detail_context_width,
    )
}

/// A masked language model in one line.
pub fn lm_architecture(lm: &MaskedLmModelConfig) -> String {
    format!(
        "{} tokens of {} bits in {} groups, {} classes; width {}, {} layers, {} heads",
        lm.tokens,
        lm.bits,
        lm.groups,
        lm.classes.len(),
        lm.width,
        lm.layers,
        lm.heads,
    )
}

/// A tokenizer in one line.
pub fn architecture(config: &Config) -> String {
    let model = &config.model;
    let vit = &model.encoder;
    let quantizer = match &model.quantizer {
        QuantizerConfig::Bsq(bsq) => {
            format!("BSQ of {} bits in {} groups", bsq.embed_dim, bsq.groups())
        }
        QuantizerConfig::Vq(vq) => {
            let codes = format!("VQ of {} codes in {} dimensions", vq.n_embed, vq.embed_dim);
            match vq.codebooks {
                1 => codes,
                books => format!("{codes}, {books} codebooks"),
            }
        }
        QuantizerConfig::Fsq(fsq) => format!("FSQ of levels {:?}", fsq.levels),
    };
    let bits = model.quantizer.bits_per_token() as f64;
    let size = vit.image_size;
    format!(
        "{quantizer}; {}x{} windows, patch {}, {} tokens, {:.4} bits per pixel; width {}, {}+{} layers, {} heads",
        size.width,
        size.height,
        vit.patch_size,
        vit.tokens(),
        bits / (vit.patch_size * vit.patch_size) as f64,
        vit.width,
        vit.layers,
        model.decoder.layers,
        vit.heads
    )
}
