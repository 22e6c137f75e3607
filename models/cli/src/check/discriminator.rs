//! Discriminators: logits, losses, gradients, and the gradient penalty with its second derivatives.

use super::case::{Case, CheckError};
use super::compare::{Comparison, FIRST, SECOND, VALUES, floats, integers};
use bsq::config::AdversarialLoss;
use bsq::discriminator::{Discriminator, PatchGan, PatchNorm, StyleGan, StyleGan3d};
use bsq::losses::adversarial::r1_penalty;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{BatchMemory, BatchUse};
use bsq_runtime::checkpoint::Checkpoint;
use bsq_runtime::executor::{Executor, Tensors};

pub(super) fn check(case: &Case, executor: &dyn Executor) -> Result<Vec<Comparison>, CheckError> {
    let judge = of_case(case)?;
    let real = case.tensor("real")?.clone();
    let weights = case.tensors("weights")?;
    let start = judge.load(real.shape(), &weights)?;
    let inputs = Tensors::from([
        ("real".to_string(), real),
        ("fake".to_string(), case.tensor("fake")?.clone()),
    ]);
    // The first pictures give some layers their start.
    let first = match is_started(&weights)? {
        true => BatchUse::Training,
        false => BatchUse::Starting,
    };
    let (mut outputs, after) = forward(&judge, first, executor, &start, &inputs)?;
    let mut state = start;
    state.extend(after.clone());
    outputs.extend(
        after
            .into_iter()
            .map(|(name, tensor)| (format!("after_fwd.{name}"), tensor)),
    );
    outputs.extend(derivatives(&judge, executor, &state, &inputs)?);
    compare(case, &judge, &outputs)
}

/// The recorded architecture.
fn of_case(case: &Case) -> Result<Discriminator, CheckError> {
    let number = |key: &str| case.number(key).map(|x| x as usize);
    let list = |key: &str| {
        let items = case.description[key].as_array();
        let items =
            items.and_then(|items| items.iter().map(|x| Some(x.as_u64()? as usize)).collect());
        items.ok_or_else(|| case.fail(key, "a list of numbers"))
    };
    let optional =
        |key: &str, default: usize| case.optional_number(key).map_or(default, |x| x as usize);
    Ok(match case.description["kind"].as_str() {
        Some("stylegan") => Discriminator::StyleGan(StyleGan {
            most_channels: optional("channel_max", 512),
            group_size: optional("mbstd_group_size", 4),
            ..StyleGan::new(number("resolution")?, number("channel_base")?)
        }),
        Some("patchgan") => Discriminator::PatchGan(PatchGan {
            channels: number("ndf")?,
            layers: number("n_layers")?,
            norm: match case.description["use_actnorm"].as_bool() {
                Some(true) => PatchNorm::Act,
                _ => PatchNorm::Batch,
            },
        }),
        Some("stylegan3d") => Discriminator::StyleGan3d(StyleGan3d {
            channels: list("channel_list")?,
            temporal: list("temporal_downsample_list")?,
            units: number("linear_units")?,
            group_size: optional("mbstd_group_size", 4),
        }),
        _ => return Err(case.fail("kind", "stylegan, patchgan or stylegan3d")),
    })
}

/// Whether layers that start with the first batch have seen it.
fn is_started(weights: &Checkpoint) -> Result<bool, CheckError> {
    let flags = weights
        .tensors
        .iter()
        .filter(|(name, _)| name.ends_with(".initialized"));
    for (_, flag) in flags {
        if integers(flag)?.contains(&0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Real pictures, then generated ones: logits and losses, and what layers remember then.
fn forward(
    judge: &Discriminator,
    batch: BatchUse,
    executor: &dyn Executor,
    parameters: &Tensors,
    inputs: &Tensors,
) -> Result<(Tensors, Tensors), CheckError> {
    let g = Graph::new();
    let scope = Scope::root(&g).sharing();
    let mut memory = BatchMemory::new(batch);
    let [real, fake] = ["real", "fake"].map(|name| {
        let x = g.input(name, DType::F32, inputs[name].shape());
        judge.logits(&scope, x, &mut memory)
    });
    let [vanilla, hinge] = [AdversarialLoss::Vanilla, AdversarialLoss::Hinge];
    let outputs = [
        ("logits_real", real),
        ("logits_fake", fake),
        ("d_loss_vanilla", vanilla.of_discriminator(real, fake)),
        ("g_loss_vanilla", vanilla.of_generator(fake)),
        ("d_loss_hinge", hinge.of_discriminator(real, fake)),
        ("g_loss_hinge", hinge.of_generator(fake)),
    ];
    let updates = memory
        .updates()
        .iter()
        .map(|(old, new)| (old.id(), new.id()));
    let function = g.function(outputs.map(|(name, tensor)| (name, tensor.id())), updates);
    let results = executor.run(&function, parameters, inputs)?;
    Ok((results.outputs, results.updates))
}

/// Gradients of the vanilla losses, R1, and its gradients.
fn derivatives(
    judge: &Discriminator,
    executor: &dyn Executor,
    parameters: &Tensors,
    inputs: &Tensors,
) -> Result<Tensors, CheckError> {
    let g = Graph::new();
    let root = Scope::root(&g);
    let scope = root.sharing();
    let [real, fake] = ["real", "fake"].map(|name| g.input(name, DType::F32, inputs[name].shape()));
    let logits = |x| judge.logits(&scope, x, &mut BatchMemory::new(BatchUse::Training));
    let (of_real, of_fake) = (logits(real), logits(fake));
    let loss = AdversarialLoss::Vanilla;
    let penalty = r1_penalty(of_real, real);
    let names: Vec<String> = root.specs().into_iter().map(|spec| spec.name).collect();
    let wrt = root.parameters();
    let mut outputs: Vec<(String, Tensor<'_>)> = vec![
        (
            "grad_g_wrt_fake".into(),
            gradients(loss.of_generator(of_fake), &[fake])[0],
        ),
        ("r1".into(), penalty),
        ("r1_ref".into(), penalty),
        (
            "r1_grad_input".into(),
            gradients(of_real.sum(..), &[real])[0],
        ),
    ];
    for (prefix, loss) in [
        ("grad_d", loss.of_discriminator(of_real, of_fake)),
        ("grad_r1", penalty),
    ] {
        let named = names.iter().zip(gradients(loss, &wrt));
        outputs.extend(named.map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)));
    }
    let named = outputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.id()));
    let function = g.function(named, []);
    Ok(executor.run(&function, parameters, inputs)?.outputs)
}

fn compare(
    case: &Case,
    judge: &Discriminator,
    found: &Tensors,
) -> Result<Vec<Comparison>, CheckError> {
    let precise = case.optional_tensors("r1_f64")?;
    let noise = match &precise {
        Some(precise) => noise_of_record(case, precise)?,
        None => 0.0,
    };
    let mut comparisons = Vec::new();
    for name in case.recorded.keys() {
        if ["real", "fake"].contains(&name.as_str()) || is_zero_in_truth(judge, name) {
            continue;
        }
        // PyTorch counts batches; the record's count is known to be wrong.
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        if name.ends_with(".initialized") {
            let flags = integers(case.tensor(name)?)?;
            comparisons.push(Comparison::count(name, usize::from(flags != [1])));
            continue;
        }
        let recorded = match precise
            .as_ref()
            .and_then(|precise| precise.tensors.get(name))
        {
            Some(precise) => precise,
            None => case.tensor(name)?,
        };
        let limit = match name.as_str() {
            // Not better than f32 can be.
            name if name.starts_with("grad_r1.") => SECOND.max(2.0 * noise),
            name if name.starts_with("grad") || name.starts_with("r1") => FIRST,
            _ => VALUES,
        };
        comparisons.push(match found.get(name) {
            None => Comparison::missing(name),
            Some(found) => Comparison::relative(name, &floats(found)?, &floats(recorded)?, limit),
        });
    }
    Ok(comparisons)
}

/// How far the record's own f32 is from its f64, in the worst of the second derivatives. Those by
/// biases are tiny differences of large terms where a group of the minibatch deviation has two
/// members.
fn noise_of_record(case: &Case, precise: &Checkpoint) -> Result<f64, CheckError> {
    let mut noise = 0.0_f64;
    for (name, precise) in &precise.tensors {
        let Some(recorded) = case
            .recorded
            .get(name)
            .filter(|_| name.starts_with("grad_r1."))
        else {
            continue;
        };
        let (recorded, precise) = (floats(recorded)?, floats(precise)?);
        let error = Comparison::relative(name, &recorded, &precise, SECOND).error;
        noise = if error.is_finite() {
            noise.max(error)
        } else {
            noise
        };
    }
    Ok(noise)
}

/// A bias in front of a batch norm moves nothing: its recorded gradient is noise.
fn is_zero_in_truth(judge: &Discriminator, name: &str) -> bool {
    let Discriminator::PatchGan(PatchGan {
        layers,
        norm: PatchNorm::Batch,
        ..
    }) = judge
    else {
        return false;
    };
    let is_bias = |place: usize| {
        let name = name
            .strip_prefix("grad_d.")
            .or_else(|| name.strip_prefix("grad_r1."));
        name == Some(&format!("network.{place}.bias"))
    };
    (0..=*layers).any(|layer| is_bias(2 + 3 * layer))
}
