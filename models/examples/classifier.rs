//! A small transformer that tells circles, squares and crosses apart, trained on pictures that it
//! draws itself: define, differentiate, compile and run a model of your own.
//!
//! `cargo run --release --example classifier`

use bsq::prelude::*;

const BATCH: usize = 32;
const SIZE: usize = 16;
const WIDTH: usize = 32;
const HEADS: usize = 2;
const CLASSES: usize = 3;
pub const LEARNING_RATE: f32 = 2e-3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Graph::new();
    let (model, step) = step(&g);
    let executable = compile(&step.function(), &CompileOptions::default())?;
    println!("{}", executable.report());
    let mut parameters = init(&model.specs(), 1)?;
    parameters.extend(step.initial_state(&parameters)?);
    let mut train = executable.bind(parameters)?;

    let lr = HostTensor::scalar(LEARNING_RATE)?;
    for round in 0..=300 {
        let (images, labels) = draw(round)?;
        let results = train.run(&[("image", &images), ("label", &labels), ("lr", &lr)])?;
        if round % 50 == 0 {
            let (loss, hits) = (
                results["loss"].item::<f32>()?,
                results["hits"].item::<f32>()?,
            );
            println!(
                "step {round:3}  loss {loss:.3}  right {:3.0} %",
                100.0 * hits
            );
        }
    }
    Ok(())
}

/// The model and a step of its training.
pub fn step(g: &Graph) -> (Scope<'_>, Step<'_>) {
    // The model: patches, two blocks, the mean over tokens, one logit for each class.
    let image = g.input("image", DType::F32, [BATCH, 3, SIZE, SIZE]);
    let label = g.input("label", DType::I32, [BATCH]);
    let model = Scope::root(g);
    let tokens = Linear::new(WIDTH).forward(&model / "embed", patchify(image, 4));
    let block = Block::pre_norm(WIDTH, HEADS);
    let blocks = Transformer { layers: 2, block };
    let hidden = blocks.forward(&model / "blocks", tokens, &mut |_, heads| {
        heads.attend(None)
    });
    let logits = Linear::new(CLASSES).forward(&model / "head", hidden.mean(1));
    let hits = logits.argmax(-1).eq(label).cast(DType::F32).mean(..);
    let loss = logits.cross_entropy(label);

    // One program: forward, backward and AdamW, parameters updated in place.
    let step = adamw(loss, &model.parameters(), &AdamW::new(g.scalar("lr"))).output("hits", hits);
    (model, step)
}

/// Pictures `[BATCH, 3, SIZE, SIZE]` of one shape each, in any place and colour, and its class.
pub fn draw(
    round: u32,
) -> Result<(HostTensor, HostTensor), bsq::runtime::tensor_data::TensorError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for index in 0..BATCH as u32 {
        let random = bsq::ir::philox::philox4x32_10([round, index, 0, 0], [42, 0]);
        let class = (random[0] % CLASSES as u32) as i32;
        let at = |word: u32| 5.0 + (word % 6) as f32;
        let (x, y) = (at(random[1]), at(random[2]));
        for channel in 0..3 {
            let colour = ((random[3] >> (8 * channel)) & 0xff) as f32 / 512.0 + 0.5;
            for row in 0..SIZE {
                for column in 0..SIZE {
                    let (dx, dy) = ((column as f32 - x).abs(), (row as f32 - y).abs());
                    let inside = match class {
                        0 => dx * dx + dy * dy < 14.0,
                        1 => dx.max(dy) < 3.5,
                        _ => dx.min(dy) < 1.0 && dx.max(dy) < 4.5,
                    };
                    pixels.push(if inside { colour } else { 0.0 });
                }
            }
        }
        labels.push(class);
    }
    let images = HostTensor::from_slice([BATCH, 3, SIZE, SIZE], &pixels)?;
    Ok((images, HostTensor::from_slice([BATCH], &labels)?))
}
