//! How good the pictures of a masked language model are, judged by a classifier that is trained here.
//!
//! `cargo run --release --example judge_generation -- DATA OUT [COUNT] [LM TOKENIZER] [ROWS]`, where DATA is a
//! folder with the IDX files of Fashion-MNIST, training and test set, OUT keeps the classifier between
//! calls, COUNT is how many pictures of each class each row of the table is made of (200), and ROWS how many
//! settings are tried (all).
//!
//! The table: the share of pictures that the classifier takes for what was asked; the distance of
//! Fréchet between the classifier's features of the pictures and of all test pictures; precision and
//! recall (k = 3) against as many test pictures. Its first row are test pictures through the tokenizer:
//! nothing that is made of tokens can be expected to be better.

use bsq::data::LabelledPictures;
use bsq::image_io::Picture;
use bsq::masked_lm::{Generator, Guidance, SampleSettings, Start};
use bsq::metrics::sets::{FeatureStatistics, frechet_distance, precision_recall};
use bsq::nn::layers::{Conv, relu};
use bsq::nn::optimizer::AdamW;
use bsq::prelude::*;
use bsq::pretrained;
use bsq_runtime::checkpoint::{Weights, load, safetensors};
use bsq_runtime::executor::Tensors;
use std::collections::BTreeMap;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIDE: usize = 32;
const FEATURES: usize = 128;
const BATCH: usize = 100;
const EPOCHS: usize = 4;
/// Steps, temperature and guidance of each row.
const SETTINGS: [(usize, f64, f64); 8] = [
    (12, 15.0, 0.5),
    (12, 4.5, 0.5),
    (32, 15.0, 0.5),
    (32, 4.5, 0.5),
    (12, 1.0, 0.5),
    (12, 4.5, 0.0),
    (12, 4.5, 1.0),
    (12, 4.5, 2.0),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str);
    let (Some(data), Some(out)) = (argument(0), argument(1)) else {
        return Err("give the folder of the data and one to write to".into());
    };
    let each: usize = argument(2).unwrap_or("200").parse()?;
    let file = pretrained::open_masked_lm(argument(3).unwrap_or("fashion"))?;
    let tokenizer = pretrained::open(argument(4).unwrap_or("fashion"), Weights::Ema)?;
    let mut generator = Generator::new(&file, &tokenizer, &CompileOptions::default())?;
    let classes = file.config.masked_lm.classes.len();

    let set = |name: &str| -> Result<(Vec<Picture>, Vec<usize>)> {
        let path = Path::new(data).join(format!("{name}-images-idx3-ubyte.gz"));
        let set = LabelledPictures::open(&path)?;
        let pictures = (0..set.count()).map(|i| Ok(generator.window(&*set.picture(i)?)));
        Ok((pictures.collect::<Result<_>>()?, set.labels))
    };
    let (test, labels) = set("t10k")?;
    let path = Path::new(out).join("classifier.safetensors");
    let weights = match path.exists() {
        true => load(&path, Weights::Raw)?.tensors,
        false => {
            let (pictures, labels) = set("train")?;
            let weights = trained(&pictures, &labels, classes)?;
            safetensors::save(&path, &weights, &BTreeMap::new())?;
            weights
        }
    };
    let mut judge = Judge::new(weights, classes)?;
    let (all, guesses) = judge.look_at(&test)?;
    println!(
        "test set, {} pictures: accuracy {:.2} %",
        test.len(),
        percent(&guesses, &labels)
    );

    let count = each * classes;
    let (reference, subset) = (
        FeatureStatistics::of(&all, FEATURES),
        &all[..count * FEATURES],
    );
    println!("| pictures | accuracy % | FID | precision | recall |\n|---|---|---|---|---|");
    let mut row = |name: &str, pictures: &[Picture], asked: Option<&[usize]>| -> Result<()> {
        let (features, guesses) = judge.look_at(pictures)?;
        let distance = frechet_distance(&FeatureStatistics::of(&features, FEATURES), &reference);
        let shares = precision_recall(subset, &features, FEATURES, 3);
        let accuracy = asked.map(|asked| format!("{:.2}", percent(&guesses, asked)));
        println!(
            "| {name} | {} | {distance:.2} | {:.3} | {:.3} |",
            accuracy.as_deref().unwrap_or("-"),
            shares.precision,
            shares.recall
        );
        Ok(())
    };
    let reconstructed = generator.reconstructed(&test[..count])?;
    row(
        "reconstructions of test pictures",
        &reconstructed,
        Some(&labels[..count]),
    )?;
    let asked: Vec<usize> = (0..count).map(|i| i % classes).collect();
    let starts = asked
        .iter()
        .map(|&class| Start::empty(&file.model, Some(class)));
    let starts: Vec<Start> = starts.collect();
    let rows: usize = argument(5).map_or(Ok(SETTINGS.len()), str::parse)?;
    for (steps, temperature, guidance) in SETTINGS.into_iter().take(rows) {
        let settings = SampleSettings {
            steps,
            temperature,
            guidance: Guidance::Constant(guidance),
            ..SampleSettings::default()
        };
        let tokens = generator.tokens(&starts, 0, &settings, &mut |_, _| {})?;
        let name = format!("{steps} steps, temperature {temperature}, guidance {guidance}");
        row(&name, &generator.pictures(&tokens)?, Some(&asked))?;
    }
    let starts = vec![Start::empty(&file.model, None); count];
    let settings = SampleSettings {
        guidance: Guidance::Constant(0.0),
        ..SampleSettings::default()
    };
    let tokens = generator.tokens(&starts, 0, &settings, &mut |_, _| {})?;
    let name = format!(
        "12 steps, temperature {}, without a class",
        settings.temperature
    );
    row(&name, &generator.pictures(&tokens)?, None)
}

/// Logits `[B, classes]` and the features before them, `[B, FEATURES]`.
fn classifier<'g>(model: &Scope<'g>, image: Tensor<'g>, classes: usize) -> [Tensor<'g>; 2] {
    let conv = |name: &str, layer: Conv<2>, x| relu(layer.forward(model / name, x));
    let x = conv("conv1", Conv::new(16, [5, 5]).stride(2).padding(2), image);
    let x = conv("conv2", Conv::new(32, [3, 3]).padding(1), x);
    let x = conv("conv3", Conv::new(64, [3, 3]).stride(2).padding(1), x);
    let shape = x.shape();
    let x = x.reshape([shape[0], shape[1] * shape[2] * shape[3]]);
    let features = relu(Linear::new(FEATURES).forward(model / "features", x));
    let logits = Linear::new(classes).forward(model / "logits", features);
    [logits, features]
}

/// The pictures' green, `[count, 1, SIDE, SIDE]` in -1..1.
fn images<'a>(pictures: impl Iterator<Item = &'a Picture>) -> Result<HostTensor> {
    let mut values = Vec::new();
    for picture in pictures {
        let green = picture.rgb.iter().skip(1).step_by(3);
        values.extend(green.map(|&x| f32::from(x) / 127.5 - 1.0));
    }
    let count = values.len() / (SIDE * SIDE);
    Ok(HostTensor::from_slice([count, 1, SIDE, SIDE], &values)?)
}

/// The classifier's weights.
fn trained(pictures: &[Picture], labels: &[usize], classes: usize) -> Result<Tensors> {
    let g = Graph::new();
    let model = Scope::root(&g);
    let image = g.input("image", DType::F32, [BATCH, 1, SIDE, SIDE]);
    let label = g.input("label", DType::I32, [BATCH]);
    let [logits, _] = classifier(&model, image, classes);
    let loss = logits.cross_entropy(label);
    let rule = AdamW {
        weight_decay: 0.05,
        ..AdamW::new(g.scalar("lr"))
    };
    let step = adamw(loss, &model.parameters(), &rule);
    let step = step.with_average(0.998);
    let mut parameters = init(&model.specs(), 1)?;
    parameters.extend(step.initial_state(&parameters)?);
    let executable = compile(&step.function(), &CompileOptions::default())?;
    let mut session = executable.bind(parameters)?;
    let steps = EPOCHS * pictures.len() / BATCH;
    for number in 0..steps {
        // Every epoch in another order: multiples of a number that shares no divisor with the count.
        let at = |i: usize| {
            ((number * BATCH + i) * 7_919 + number * BATCH / pictures.len() * 31) % pictures.len()
        };
        let batch = images((0..BATCH).map(|i| &pictures[at(i)]))?;
        let own: Vec<i32> = (0..BATCH).map(|i| labels[at(i)] as i32).collect();
        let lr = 2e-3 * (1.0 - number as f32 / steps as f32);
        let results = session.run(&[
            ("image", &batch),
            ("label", &HostTensor::from_slice([BATCH], &own)?),
            ("lr", &HostTensor::scalar(lr)?),
        ])?;
        if number % 600 == 0 {
            eprintln!(
                "step {number} of {steps}: loss {:.3}",
                results["loss"].item::<f32>()?
            );
        }
    }
    let averages = model.specs().into_iter().map(|spec| {
        let average = session.parameter(&format!("ema.{}", spec.name))?.clone();
        Ok((spec.name, average))
    });
    averages.collect()
}

/// A trained classifier, ready to run.
struct Judge {
    session: Session,
}

impl Judge {
    fn new(weights: Tensors, classes: usize) -> Result<Judge> {
        let g = Graph::new();
        let image = g.input("image", DType::F32, [BATCH, 1, SIDE, SIDE]);
        let [logits, features] = classifier(&Scope::root(&g), image, classes);
        let class = logits.argmax(-1);
        let function = g.function([("features", features.id()), ("class", class.id())], []);
        let executable = compile(&function, &CompileOptions::default())?;
        Ok(Judge {
            session: executable.bind(weights)?,
        })
    }

    /// Features of pictures, `[count, FEATURES]`, and their classes; the count is one of batches.
    fn look_at(&mut self, pictures: &[Picture]) -> Result<(Vec<f32>, Vec<usize>)> {
        let (mut features, mut classes) = (Vec::new(), Vec::new());
        for batch in pictures.chunks_exact(BATCH) {
            let outputs = self.session.run(&[("image", &images(batch.iter())?)])?;
            features.extend_from_slice(outputs["features"].as_slice::<f32>()?);
            let guesses = outputs["class"].as_slice::<i32>()?;
            classes.extend(guesses.iter().map(|&class| class as usize));
        }
        Ok((features, classes))
    }
}

fn percent(guesses: &[usize], right: &[usize]) -> f64 {
    let pairs = guesses.iter().zip(right);
    100.0 * pairs.filter(|(a, b)| a == b).count() as f64 / right.len() as f64
}
