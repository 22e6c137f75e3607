//! Our side of `benches/peers/convolutions.py`: all convolutions of a network, run on demand.
//!
//! `ours_convolutions FOLDER write NETWORK BATCH` stores pictures, weights and cotangents of each layer and
//! the layers' sizes; a network is `vgg16` or `discriminator`.
//! `ours_convolutions FOLDER serve PASS FORMAT` answers commands; results are those of each layer. A pass is
//! `forward`, `input` or `weight`, a format `f32` or `bf16`, that of trainings.

use bsq_benches::convolutions::{ConvolutionLayer, ConvolutionPass, DISCRIMINATOR, VGG16};
use bsq_benches::{Served, Tensors, serve, threads};
use bsq_runtime::checkpoint::{Weights, load, safetensors};
use bsq_runtime::{CompileOptions, HostTensor, Precision, Session, compile};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [folder, "write", network, batch] => write(Path::new(folder), network, batch.parse()?),
        [folder, "serve", pass, format] => {
            let layers = Layers::new(Path::new(folder), pass, format)?;
            serve(layers, json!({}))
        }
        _ => Err("see the first lines of benches/src/bin/ours_convolutions.rs".into()),
    }
}

fn layers(network: &str) -> Result<&'static [ConvolutionLayer], Box<dyn Error>> {
    match network {
        "vgg16" => Ok(&VGG16),
        "discriminator" => Ok(&DISCRIMINATOR),
        other => Err(format!("{other}: no such network").into()),
    }
}

fn tensors_of(folder: &Path, layer: usize) -> PathBuf {
    folder.join(format!("{layer}.safetensors"))
}

fn write(folder: &Path, network: &str, batch: usize) -> Result<(), Box<dyn Error>> {
    let layers = layers(network)?;
    for (number, layer) in layers.iter().enumerate() {
        let path = tensors_of(folder, number);
        safetensors::save(&path, &layer.data(batch), &BTreeMap::new())?;
    }
    let slides: Vec<_> = layers
        .iter()
        .map(|l| json!([l.stride, l.padding]))
        .collect();
    let flops: f64 = layers.iter().map(|layer| layer.flops(batch)).sum();
    let description = json!({
        "network": network, "batch": batch, "slides": slides, "flops": flops,
    });
    Ok(std::fs::write(
        folder.join("network.json"),
        format!("{description:#}\n"),
    )?)
}

/// A program for each layer, and what it is given.
struct Layers {
    programs: Vec<(Session, Tensors)>,
    results: Tensors,
}

impl Layers {
    fn new(folder: &Path, pass: &str, format: &str) -> Result<Layers, Box<dyn Error>> {
        let pass = match pass {
            "forward" => ConvolutionPass::Forward,
            "input" => ConvolutionPass::ByInput,
            "weight" => ConvolutionPass::ByWeight,
            other => return Err(format!("{other}: no such pass").into()),
        };
        let precision = match format {
            "f32" => Precision::F32,
            "bf16" => Precision::Bf16Training,
            other => return Err(format!("{other}: no such format").into()),
        };
        let text = std::fs::read_to_string(folder.join("network.json"))?;
        let network: serde_json::Value = serde_json::from_str(&text)?;
        let batch = network["batch"].as_u64().ok_or("a batch is a number")? as usize;
        let name = network["network"].as_str().ok_or("a network has a name")?;
        let options = CompileOptions {
            threads: threads(),
            precision,
            ..CompileOptions::default()
        };
        let mut programs: Vec<(Session, Tensors)> = Vec::new();
        for (number, layer) in layers(name)?.iter().enumerate() {
            let function = layer.function(batch, pass);
            let mut given = load(tensors_of(folder, number), Weights::Raw)?.tensors;
            let weight = given.remove_entry("weight").ok_or("every layer has one")?;
            let asked: Vec<&str> = function.inputs().map(|(_, name, _)| name).collect();
            given.retain(|name, _| asked.contains(&name.as_str()));
            let takes_weight = function.parameters().next().is_some();
            let bound = takes_weight.then_some(weight).into_iter().collect();
            programs.push((compile(&function, &options)?.bind(bound)?, given));
        }
        let results = Tensors::new();
        Ok(Layers { programs, results })
    }
}

impl Served for Layers {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        for (number, (session, given)) in self.programs.iter_mut().enumerate() {
            let given: Vec<(&str, &HostTensor)> =
                given.iter().map(|(name, t)| (&**name, t)).collect();
            let y = session.run(&given)?.take("y");
            self.results.insert(number.to_string(), y);
        }
        Ok(())
    }

    fn results(&self) -> Result<Tensors, Box<dyn Error>> {
        Ok(self.results.clone())
    }
}
