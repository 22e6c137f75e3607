//! Graphs of recorded tokenizers: results under their recorded names, and how they are compared.

use super::case::{Case, CheckError};
use super::compare::{Comparison, FORWARD, GRADIENT, floats, integers};
use bsq::config::{QuantizerConfig, TokenizerConfig};
use bsq::losses::{Term, TokenizerLoss, total};
use bsq::tokenizer::{Forward, Tokenizer};
use bsq_ir::Tensor;
use bsq_runtime::executor::Tensors;
use serde_json::Value;
use std::collections::BTreeMap;

/// Inputs of a case, and the reference's indices in floating point, which are wrong above 24 bits.
const NOT_COMPARED: [&str; 3] = ["input", "indices_ref_float", "group_indices_ref"];
/// A feature nearer to zero than this may have either sign.
const NEAR_ZERO: f64 = 1e-6;
/// What the reference multiplies the commitment term with, whatever its configuration says.
const REFERENCE_BETA: f64 = 0.25;

/// The recorded tokenizer, with the weight of the commitment term that was in effect.
pub(super) fn tokenizer(case: &Case, key: &str) -> Result<Tokenizer, CheckError> {
    let mut config = TokenizerConfig::from_json(&case.description[key])?;
    let compat = case.description["mask_mode"] == "ref";
    for vit in [&mut config.encoder, &mut config.decoder] {
        vit.mask_compat = compat;
    }
    if let QuantizerConfig::Bsq(bsq) = &mut config.quantizer {
        let recorded = case.optional_number("effective_beta");
        (bsq.beta, bsq.beta_compat) = (recorded.unwrap_or(REFERENCE_BETA), false);
    }
    Ok(Tokenizer::new(&config))
}

/// The recorded loss: the weighted terms.
pub(super) fn loss_terms<'g>(
    case: &Case,
    forward: &Forward<'g>,
    image: Tensor<'g>,
) -> Result<Vec<Term<'g>>, CheckError> {
    let weight = case.number("codebook_weight")?;
    let weight = image.graph().constant_f32(&[weight as f32], []);
    let loss = TokenizerLoss {
        logit_laplace_weight: case.optional_number("logit_laplace_weight").unwrap_or(0.0),
        ..TokenizerLoss::new(weight)
    };
    Ok(loss.terms(forward, image))
}

/// Everything of a pass that cases record, by its recorded name.
pub(super) fn named_outputs<'g>(
    forward: &Forward<'g>,
    terms: &[Term<'g>],
) -> Vec<(&'static str, Tensor<'g>)> {
    let encoded = &forward.encoded;
    let mut outputs = vec![
        ("encoder_out", encoded.features),
        ("quant_embed_out", encoded.projected),
        ("z", encoded.u),
        ("zq", forward.quantized.codes),
        ("indices", encoded.indices),
        ("H", forward.codebook_entropy),
        ("quant_loss", forward.quantized.loss),
        ("decoder_raw", forward.decoded.raw),
        ("recon", forward.decoded.reconstruction),
    ];
    if let Some(bsq) = &forward.terms {
        outputs.extend([
            ("indices_exact", encoded.indices),
            ("H_persample", bsq.persample_entropy),
            ("H_codebook", bsq.codebook_entropy),
            ("commit_unweighted", bsq.commitment),
            ("avg_prob", bsq.average),
        ]);
    }
    if let Some(binary) = &encoded.binary {
        let groups = ("group_indices", binary.group_indices);
        outputs.extend([("bits", binary.bits), groups]);
    }
    if !terms.is_empty() {
        outputs.push(("loss", total(terms)));
    }
    outputs.extend(terms.iter().filter_map(|term| match term.name {
        "reconstruction" => Some(("loss_l1", term.value)),
        "logit_laplace" => Some(("logit_laplace_loss", term.value)),
        _ => None,
    }));
    outputs
}

/// The magnitudes of what the quantizer's loss and the whole loss are sums and differences of.
pub(super) fn scales(case: &Case, computed: &Tensors) -> BTreeMap<&'static str, f64> {
    let value = |name: &str| {
        let item = computed
            .get(name)
            .and_then(|tensor| tensor.item::<f32>().ok());
        item.map_or(0.0, |x| f64::from(x).abs())
    };
    let weight = |key: &str| case.optional_number(key).unwrap_or(0.0);
    let quantizer = value("H_persample") + value("H_codebook") + value("commit_unweighted");
    if quantizer == 0.0 {
        return BTreeMap::new();
    }
    let loss = value("loss_l1")
        + weight("codebook_weight") * quantizer
        + weight("logit_laplace_weight") * value("logit_laplace_loss");
    BTreeMap::from([("quant_loss", quantizer), ("loss", loss)])
}

/// Each recorded tensor of a pass beside the computed one.
pub(super) fn compare(case: &Case, computed: &Tensors) -> Result<Vec<Comparison>, CheckError> {
    let scales = scales(case, computed);
    let near_zero = near_zero(case)?;
    let names = case.recorded.keys().map(String::as_str);
    let compared = names.filter(|name| !NOT_COMPARED.contains(name));
    let one = |name: &str| {
        let Some(found) = computed.get(name) else {
            return Ok(Comparison::missing(name));
        };
        let recorded = case.tensor(name)?;
        if !recorded.dtype().is_float() {
            let (found, recorded) = (integers(found)?, integers(recorded)?);
            return Ok(tokens(name, &found, &recorded, &near_zero));
        }
        let (found, recorded) = (floats(found)?, floats(recorded)?);
        Ok(match scales.get(name) {
            Some(&scale) => Comparison::of_terms(name, found[0], recorded[0], scale),
            None => Comparison::relative(name, &found, &recorded, limit(name)),
        })
    };
    compared.map(one).collect()
}

/// Bits or indices that differ. Each may where a feature that it is made of is near zero.
pub(super) fn tokens(
    name: &str,
    found: &[u64],
    recorded: &[u64],
    near_zero: &[bool],
) -> Comparison {
    if found.len() != recorded.len() {
        return Comparison::missing(name);
    }
    // A bit is made of one feature, an index of all of a token's.
    let features = near_zero.len() / recorded.len().max(1);
    let is_free = |at: usize| near_zero[at * features..][..features].contains(&true);
    let differs = |&at: &usize| found[at] != recorded[at] && !is_free(at);
    Comparison::count(name, (0..recorded.len()).filter(differs).count())
}

/// Of each recorded feature whether its sign is noise; empty if no features are recorded.
pub(super) fn near_zero(case: &Case) -> Result<Vec<bool>, CheckError> {
    let features = case.recorded.get("z").map(floats).transpose()?;
    let features = features.unwrap_or_default().into_iter();
    Ok(features.map(|u| u.abs() < NEAR_ZERO).collect())
}

fn limit(name: &str) -> f64 {
    match name.starts_with("grad") {
        true => GRADIENT,
        false => FORWARD,
    }
}

/// The names of a description's object, in order.
pub(super) fn keys(object: &Value) -> Vec<String> {
    let object = object.as_object();
    object.map_or_else(Vec::new, |object| object.keys().cloned().collect())
}
