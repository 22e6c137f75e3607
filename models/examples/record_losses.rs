//! Trains the other examples for some steps and writes down what a PyTorch script needs to do the same:
//! the weights they begin with, the batches, the learning rates, and the losses.
//!
//! `cargo run --release --example record_losses FOLDER [STEPS]`, for `benches/peers/examples.py`.

// Each has a `main` and what it prints with, which are not called here.
#[path = "classifier.rs"]
#[allow(dead_code)]
pub mod classifier;
#[path = "custom_optimizer.rs"]
#[allow(dead_code)]
pub mod custom_optimizer;
#[path = "custom_quantizer.rs"]
#[allow(dead_code)]
pub mod custom_quantizer;
#[path = "fashion_classifier.rs"]
#[allow(dead_code)]
pub mod fashion_classifier;
#[path = "flow_matching.rs"]
#[allow(dead_code)]
pub mod flow_matching;
#[path = "language_model.rs"]
#[allow(dead_code)]
pub mod language_model;
#[path = "second_derivative.rs"]
#[allow(dead_code)]
pub mod second_derivative;

use bsq::nn::BoxError;
use bsq::nn::data::Loader;
use bsq::prelude::*;
use bsq::runtime::checkpoint::safetensors;
use std::path::{Path, PathBuf};

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let folder: PathBuf = arguments.next().ok_or("name a folder")?.into();
    let steps = arguments.next().map_or(Ok(50), |text| text.parse())?;
    record_all(&folder, steps)
}

/// A file for each example.
pub fn record_all(folder: &Path, steps: u64) -> Result<(), BoxError> {
    std::fs::create_dir_all(folder)?;
    // Where an example's training goes, and its steps.
    let to = |name: &str| (folder.join(format!("{name}.safetensors")), steps);

    let g = Graph::new();
    let (model, step) = classifier::step(&g);
    let drawn = |step| {
        let (image, label) = classifier::draw(step as u32)?;
        Ok(vec![("image", image), ("label", label)])
    };
    record(to("classifier"), (model, step), &drawn, &|_| {
        classifier::LEARNING_RATE.into()
    })?;

    for (name, own) in [("custom_optimizer", true), ("adamw", false)] {
        let g = Graph::new();
        let (model, step, rate) = custom_optimizer::step(&g, own);
        let points = |_| Ok(vec![("x", custom_optimizer::points()?)]);
        record(to(name), (model, step), &points, &|_| rate.into())?;
    }

    let g = Graph::new();
    let points = |step| Ok(vec![("x", custom_quantizer::points(step as u32)?)]);
    let rate = custom_quantizer::LEARNING_RATE.into();
    record(
        to("custom_quantizer"),
        custom_quantizer::step(&g),
        &points,
        &|_| rate,
    )?;

    let g = Graph::new();
    let (model, step, _) = fashion_classifier::step(&g);
    let samples = fashion_classifier::samples(Path::new(fashion_classifier::SHIPPED))?;
    let loader = Loader::new(samples, fashion_classifier::BATCH, 1)?;
    let rate = fashion_classifier::LEARNING_RATE;
    record(
        to("fashion_classifier"),
        (model, step),
        &|step| loader.batch(step),
        &|_| rate,
    )?;

    let g = Graph::new();
    let rate = flow_matching::LEARNING_RATE;
    record(
        to("flow_matching"),
        flow_matching::step(&g),
        &flow_matching::batch,
        &|_| rate,
    )?;

    let g = Graph::new();
    let loader = language_model::data(include_str!("../../docs/format.md"))?;
    let rate = language_model::learning_rate(steps);
    record(
        to("language_model"),
        language_model::step(&g),
        &|step| loader.batch(step),
        &rate,
    )?;

    let g = Graph::new();
    let points = |_| {
        let weight = HostTensor::scalar(0.1_f32)?;
        Ok(vec![
            ("x", second_derivative::points()?),
            ("weight", weight),
        ])
    };
    let rate = second_derivative::LEARNING_RATE.into();
    record(
        to("second_derivative"),
        second_derivative::step(&g),
        &points,
        &|_| rate,
    )
}

type Batch<'a> = dyn Fn(u64) -> Result<NamedTensors, BoxError> + 'a;

/// Trains, and writes `parameter.NAME`, `batch.STEP.INPUT`, and `lr` and `loss` of all steps.
fn record(
    (path, steps): (PathBuf, u64),
    (model, step): (Scope<'_>, Step<'_>),
    batch: &Batch,
    rate: &dyn Fn(u64) -> f64,
) -> Result<(), BoxError> {
    let mut parameters = init(&model.specs(), 1)?;
    let mut recorded: Vec<(String, HostTensor)> = parameters
        .iter()
        .map(|(name, value)| (format!("parameter.{name}"), value.clone()))
        .collect();
    parameters.extend(step.initial_state(&parameters)?);
    let mut session = compile(&step.function(), &CompileOptions::default())?.bind(parameters)?;
    let (mut rates, mut losses) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let batch = batch(step)?;
        let lr = rate(step) as f32;
        let lr_tensor = HostTensor::scalar(lr)?;
        let mut inputs: Vec<(&str, &HostTensor)> =
            batch.iter().map(|(name, tensor)| (*name, tensor)).collect();
        inputs.push(("lr", &lr_tensor));
        losses.push(session.run(&inputs)?["loss"].item::<f32>()?);
        rates.push(lr);
        let batch = batch.into_iter();
        recorded.extend(batch.map(|(name, tensor)| (format!("batch.{step}.{name}"), tensor)));
    }
    println!(
        "{}: loss {} to {}",
        path.display(),
        losses[0],
        losses[losses.len() - 1]
    );
    let count = losses.len();
    recorded.push(("lr".into(), HostTensor::from_slice([count], &rates)?));
    recorded.push(("loss".into(), HostTensor::from_slice([count], &losses)?));
    let named = recorded
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor));
    Ok(safetensors::save(&path, named, &Default::default())?)
}
