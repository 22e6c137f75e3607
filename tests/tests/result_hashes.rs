//! The same bits on every machine: results against a table that is part of the repository.
//!
//! Every microkernel family that this CPU has, with 1 and 2 threads, must reproduce
//! `tests/result_hashes.txt`. After a change of results that is meant,
//! `BSQ_BLESS=1 cargo test -p bsq-tests --test result_hashes` writes the table anew.

use bsq_codegen::cpu::microkernel::Family;
use bsq_ir::Graph;
use bsq_runtime::{CompileOptions, HostTensor, compile};
use bsq_tests::{fnv1a, picture, small_config, training_step};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

const STEPS: u32 = 3;

fn table() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("result_hashes.txt")
}

/// Hashes of every output of every step, and of all parameters after the last.
fn train(family: Family, threads: usize) -> String {
    let config = small_config();
    let graph = Graph::new();
    let step = training_step(&graph, &config.model, &config.loss, 3);
    let tokenizer = bsq::tokenizer::Tokenizer::new(&config.model);
    let mut parameters: BTreeMap<String, HostTensor> = tokenizer.init(7).unwrap();
    parameters.extend(step.initial_state(&parameters).unwrap());

    let options = CompileOptions {
        exact: true,
        family: Some(family),
        threads,
        ..CompileOptions::default()
    };
    let executable = compile(&step.function(), &options).unwrap();
    let mut session = executable.bind(parameters).unwrap();
    let (lr, weight) = (
        HostTensor::scalar(1e-3f32).unwrap(),
        HostTensor::scalar(0.1f32).unwrap(),
    );
    let mut lines = String::new();
    for step in 0..STEPS {
        let image = picture(tokenizer.image_shape(3), step);
        let inputs = [("image", &image), ("lr", &lr), ("codebook_weight", &weight)];
        for (name, value) in session.run(&inputs).unwrap() {
            let hash = fnv1a(value.bytes().iter().copied());
            writeln!(lines, "step {step} {name} {hash:016x}").unwrap();
        }
    }
    for (name, value) in session.parameters().unwrap() {
        writeln!(
            lines,
            "{name} {:016x}",
            fnv1a(value.bytes().iter().copied())
        )
        .unwrap();
    }
    lines
}

#[test]
fn every_machine_computes_the_same_bits() {
    if std::env::var_os("BSQ_BLESS").is_some() {
        std::fs::write(table(), train(Family::Portable, 1)).unwrap();
    }
    let wanted = std::fs::read_to_string(table()).unwrap();
    for family in Family::all_supported() {
        for threads in [1, 2] {
            let got = train(family, threads);
            let differs = wanted
                .lines()
                .zip(got.lines())
                .find(|(wanted, got)| wanted != got);
            assert_eq!(differs, None, "{family}, {threads} threads");
            assert_eq!(wanted.lines().count(), got.lines().count());
        }
    }
}
