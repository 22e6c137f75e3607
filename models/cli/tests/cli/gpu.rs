//! What there is of GPUs where there is none: exported programs, and refusals.

use crate::common::{Bench, CONFIG};
use bsq_runtime::checkpoint::{self, Weights};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

pub fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

pub fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// A loader that trusts the manifest finds what it needs.
#[test]
fn an_exported_program_is_complete() {
    let bench = Bench::new();
    fs::write(bench.path("p.toml"), crate::common::PRIOR).unwrap();
    for (model, options) in [
        ("model.safetensors", &[][..]),
        ("model.safetensors", &["--train", "--batch", "3"]),
        ("model.safetensors", &["--precision", "bf16", "--tf32"]),
        ("p.toml", &["--target", "sm_80"]),
    ] {
        let arguments = ["export", model, "-o", "out", "--force"];
        bench.good(&[&arguments[..], options].concat());
        let folder = bench.path("out");
        let manifest = fs::read(folder.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let weights = checkpoint::load(folder.join("weights.safetensors"), Weights::Raw).unwrap();
        let mut tensors: BTreeSet<&String> = weights.tensors.keys().collect();
        let buffers = items(&manifest, "buffers");
        for buffer in buffers {
            let bytes = number(&buffer["bytes"]);
            match buffer["kind"].as_str().unwrap() {
                "parameter" | "constant" => {
                    let name = buffer["name"].as_str().unwrap().to_string();
                    assert_eq!(weights.tensors[&name].bytes().len(), bytes, "{name}");
                    assert!(tensors.remove(&name), "{name} twice");
                }
                "temporary" => {
                    let end = number(&buffer["offset"]) + bytes;
                    assert!(end <= number(&manifest["arena_bytes"]));
                }
                "input" => assert!(buffer["name"].is_string()),
                kind => assert_eq!(kind, "stable"),
            }
        }
        assert!(tensors.is_empty(), "{tensors:?}");
        let kernels = items(&manifest, "kernels");
        for kernel in kernels {
            let file = folder.join(kernel["file"].as_str().unwrap());
            let text = fs::read_to_string(file).unwrap();
            let name = kernel["name"].as_str().unwrap();
            assert!(text.contains(&format!(".visible .entry {name}(")));
            let parameters =
                number(&kernel["buffers"]) + usize::from(number(&kernel["workspace_bytes"]) > 0);
            assert_eq!(text.matches(".param .u64").count(), parameters);
            assert!(number(&kernel["workspace_bytes"]) <= number(&manifest["workspace_bytes"]));
            let target = format!(".target {}", manifest["target"].as_str().unwrap());
            assert!(text.contains(&target));
        }
        for launch in items(&manifest, "launches") {
            let given = items(launch, "buffers");
            let kernel = &kernels[number(&launch["kernel"])];
            assert_eq!(given.len(), number(&kernel["buffers"]));
            assert!(given.iter().all(|id| number(id) < buffers.len()));
        }
        let outputs = items(&manifest, "outputs");
        assert!(!outputs.is_empty());
    }
    let manifest = String::from_utf8(bench.bytes("out/manifest.json")).unwrap();
    assert!(manifest.contains("sm_80"));
}

#[test]
fn a_full_folder_is_kept() {
    let bench = Bench::new();
    fs::create_dir(bench.path("out")).unwrap();
    fs::write(bench.path("out/mine"), "text").unwrap();
    let arguments = ["export", "model.safetensors", "-o", "out"];
    bench.refused(&arguments, &["out", "not empty", "--force"]);
    assert_eq!(fs::read_dir(bench.path("out")).unwrap().count(), 1);
    bench.good(&[&arguments[..], &["--force"]].concat());
    assert_eq!(bench.bytes("out/mine"), b"text");
    bench.refused(
        &["export", "model.safetensors", "-o", "model.safetensors"],
        &["model.safetensors"],
    );
    let target = [
        "export",
        "model.safetensors",
        "-o",
        "new",
        "--target",
        "sm_1",
    ];
    bench.refused(&target, &["sm_1: no such target"]);
    let weights = bench.run(&["export", "c.toml", "-o", "new"]);
    assert_eq!(weights.code, Some(2), "{}", weights.stderr);
}

/// The parts of an estimate fit one another, and the counted bytes and operations are those of the
/// model.
#[test]
fn an_estimate_adds_up() {
    let bench = Bench::new();
    fs::write(bench.path("p.toml"), crate::common::PRIOR).unwrap();
    for (model, options, names) in [
        (
            "model.safetensors",
            &["--train"][..],
            &["encode", "decode", "training step"][..],
        ),
        (
            "model.safetensors",
            &["--device-spec", "a100", "--tf32"],
            &["encode", "decode"],
        ),
        (
            "model.safetensors",
            &["--precision", "f16"],
            &["encode", "decode"],
        ),
        (
            "p.toml",
            &["--precision", "bf16"],
            &["all positions", "a wavefront", "a sub-token of a wavefront"],
        ),
    ] {
        let arguments = ["plan", model, "--json", "--batch", "2"];
        let ran = bench.good(&[&arguments[..], options].concat());
        let value: Value = serde_json::from_str(&ran.stdout).unwrap();
        let programs = items(&value, "programs");
        let named: Vec<&str> = programs
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(named, names);
        for program in programs {
            let kernels = items(program, "kernels");
            let real = |value: &Value| value.as_f64().unwrap();
            let sum = |key: &str| kernels.iter().map(|k| real(&k[key])).sum::<f64>();
            assert!((sum("seconds") / real(&program["seconds"]) - 1.0).abs() < 1e-9);
            assert_eq!(sum("flops"), real(&program["flops"]));
            assert_eq!(sum("calls"), real(&program["launches"]));
            for kernel in kernels {
                assert!(real(&kernel["bytes"]) > 0.0);
                assert!(real(&kernel["bytes"]) <= real(&kernel["accessed_bytes"]));
                assert!((0.0..=1.0).contains(&real(&kernel["occupancy"])));
                let main_loop = &kernel["main_loop"];
                assert_eq!(
                    main_loop.is_object(),
                    number(&kernel["flops"]) > 0,
                    "{kernel}"
                );
                if main_loop.is_object() {
                    let share = real(&main_loop["share_of_peak"]);
                    assert!(share > 0.0 && share <= 1.0);
                }
            }
        }
    }
    let said = bench.good(&["plan", "model.safetensors", "-v"]).stdout;
    assert!(
        said.lines().all(|line| line.chars().count() <= 100),
        "{said}"
    );
    assert!(said.contains("main loop:"), "{said}");
    bench.refused(
        &["plan", "model.safetensors", "--device-spec", "voodoo"],
        &["voodoo", "a5000"],
    );
}

#[test]
fn a_step_of_several_devices_is_planned() {
    let bench = Bench::new();
    let shared = |more: &[&str]| {
        let own = [
            "plan",
            "model.safetensors",
            "--json",
            "--batch",
            "2",
            "--devices",
        ];
        let ran = bench.good(&[&own[..], more].concat());
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["shared"].clone()
    };
    let real = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let (one, sixteen) = (shared(&["1"]), shared(&["16", "--device", "a5000"]));
    assert_eq!(
        (real(&one, "sent_bytes"), real(&one, "exchange_seconds")),
        (0.0, 0.0)
    );
    // Each parameter of the model, but for what is left to its owner: 15 of 16 shares, twice.
    let parameters = bench.model(1).parameters;
    let bytes: usize = parameters.values().map(|tensor| tensor.bytes().len()).sum();
    assert_eq!(
        real(&sixteen, "sent_bytes"),
        bytes as f64 * 2.0 * 15.0 / 16.0
    );
    assert_eq!(sixteen["servers"], 2);
    // Each owns less than all have.
    let memory = |of: &Value| (real(of, "memory_bytes"), real(of, "sharded_memory_bytes"));
    assert_eq!(memory(&one).0, memory(&one).1);
    assert!(memory(&sixteen).0 > memory(&sixteen).1);
    let fast = shared(&["16", "--network", "400G"]);
    assert!(real(&fast, "efficiency") > real(&sixteen, "efficiency"));
    assert!(real(&one, "efficiency") > real(&fast, "efficiency"));
    let refused = [
        "plan",
        "model.safetensors",
        "--devices",
        "2",
        "--network",
        "fast",
    ];
    let ran = bench.run(&refused);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("100G"),
        "{}",
        ran.stderr
    );
}

/// Means over a step take a program more; a budget of memory is kept, at a cost.
#[test]
fn what_a_step_takes_more_is_planned() {
    let bench = Bench::new();
    for (name, over) in [("own", "micro_batch"), ("step", "step")] {
        let text = format!("{CONFIG}\n[loss]\nentropy_over = \"{over}\"\n");
        std::fs::write(bench.path(&format!("{name}.toml")), text).unwrap();
    }
    let plan = |more: &[&str]| {
        let own = ["plan", "--json", "--batch", "2"];
        let ran = bench.good(&[&own[..], more].concat());
        serde_json::from_str::<Value>(&ran.stdout).unwrap()
    };
    let of = |name: &str| {
        let shared = plan(&[name, "--devices", "2"])["shared"].clone();
        ["statistics_seconds", "step_seconds"].map(|key| shared[key].as_f64().unwrap())
    };
    let ([none, short], [some, long]) = (of("own.toml"), of("step.toml"));
    assert_eq!(none, 0.0);
    assert!(some > 0.0 && long > short, "{short} {some} {long}");

    let refused = |command: &[&str]| {
        let ran = bench.run(&[command, &["own.toml", "--train", "--memory", "10K"]].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("smallest budget that can be met is"),
            "{}",
            ran.stderr
        );
    };
    refused(&["plan"]);
    refused(&["explain"]);
    plan(&["own.toml", "--train", "--memory", "1G"]);
}

/// Where the driver is missing, a device is refused in one line, before anything is written.
#[test]
fn a_machine_without_a_driver_says_so() {
    let bench = Bench::new();
    bench.picture("a.png", 16, 16);
    bench.good(&[
        "tokens",
        "a.png",
        "-o",
        "t.safetensors",
        "--model",
        "model.safetensors",
    ]);
    let bad = ["reconstruct", "a.png", "--device"];
    for device in ["gpu", "cuda:x", "cuda:"] {
        bench.refused(&[&bad[..], &[device]].concat(), &[device, "cuda:N"]);
    }
    if bsq_runtime::cuda::gpu_info(0).is_ok() {
        println!("skipped: this machine has a GPU");
        return;
    }
    fs::write(bench.path("c.toml"), crate::common::CONFIG).unwrap();
    for arguments in [
        &["reconstruct", "a.png"][..],
        &["tokens", "a.png", "-o", "new.safetensors"],
        &["detokenize", "t.safetensors", "-o", "new.png"],
        &["encode", "a.png", "--raw"],
        &["train", "c.toml", "--data", ".", "--out", "new"],
        &["bench"],
    ] {
        let arguments = [arguments, &["--device", "cuda"]].concat();
        bench.refused(&arguments, &["driver"]);
    }
}
