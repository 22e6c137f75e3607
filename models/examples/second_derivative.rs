//! Gradients are graph nodes, so the gradient of a gradient is nothing special: a network is
//! trained with a penalty on its own input gradient, as R1 does for discriminators.
//!
//! `cargo run --release --example second_derivative`

use bsq::prelude::*;

const POINTS: usize = 64;
pub const LEARNING_RATE: f32 = 1e-2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Graph::new();
    let (model, step) = step(&g);
    let executable = compile(&step.function(), &CompileOptions::default())?;
    let points = points()?;
    let lr = HostTensor::scalar(LEARNING_RATE)?;
    for weight in [0.0f32, 0.1, 1.0] {
        let mut parameters = init(&model.specs(), 1)?;
        parameters.extend(step.initial_state(&parameters)?);
        let mut train = executable.bind(parameters)?;
        let given = HostTensor::scalar(weight)?;
        let inputs = [("x", &points), ("lr", &lr), ("weight", &given)];
        for _ in 0..500 {
            train.run(&inputs)?;
        }
        let results = train.run(&inputs)?;
        let (error, penalty) = (
            results["error"].item::<f32>()?,
            results["penalty"].item::<f32>()?,
        );
        println!(
            "penalty weight {weight:3}: mean squared error {error:.4}, squared slope {penalty:.3}"
        );
    }
    Ok(())
}

/// The network and a step of its training.
pub fn step(g: &Graph) -> (Scope<'_>, Step<'_>) {
    // y = f(x) shall be |x|, but with a slope as small as the data allows.
    let x = g.input("x", DType::F32, [POINTS, 1]);
    let model = Scope::root(g);
    let hidden = x.linear(&model / "hidden", 32).tanh();
    let y = hidden.linear(&model / "out", 1);
    let error = (y - x.abs()).square().mean(..);
    let slope = gradients(y.sum(..), &[x])[0];
    let penalty = slope.square().mean(..);
    let loss = error + penalty * g.scalar("weight");

    let step = adamw(loss, &model.parameters(), &AdamW::new(g.scalar("lr")))
        .output("error", error)
        .output("penalty", penalty);
    (model, step)
}

/// Points between -1 and 1.
pub fn points() -> Result<HostTensor, bsq::runtime::tensor_data::TensorError> {
    let points: Vec<f32> = (0..POINTS).map(|i| i as f32 / 32.0 - 1.0).collect();
    HostTensor::from_slice([POINTS, 1], &points)
}
