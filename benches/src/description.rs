//! A tokenizer as `benches/peers/model.py` reads it.

use bsq::config::{Config, QuantizerConfig, ReconstructionLoss};
use serde_json::{Value, json};
use std::error::Error;

/// What the peers' model of a configuration is made from.
///
/// # Errors
/// If it is no tokenizer of the reference's architecture.
pub fn description(config: &Config) -> Result<Value, Box<dyn Error>> {
    let (encoder, decoder) = (&config.model.encoder, &config.model.decoder);
    let QuantizerConfig::Bsq(bsq) = &config.model.quantizer else {
        return Err("the peers have binary spherical quantization only".into());
    };
    let plain = bsq.l2_norm && bsq.post_q_l2_norm && bsq.inv_temperature == 1.0;
    if encoder != decoder || !encoder.ln_pre || !encoder.ln_post || !plain {
        return Err("the peers have the reference's architecture only".into());
    }
    Ok(json!({
        "image_size": [encoder.image_size.height, encoder.image_size.width],
        "patch_size": encoder.patch_size,
        "width": encoder.width,
        "layers": encoder.layers,
        "heads": encoder.heads,
        "mlp_width": encoder.mlp_width(),
        "ffn_width": decoder.dim_ffn_output,
        "bits": bsq.embed_dim,
        "beta": bsq.effective_beta(),
        "gamma0": bsq.gamma0,
        "gamma": bsq.gamma,
        "zeta": bsq.zeta,
        "clamp": config.model.clamp_range,
        "mse": config.loss.reconstruction == ReconstructionLoss::Mse,
        "betas": config.optimizer.betas,
        "eps": config.optimizer.eps,
        "weight_decay": config.optimizer.weight_decay,
    }))
}
