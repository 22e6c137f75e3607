//! Recorded cases of a PyTorch implementation, under the reference evaluator.
//!
//! A few ship with the repository and always run. A folder with all of them is looked for at
//! `BSQ_PARITY`, else beside the repository at `../shared/parity`.

use bsq_cli::check::{CaseReport, CheckError, Kind, check};
use bsq_ir::Function;
use bsq_ir::eval::{Data, Precision, Value, Values, evaluate};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::{Compiler, Evaluator, ExecutionError, Executor, Results, Tensors};
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = package.ancestors().nth(2);
    repository.expect("models/cli lies in the repository")
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut cases: Vec<PathBuf> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    cases.sort();
    cases
}

/// Checks one case; the worst tensor goes to the test's output.
fn run(path: &Path) -> CaseReport {
    let report = check(path, None, &Evaluator).unwrap_or_else(|error| panic!("{error}"));
    match report.worst() {
        None => println!("{:36} {}: not yet supported", report.name, report.kind),
        Some(worst) => println!(
            "{:36} {:4} tensors, worst {:9.2e} of {:8.1e}: {}",
            report.name,
            report.comparisons.len(),
            worst.error,
            worst.limit,
            worst.name
        ),
    }
    for failed in report
        .comparisons
        .iter()
        .filter(|comparison| !comparison.passes())
    {
        println!("    off: {failed:?}");
    }
    report
}

#[test]
fn the_cases_of_this_repository_pass() {
    let reports = cases(&repository().join("tests/fixtures/parity")).into_iter();
    let reports: Vec<CaseReport> = reports.map(|path| run(&path)).collect();
    for kind in [
        Kind::Tokenizer,
        Kind::Training,
        Kind::AdamW,
        Kind::GradientClipping,
        Kind::LearningRate,
        Kind::Metrics,
        Kind::Discriminator,
        Kind::AdversarialStep,
        Kind::Perceptual,
        Kind::FrechetDistance,
        Kind::InceptionScore,
        Kind::PrecisionRecall,
    ] {
        assert!(
            reports.iter().any(|report| report.kind == kind),
            "no case of {kind}"
        );
    }
    for report in reports {
        assert!(report.passes(), "{} is off", report.name);
    }
}

#[test]
fn all_cases_pass_where_they_are_at_hand() {
    let folder = std::env::var_os("BSQ_PARITY").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| repository().join("../shared/parity"));
    if !folder.is_dir() {
        println!(
            "SKIPPED: no folder of recorded cases at {} (set BSQ_PARITY)",
            folder.display()
        );
        return;
    }
    let mut failed = Vec::new();
    for path in cases(&folder) {
        let report = run(&path);
        if !report.passes() {
            failed.push(report.name);
        }
    }
    assert!(failed.is_empty(), "off: {failed:?}");
}

/// Cases with real weights, whose files are looked for at `BSQ_WEIGHTS`; compiled, they take long.
#[test]
fn cases_with_real_weights_pass_where_these_are_at_hand() {
    let folder = std::env::var_os("BSQ_PARITY").map(PathBuf::from);
    let folder = folder
        .unwrap_or_else(|| repository().join("../shared/parity"))
        .join("more");
    let weights = std::env::var_os("BSQ_WEIGHTS").map(PathBuf::from);
    for name in ["lpips_alex_real", "lpips_vgg_real", "i3d_real"] {
        let path = folder.join(format!("{name}.json"));
        if !path.exists() {
            println!("SKIPPED: no {} (set BSQ_PARITY)", path.display());
            continue;
        }
        match check(&path, weights.as_deref(), &Compiler::default()) {
            Ok(report) => assert!(report.passes(), "{name}: {:?}", report.worst()),
            Err(error @ CheckError::NoWeights { .. }) => println!("SKIPPED: {name}: {error}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// The evaluator in f64: what is left of an error here is one of the formula.
struct Precise;

impl Executor for Precise {
    fn run(
        &self,
        function: &Function,
        parameters: &Tensors,
        inputs: &Tensors,
    ) -> Result<Results, ExecutionError> {
        let values = |tensors: &Tensors| -> Values {
            let value = |(name, tensor): (&String, &HostTensor)| {
                let values = tensor.as_slice::<f32>().unwrap().iter();
                let values: Vec<f64> = values.map(|&x| f64::from(x)).collect();
                (name.clone(), Value::new(tensor.shape().to_vec(), values))
            };
            tensors.iter().map(value).collect()
        };
        let (inputs, parameters) = (values(inputs), values(parameters));
        let run = evaluate(function, &inputs, &parameters, Precision::F64)?;
        let tensors = |values: Values| -> Tensors {
            let tensor = |(name, value): (String, Value)| {
                let Data::F64(values) = value.data() else {
                    panic!("{name} is no float")
                };
                let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                let shape = value.shape().to_vec();
                (name, HostTensor::from_slice(shape, &values).unwrap())
            };
            values.into_iter().map(tensor).collect()
        };
        Ok(Results {
            outputs: tensors(run.outputs),
            updates: tensors(run.updates),
        })
    }
}

/// R1's second derivatives by biases are nearly all rounding in f32 where a batch has two pictures. In
/// f64 only constants of the network are rounded, which these derivatives see a hundredfold.
#[test]
fn second_derivatives_are_right_to_the_rounding_of_the_record() {
    for name in [
        "disc_stylegan_n2",
        "disc_stylegan3d",
        "disc_patchgan_actnorm",
    ] {
        let path = repository().join(format!("tests/fixtures/parity/{name}.json"));
        let report = check(&path, None, &Precise).unwrap();
        let second = report
            .comparisons
            .iter()
            .filter(|own| own.name.starts_with("grad_r1."));
        for comparison in second {
            assert!(comparison.error < 5e-5, "{name}: {comparison:?}");
        }
    }
}

/// Copies a case and changes its description; returns the new path.
fn altered(folder: &Path, name: &str, change: impl Fn(&mut serde_json::Value)) -> PathBuf {
    let fixtures = repository().join("tests/fixtures/parity");
    for what in ["io", "weights"] {
        let file = format!("{name}.{what}.safetensors");
        std::fs::copy(fixtures.join(&file), folder.join(&file)).unwrap();
    }
    let file = format!("{name}.json");
    let text = std::fs::read_to_string(fixtures.join(&file)).unwrap();
    let mut description = serde_json::from_str(&text).unwrap();
    change(&mut description);
    std::fs::write(folder.join(&file), description.to_string()).unwrap();
    folder.join(file)
}

#[test]
fn another_model_than_the_recorded_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let passes = |change: &dyn Fn(&mut serde_json::Value)| {
        let path = altered(folder.path(), "b36_gs4_group", |case| {
            change(&mut case["model"])
        });
        check(&path, None, &Evaluator).unwrap().passes()
    };
    assert!(passes(&|_| {}));
    assert!(!passes(&|model| model["inv_temperature"] = 1.001.into()));
    assert!(!passes(&|model| model["gamma0"] = 0.501.into()));
    assert!(!passes(&|model| model["vitconfig"]["heads"] = 2.into()));
}

#[test]
fn another_optimizer_than_the_recorded_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    for (key, value) in [
        ("eps", serde_json::json!(1e-6)),
        ("betas", serde_json::json!([0.9, 0.991])),
        ("lr", serde_json::json!(1.001e-3)),
    ] {
        let path = altered(folder.path(), "train3_adamw_ema", |case| {
            case["hp"][key] = value.clone()
        });
        let report = check(&path, None, &Evaluator).unwrap();
        assert!(!report.passes(), "{key}: {:?}", report.worst());
    }
    let path = altered(folder.path(), "train3_adamw_ema", |case| {
        case["ema_decay"] = 0.99.into()
    });
    let report = check(&path, None, &Evaluator).unwrap();
    let failed = report
        .comparisons
        .iter()
        .filter(|comparison| !comparison.passes());
    let names: Vec<&str> = failed.map(|comparison| comparison.name.as_str()).collect();
    assert!(
        !names.is_empty() && names.iter().all(|name| name.starts_with("ema3.")),
        "{names:?}"
    );
}

#[test]
fn what_is_no_case_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.json");
    let refusal = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = check(&path, None, &Evaluator).unwrap_err().to_string();
        error.rsplit("odd.json: ").next().unwrap().to_string()
    };
    assert_eq!(refusal("{}"), "does not describe a recorded case");
    assert!(refusal("{").starts_with("is not JSON: "));
    let missing = check(&folder.path().join("none.json"), None, &Evaluator).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
}
