//! Our side of `benches/peers/recipe.py`: a step of the whole recipe of training, run on demand: the
//! tokenizer against LPIPS and a discriminator, then the discriminator, each with its AdamW.
//!
//! `ours_recipe FOLDER write CONFIG PICTURES` stores what everybody starts from: weights, the description
//! of the model, and a batch of a folder of pictures.
//! `ours_recipe FOLDER serve LPIPS STEP` answers commands; a step is `plain` or `penalised`, one with R1.
//! Results are the terms of the losses, and weights and first moments behind the step.

use bsq::config::Config;
use bsq::data::Dataset;
use bsq::discriminator::Discriminator;
use bsq::pipeline::ModelFile;
use bsq::train::{Silent, step_programs};
use bsq_benches::{Served, Tensors, description, serve, threads};
use bsq_nn::train::BareSteps;
use bsq_runtime::checkpoint::{Weights, load, safetensors};
use bsq_runtime::{CompileOptions, HostTensor};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

const LEARNING_RATE: f32 = 1e-4;
const CODEBOOK_WEIGHT: f32 = 0.3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [folder, "write", config, pictures] => {
            write(Path::new(folder), Path::new(config), Path::new(pictures))
        }
        [folder, "serve", lpips, step] => {
            let recipe = Recipe::new(Path::new(folder), lpips, step)?;
            let planned_bytes = recipe.steps.planned_bytes();
            serve(recipe, json!({ "planned_bytes": planned_bytes }))
        }
        _ => Err("see the first lines of benches/src/bin/ours_recipe.rs".into()),
    }
}

fn write(folder: &Path, config: &Path, pictures: &Path) -> Result<(), Box<dyn Error>> {
    let (config, _) = Config::load(config)?;
    let loss = &config.loss;
    let mut about = description(&config)?;
    about["lr"] = json!(LEARNING_RATE);
    about["codebook_weight"] = json!(CODEBOOK_WEIGHT);
    about["perceptual_weight"] = json!(loss.perceptual_weight);
    about["disc_weight"] = json!(loss.disc_weight);
    about["r1"] = json!(loss.disc_reg_r1 / 2.0 * loss.disc_reg_freq as f64);
    about["period"] = json!(loss.disc_reg_freq);
    about["ema_decay"] = json!(config.train.ema_decay);
    std::fs::write(folder.join("model.json"), format!("{about:#}\n"))?;
    std::fs::write(folder.join("model.toml"), config.to_toml())?;
    let (size, seed) = (config.model.encoder.image_size, config.train.seed);
    let dataset = Dataset::open(pictures, &config.data, size, seed)?;
    let batch = dataset.batch(0)?;
    let image = HostTensor::from_slice(batch.shape, &batch.images)?;
    let judge = Discriminator::from_config(loss, (size, 1))?.init(image.shape(), seed)?;
    let model = ModelFile::untrained("random", config, 0)?;
    let save = |name: &str, tensors: &Tensors| {
        safetensors::save(&folder.join(name), tensors, &BTreeMap::new())
    };
    save("weights.safetensors", &model.parameters)?;
    save("discriminator.safetensors", &judge)?;
    let inputs = Tensors::from([("image".to_string(), image)]);
    Ok(save("inputs.safetensors", &inputs)?)
}

/// The programs of a step, and what they are given.
struct Recipe {
    steps: BareSteps,
    number: u64,
    inputs: Tensors,
    outputs: Tensors,
}

impl Recipe {
    fn new(folder: &Path, lpips: &str, step: &str) -> Result<Recipe, Box<dyn Error>> {
        let (config, _) = Config::load(folder.join("model.toml"))?;
        let number = match step {
            "plain" => 0,
            "penalised" => config.loss.disc_reg_freq - 1,
            other => return Err(format!("{other}: no such step").into()),
        };
        let read = |name: &str| load(folder.join(name), Weights::Raw);
        let weights = read("weights.safetensors")?.tensors;
        let lpips = [PathBuf::from(lpips)];
        let program = step_programs(&config, weights, &lpips, &mut Silent)?;
        let options = CompileOptions {
            exact: config.train.exact,
            threads: threads(),
            ..CompileOptions::default()
        };
        let mut inputs = read("inputs.safetensors")?.tensors;
        for (name, value) in [
            ("lr", LEARNING_RATE),
            ("codebook_weight", CODEBOOK_WEIGHT),
            ("disc_factor", 1.0),
        ] {
            inputs.insert(name.to_string(), HostTensor::scalar(value)?);
        }
        Ok(Recipe {
            steps: BareSteps::new(&program, &options)?,
            number,
            inputs,
            outputs: Tensors::new(),
        })
    }
}

impl Served for Recipe {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let inputs = self.inputs.iter();
        let given: Vec<(&str, &HostTensor)> = inputs.map(|(name, t)| (&**name, t)).collect();
        self.outputs = self.steps.run(self.number, &given)?;
        Ok(())
    }

    fn results(&self) -> Result<Tensors, Box<dyn Error>> {
        let mut results = self.outputs.clone();
        for (name, tensor) in self.steps.state()? {
            // The adversary's optimizer has a place of its own.
            let (place, own) = match name.strip_prefix("discriminator.") {
                Some(own) => ("discriminator.", own),
                None => ("", name),
            };
            let name = match own.strip_prefix("adamw.exp_avg.") {
                Some(own) => format!("exp_avg.{place}{own}"),
                None if own.starts_with("adamw.") => continue,
                None => name.to_string(),
            };
            results.insert(name, tensor.clone());
        }
        Ok(results)
    }
}
