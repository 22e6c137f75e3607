//! LPIPS on few channels and random weights, on real weights, and on weights made by a formula.

use super::case::{Case, CheckError};
use super::compare::{Comparison, FIRST, VALUES, floats};
use super::hashed;
use bsq::lpips::{Backbone, Network};
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::executor::{Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;

pub(super) fn check(case: &Case, executor: &dyn Executor) -> Result<Vec<Comparison>, CheckError> {
    if case.description.get("formula").is_some() {
        return check_formula(case, executor);
    }
    let network = network(case)?;
    let weights = match case.weights_file()? {
        Some(path) => network.load(&[&path])?,
        None => network.load(&[&case.beside("weights")])?,
    };
    let [input, target] = ["input", "target"].map(|name| pictures(case.tensor(name)?));
    let inputs = Tensors::from([("input".into(), input?), ("target".into(), target?)]);
    let found = run(&network, executor, &weights, &inputs)?;
    let mut comparisons = Vec::new();
    for name in case.recorded.keys() {
        let (from, limit) = match name.as_str() {
            "input" | "target" => continue,
            "value_f64" => ("value", VALUES),
            name if name.starts_with("grad") => (name, FIRST),
            name => (name, VALUES),
        };
        comparisons.push(match found.get(from) {
            None => Comparison::missing(name),
            Some(found) => {
                let recorded = floats(case.tensor(name)?)?;
                Comparison::relative(name, &floats(found)?, &recorded, limit)
            }
        });
    }
    Ok(comparisons)
}

/// The recorded network.
fn network(case: &Case) -> Result<Network, CheckError> {
    let backbone = match case.description.get("net").and_then(|net| net.as_str()) {
        None | Some("VGG16" | "vgg" | "vgg16") => Backbone::Vgg16,
        Some("AlexNet" | "alex" | "alexnet") => Backbone::AlexNet,
        Some("SqueezeNet" | "squeeze" | "squeezenet") => Backbone::SqueezeNet,
        Some(_) => return Err(case.fail("net", "VGG16, AlexNet or SqueezeNet")),
    };
    let zero_mean = case.description["zero_mean"].as_bool().unwrap_or(true);
    let network = Network::new(backbone).zero_mean(zero_mean);
    let Some(channels) = case
        .description
        .get("chns")
        .and_then(|list| list.as_array())
    else {
        return Ok(network);
    };
    let channels = channels.iter().map(|x| x.as_u64().map(|x| x as usize));
    let channels: Option<Vec<usize>> = channels.collect();
    let channels = channels.filter(|channels| channels.len() == 5);
    let channels = channels.ok_or_else(|| case.fail("chns", "a number for each tap"))?;
    Ok(network.with_channels(&channels))
}

/// As networks see them.
fn pictures(tensor: &HostTensor) -> Result<HostTensor, CheckError> {
    if tensor.dtype() != DType::U8 {
        return Ok(tensor.to_dtype(DType::F32)?);
    }
    let samples = tensor.as_slice::<u8>()?.iter();
    let values: Vec<f32> = samples.map(|&x| f32::from(x) / 127.5 - 1.0).collect();
    Ok(HostTensor::from_slice(tensor.shape().to_vec(), &values)?)
}

/// `value [n]`, `layer_terms [n, taps]`, `grad_input0` of the first value, `grad_target_of_mean`.
fn run(
    network: &Network,
    executor: &dyn Executor,
    weights: &Tensors,
    inputs: &Tensors,
) -> Result<Tensors, CheckError> {
    let g = Graph::new();
    let input = |name: &str| g.input(name, DType::F32, inputs[name].shape());
    let (input, target) = (input("input"), input("target"));
    let terms = network.terms(Scope::root(&g), input, target);
    let columns: Vec<_> = terms.iter().map(|term| term.unsqueeze(1)).collect();
    let value = terms.into_iter().reduce(|sum, term| sum + term);
    let value = value.expect("a network has taps");
    let by_input = gradients(value.slice(0, 0..1).sum(..), &[input])[0];
    let by_target = gradients(value.mean(..), &[target])[0];
    let outputs = [
        ("value", value),
        ("layer_terms", g.concat(&columns, 1)),
        ("grad_input0", by_input.slice(0, 0..1)),
        ("grad_target_of_mean", by_target),
        ("grad_target", by_target),
    ];
    let function = g.function(outputs.map(|(name, tensor)| (name, tensor.id())), []);
    Ok(executor.run(&function, weights, inputs)?.outputs)
}

/// Full-size VGG16 on two parts of a picture, all made by a formula.
fn check_formula(case: &Case, executor: &dyn Executor) -> Result<Vec<Comparison>, CheckError> {
    const SIDE: usize = 256;
    let network = Network::new(Backbone::Vgg16);
    let mut weights = Tensors::new();
    for spec in network.parameters() {
        let values = hashed::of_lpips(&spec);
        let tensor = HostTensor::from_slice(spec.ty.shape.to_vec(), &values)?;
        weights.insert(spec.name, tensor);
    }
    let picture = hashed::picture([1, 3, SIDE, SIDE]);
    let part = |top: usize, left: usize| {
        let pixel = |i: usize| (i / 4096 * SIDE + top + i / 64 % 64) * SIDE + left + i % 64;
        let values: Vec<f32> = (0..3 * 4096).map(|i| picture[pixel(i)]).collect();
        HostTensor::from_slice([1, 3, 64, 64], &values)
    };
    let inputs = Tensors::from([
        ("input".into(), part(0, 0)?),
        ("target".into(), part(64, 100)?),
    ]);
    let found = run(&network, executor, &weights, &inputs)?;
    let value = floats(&found["value"])?[0];
    let recorded = case.number("value_f64").or_else(|_| case.number("value"))?;
    let mut comparisons = vec![Comparison::number("value", value, recorded, VALUES)];
    for name in case.recorded.keys() {
        let from = match name.as_str() {
            "input" | "a" | "b" | "target" => continue,
            "value_f64" => "value",
            name => name,
        };
        comparisons.push(match found.get(from) {
            None => Comparison::missing(name),
            Some(found) => {
                let recorded = floats(case.tensor(name)?)?;
                Comparison::relative(name, &floats(found)?, &recorded, VALUES)
            }
        });
    }
    Ok(comparisons)
}
