//! An optimizer of one's own beside AdamW: a rule says how a parameter moves for its gradient, and
//! clipping, averages, checkpoints and resuming come with it.
//!
//! `cargo run --release --example custom_optimizer [STEPS]`

use bsq::nn::BoxError;
use bsq::nn::optimizer::{Memory, Rule};
use bsq::prelude::*;

const POINTS: usize = 128;

/// Adagrad (Duchi and others, JMLR 2011): steps shrink by the root of all squared gradients so far.
struct Adagrad<'g> {
    lr: Tensor<'g>,
}

impl<'g> Rule<'g> for Adagrad<'g> {
    fn common(&self) -> Common<'g> {
        Common::new(self.lr)
    }

    fn change(
        &self,
        memory: &mut Memory<'_, 'g>,
        _shared: &[Tensor<'g>],
        parameter: Tensor<'g>,
        gradient: Tensor<'g>,
        _decays: bool,
    ) -> Tensor<'g> {
        let squares = memory.of_parameter("optimizer.adagrad.", "squares", parameter);
        let next = squares + gradient.square();
        memory.keep(squares, next);
        gradient / (next.sqrt() + 1e-8) * self.lr
    }
}

fn main() -> Result<(), BoxError> {
    let steps = std::env::args()
        .nth(1)
        .map_or(Ok(300), |text| text.parse())?;
    for (name, loss) in [
        ("Adagrad", train(steps, true)?),
        ("AdamW", train(steps, false)?),
    ] {
        println!("{name}: mean squared error {loss:.5} after {steps} steps");
    }
    Ok(())
}

/// The model, a step of its training, and the learning rate.
pub fn step(g: &Graph, own: bool) -> (Scope<'_>, Step<'_>, f32) {
    let x = g.input("x", DType::F32, [POINTS, 1]);
    let model = Scope::root(g);
    let y = x
        .linear(&model / "hidden", 32)
        .tanh()
        .linear(&model / "out", 1);
    let loss = (y - (x * 3.0).sin()).square().mean(..);
    let lr = g.scalar("lr");
    match own {
        true => {
            let step = minimize(loss, &model.parameters(), &Adagrad { lr });
            (model, step, 0.1)
        }
        false => {
            let step = adamw(loss, &model.parameters(), &AdamW::new(lr));
            (model, step, 0.01)
        }
    }
}

/// Points between -1 and 1.
pub fn points() -> Result<HostTensor, BoxError> {
    let points: Vec<f32> = (0..POINTS).map(|i| i as f32 / 64.0 - 1.0).collect();
    Ok(HostTensor::from_slice([POINTS, 1], &points)?)
}

/// Fits a sine; the loss of the last step.
pub fn train(steps: u64, own: bool) -> Result<f32, BoxError> {
    let g = Graph::new();
    let (model, step, rate) = step(&g, own);
    let (points, rate) = (points()?, HostTensor::scalar(rate)?);
    let mut parameters = init(&model.specs(), 1)?;
    parameters.extend(step.initial_state(&parameters)?);
    let mut session = compile(&step.function(), &CompileOptions::default())?.bind(parameters)?;
    let mut loss = f32::NAN;
    for _ in 0..steps {
        loss = session.run(&[("x", &points), ("lr", &rate)])?["loss"].item()?;
    }
    Ok(loss)
}
