//! The whole criterion of a tokenizer against a discriminator, at several iterations.

use super::case::{Case, CheckError, part};
use super::compare::{Comparison, FIRST, VALUES, floats};
use super::outputs::tokenizer;
use bsq::config::AdversarialLoss;
use bsq::discriminator::{Discriminator, StyleGan};
use bsq::losses::adversarial::{adaptive_weight, r1_penalty};
use bsq::lpips::{Backbone, Network};
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{BatchMemory, BatchUse};
use bsq_runtime::executor::{Executor, Tensors};

/// What the logs call the numbers that do not change from one iteration to the next.
const LOGGED: [(&str, &str); 9] = [
    ("train/quant_loss", "quantizer"),
    ("train/nll_loss", "nll"),
    ("train/rec_loss", "reconstruction"),
    ("train/p_loss", "perceptual"),
    ("train/d_weight", "weight"),
    ("train/g_loss", "generator"),
    ("train/disc_loss", "discriminator"),
    ("train/logits_real", "logits_real"),
    ("train/logits_fake", "logits_fake"),
];

/// The recorded criterion.
struct Settings {
    codebook_weight: f64,
    rampup_multiplier: f64,
    rampup_steps: f64,
    perceptual_weight: f64,
    disc_weight: f64,
    disc_start: f64,
    reg_freq: f64,
    reg_r1: f64,
    adaptive: bool,
    loss: AdversarialLoss,
}

pub(super) fn check(case: &Case, executor: &dyn Executor) -> Result<Vec<Comparison>, CheckError> {
    let settings = Settings::of(case)?;
    // A case may be another's with one setting changed.
    let twin = case.twin();
    let weights = match case.optional_tensors("weights")? {
        Some(weights) => weights,
        None => match twin.as_ref().map(|twin| twin.tensors("weights")) {
            Some(weights) => weights?,
            None => case.tensors("weights")?,
        },
    };
    let input = match (case.recorded.get("input"), &twin) {
        (Some(input), _) => input.clone(),
        (None, Some(twin)) => twin.tensor("input")?.clone(),
        (None, None) => return Err(CheckError::NoTensor("input".into())),
    };
    let tokenizer = tokenizer(case, "model")?;
    let base = case.number("loss.disc_channel_base")? as usize;
    let judge = Discriminator::StyleGan(StyleGan::new(input.shape()[3], base));
    let network = Network::new(Backbone::Vgg16).with_channels(&channels(case)?);

    // What is read of a checkpoint has no wrapping `model.` before its names any more.
    let mut of_model = weights.clone();
    let of_others = |name: &str| name.starts_with("discriminator.") || name.starts_with("lpips.");
    of_model.tensors.retain(|name, _| !of_others(name));
    let mut parameters = tokenizer.load(&of_model)?;
    let own = judge.load(input.shape(), &part(&weights, "discriminator."))?;
    let names = own.keys().cloned().collect::<Vec<_>>();
    parameters.extend(
        own.into_iter()
            .map(|(name, x)| (format!("discriminator.{name}"), x)),
    );
    let own = network.read(&part(&weights, "lpips.").tensors)?;
    parameters.extend(
        own.into_iter()
            .map(|(name, x)| (format!("lpips.{name}"), x)),
    );

    let g = Graph::new();
    let root = Scope::root(&g);
    let image = g.input("image", DType::F32, input.shape());
    let forward = tokenizer.forward(&root, image);
    let trained: Vec<String> = root.specs().into_iter().map(|spec| spec.name).collect();
    let wrt = root.parameters();
    let recon = forward.decoded.reconstruction;
    let reconstruction = (image - recon).abs().mean(..);
    let perceptual = network.distance(&root / "lpips", image, recon).mean(..);
    let nll = reconstruction + perceptual * settings.perceptual_weight;
    let place = (&root / "discriminator").sharing();
    let logits = |x| judge.logits(&place, x, &mut BatchMemory::new(BatchUse::Training));
    let generator = settings.loss.of_generator(logits(recon));
    let weight = match settings.adaptive {
        true => {
            let last = g
                .known_parameter("decoder.conv_out.weight")
                .ok_or_else(|| CheckError::NoTensor("decoder.conv_out.weight".into()))?;
            adaptive_weight(nll, generator, last) * settings.disc_weight
        }
        false => g.full(settings.disc_weight, DType::F32, []),
    };
    // The discriminator sees pictures that it cannot change.
    let (real, fake) = (logits(image), logits(recon.stop_gradient()));
    let discriminator = settings.loss.of_discriminator(real, fake);
    let r1 = r1_penalty(real, image);
    let quantizer = forward.quantized.loss;

    // Gradients at the iteration that has recorded ones.
    let at = recorded_iteration(case);
    let total =
        nll + generator * weight * settings.factor(at) + quantizer * settings.quantizer_weight(at);
    let of_judge: Vec<Tensor<'_>> = names
        .iter()
        .filter_map(|name| g.known_parameter(&format!("discriminator.{name}")))
        .collect();
    let mut outputs: Vec<(String, Tensor<'_>)> = vec![
        ("recon".into(), recon),
        ("reconstruction".into(), reconstruction),
        ("perceptual".into(), perceptual),
        ("nll".into(), nll),
        ("generator".into(), generator),
        ("weight".into(), weight),
        ("discriminator".into(), discriminator),
        ("r1".into(), r1),
        ("quantizer".into(), quantizer),
        ("logits_real".into(), real.mean(..)),
        ("logits_fake".into(), fake.mean(..)),
    ];
    let terms = forward.terms.iter().flat_map(|terms| {
        [
            terms.persample_entropy,
            terms.codebook_entropy,
            terms.commitment,
        ]
    });
    outputs.extend(
        terms
            .enumerate()
            .map(|(i, term)| (format!("term{i}"), term)),
    );
    let of_tokenizer = trained.iter().zip(gradients(total, &wrt));
    outputs.extend(of_tokenizer.map(|(name, x)| (format!("grad_gen{at}.{name}"), x)));
    let by_judge = gradients(discriminator * settings.factor(at), &of_judge);
    let by_judge = names.iter().zip(by_judge);
    outputs.extend(by_judge.map(|(name, x)| (format!("grad_disc{at}.{name}"), x)));
    let named = outputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.id()));
    let function = g.function(named, []);
    let inputs = Tensors::from([("image".to_string(), input)]);
    let found = executor.run(&function, &parameters, &inputs)?.outputs;
    compare(case, &settings, &found)
}

/// Channels of the small LPIPS network.
fn channels(case: &Case) -> Result<Vec<usize>, CheckError> {
    let list = case.description["loss"]["lpips_chns"].as_array();
    let numbers = list.and_then(|list| list.iter().map(|x| Some(x.as_u64()? as usize)).collect());
    let numbers = numbers.filter(|list: &Vec<usize>| list.len() == 5);
    numbers.ok_or_else(|| case.fail("loss.lpips_chns", "five numbers"))
}

/// N of the recorded `grad_genN.*`; 0 if there are none.
fn recorded_iteration(case: &Case) -> u64 {
    let mut names = case.recorded.keys();
    let digits = names.find_map(|name| name.strip_prefix("grad_gen")?.split('.').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

impl Settings {
    fn of(case: &Case) -> Result<Settings, CheckError> {
        let number = |key: &str| case.number(&format!("loss.{key}"));
        let loss = &case.description["loss"];
        Ok(Settings {
            codebook_weight: number("codebook_weight")?,
            rampup_multiplier: number("rampup_multiplier").unwrap_or(1.0),
            rampup_steps: number("rampup_steps").unwrap_or(0.0),
            perceptual_weight: number("perceptual_weight")?,
            disc_weight: number("disc_weight")?,
            disc_start: number("disc_start")?,
            reg_freq: number("disc_reg_freq")?,
            reg_r1: number("disc_reg_r1")?,
            adaptive: loss["adaptive"].as_bool().unwrap_or(false),
            loss: match loss["disc_loss"].as_str() {
                Some("hinge") => AdversarialLoss::Hinge,
                _ => AdversarialLoss::Vanilla,
            },
        })
    }

    /// Whether the adversarial losses have begun: 1 or 0.
    fn factor(&self, step: u64) -> f64 {
        f64::from(step as f64 >= self.disc_start)
    }

    fn quantizer_weight(&self, step: u64) -> f64 {
        let part = match self.rampup_steps {
            0.0 => 1.0,
            steps => (step as f64).min(steps) / steps,
        };
        self.codebook_weight * (part + self.rampup_multiplier * (1.0 - part))
    }

    /// What R1 is multiplied by at a step, if it is added there.
    fn penalty_weight(&self, step: u64) -> Option<f64> {
        let freq = self.reg_freq as u64;
        let is_due = freq != 0 && (step + 1).is_multiple_of(freq);
        is_due.then_some(self.reg_r1 / 2.0 * self.reg_freq)
    }
}

fn compare(
    case: &Case,
    settings: &Settings,
    found: &Tensors,
) -> Result<Vec<Comparison>, CheckError> {
    let number = |name: &str| Ok::<_, CheckError>(floats(&found[name])?[0]);
    let terms = (0..3).filter_map(|i| found.get(&format!("term{i}")));
    let mut of_quantizer = 0.0;
    for term in terms {
        of_quantizer += floats(term)?[0].abs();
    }
    let mut comparisons = Vec::new();
    let logs = &case.description["logs"];
    for key in super::outputs::keys(logs) {
        for (logged, own) in LOGGED {
            let Some(recorded) = logs[&key][logged].as_f64() else {
                continue;
            };
            let name = format!("{key}.{logged}");
            let value = number(own)?;
            comparisons.push(match own {
                "quantizer" => Comparison::of_terms(&name, value, recorded, of_quantizer),
                "weight" if settings.adaptive => Comparison::number(&name, value, recorded, FIRST),
                _ => Comparison::number(&name, value, recorded, VALUES),
            });
        }
        for (logged, factor) in [
            ("train/disc_r1_loss", 1.0),
            (
                "train/disc_r1_loss_scale",
                settings.reg_r1 / 2.0 * settings.reg_freq,
            ),
        ] {
            let Some(recorded) = logs[&key][logged].as_f64() else {
                continue;
            };
            let name = format!("{key}.{logged}");
            comparisons.push(Comparison::number(
                &name,
                number("r1")? * factor,
                recorded,
                FIRST,
            ));
        }
    }
    for (name, recorded) in &case.recorded {
        let step = |prefix: &str| {
            name.strip_prefix(prefix)
                .and_then(|step| step.parse::<u64>().ok())
        };
        if let Some(step) = step("loss_gen.") {
            let (factor, weight) = (settings.factor(step), settings.quantizer_weight(step));
            let adversarial = number("generator")? * number("weight")? * factor;
            let value = number("nll")? + adversarial + weight * number("quantizer")?;
            let scale = number("nll")? + adversarial.abs() + weight * of_quantizer;
            comparisons.push(Comparison::of_terms(
                name,
                value,
                floats(recorded)?[0],
                scale,
            ));
        } else if let Some(step) = step("loss_disc.") {
            let penalty = settings.penalty_weight(step).unwrap_or(0.0) * number("r1")?;
            let value = settings.factor(step) * number("discriminator")? + penalty;
            comparisons.push(Comparison::number(
                name,
                value,
                floats(recorded)?[0],
                VALUES,
            ));
        } else if name != "input" {
            let limit = if name.starts_with("grad") {
                FIRST
            } else {
                VALUES
            };
            comparisons.push(match found.get(name) {
                None => Comparison::missing(name),
                Some(found) => {
                    Comparison::relative(name, &floats(found)?, &floats(recorded)?, limit)
                }
            });
        }
    }
    Ok(comparisons)
}
