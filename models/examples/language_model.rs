//! A causal language model over the letters of a text, with tied embeddings; then it writes.
//!
//! `cargo run --release --example language_model [STEPS] [TEXT]`: by default 400 steps on this
//! repository's own documentation.

use bsq::nn::BoxError;
use bsq::nn::data::{Draw, Loader, Samples};
use bsq::prelude::*;

const BATCH: usize = 16;
const LENGTH: usize = 64;
const WIDTH: usize = 96;
const HEADS: usize = 4;
const LAYERS: usize = 2;
/// Letters are bytes, those of ASCII.
const LETTERS: usize = 128;

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let steps = arguments.next().map_or(Ok(400), |text| text.parse())?;
    let text = match arguments.next() {
        Some(path) => std::fs::read_to_string(path)?,
        None => concat!(
            include_str!("../../ARCHITECTURE.md"),
            include_str!("../../README.md")
        )
        .to_string(),
    };
    let folder = std::env::temp_dir().join(format!("language-model-{}", std::process::id()));
    let outcome = train(&folder, text.clone(), steps)?;
    println!("loss {:.3} nats a letter", outcome.loss.unwrap_or(f32::NAN));
    println!("{}", write(&folder, &text[..LENGTH / 2], 300)?);
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Logits `[batch, length, letters]` for the letters after those of `x` (`i32[batch, length]`).
fn logits<'g>(model: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let (graph, length) = (model.graph(), x.shape()[1]);
    let small = |entries| Embedding {
        deviation: 0.02,
        ..Embedding::new(entries, WIDTH)
    };
    let letters = small(LETTERS).table(model / "letters", "weight");
    let places = small(LENGTH).table(model / "places", "weight");
    let embedded = letters.gather(0, x) + places.slice(0, 0..length);
    let block = Block::pre_norm(WIDTH, HEADS);
    let blocks = Transformer {
        layers: LAYERS,
        block,
    };
    let mask = causal(graph, length);
    let hidden = blocks.forward(model / "blocks", embedded, &mut |_, heads| {
        heads.attend(Some(mask))
    });
    let hidden = hidden.layer_norm(model / "norm", 1e-5);
    hidden.matmul_transposed(letters)
}

/// Windows of a text, each with the letters that follow.
pub struct Windows(Vec<i32>);

impl Samples for Windows {
    fn count(&self) -> usize {
        self.0.len() / LENGTH
    }

    fn sample(&self, _number: usize, draw: &mut Draw) -> Result<NamedTensors, BoxError> {
        let start = draw.below(self.0.len() - LENGTH);
        let window =
            |start: usize| HostTensor::from_slice([LENGTH], &self.0[start..start + LENGTH]);
        Ok(vec![("x", window(start)?), ("next", window(start + 1)?)])
    }
}

fn letters_of(text: &str) -> Vec<i32> {
    text.bytes().filter(u8::is_ascii).map(i32::from).collect()
}

/// Windows of a text in batches.
pub fn data(text: &str) -> Result<Loader<Windows>, BoxError> {
    Loader::new(Windows(letters_of(text)), BATCH, 1)
}

/// The model and a step of its training.
pub fn step(g: &Graph) -> (Scope<'_>, Step<'_>) {
    let x = g.input("x", DType::I32, [BATCH, LENGTH]);
    let next = g.input("next", DType::I32, [BATCH, LENGTH]);
    let model = Scope::root(g);
    let loss = logits(&model, x).cross_entropy(next);
    let rule = AdamW {
        clip: Some(Clip::Global(1.0)),
        ..AdamW::new(g.scalar("lr"))
    };
    let step = adamw(loss, &model.parameters(), &rule);
    (model, step)
}

/// The learning rate of each of so many steps.
pub fn learning_rate(steps: u64) -> impl Fn(u64) -> f64 {
    let schedule = WarmupCosine {
        warmup_steps: 20,
        last_step: steps.max(21),
        start: 0.0,
        peak: 1.0,
        end: 0.1,
    };
    move |step| 3e-3 * schedule.multiplier(step)
}

/// Trains in a folder; the log says how it goes.
pub fn train(
    folder: &std::path::Path,
    text: String,
    steps: u64,
) -> Result<bsq::train::TrainOutcome, BoxError> {
    let g = Graph::new();
    let (model, step) = step(&g);
    let training = Training::new(folder, &step, init(&model.specs(), 1)?)?
        .steps(steps)
        .learning_rate(learning_rate(steps))
        .log_every(10)
        .batch_size(BATCH);
    Ok(training.run(data(&text)?, &mut Notes)?)
}

/// Goes on with a text, letter by letter as likely as the model thinks, a little less daring.
fn write(folder: &std::path::Path, begun: &str, count: usize) -> Result<String, BoxError> {
    const TEMPERATURE: f64 = 0.6;
    let g = Graph::new();
    let model = Scope::root(&g);
    let logits = logits(&model, g.input("x", DType::I32, [1, LENGTH]));
    let function = g.function([("logits", logits.id())], []);
    let parameters = weights::load(folder.join(bsq::train::FILE_NAME), &model.specs())?;
    let mut session = compile(&function, &CompileOptions::default())?.bind(parameters)?;
    let mut letters = letters_of(begun);
    for place in 0..count {
        // The last letters, and behind them what the mask hides.
        let mut window = letters[letters.len().saturating_sub(LENGTH)..].to_vec();
        let last = window.len() - 1;
        window.resize(LENGTH, 0);
        let x = HostTensor::from_slice([1, LENGTH], &window)?;
        let outputs = session.run(&[("x", &x)])?;
        let logits = &outputs["logits"].as_slice::<f32>()?[last * LETTERS..][..LETTERS];
        // The largest of logits with Gumbel noise is a sample of their softmax.
        let mut draw = Draw::new(1, 100_u32, place as u64);
        let noisy = logits
            .iter()
            .map(|&logit| f64::from(logit) / TEMPERATURE + draw.gumbel());
        let best = noisy.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        letters.push(best.map_or(0, |(letter, _)| letter as i32));
    }
    Ok(letters
        .into_iter()
        .map(|letter| letter as u8 as char)
        .collect())
}
