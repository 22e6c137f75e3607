//! Masked language models: forward, loss and every gradient; and guided sampling with given noise.

use super::case::{Case, CheckError};
use super::compare::{Comparison, FORWARD, GRADIENT, floats, integers};
use bsq::config::{MaskSchedule, MaskedLmConfig, MaskedLmModelConfig, Masking};
use bsq::masked_lm::sample::{Noise, Sampling, remasked};
use bsq::masked_lm::{Guidance, MaskedLm, SampleSettings, guided_logits_function};
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::checkpoint::{Weights, load};
use bsq_runtime::executor::{Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;

/// The recorded network.
fn network(case: &Case) -> Result<MaskedLmModelConfig, CheckError> {
    let number = |key: &str| Ok::<usize, CheckError>(case.number(&format!("net.{key}"))? as usize);
    let classes: Vec<String> = (0..number("classes")?)
        .map(|class| class.to_string())
        .collect();
    let text = format!(
        "[masked_lm]\nbits = {}\ntokens = {}\ngroups = {}\nwidth = {}\nlayers = {}\nheads = {}\n\
         mlp_ratio = {}\nclasses = {classes:?}\nlabel_smoothing = {}\n",
        number("bits")?,
        number("tokens")?,
        number("groups")?,
        number("width")?,
        number("layers")?,
        number("heads")?,
        case.number("net.mlp")? / case.number("net.width")?,
        case.optional_number("label_smoothing").unwrap_or(0.0),
    );
    Ok(MaskedLmConfig::from_toml(&text)?.masked_lm)
}

/// Whole numbers as `i32`.
fn small(case: &Case, name: &str) -> Result<HostTensor, CheckError> {
    let tensor = case.tensor(name)?;
    // Classes may be -1.
    let values = tensor.as_slice::<i64>()?.iter().map(|&x| x as i32);
    let values: Vec<i32> = values.collect();
    Ok(HostTensor::from_slice(tensor.shape().to_vec(), &values)?)
}

/// Forward, loss and gradients.
pub(super) fn check(case: &Case, executor: &dyn Executor) -> Result<Vec<Comparison>, CheckError> {
    let model = MaskedLm::new(&network(case)?);
    let weights = case.tensors("weights")?.tensors;
    let g = Graph::new();
    let scope = Scope::root(&g);
    let mut inputs = Tensors::new();
    let mut input = |name: &str| {
        let tensor = small(case, name)?;
        let leaf = g.input(name, DType::I32, tensor.shape());
        inputs.insert(name.to_string(), tensor);
        Ok::<_, CheckError>(leaf)
    };
    let (tokens, targets, classes) = (input("tokens")?, input("targets")?, input("class_ids")?);
    let forward = model.forward(&scope, tokens, classes);
    let losses = model.loss_per_sequence(&forward.logits, tokens, targets);
    let loss = losses.mean(..);
    let everywhere = MaskedLmModelConfig {
        loss_on_known: true,
        ..model.config().clone()
    };
    let everywhere = MaskedLm::new(&everywhere);
    let everywhere = everywhere.loss_per_sequence(&forward.logits, tokens, targets);
    let logits: Vec<_> = forward.logits.iter().map(|x| x.unsqueeze(2)).collect();
    let mut outputs = vec![
        ("embedded".to_string(), forward.embedded),
        ("head_out".to_string(), forward.head),
        ("logits".to_string(), g.concat(&logits, 2)),
        ("loss_per_sequence".to_string(), losses),
        ("loss".to_string(), loss),
        ("loss_all_subtokens".to_string(), everywhere.mean(..)),
    ];
    let blocks = forward.blocks.iter().enumerate();
    outputs.extend(blocks.map(|(layer, &x)| (format!("block{layer}_out"), x)));
    let names = scope
        .specs()
        .into_iter()
        .map(|spec| format!("grad.{}", spec.name));
    outputs.extend(names.zip(gradients(loss, &scope.parameters())));
    let named = outputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.id()));
    let found = executor
        .run(&g.function(named, []), &weights, &inputs)?
        .outputs;

    let mut comparisons = Vec::new();
    for name in ["loss", "loss_all_subtokens"] {
        let value = f64::from(found[name].item::<f32>()?);
        comparisons.push(Comparison::number(name, value, case.number(name)?, FORWARD));
    }
    for name in case.recorded.keys() {
        let limit = match name.as_str() {
            "tokens" | "targets" | "class_ids" | "masked" => continue,
            name if name.starts_with("grad.") => GRADIENT,
            _ => FORWARD,
        };
        comparisons.push(match found.get(name) {
            None => Comparison::missing(name),
            Some(found) => {
                let recorded = floats(case.tensor(name)?)?;
                Comparison::relative(name, &floats(found)?, &recorded, limit)
            }
        });
    }
    Ok(comparisons)
}

/// Steps of the sampler, with an entry for each sub-token and with one for each token.
pub(super) fn check_sampling(
    case: &Case,
    executor: &dyn Executor,
) -> Result<Vec<Comparison>, CheckError> {
    let weights = case.description["weights"].as_str();
    let weights = weights.ok_or_else(|| case.fail("weights", "the name of a file"))?;
    let weights = load(case.beside("io").with_file_name(weights), Weights::Raw)?.tensors;
    let mut comparisons = Vec::new();
    for (prefix, masking) in [("", Masking::SubToken), ("joint.", Masking::Token)] {
        let config = MaskedLmModelConfig {
            masking,
            ..network(case)?
        };
        let own = sample(case, executor, (prefix, config), &weights)?;
        comparisons.extend(own);
    }
    Ok(comparisons)
}

fn sample(
    case: &Case,
    executor: &dyn Executor,
    (prefix, config): (&str, MaskedLmModelConfig),
    weights: &Tensors,
) -> Result<Vec<Comparison>, CheckError> {
    let settings = SampleSettings {
        seed: 0,
        steps: case.number("steps")? as usize,
        temperature: case.number("temperature")?,
        guidance: Guidance::Constant(case.number("guidance_alpha")?),
        schedule: MaskSchedule::Cosine,
    };
    let name = |what: &str| format!("{prefix}{what}");
    let start = small(case, &name("tokens_start"))?;
    let (batch, shape) = (start.shape()[0], start.shape().to_vec());
    let each = config.tokens * config.groups;
    let rows = start.as_slice::<i32>()?.chunks_exact(each);
    let mut pictures: Vec<Sampling> = rows
        .map(|row| Sampling::new(&config, row.to_vec()))
        .collect();
    let model = MaskedLm::new(&config);
    let function = guided_logits_function(&model, batch);
    let uniform = floats(case.tensor("u")?)?;
    let gumbel = floats(case.tensor(&name("gumbel"))?)?;
    let (mut logits, mut confidences) = (Vec::new(), Vec::new());
    let (mut sampled, mut tokens, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..settings.steps {
        let all: Vec<i32> = pictures.iter().flat_map(|x| x.sub_tokens.clone()).collect();
        let strength = settings.guidance.at(step, settings.steps) as f32;
        let inputs = Tensors::from([
            (
                "tokens".to_string(),
                HostTensor::from_slice(shape.clone(), &all)?,
            ),
            ("classes".to_string(), small(case, "class_ids")?),
            ("guidance".to_string(), HostTensor::scalar(strength)?),
        ]);
        let found = executor.run(&function, weights, &inputs)?.outputs;
        logits.extend(floats(&found["logits"])?);
        let probabilities = found["probabilities"].as_slice::<f32>()?;
        let values = each * config.vocabulary();
        for (number, picture) in pictures.iter_mut().enumerate() {
            let at = step * batch + number;
            let noise = Noise {
                uniform: uniform[at * each..][..each].to_vec(),
                gumbel: gumbel[at * config.entries()..][..config.entries()].to_vec(),
            };
            let (all, now) = (picture.at_start(), picture.unknown().len());
            counts.push(remasked(&settings, step, all, now) as u64);
            let own = &probabilities[number * values..][..values];
            picture.step(&settings, step, own, &noise);
            sampled.extend(picture.drawn.iter().map(|&x| x as u64));
            tokens.extend(picture.sub_tokens.iter().map(|&x| x as u64));
            confidences.extend(&picture.confidence);
        }
    }
    let last: Vec<u64> = sampled[sampled.len() - batch * each..].to_vec();
    let mut comparisons = Vec::new();
    for (what, found) in [
        ("remasked", &counts),
        ("sampled", &sampled),
        ("tokens", &tokens),
        ("final", &last),
    ] {
        let (name, recorded) = (name(what), integers(case.tensor(&name(what))?)?);
        comparisons.push(match found.len() == recorded.len() {
            false => Comparison::missing(&name),
            true => {
                let differing = found.iter().zip(&recorded).filter(|(a, b)| a != b);
                Comparison::count(&name, differing.count())
            }
        });
    }
    for (what, found) in [("guided_logits", &logits), ("confidence", &confidences)] {
        let recorded = floats(case.tensor(&name(what))?)?;
        comparisons.push(Comparison::relative(&name(what), found, &recorded, FORWARD));
    }
    Ok(comparisons)
}
