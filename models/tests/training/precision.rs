//! Trainings in bf16: what they learn, and which bits.

use crate::adversarial::{STYLEGAN, against};
use crate::adversarial_clips::{self as clips, STYLEGAN3D};
use crate::{CONFIG, Heard, pictures, train, training};
use bsq::config::{Config, TrainPrecision};
use bsq::discriminator::Discriminator;
use bsq::tokenizer::Tokenizer;
use bsq::train::{FILE_NAME, Progress, TrainOptions, TrainRun, run_with, step_parts};
use bsq_ir::Function;
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, HostTensor, Precision, compile};
use std::fs;

fn in_bf16(config: &str) -> String {
    config.replace("[train]", "[train]\nprecision = \"bf16\"")
}

/// 120 steps of a model of three blocks each way.
fn long(config: &str) -> String {
    let config = config.replace("layers = 1", "layers = 3");
    let config = config.replace("max_iter = 6", "max_iter = 120");
    let config = config.replace("max_decay_steps = 6", "max_decay_steps = 120");
    config.replace("save_freq = 2", "save_freq = 0")
}

/// The losses of steps.
#[derive(Default)]
struct Losses(Vec<f32>);

impl Progress for Losses {
    fn step(&mut self, _done: u64, loss: f32) {
        self.0.push(loss);
    }
}

impl Losses {
    /// The mean of the last third: one batch is easier than another.
    fn at_the_end(&self) -> f64 {
        let last = &self.0[2 * self.0.len() / 3..];
        last.iter().copied().map(f64::from).sum::<f64>() / last.len() as f64
    }
}

fn checkpoint(task: &TrainRun) -> Vec<u8> {
    fs::read(task.out.join(FILE_NAME)).unwrap()
}

#[test]
fn a_training_in_bf16_learns_as_much_and_has_the_bits_of_any_number_of_threads() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    let trained = |name: &str, config: &str, threads: usize| {
        let mut task = training(&long(config), data.path(), &out.path().join(name));
        task.threads = threads;
        let mut losses = Losses::default();
        run_with(&task, &TrainOptions::default(), &mut losses).unwrap();
        (losses.at_the_end(), checkpoint(&task))
    };
    let (exact, _) = trained("f32", CONFIG, 1);
    let (narrow, bits) = trained("bf16", &in_bf16(CONFIG), 1);
    println!("of the last of 120 steps: {exact} in f32, {narrow} in bf16");
    assert!(
        (narrow / exact - 1.0).abs() < 0.1,
        "{narrow} beside {exact}"
    );
    assert!(narrow != exact, "nothing was rounded");
    let (_, same) = trained("two", &in_bf16(CONFIG), 2);
    assert!(bits == same, "two threads have other bits");
}

#[test]
fn a_resumed_training_in_bf16_has_the_bits_of_one_that_was_not_and_a_change_is_said() {
    let (data, out) = (pictures(), tempfile::tempdir().unwrap());
    for (name, config) in [
        ("alone", CONFIG.to_string()),
        ("against", against(STYLEGAN)),
        ("clips", clips::against(STYLEGAN3D)),
    ] {
        let place = |which: &str| out.path().join(format!("{name}-{which}"));
        let config = in_bf16(&config);
        let straight = training(&config, data.path(), &place("straight"));
        train(&straight).unwrap();
        let mut killed = training(&config, data.path(), &place("killed"));
        killed.steps = Some(3);
        train(&killed).unwrap();
        (killed.resume, killed.steps) = (true, None);
        train(&killed).unwrap();
        assert!(checkpoint(&straight) == checkpoint(&killed), "{name}");

        let mut other = killed.clone();
        other.config.train.precision = TrainPrecision::F32;
        other.config.optimizer.max_iter = 7;
        let mut heard = Heard::default();
        run_with(&other, &TrainOptions::default(), &mut heard).unwrap();
        let wanted = "changed: train.precision: \"bf16\" -> \"f32\"";
        let said = heard.0.iter().any(|line| line.contains(wanted));
        assert!(said, "{:?}", heard.0);
    }
}

/// One run of a program from these parameters and inputs of these values, and what is left of the parameters.
pub fn updated(
    function: &Function,
    start: &Tensors,
    options: &CompileOptions,
    values: impl Fn(&str, &[usize]) -> Vec<f32>,
) -> Tensors {
    let executable = compile(function, options).unwrap();
    let bound = function.parameters().map(|(_, name, ty)| {
        let tensor = match start.get(name) {
            Some(tensor) => tensor.clone(),
            None => HostTensor::zeros(ty.dtype, ty.shape.to_vec()).unwrap(),
        };
        (name.to_string(), tensor)
    });
    let mut session = executable.bind(bound.collect()).unwrap();
    let given = function.inputs().map(|(_, name, ty)| {
        let values = values(name, &ty.shape);
        (
            name,
            HostTensor::from_slice(ty.shape.to_vec(), &values).unwrap(),
        )
    });
    let given: Vec<_> = given.collect();
    let given: Vec<_> = given.iter().map(|(name, tensor)| (*name, tensor)).collect();
    session.run(&given).unwrap();
    let left = session.parameters().unwrap().into_iter();
    left.map(|(name, tensor)| (name.to_string(), tensor.clone()))
        .collect()
}

/// Value `i` of an input of a step.
pub fn value(name: &str, i: usize) -> f32 {
    match name {
        "lr" => 1e-3,
        "disc_factor" => 1.0,
        "judged" => ((i * 6151) % 1999) as f32 / 1999.0 - 0.5,
        _ => ((i * 7919) % 2003) as f32 / 1001.0 - 1.0,
    }
}

/// R1 is a second derivative: bf16 takes no more from its gradient than from that of the loss. Of that it takes
/// what leaky ReLUs do to numbers near zero: of some the sign is another.
#[test]
fn the_gradient_of_r1_in_bf16_is_near_that_in_f32() {
    let config = against(STYLEGAN).replace("disc_channel_base = 64", "disc_channel_base = 512");
    let config = Config::from_toml(&config).unwrap();
    let parts = step_parts(&config, &Tokenizer::new(&config.model)).unwrap();
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let wanted = ["training step", "discriminator", "discriminator with R1"];
    assert_eq!(names, wanted);
    let judge =
        Discriminator::from_config(&config.loss, (config.model.encoder.image_size, 1)).unwrap();
    let own = judge.init(&[4, 3, 16, 16], 1).unwrap().into_iter();
    let named = own.map(|(name, x)| (format!("discriminator.{name}"), x));
    let mut start: Tensors = named.collect();
    // Sure of both, so that what they give is not the difference of two equal gradients.
    let sure = HostTensor::from_slice([1], &[2.0_f32]).unwrap();
    start.insert("discriminator.b4.out.bias".to_string(), sure);
    let off = [1, 2].map(|part| {
        let function = &parts[part].function;
        let [exact, narrow] = [Precision::F32, Precision::Bf16Training].map(|precision| {
            let options = CompileOptions {
                exact: false,
                precision,
                ..Default::default()
            };
            let all = |name: &str, shape: &[usize]| {
                (0..shape.iter().product())
                    .map(|i| value(name, i))
                    .collect()
            };
            updated(function, &start, &options, all)
        });
        distance(&exact, &narrow)
    });
    println!("off by {:.4}, with R1 by {:.4}", off[0], off[1]);
    assert!(off[0] > 1e-4, "nothing was rounded");
    assert!(off[0] < 0.1 && off[1] < 2.0 * off[0], "{off:?}");
}

/// The length of what differs in all gradients, over their length. Moments are gradients after a step from
/// nothing, times what is new of them.
fn distance(exact: &Tensors, narrow: &Tensors) -> f64 {
    let moments = exact.iter().filter(|(name, _)| name.contains("exp_avg."));
    let (mut apart, mut all) = (0.0, 0.0);
    for (name, wanted) in moments {
        let [wanted, found] = [wanted, &narrow[name]].map(|x| x.as_slice::<f32>().unwrap());
        for (wanted, found) in wanted.iter().zip(found) {
            apart += f64::from(wanted - found).powi(2);
            all += f64::from(*wanted).powi(2);
        }
    }
    (apart / all).sqrt()
}
