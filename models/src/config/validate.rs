//! Whether the values of a configuration make sense, alone and beside each other.

use super::{
    Config, ConfigError,
    model::{TokenizerConfig, VitConfig},
    prior::{PositionEncoding, PriorConfig, PriorModelConfig},
    quantizer::{EntropyMode, PredefinedCodebook, QuantizerConfig},
    training::{DataConfig, LrSchedule, OptimizerConfig, TrainConfig},
};
use crate::image_io::ImageSize;
use crate::leech::MINIMAL_VECTORS;

type Checked = Result<(), ConfigError>;

/// Fails with a reason unless a condition holds.
fn require(condition: bool, key: &str, reason: impl FnOnce() -> String) -> Checked {
    if condition {
        Ok(())
    } else {
        Err(ConfigError::invalid(key, reason()))
    }
}

fn between(value: usize, low: usize, high: usize, key: &str) -> Checked {
    require((low..=high).contains(&value), key, || {
        format!("{value} is not between {low} and {high}")
    })
}

fn not_negative(value: f64, key: &str) -> Checked {
    require(value >= 0.0, key, || format!("{value} is negative"))
}

fn below_one(value: f64, key: &str) -> Checked {
    require((0.0..1.0).contains(&value), key, || {
        format!("{value} is not at least 0 and below 1")
    })
}

pub(super) fn config(config: &Config) -> Checked {
    tokenizer(&config.model)?;
    let image = config.model.encoder.image_size;
    let side = config.data.image_size.map_or(image, ImageSize::square);
    require(side == image, "data.image_size", || {
        format!(
            "{} pixels, but the model takes {}x{}",
            side.width, image.width, image.height
        )
    })?;
    require(
        !(config.model.logit_laplace && config.data.zero_mean),
        "model.logit_laplace",
        || "needs pictures between 0 and 1: set data.zero_mean = false".into(),
    )?;
    loss(config)?;
    data(config, image)?;
    optimizer(&config.optimizer, config.schedule.as_ref(), &config.train)
}

pub(super) fn prior(config: &PriorConfig) -> Checked {
    prior_model(&config.prior)?;
    between(config.data.batch_size, 1, 1 << 16, "data.batch_size")?;
    at_most(&config.data, LARGEST_SIDE)?;
    require(!config.data.use_rrc, "data.use_rrc", || {
        "crops of random proportions are for tokenizers: leave it out".into()
    })?;
    require(config.starts_at_random(), "train.init", || {
        "a prior starts from \"random\" weights".into()
    })?;
    optimizer(&config.optimizer, config.schedule.as_ref(), &config.train)
}

fn prior_model(prior: &PriorModelConfig) -> Checked {
    between(prior.bits, 1, 63, "prior.bits")?;
    between(prior.sub_token_bits, 1, 12, "prior.sub_token_bits")?;
    let divides = prior.bits.is_multiple_of(prior.sub_token_bits);
    require(divides, "prior.sub_token_bits", || {
        format!(
            "{} does not divide bits {}",
            prior.sub_token_bits, prior.bits
        )
    })?;
    between(prior.side, 2, 64, "prior.side")?;
    between(prior.slope, 1, prior.side, "prior.slope")?;
    between(prior.neighbours, 1, 12, "prior.neighbours")?;
    between(prior.width, 1, 1 << 14, "prior.width")?;
    between(prior.layers, 1, 1 << 8, "prior.layers")?;
    between(prior.heads, 1, prior.width, "prior.heads")?;
    require(
        prior.width.is_multiple_of(prior.heads),
        "prior.heads",
        || format!("{} does not divide width {}", prior.heads, prior.width),
    )?;
    let quarters = (prior.width / prior.heads).is_multiple_of(4);
    require(
        quarters || prior.position != PositionEncoding::Rotary,
        "prior.position",
        || "\"rotary\" needs width / heads to be a multiple of 4".into(),
    )?;
    require(prior.mlp_ratio > 0.0, "prior.mlp_ratio", || {
        "must be positive".into()
    })?;
    between(prior.mlp_width(), 1, 1 << 16, "prior.mlp_ratio")?;
    between(prior.head_width, 1, 1 << 12, "prior.head_width")?;
    require(
        (0.0..=1.0).contains(&prior.truncation),
        "prior.truncation",
        || format!("{} is not between 0 and 1", prior.truncation),
    )
}

pub(super) fn tokenizer(config: &TokenizerConfig) -> Checked {
    vit(&config.encoder, "model.vitconfig")?;
    vit(&config.decoder, "model.dvitconfig")?;
    let (encoder, decoder) = (&config.encoder, &config.decoder);
    let same = encoder.image_size == decoder.image_size
        && encoder.patch_size == decoder.patch_size
        && encoder.num_frames == decoder.num_frames;
    require(same, "model.dvitconfig", || {
        "image_size, patch_size and num_frames must equal those of vitconfig".into()
    })?;
    let [low, high] = config.clamp_range;
    require(low < high, "model.clamp_range", || {
        format!("{low} is not below {high}")
    })?;
    match &config.quantizer {
        QuantizerConfig::Bsq(bsq) => {
            between(bsq.embed_dim, 1, 63, "model.embed_dim")?;
            let group = bsq.embed_group_size;
            let divides = group > 0 && bsq.embed_dim.is_multiple_of(group);
            require(divides, "model.embed_group_size", || {
                format!("{group} does not divide embed_dim {}", bsq.embed_dim)
            })?;
            let joint = bsq.persample_entropy_compute == EntropyMode::Group
                || bsq.codebook_entropy() == EntropyMode::Group;
            require(!joint || group <= 18, "model.embed_group_size", || {
                format!(
                    "{group} bits have 2^{group} joint probabilities per token: at most 18 with entropy mode \"group\""
                )
            })?;
            require(bsq.inv_temperature > 0.0, "model.inv_temperature", || {
                "must be positive".into()
            })?;
            for (value, key) in [
                (bsq.beta, "model.beta"),
                (bsq.gamma0, "model.gamma0"),
                (bsq.gamma, "model.gamma"),
                (bsq.zeta, "model.zeta"),
            ] {
                not_negative(value, key)?;
            }
        }
        QuantizerConfig::Vq(vq) => {
            between(vq.n_embed, 2, 1 << 24, "model.n_embed")?;
            between(vq.embed_dim, 1, 1 << 12, "model.embed_dim")?;
            not_negative(vq.beta, "model.beta")?;
            if vq.predefined_codebook == Some(PredefinedCodebook::Leech) {
                let fits = (vq.n_embed, vq.embed_dim) == (MINIMAL_VECTORS, 24);
                require(fits, "model.predefined_codebook", || {
                    format!(
                        "\"leech\" has {MINIMAL_VECTORS} codes of 24 features, not {} of {}",
                        vq.n_embed, vq.embed_dim
                    )
                })?;
            }
        }
    }
    Ok(())
}

fn vit(vit: &VitConfig, path: &str) -> Checked {
    let key = |name: &str| format!("{path}.{name}");
    let ImageSize { height, width } = vit.image_size;
    between(height, 1, 1 << 14, &key("image_size"))?;
    between(width, 1, 1 << 14, &key("image_size"))?;
    let patch = vit.patch_size;
    between(patch, 1, 1 << 10, &key("patch_size"))?;
    let divides = height.is_multiple_of(patch) && width.is_multiple_of(patch);
    require(divides, &key("image_size"), || {
        format!("{width}x{height} cannot be cut into patches of {patch} pixels")
    })?;
    between(vit.width, 1, 1 << 16, &key("width"))?;
    between(vit.layers, 1, 1 << 10, &key("layers"))?;
    between(vit.heads, 1, vit.width, &key("heads"))?;
    require(vit.width.is_multiple_of(vit.heads), &key("heads"), || {
        format!("{} does not divide width {}", vit.heads, vit.width)
    })?;
    require(vit.mlp_ratio > 0.0, &key("mlp_ratio"), || {
        "must be positive".into()
    })?;
    between(vit.mlp_width(), 1, 1 << 20, &key("mlp_ratio"))?;
    between(vit.dim_ffn_output, 1, 1 << 20, &key("dim_ffn_output"))?;
    between(vit.num_frames, 1, 1 << 12, &key("num_frames"))?;
    require(
        vit.cross_frames || vit.num_frames == 1,
        &key("cross_frames"),
        || "must be true: frames on their own are not implemented".into(),
    )
}

fn loss(config: &Config) -> Checked {
    let loss = &config.loss;
    for (value, key) in [
        (loss.reconstruct_weight, "loss.reconstruct_weight"),
        (loss.codebook_weight, "loss.codebook_weight"),
        (
            loss.codebook_rampup_multiplier,
            "loss.codebook_rampup_multiplier",
        ),
        (loss.logit_laplace_weight, "loss.logit_laplace_weight"),
        (loss.perceptual_weight, "loss.perceptual_weight"),
        (loss.disc_weight, "loss.disc_weight"),
        (loss.disc_reg_r1, "loss.disc_reg_r1"),
    ] {
        not_negative(value, key)?;
    }
    let likelihood = match config.model.logit_laplace {
        true => loss.logit_laplace_weight,
        false => 0.0,
    };
    let any = loss.reconstruct_weight != 0.0 || loss.codebook_weight != 0.0 || likelihood != 0.0;
    require(any, "loss.reconstruct_weight", || {
        "is 0 and so is all else that could be made small: give it or another weight".into()
    })?;
    require(!loss.disc_conditional, "loss.disc_conditional", || {
        "must be false: a discriminator that is told the class is not implemented".into()
    })
}

/// The largest shorter side that a picture is resized to: the longer one, up to 65,535 times it,
/// must still be countable.
const LARGEST_SIDE: usize = 1 << 15;

fn at_most(data: &DataConfig, most: usize) -> Checked {
    for (value, key) in [
        (data.resize_min, "data.resize_min"),
        (data.resize_max, "data.resize_max"),
    ] {
        between(value.unwrap_or(1), 1, most, key)?;
    }
    Ok(())
}

fn data(config: &Config, image: ImageSize) -> Checked {
    let data = &config.data;
    between(data.batch_size, 1, 1 << 16, "data.batch_size")?;
    let (low, high) = data.shorter_sides(image);
    let side = image.width.max(image.height);
    require(low >= side, "data.resize_min", || {
        format!("{low} pixels is smaller than a crop of {side}")
    })?;
    require(low <= high, "data.resize_max", || {
        format!("{high} is below resize_min, {low}")
    })?;
    at_most(data, LARGEST_SIDE)?;
    let resizes = data.resize_min.is_some() || data.resize_max.is_some();
    require(!(data.use_rrc && resizes), "data.use_rrc", || {
        "draws its own sizes: leave out resize_min and resize_max".into()
    })
}

fn optimizer(
    optimizer: &OptimizerConfig,
    schedule: Option<&LrSchedule>,
    train: &TrainConfig,
) -> Checked {
    not_negative(optimizer.base_lr, "optimizer.base_lr")?;
    not_negative(optimizer.lr.unwrap_or(0.0), "optimizer.lr")?;
    not_negative(optimizer.weight_decay, "optimizer.weight_decay")?;
    for beta in optimizer.betas {
        below_one(beta, "optimizer.betas")?;
    }
    require(optimizer.eps > 0.0, "optimizer.eps", || {
        "must be positive".into()
    })?;
    require(
        optimizer.grad_clip_norm.is_none_or(|norm| norm > 0.0),
        "optimizer.grad_clip_norm",
        || "must be positive".into(),
    )?;
    if let Some(schedule) = schedule {
        let (warm_up, decay) = (schedule.warm_up_steps, schedule.max_decay_steps);
        require(warm_up < decay, "optimizer.schedule.warm_up_steps", || {
            format!("{warm_up} is not below max_decay_steps, {decay}")
        })?;
        for (value, key) in [
            (schedule.lr_start, "optimizer.schedule.lr_start"),
            (schedule.lr_max, "optimizer.schedule.lr_max"),
            (schedule.lr_min, "optimizer.schedule.lr_min"),
        ] {
            not_negative(value, key)?;
        }
    }
    below_one(train.ema_decay, "train.ema_decay")
}
