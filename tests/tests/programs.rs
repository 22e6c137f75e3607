//! Random programs: the evaluator's results in every way to compile and run them.
//!
//! `tests/README.md` says how to run many more, and how a find becomes one of
//! `tests/fixtures/programs`.

use bsq_codegen::cpu::microkernel::Family;
use bsq_codegen::kernel::parse_all;
use bsq_codegen::lower::{Options, Precision, TilingPolicy};
use bsq_codegen::{pipeline, ptx};
use bsq_ir::text::parse;
use bsq_tests::programs::search::Search;
use bsq_tests::programs::shrink::shrink;
use bsq_tests::programs::{Choices, Limits, Program, Way, check, file, generate};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::path::Path;

/// Programs of the property test, each in every way.
const CASES: u32 = 150;

fn search() -> Search {
    Search {
        limits: Limits::default(),
        families: Family::all_supported(),
        all: true,
    }
}

/// The same programs every time; other seeds are for `examples/fuzz_programs.rs`.
#[test]
fn random_programs_are_right() {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        // Programs are shrunk here: shorter choices make other programs, not smaller ones.
        max_shrink_iters: 0,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let checked = runner.run(&vec(any::<u8>(), 0..4000), |bytes| {
        let program = generate(&mut Choices::from_bytes(&bytes), &Limits::default());
        match Way::all()
            .into_iter()
            .find_map(|way| check(&program, way).err())
        {
            None => Ok(()),
            Some(failure) => {
                let find = search().shrunk(&program, &failure);
                let text = file::print(&find.program, &find.failure.to_string());
                Err(TestCaseError::fail(text))
            }
        }
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}

/// Every program that once failed.
#[test]
fn kept_programs_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of kept programs") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a kept program");
        let program = file::read(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let failed = Way::all()
            .into_iter()
            .filter_map(|way| check(&program, way).err());
        failures.extend(failed.map(|failure| format!("{}: {failure}", path.display())));
        count += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(count > 0, "no kept programs in {}", folder.display());
}

/// What the generator makes is what the text form of every op lists.
#[test]
fn every_op_is_generated() {
    let every = include_str!("../../fuzz/seeds/text_ir/every_op.txt");
    let every = parse(every).expect("the seed of the fuzzer of texts");
    let names = |function: &bsq_ir::Function| -> BTreeSet<&'static str> {
        function.nodes().iter().map(|node| node.op.name()).collect()
    };
    let mut missing = names(&every);
    for seed in 0..3000 {
        let program = search().program(seed).expect("a program");
        missing.retain(|name| !names(&program.function).contains(name));
    }
    assert!(missing.is_empty(), "never generated: {missing:?}");
}

#[test]
fn written_programs_read_back() {
    for seed in 0..200 {
        let program = search().program(seed).expect("a program");
        let text = file::print(&program, "two\nlines");
        let read = file::read(&text).expect("what was written");
        assert!(read.function == program.function, "{text}");
        assert!(read.inputs == program.inputs, "{text}");
        assert!(read.parameters == program.parameters, "{text}");
    }
}

/// Kernel IR as lowering makes it, for CPUs and for GPUs.
#[test]
fn kernels_of_programs_read_back() {
    let mut kernels = 0;
    for seed in 0..200 {
        let function = search().program(seed).expect("a program").function;
        for tiling in [
            TilingPolicy::CPU,
            ptx::Options::default().tiling(Precision::F32),
        ] {
            let options = Options {
                tiling,
                ..Options::default()
            };
            let program = pipeline::program(&function, true, &options).expect("a program");
            let text = program.kernels_text().to_string();
            let read = parse_all(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert!(read == program.kernels, "{text}");
            kernels += read.len();
        }
    }
    assert!(kernels > 1000, "{kernels} kernels");
}

/// A program that "fails" if it has two ops becomes little more than those two.
#[test]
fn shrinking_leaves_what_matters() {
    let has = |program: &Program, name: &str| {
        program
            .function
            .nodes()
            .iter()
            .any(|node| node.op.name() == name)
    };
    let both = |program: &Program| has(program, "tanh") && has(program, "transpose");
    let mut found = 0;
    for seed in 0..20_000 {
        if found == 5 {
            break;
        }
        let program = search().program(seed).expect("a program");
        if !both(&program) {
            continue;
        }
        found += 1;
        let small = shrink(&program, 3000, both);
        let nodes = small.function.nodes().len();
        assert!(nodes <= 5, "{nodes} nodes:\n{}", small.function);
    }
    assert_eq!(found, 5);
}
