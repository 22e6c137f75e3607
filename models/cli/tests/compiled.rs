//! Recorded cases as compiled programs: the same bits as under the reference evaluator.

use bsq_cli::check::{Comparison, check};
use bsq_runtime::CompileOptions;
use bsq_runtime::executor::{Compiler, Evaluator};
use std::path::Path;

fn compiler(exact: bool) -> Compiler {
    let options = CompileOptions {
        exact,
        ..CompileOptions::default()
    };
    Compiler { options }
}

#[test]
fn compiled_cases_are_off_by_exactly_what_evaluated_ones_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity");
    for name in [
        "b36_gs4_group",
        "rect_nolnpre_noffn",
        "logit_laplace",
        "vq_l21",
        "train3_adamw_ema",
        "adamw_pure",
        "grad_clip",
    ] {
        let path = folder.join(format!("{name}.json"));
        let compiled =
            check(&path, None, &compiler(true)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(compiled, check(&path, None, &Evaluator).unwrap(), "{name}");
    }
}

#[test]
fn cases_pass_with_reassociating_rewrites_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity");
    for name in [
        "b18_gs1_analytical",
        "b36_gs4_group",
        "vq_l21",
        "train3_adamw_ema",
    ] {
        let path = folder.join(format!("{name}.json"));
        let report = check(&path, None, &compiler(false)).unwrap();
        assert!(report.passes(), "{name}: {:?}", report.worst());
    }
}

#[test]
fn the_full_size_model_passes_where_its_record_is_at_hand() {
    let folder = std::env::var_os("BSQ_PARITY").map(std::path::PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/parity");
    let path = folder.unwrap_or(beside).join("full/full_b36_256.json");
    if !path.is_file() {
        println!("SKIPPED: no {} (set BSQ_PARITY)", path.display());
        return;
    }
    let report = check(&path, None, &compiler(true)).unwrap();
    println!("worst: {:?}", report.worst());
    let failed = report
        .comparisons
        .iter()
        .filter(|comparison| !comparison.passes());
    assert_eq!(failed.collect::<Vec<_>>(), Vec::<&Comparison>::new());
}
