//! How well a model reconstructs the pictures of a folder: PSNR of each, and the mean.
//!
//! `cargo run --release --example evaluate_model -- MODEL FOLDER`, where MODEL is the name of a
//! model that ships, a model file, or a training's checkpoint.

use bsq::pretrained;
use bsq::train::Evaluator;
use bsq_runtime::Device;
use bsq_runtime::checkpoint::Weights;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder] = &arguments[..] else {
        return Err("give a model and a folder of pictures".into());
    };
    let model = pretrained::open(model, Weights::Ema)?;
    let mut evaluator = Evaluator::new(&model.config, Path::new(folder), 0, Device::Cpu)?;
    let evaluation = evaluator.evaluate(&model.parameters)?;
    for picture in &evaluation.pictures {
        println!("{:7.3} dB  {}", picture.psnr, picture.path.display());
    }
    println!("{:7.3} dB  mean", evaluation.psnr());
    Ok(())
}
