//! Optimizer steps: on given gradients, in whole training steps, and clipping.

use super::Comparison;
use super::case::{Case, CheckError};
use super::compare::{FORWARD, GRADIENT, floats};
use super::outputs::{loss_terms, named_outputs, scales, tokenizer};
use super::tokenizer::SCALES;
use bsq::losses::total;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::optimizer::{AdamW, Clip, Step, adamw_with_gradients, clip, global_norm};
use bsq_runtime::executor::{Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;

/// Smaller gradients are noise in the record, which AdamW turns into whole steps.
const SMALLEST_GRADIENT: f64 = 1e-5;

/// AdamW with the recorded hyperparameters and an operand `lr`.
fn rule<'g>(case: &Case, g: &'g Graph) -> Result<AdamW<'g>, CheckError> {
    let betas = case.description["hp"]["betas"].as_array();
    let betas: Option<Vec<f64>> = betas.and_then(|list| list.iter().map(|x| x.as_f64()).collect());
    let betas = betas.and_then(|list| <[f64; 2]>::try_from(list).ok());
    Ok(AdamW {
        betas: betas.ok_or_else(|| case.fail("hp.betas", "two numbers"))?,
        epsilon: case.number("hp.eps")?,
        weight_decay: case.number("hp.weight_decay")?,
        ..AdamW::new(g.scalar("lr"))
    })
}

/// The learning rate of a step, counted from 1.
fn learning_rate(case: &Case, step: usize) -> Result<HostTensor, CheckError> {
    let listed = case.description["lrs"][step - 1].as_f64();
    let rate = listed.map_or_else(|| case.number("hp.lr"), Ok)?;
    Ok(HostTensor::scalar(rate as f32)?)
}

/// The names behind `prefix.` in the record.
fn names_of(case: &Case, prefix: &str) -> Vec<String> {
    let names = case.recorded.keys();
    let names = names.filter_map(|name| name.strip_prefix(prefix)?.strip_prefix('.'));
    names.map(String::from).collect()
}

/// Given gradients `gN.X`; parameters `p0.X` become `pN.X`.
pub(super) fn check_adamw(
    case: &Case,
    executor: &dyn Executor,
) -> Result<Vec<Comparison>, CheckError> {
    let names = names_of(case, "p0");
    let g = Graph::new();
    let leaf = |name: &String| {
        let shape = case.tensor(&format!("p0.{name}"))?.shape();
        let gradient = g.input(&format!("g.{name}"), DType::F32, shape);
        Ok((g.parameter(name, DType::F32, shape), gradient))
    };
    let leaves: Vec<(Tensor, Tensor)> =
        names.iter().map(leaf).collect::<Result<_, CheckError>>()?;
    let (parameters, gradients): (Vec<Tensor>, Vec<Tensor>) = leaves.into_iter().unzip();
    let step = adamw_with_gradients(&parameters, &gradients, &rule(case, &g)?);
    let function = step.function();
    let mut state = renamed(case, &names, "p0.", "")?;
    state.extend(step.initial_state(&state)?);
    let mut comparisons = Vec::new();
    for count in 1.. {
        if !case
            .recorded
            .keys()
            .any(|name| name.starts_with(&format!("p{count}.")))
        {
            break;
        }
        let mut inputs = renamed(case, &names, &format!("g{count}."), "g.")?;
        inputs.insert("lr".to_string(), learning_rate(case, count)?);
        state = executor.run(&function, &state, &inputs)?.updates;
        for name in &names {
            let start = floats(case.tensor(&format!("p0.{name}"))?)?;
            let recorded = format!("p{count}.{name}");
            let all = vec![true; start.len()];
            comparisons.push(displacement(
                case,
                &recorded,
                &state[name],
                &start,
                &all,
                count,
            )?);
        }
    }
    Ok(comparisons)
}

/// Whole steps on `inputN`: `lossN`, gradients `gradN.X`, parameters `stepN.X`, averages `emaN.X`.
pub(super) fn check_training(
    case: &Case,
    executor: &dyn Executor,
) -> Result<Vec<Comparison>, CheckError> {
    let tokenizer = tokenizer(case, "model")?;
    let start = tokenizer.load(&case.tensors("weights")?)?;
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, case.tensor("input1")?.shape());
    let forward = tokenizer.forward(&scope, image);
    let terms = loss_terms(case, &forward, image)?;
    let parameters = tokenizer.trained(&scope);
    let gradients = gradients(total(&terms), &parameters);
    let mut step: Step = adamw_with_gradients(&parameters, &gradients, &rule(case, &g)?);
    if let Some(decay) = case.optional_number("ema_decay") {
        step = step.with_average(decay);
    }
    for (name, tensor) in named_outputs(&forward, &terms) {
        if name == "loss" || SCALES.contains(&name) {
            step = step.output(name, tensor);
        }
    }
    let trained = scope.specs().into_iter().map(|spec| spec.name);
    let trained: Vec<String> = trained.filter(|name| tokenizer.is_trained(name)).collect();
    for (name, &gradient) in trained.iter().zip(&gradients) {
        step = step.output(&format!("grad.{name}"), gradient);
    }
    let function = step.function();

    let mut state = start.clone();
    state.extend(step.initial_state(&start)?);
    let mut usable: std::collections::BTreeMap<String, Vec<bool>> = trained
        .iter()
        .map(|name| {
            (
                name.clone(),
                without_key_bias(name, start[name].element_count()),
            )
        })
        .collect();
    let mut comparisons = Vec::new();
    for count in 1.. {
        let Some(input) = case.recorded.get(&format!("input{count}")) else {
            break;
        };
        let inputs = Tensors::from([
            ("image".to_string(), input.clone()),
            ("lr".to_string(), learning_rate(case, count)?),
        ]);
        let results = executor.run(&function, &state, &inputs)?;
        // Parameters that are not trained stay as they are.
        state.extend(results.updates);
        let outputs = results.outputs;
        let name = format!("loss{count}");
        if let Some(recorded) = case.recorded.get(&name) {
            let (found, recorded) = (outputs["loss"].item::<f32>()?, recorded.item::<f32>()?);
            let (found, recorded) = (f64::from(found), f64::from(recorded));
            let scale = scales(case, &outputs).get("loss").copied();
            let scale = scale.unwrap_or(recorded.abs());
            comparisons.push(Comparison::of_terms(&name, found, recorded, scale));
        }
        for name in &trained {
            let gradient = format!("grad{count}.{name}");
            if let Some(recorded) = case.recorded.get(&gradient) {
                let recorded = floats(recorded)?;
                let found = floats(&outputs[&format!("grad.{name}")])?;
                comparisons.push(Comparison::relative(&gradient, &found, &recorded, GRADIENT));
                let usable = usable.get_mut(name).expect("every trained parameter");
                for (usable, gradient) in usable.iter_mut().zip(recorded) {
                    *usable &= gradient.abs() > SMALLEST_GRADIENT;
                }
            }
            let start = floats(&start[name])?;
            let recorded = [format!("step{count}.{name}"), format!("ema{count}.{name}")];
            let found = [name.clone(), format!("ema.{name}")];
            for (recorded, found) in recorded.iter().zip(found) {
                if case.recorded.contains_key(recorded) {
                    let found = &state[&found];
                    let usable = &usable[name];
                    comparisons.push(displacement(case, recorded, found, &start, usable, count)?);
                }
            }
        }
    }
    comparisons.extend(not_reached(case, &comparisons));
    Ok(comparisons)
}

/// Gradients `gN` clipped by themselves to `clippedN` and together to `globalclippedN`.
pub(super) fn check_clipping(
    case: &Case,
    executor: &dyn Executor,
) -> Result<Vec<Comparison>, CheckError> {
    let limit = case.number("max_norm")?;
    let g = Graph::new();
    let name = |index: usize| format!("g{index}");
    let given = (0..)
        .map(name)
        .map_while(|name| Some((name.clone(), case.recorded.get(&name)?)));
    let given: Vec<(String, &HostTensor)> = given.collect();
    let input = |(name, tensor): &(String, &HostTensor)| g.input(name, DType::F32, tensor.shape());
    let inputs: Vec<Tensor> = given.iter().map(input).collect();
    if inputs.is_empty() {
        return Err(CheckError::NoTensor("g0".to_string()));
    }
    let mut outputs = vec![("global_norm".to_string(), global_norm(&inputs))];
    for (prefix, limit) in [
        ("clipped", Clip::PerTensor(limit)),
        ("globalclipped", Clip::Global(limit)),
    ] {
        let clipped = clip(&inputs, limit).into_iter().enumerate();
        outputs.extend(clipped.map(|(index, tensor)| (format!("{prefix}{index}"), tensor)));
    }
    let named = outputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.id()));
    let function = g.function(named, []);
    let tensors = given
        .iter()
        .map(|(name, tensor)| (name.clone(), (*tensor).clone()));
    let results = executor
        .run(&function, &Tensors::new(), &tensors.collect())?
        .outputs;
    let expected = case
        .recorded
        .keys()
        .filter(|name| !results_in(&given, name));
    let one = |name: &String| match results.get(name) {
        None => Ok(Comparison::missing(name)),
        Some(found) => {
            let (found, recorded) = (floats(found)?, floats(case.tensor(name)?)?);
            Ok(Comparison::relative(name, &found, &recorded, FORWARD))
        }
    };
    expected.map(one).collect()
}

fn results_in(given: &[(String, &HostTensor)], name: &str) -> bool {
    given.iter().any(|(given, _)| given == name)
}

/// Recorded tensors `from` + name under the names `to` + name.
fn renamed(case: &Case, names: &[String], from: &str, to: &str) -> Result<Tensors, CheckError> {
    let one = |name: &String| {
        let tensor = case.tensor(&format!("{from}{name}"))?.clone();
        Ok((format!("{to}{name}"), tensor))
    };
    names.iter().map(one).collect()
}

/// Which elements of a gradient can be other than zero in truth: the softmax does not depend on
/// the bias of the keys, the middle third of the fused projection's.
fn without_key_bias(name: &str, elements: usize) -> Vec<bool> {
    let third = elements / 3;
    let keys = third..2 * third;
    let is_bias = name.ends_with(".in_proj_bias");
    (0..elements)
        .map(|at| !(is_bias && keys.contains(&at)))
        .collect()
}

/// How far the elements that count have moved.
fn displacement(
    case: &Case,
    recorded: &str,
    found: &HostTensor,
    start: &[f64],
    usable: &[bool],
    steps: usize,
) -> Result<Comparison, CheckError> {
    let values = floats(case.tensor(recorded)?)?;
    let found = floats(found)?;
    if found.len() != values.len() {
        return Ok(Comparison::missing(recorded));
    }
    let triples = start.iter().zip(&found).zip(&values).zip(usable);
    let triples = triples.filter_map(|(((&s, &f), &r), &usable)| usable.then_some([s, f, r]));
    let triples: Vec<[f64; 3]> = triples.collect();
    Ok(Comparison::of_displacement(recorded, &triples, steps))
}

/// Recorded results that no step has compared.
fn not_reached(case: &Case, comparisons: &[Comparison]) -> Vec<Comparison> {
    let known = |name: &str| {
        name.starts_with("input") || comparisons.iter().any(|comparison| comparison.name == name)
    };
    let names = case.recorded.keys().filter(|name| !known(name));
    names.map(|name| Comparison::missing(name)).collect()
}
