//! Recorded cases of a PyTorch implementation, under the reference evaluator.
//!
//! A few ship with the repository and always run. A folder with all of them is looked for at
//! `BSQ_PARITY`, else beside the repository at `../shared/parity`.

use bsq_cli::check::{CaseReport, Kind, check};
use bsq_runtime::executor::Evaluator;
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
    let report = check(path, &Evaluator).unwrap_or_else(|error| panic!("{error}"));
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
        if report.is_supported() && !report.passes() {
            failed.push(report.name);
        }
    }
    assert!(failed.is_empty(), "off: {failed:?}");
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
        check(&path, &Evaluator).unwrap().passes()
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
        let report = check(&path, &Evaluator).unwrap();
        assert!(!report.passes(), "{key}: {:?}", report.worst());
    }
    let path = altered(folder.path(), "train3_adamw_ema", |case| {
        case["ema_decay"] = 0.99.into()
    });
    let report = check(&path, &Evaluator).unwrap();
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
        let error = check(&path, &Evaluator).unwrap_err().to_string();
        error.rsplit("odd.json: ").next().unwrap().to_string()
    };
    assert_eq!(refusal("{}"), "does not describe a recorded case");
    assert!(refusal("{").starts_with("is not JSON: "));
    let missing = check(&folder.path().join("none.json"), &Evaluator).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
}
