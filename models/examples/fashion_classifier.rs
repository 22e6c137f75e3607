//! A convolutional classifier of Fashion-MNIST's ten kinds of clothes.
//!
//! `cargo run --release --example fashion_classifier [STEPS] [FOLDER]`: 200 steps on the four hundred pictures
//! that are part of this repository, or on a folder of IDX files, such as Debian's package
//! `dataset-fashion-mnist` installs (`/usr/share/datasets/fashion-mnist`), where 2000 steps reach some 91 %.

use bsq::data::LabelledPictures;
use bsq::nn::BoxError;
use bsq::nn::data::{Draw, Loader, Samples, TensorSamples};
use bsq::nn::layers::Conv;
use bsq::prelude::*;
use std::path::Path;

pub const BATCH: usize = 64;
const SIDE: usize = 28;
pub const LEARNING_RATE: f64 = 1e-3;

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let steps = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let folder = arguments.next().unwrap_or_else(|| SHIPPED.to_string());
    let (loss, right) = train(Path::new(&folder), steps)?;
    println!(
        "{folder}: loss {loss:.3}, {:.1} % of the pictures it learned from are right",
        100.0 * right
    );
    Ok(())
}

/// Three hundred training pictures and a hundred others.
pub const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/fashion-mnist");

/// Logits `[batch, 10]` of grey pictures `[batch, 1, 28, 28]`.
fn logits<'g>(model: &Scope<'g>, image: Tensor<'g>) -> Tensor<'g> {
    let mut x = image;
    for (layer, channels) in [16, 32].into_iter().enumerate() {
        let conv = Conv::new(channels, [3, 3]).padding(1);
        x = conv
            .forward(model / "conv" / layer, x)
            .relu()
            .max_pool2d(2, 2);
    }
    let batch = x.shape()[0];
    let flat = x.reshape([batch, 32 * (SIDE / 4) * (SIDE / 4)]);
    flat.linear(model / "hidden", 64)
        .relu()
        .linear(model / "head", 10)
}

/// Grey values in -1..1 and labels of a folder's training set.
pub fn samples(folder: &Path) -> Result<TensorSamples, BoxError> {
    let pictures = LabelledPictures::open(folder)?;
    let (mut grey, mut labels) = (Vec::new(), Vec::new());
    for number in 0..pictures.count() {
        let picture = pictures.picture(number)?;
        grey.extend(
            picture
                .rgb
                .iter()
                .step_by(3)
                .map(|&x| f32::from(x) / 127.5 - 1.0),
        );
        labels.push(pictures.labels[number] as i32);
    }
    let count = labels.len();
    TensorSamples::new(vec![
        (
            "image",
            HostTensor::from_slice([count, 1, SIDE, SIDE], &grey)?,
        ),
        ("label", HostTensor::from_slice([count], &labels)?),
    ])
}

/// The model, a step of its training, and the share of pictures that are right.
pub fn step(g: &Graph) -> (Scope<'_>, Step<'_>, Tensor<'_>) {
    let image = g.input("image", DType::F32, [BATCH, 1, SIDE, SIDE]);
    let label = g.input("label", DType::I32, [BATCH]);
    let model = Scope::root(g);
    let logits = logits(&model, image);
    let hits = logits.argmax(-1).eq(label).cast(DType::F32).mean(..);
    let loss = logits.cross_entropy(label);
    let step = adamw(loss, &model.parameters(), &AdamW::new(g.scalar("lr"))).output("hits", hits);
    (model, step, hits)
}

/// Trains; the last loss, and which share of the first pictures is right afterwards.
pub fn train(folder: &Path, steps: u64) -> Result<(f32, f32), BoxError> {
    let g = Graph::new();
    let (model, step, hits) = step(&g);
    let out = std::env::temp_dir().join(format!("fashion-classifier-{}", std::process::id()));
    let training = Training::new(&out, &step, init(&model.specs(), 1)?)?;
    let training = training
        .steps(steps)
        .learning_rate(|_| LEARNING_RATE)
        .log_every(20)
        .batch_size(BATCH);
    let data = samples(folder)?;
    let first: Vec<NamedTensors> = (0..BATCH)
        .map(|number| data.sample(number, &mut Draw::new(0, 100_u32, 0)))
        .collect::<Result<_, _>>()?;
    let outcome = training.run(Loader::new(data, BATCH, 1)?, &mut Notes)?;

    // The same graph without the optimizer says what is right now.
    let parameters = weights::load(outcome.checkpoint, &model.specs())?;
    let function = g.function([("hits", hits.id())], []);
    let mut session = compile(&function, &CompileOptions::default())?.bind(parameters)?;
    let joined = |input: usize| {
        let (_, one) = &first[0][input];
        let bytes: Vec<u8> = first
            .iter()
            .flat_map(|sample| sample[input].1.bytes().to_vec())
            .collect();
        HostTensor::from_bytes(one.dtype(), [&[BATCH], one.shape()].concat(), &bytes)
    };
    let (images, labels) = (joined(0)?, joined(1)?);
    let outputs = session.run(&[("image", &images), ("label", &labels)])?;
    std::fs::remove_dir_all(out)?;
    Ok((outcome.loss.unwrap_or(f32::NAN), outputs["hits"].item()?))
}
