//! Flow matching in a plane: noise flows into two moons along straight paths that a network learns.
//!
//! `cargo run --release --example flow_matching [STEPS]` trains (3000 steps unless told) and draws what comes
//! out as letters. The method: Lipman and others, "Flow Matching for Generative Modeling", ICLR 2023.

use bsq::nn::BoxError;
use bsq::nn::data::Draw;
use bsq::nn::train::TrainOutcome;
use bsq::prelude::*;
use std::path::Path;

const BATCH: usize = 256;
pub const LEARNING_RATE: f64 = 3e-3;
/// Steps from noise to a sample.
const EULER: usize = 40;

fn main() -> Result<(), BoxError> {
    let steps = std::env::args()
        .nth(1)
        .map_or(Ok(3000), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("flow-matching-{}", std::process::id()));
    train(&folder, steps)?;
    println!("{}", drawn(&sample(&folder)?));
    Ok(std::fs::remove_dir_all(folder)?)
}

/// The velocity `[batch, 2]` at points `[batch, 2]` and times `[batch, 1]`.
fn velocity<'g>(model: &Scope<'g>, point: Tensor<'g>, time: Tensor<'g>) -> Tensor<'g> {
    let waves = [1.0, 2.0, 4.0].map(|frequency| (time * (frequency * std::f64::consts::PI)).cos());
    let features = [&[point, time][..], &waves].concat();
    let mut x = model.graph().concat(&features, -1);
    for layer in 0..3 {
        x = x.linear(model / layer, 64).silu();
    }
    x.linear(model / "out", 2)
}

/// A point of one of two half circles.
fn moon(draw: &mut Draw) -> [f32; 2] {
    let angle = draw.uniform(0.0, std::f64::consts::PI);
    let (x, y) = (libm::cos(angle), libm::sin(angle));
    match draw.below(2) {
        0 => [x as f32, y as f32],
        _ => [1.0 - x as f32, 0.5 - y as f32],
    }
}

/// A number of the normal distribution (Box and Muller).
fn normal(draw: &mut Draw) -> f32 {
    let (u, v) = (1.0 - draw.uniform(0.0, 1.0), draw.uniform(0.0, 1.0));
    (libm::sqrt(-2.0 * libm::log(u)) * libm::cos(2.0 * std::f64::consts::PI * v)) as f32
}

/// The network and a step of its training: it is to point from noise to the moon at every time between.
pub fn step(g: &Graph) -> (Scope<'_>, Step<'_>) {
    let [moons, noise] = ["moons", "noise"].map(|name| g.input(name, DType::F32, [BATCH, 2]));
    let time = g.input("time", DType::F32, [BATCH, 1]);
    let model = Scope::root(g);
    let point = noise * (1.0 - time) + moons * time;
    let loss = (velocity(&model, point, time) - (moons - noise))
        .square()
        .mean(..);
    let step = adamw(loss, &model.parameters(), &AdamW::new(g.scalar("lr"))).with_average(0.99);
    (model, step)
}

/// Moons, noise and times of a step.
pub fn batch(step: u64) -> Result<NamedTensors, BoxError> {
    let mut draw = Draw::new(1, 100_u32, step);
    let moons: Vec<f32> = (0..BATCH).flat_map(|_| moon(&mut draw)).collect();
    let noise: Vec<f32> = (0..2 * BATCH).map(|_| normal(&mut draw)).collect();
    let times: Vec<f32> = (0..BATCH).map(|_| draw.uniform(0.0, 1.0) as f32).collect();
    Ok(vec![
        ("moons", HostTensor::from_slice([BATCH, 2], &moons)?),
        ("noise", HostTensor::from_slice([BATCH, 2], &noise)?),
        ("time", HostTensor::from_slice([BATCH, 1], &times)?),
    ])
}

/// Trains in a folder.
pub fn train(folder: &Path, steps: u64) -> Result<TrainOutcome, BoxError> {
    let g = Graph::new();
    let (model, step) = step(&g);
    let training = Training::new(folder, &step, init(&model.specs(), 1)?)?;
    let training = training
        .steps(steps)
        .learning_rate(|_| LEARNING_RATE)
        .log_every(50);
    Ok(training.run(by_step(batch), &mut Silent)?)
}

/// Points that began as noise, after all steps along the flow.
pub fn sample(folder: &Path) -> Result<Vec<[f32; 2]>, BoxError> {
    let g = Graph::new();
    let model = Scope::root(&g);
    let point = g.input("point", DType::F32, [BATCH, 2]);
    let time = g.input("time", DType::F32, [BATCH, 1]);
    let next = point + velocity(&model, point, time) * (1.0 / EULER as f64);
    let function = g.function([("next", next.id())], []);
    let parameters = weights::load(folder.join(bsq::train::FILE_NAME), &model.specs())?;
    let mut session = compile(&function, &CompileOptions::default())?.bind(parameters)?;
    let mut draw = Draw::new(2, 100_u32, 0);
    let noise: Vec<f32> = (0..2 * BATCH).map(|_| normal(&mut draw)).collect();
    let mut point = HostTensor::from_slice([BATCH, 2], &noise)?;
    for step in 0..EULER {
        let time = vec![step as f32 / EULER as f32; BATCH];
        let time = HostTensor::from_slice([BATCH, 1], &time)?;
        let mut outputs = session.run(&[("point", &point), ("time", &time)])?;
        point = outputs.take("next");
    }
    Ok(point
        .as_slice::<f32>()?
        .chunks(2)
        .map(|p| [p[0], p[1]])
        .collect())
}

/// Points as letters in a rectangle around both moons.
fn drawn(points: &[[f32; 2]]) -> String {
    let mut rows = vec![vec![b' '; 70]; 24];
    for [x, y] in points {
        let (column, row) = ((x + 1.5) / 4.0 * 70.0, (1.5 - y) / 2.5 * 24.0);
        if (0.0..70.0).contains(&column) && (0.0..24.0).contains(&row) {
            rows[row as usize][column as usize] = b'o';
        }
    }
    let lines = rows
        .into_iter()
        .map(|row| String::from_utf8_lossy(&row).into_owned());
    lines.collect::<Vec<String>>().join("\n")
}
