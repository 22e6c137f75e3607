//! A quantizer of your own: values rounded to `LEVELS` steps, with a straight-through gradient
//! written in two words of the DSL. A small autoencoder learns to use it.
//!
//! `cargo run --release --example custom_quantizer`

use bsq::prelude::*;

const BATCH: usize = 128;
const LEVELS: f64 = 5.0;
pub const LEARNING_RATE: f32 = 5e-3;

/// Rounds to `LEVELS` values in -1..1. The result is `x + stop_gradient(rounded - x)`: the value
/// is the rounded one, the gradient that of `x`.
fn finite_scalar_quantize(x: Tensor<'_>) -> Tensor<'_> {
    let bounded = x.tanh();
    let half = (LEVELS - 1.0) / 2.0;
    let rounded = (bounded * half + 0.5).floor() * (1.0 / half);
    bounded + (rounded - bounded).stop_gradient()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Graph::new();
    let (model, step) = step(&g);
    let executable = compile(&step.function(), &CompileOptions::default())?;
    let mut parameters = init(&model.specs(), 1)?;
    parameters.extend(step.initial_state(&parameters)?);
    let mut train = executable.bind(parameters)?;
    let lr = HostTensor::scalar(LEARNING_RATE)?;
    for round in 0..=400 {
        let results = train.run(&[("x", &points(round)?), ("lr", &lr)])?;
        if round % 100 == 0 {
            println!(
                "step {round:3}  mean squared error {:.4}",
                results["loss"].item::<f32>()?
            );
        }
    }
    Ok(())
}

/// The autoencoder and a step of its training.
pub fn step(g: &Graph) -> (Scope<'_>, Step<'_>) {
    let x = g.input("x", DType::F32, [BATCH, 8]);
    let model = Scope::root(g);
    let codes = x.linear(&model / "encoder", 4);
    let quantized = finite_scalar_quantize(codes);
    let hidden = quantized.linear(&model / "decoder", 32).gelu();
    let loss = (hidden.linear(&model / "out", 8) - x).square().mean(..);
    let step = adamw(loss, &model.parameters(), &AdamW::new(g.scalar("lr")));
    (model, step)
}

/// Points on a curved surface: three numbers decide all eight.
pub fn points(round: u32) -> Result<HostTensor, bsq::runtime::tensor_data::TensorError> {
    let mut points = Vec::new();
    for index in 0..BATCH as u32 {
        let random = bsq::ir::philox::philox4x32_10([round, index, 0, 0], [7, 0]);
        let [a, b, c] = [0, 1, 2].map(|word| random[word] as f32 / 2f32.powi(31) - 1.0);
        points.extend([a, b, c, a * b, b * c, a * c, a * a, b * b - c * c]);
    }
    HostTensor::from_slice([BATCH, 8], &points)
}
