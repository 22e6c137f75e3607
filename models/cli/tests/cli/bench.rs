//! What `bsq bench` measures, and the trace that it writes.

use crate::common::Bench;
use serde_json::Value;

/// A quick measurement of a small model, as JSON.
fn measured(bench: &Bench, more: &[&str]) -> Value {
    let arguments = ["bench", "--model", "model.safetensors", "--batch", "2"];
    let few = ["--samples", "1", "--threads", "2", "--json"];
    let ran = bench.good(&[&arguments[..], &few, more].concat());
    serde_json::from_str(&ran.stdout).unwrap()
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap()
}

const PROGRAMS: [&str; 3] = ["encode", "decode", "training step"];

#[test]
fn the_machine_and_a_model_are_measured() {
    let value = measured(&Bench::new(), &[]);
    assert!(number(&value, "peak_gflops") > 0.0);
    let programs = items(&value, "programs");
    let names: Vec<_> = programs.iter().map(|program| &program["name"]).collect();
    assert_eq!(names, PROGRAMS);
    for program in programs {
        let kernels = items(program, "kernels");
        let sum = |key| kernels.iter().map(|k| number(k, key)).sum::<f64>();
        assert!((sum("share") - 1.0).abs() < 1e-6);
        let gflop = number(program, "gflops") * number(program, "seconds");
        assert!((sum("flops") / 1e9 / gflop - 1.0).abs() < 1e-6);
        assert!(kernels.iter().all(|kernel| number(kernel, "bytes") > 0.0));
    }
}

#[test]
fn a_profile_lists_every_kernel_and_traces_every_launch() {
    let bench = Bench::new();
    let value = measured(&bench, &["--profile", "trace.json"]);
    let trace: Value = serde_json::from_slice(&bench.bytes("trace.json")).unwrap();
    let events = items(&trace, "traceEvents");
    for (process, program) in items(&value, "programs").iter().enumerate() {
        let of_process = |event: &&Value| event["pid"] == process;
        let slices: Vec<&Value> = events.iter().filter(of_process).collect();
        let slices: Vec<&Value> = slices.into_iter().filter(|e| e["ph"] == "X").collect();
        let launches = slices.iter().filter(|slice| slice["tid"] == 0);
        let calls = items(program, "kernels").iter().map(|k| number(k, "calls"));
        assert_eq!(launches.clone().count() as f64, calls.sum::<f64>());
        let flops: f64 = launches.clone().map(|l| number(&l["args"], "flops")).sum();
        let all = items(program, "kernels").iter().map(|k| number(k, "flops"));
        assert_eq!(flops, all.sum::<f64>());
        // What a thread did lies within the launch that it belongs to.
        let ends = |slice: &Value| {
            let start = number(slice, "ts");
            (start, start + number(slice, "dur"))
        };
        let launches: Vec<(&Value, (f64, f64))> = launches.map(|l| (&l["name"], ends(l))).collect();
        let threads: Vec<&&Value> = slices.iter().filter(|slice| slice["tid"] != 0).collect();
        assert!(threads.len() >= launches.len());
        for slice in threads {
            let (start, end) = ends(slice);
            let inside = |(name, (from, to)): &(&Value, (f64, f64))| {
                *name == &slice["name"] && *from <= start + 1e-3 && end <= *to + 1e-3
            };
            assert!(launches.iter().any(inside), "{slice}");
        }
    }
    let arguments = ["bench", "--model", "model.safetensors", "--samples", "1"];
    let ran = bench.good(&[&arguments[..], &["--profile", "again.json"]].concat());
    for word in ["share", "of peak", "of memory", "GFLOP", "MB", "kernel"] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_before_anything_is_measured() {
    let arguments = ["bench", "--model", "model.safetensors"];
    let trace = ["--profile", "none/trace.json"];
    Bench::new().refused(&[&arguments[..], &trace].concat(), &["none"]);
}

#[test]
fn some_programs_alone_are_measured() {
    let bench = Bench::new();
    let value = measured(&bench, &["--only", "encode"]);
    let names: Vec<&str> = items(&value, "programs")
        .iter()
        .map(|program| program["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["encode"]);
    let arguments = ["bench", "--model", "model.safetensors", "--only", "fly"];
    bench.refused(&arguments, &["--only fly", "encode, decode, training step"]);
}
