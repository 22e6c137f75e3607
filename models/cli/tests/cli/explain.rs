//! What the compiler shows, and what is checked.

use crate::common::{Bench, repository};
use serde_json::Value;
use std::fs;

#[test]
fn every_stage_is_shown() {
    let bench = Bench::new();
    fs::write(bench.path("c.toml"), crate::common::CONFIG).unwrap();
    let stages = "ir,fused,schedule,kernel,clif,asm";
    for train in [&[][..], &["--train"]] {
        let arguments = [
            "explain", "c.toml", "--json", "--dot", "g.dot", "--stage", stages,
        ];
        let ran = bench.good(&[&arguments[..], train].concat());
        let value: Value = serde_json::from_str(&ran.stdout).unwrap();
        let text = |stage: &str| value["stages"][stage].as_str().unwrap().to_string();
        for stage in ["ir", "fused"] {
            let function = bsq_ir::text::parse(&text(stage)).unwrap();
            assert_eq!(function.to_string(), text(stage));
        }
        assert!(text("fused").contains("attention"));
        assert!(!text("ir").contains("layer_norm"));
        assert!(text("schedule").contains("launch 0: kernel"));
        assert!(text("kernel").contains("# kernel 0"));
        let kernels = bsq_codegen::kernel::parse_all(&text("kernel")).unwrap();
        assert_eq!(kernels.len() as u64, value["kernels"].as_u64().unwrap());
        assert!(text("clif").contains("function"));
        assert!(text("asm").len() > 1000);
        let called = text("clif").contains("SIMD loop u0:0");
        let shown = text("asm").contains("SIMD loop u0:0, userextname0\n     0  mov");
        assert_eq!(called, shown, "{}", text("asm"));
        assert!(!value["rewriting"]["found"].as_object().unwrap().is_empty());
        let dot = String::from_utf8(bench.bytes("g.dot")).unwrap();
        assert!(dot.starts_with("digraph"));
    }
    let said = bench.good(&["explain", "model.safetensors"]).stdout;
    assert!(
        ["cost", "found", "compiled in", "saturation", "in-place"]
            .iter()
            .all(|word| said.contains(word)),
        "{said}"
    );
}

/// `BSQ_DUMP` shows what goes into passes and comes out; a name that is none is refused.
#[test]
fn passes_are_dumped() {
    let bench = Bench::new();
    fs::write(bench.path("c.toml"), crate::common::CONFIG).unwrap();
    let dump = |passes: &str| {
        let mut command = bench.command(&["explain", "c.toml", "--stage", "schedule"]);
        let ran = command.env("BSQ_DUMP", passes).output().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        (ran.status.code(), error)
    };
    let (code, text) = dump("rewrite,lower");
    assert_eq!(code, Some(0), "{text}");
    let place = |head: &str| text.find(head).unwrap_or_else(|| panic!("{head}{text}"));
    let heads = [
        "# before rewrite\n",
        "# after rewrite\n",
        "# before lower\n",
    ];
    let [given, rewritten, groups] = heads.map(place);
    let given: bsq_ir::Function = text[given..rewritten].parse().unwrap();
    let rewritten: bsq_ir::Function = text[rewritten..groups].parse().unwrap();
    assert_ne!(given.to_string(), rewritten.to_string());
    // Groups that needed something stored came before.
    let lowered = text.rfind("# after lower\n").unwrap();
    let kernels = bsq_codegen::kernel::parse_all(&text[lowered..]).unwrap();
    assert!(kernels.len() > 10);
    let (code, text) = dump("rewrite,fuse");
    assert_eq!(code, Some(2));
    assert!(
        text.contains("no pass \"fuse\"; the passes are verify, rewrite,"),
        "{text}"
    );
}

const PRIOR: &str = "[prior]\nbits = 12\nsub_token_bits = 3\nside = 4\nwidth = 16\nlayers = 1\n\
                     heads = 2\nhead_width = 8\n";

#[test]
fn priors_are_explained_and_measured_too() {
    let bench = Bench::new();
    fs::write(bench.path("prior.toml"), PRIOR).unwrap();
    for (more, output) in [
        (&[][..], "probabilities"),
        (&["--program", "wavefront", "--batch", "3"], "projected"),
        (&["--program", "sub-token"], "probabilities"),
        (&["--train"], "bits_per_token"),
    ] {
        let arguments = ["explain", "prior.toml", "--stage", "schedule"];
        let said = bench.good(&[&arguments[..], more].concat()).stdout;
        let line = format!("output \"{output}\"");
        assert!(said.contains(&line), "{more:?}: {said}");
    }
    let arguments = ["explain", "model.safetensors", "--program", "wavefront"];
    bench.refused(&arguments, &["model.safetensors", "for priors"]);

    let arguments = ["bench", "--model", "prior.toml", "--samples", "1"];
    let ran = bench.good(&[&arguments[..], &["--json", "--threads", "1"]].concat());
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let programs = value["programs"].as_array().unwrap();
    let names: Vec<&Value> = programs.iter().map(|program| &program["name"]).collect();
    let expected = [
        "all positions",
        "a wavefront",
        "a sub-token of a wavefront",
        "training step",
    ];
    assert_eq!(names, expected);
    let said = bench.good(&arguments).stdout;
    assert!(said.contains("all positions of 1 tiles"), "{said}");
    bench.refused(
        &[&arguments[..], &["--precision", "int8"]].concat(),
        &["f32 only"],
    );
    let narrow = ["--precision", "bf16", "--only", "training"];
    let said = bench.good(&[&arguments[..], &narrow].concat()).stdout;
    assert!(said.contains("training step in bf16 of 1 tiles"), "{said}");
}

/// As `bsq train` does; without a tokenizer that is named it is the default one, of 36 bits.
#[test]
fn bits_that_a_prior_leaves_out_are_those_of_the_default_tokenizer() {
    let bench = Bench::new();
    let left_out = PRIOR.replace("bits = 12\n", "");
    fs::write(bench.path("prior.toml"), left_out).unwrap();
    for command in ["explain", "plan", "inspect"] {
        let ran = bench.good(&[command, "prior.toml"]);
        let note = "prior.bits is left out: 36, those of the tokenizer default";
        assert!(ran.stderr.contains(note), "{command}: {}", ran.stderr);
    }
    fs::write(bench.path("prior.toml"), PRIOR).unwrap();
    let ran = bench.good(&["inspect", "prior.toml"]);
    assert!(!ran.stderr.contains("left out"), "{}", ran.stderr);
}

/// A file of a prior's weights is known by what is in it.
#[test]
fn weights_of_a_prior_are_a_prior() {
    let bench = Bench::new();
    let config = bsq::config::PriorConfig::from_toml(PRIOR).unwrap();
    let prior = bsq::prior::PriorFile::untrained("prior", config, "of nobody").unwrap();
    prior
        .save(&bench.path("prior.safetensors"), bsq_ir::DType::F16)
        .unwrap();
    let arguments = ["explain", "prior.safetensors", "--stage", "schedule"];
    let said = bench.good(&arguments).stdout;
    assert!(said.contains("output \"probabilities\""), "{said}");
}

#[test]
fn ptx_is_shown_with_its_launches() {
    let bench = Bench::new();
    fs::write(bench.path("c.toml"), crate::common::CONFIG).unwrap();
    fs::write(bench.path("p.toml"), crate::common::PRIOR).unwrap();
    for model in ["c.toml", "p.toml"] {
        for train in [&[][..], &["--train"]] {
            let arguments = [
                "explain", model, "--json", "--stage", "ptx", "--target", "sm_87",
            ];
            let ran = bench.good(&[&arguments[..], train].concat());
            let value: Value = serde_json::from_str(&ran.stdout).unwrap();
            let text = value["stages"]["ptx"].as_str().unwrap();
            let kernels = value["kernels"].as_u64().unwrap() as usize;
            assert_eq!(text.matches(".visible .entry kernel_").count(), kernels);
            assert_eq!(text.matches(".target sm_87").count(), kernels);
            // Each launch belongs to one kernel.
            let lines = text.lines();
            let launches = lines.filter_map(|line| line.strip_prefix("// launches:"));
            let mut launches: Vec<u64> = launches
                .flat_map(str::split_whitespace)
                .filter_map(|word| word.parse().ok())
                .collect();
            launches.sort_unstable();
            let all: Vec<u64> = (0..value["launches"].as_u64().unwrap()).collect();
            assert_eq!(launches, all);
        }
    }
    let said = bench
        .good(&["explain", "c.toml", "--target", "sm_86"])
        .stdout;
    assert!(said.contains("compiled in"), "{said}");
    for target in ["sm_75", "86", "sm_"] {
        let arguments = ["explain", "c.toml", "--target", target];
        bench.refused(&arguments, &[target, "no such target", "sm_86"]);
    }
}

#[test]
fn a_case_that_is_off_fails_the_check() {
    let bench = Bench::new();
    let good = repository("tests/fixtures/parity/lr_schedule.json");
    let good = good.to_str().unwrap();
    let said = bench.good(&["check", good]).stdout;
    assert!(said.contains("1 passed, 0 failed"), "{said}");

    let mut case: Value = serde_json::from_slice(&fs::read(good).unwrap()).unwrap();
    spoil(&mut case["table"]);
    fs::write(bench.path("off.json"), case.to_string()).unwrap();
    let ran = bench.run(&["check", "off.json", good]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("OFF"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 passed, 1 failed"), "{}", ran.stdout);
    let ran = bench.run(&["check", "off.json", "--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["cases"][0]["outcome"], "failed");

    fs::write(bench.path("other.json"), "{}").unwrap();
    bench.refused(
        &["check", "other.json"],
        &["other.json", "does not describe a recorded case"],
    );
    bench.refused(&["check", "none.json"], &["none.json"]);
    // Neither keeps what follows from being checked.
    let ran = bench.run(&["check", "other.json", "none.json", good]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stdout.contains("1 passed, 0 failed, 2 not read"));
    assert!(ran.stderr.contains("none.json"), "{}", ran.stderr);
}

/// Doubles the last number inside.
fn spoil(value: &mut Value) -> bool {
    match value {
        Value::Number(number) => {
            let doubled = number.as_f64().unwrap() * 2.0;
            *value = Value::from(doubled);
            doubled != 0.0
        }
        Value::Array(items) => items.iter_mut().rev().any(spoil),
        Value::Object(entries) => entries.values_mut().any(spoil),
        _ => false,
    }
}

#[test]
fn configurations_that_ship_are_explained_by_name_and_other_kinds_refused() {
    let bench = Bench::new();
    let ran = bench.good(&["explain", "prior", "--stage", "ir"]);
    assert!(
        ran.stderr.contains("prior.bits is left out"),
        "{}",
        ran.stderr
    );
    let ran = bench.good(&["explain", "bsq_128_b18", "--stage", "ir"]);
    assert!(ran.stdout.contains("768"), "{}", ran.stdout);
    bench.good(&["init"]);
    for command in ["explain", "plan"] {
        bench.refused(
            &[command, "default.toml"],
            &["default.toml: a transform codec"],
        );
        let ran = bench.good(&[command, "fashion_masked_lm"]);
        assert!(ran.stderr.contains("as those of fashion"), "{}", ran.stderr);
    }
}
