//! Hand-written kernels in the PTX interpreter: right results, and every injected fault found.

mod approximations;
mod arithmetic;
mod case;
mod control;
mod faults;
mod products;
mod simple;
mod small;
mod text;

use bsq_ptx_interpreter::ptxas::Ptxas;
use bsq_ptx_interpreter::{Device, Error, Module, Options};

/// A kernel of `fixtures`.
fn fixture(name: &str) -> String {
    let path = format!("{}/fixtures/{name}.ptx", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A kernel with one place changed.
fn mutated(text: &str, from: &str, to: &str) -> Module {
    assert_eq!(text.matches(from).count(), 1, "`{from}` stands there once");
    parse(&text.replacen(from, to, 1))
}

fn parse(text: &str) -> Module {
    Module::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs with several seeds: what is found must not depend on the schedule.
fn every_seed<T>(mut run: impl FnMut(&mut Device) -> Result<T, Error>) -> Vec<Result<T, Error>> {
    let with = |seed| {
        Device::with_options(Options {
            seed,
            ..Options::default()
        })
    };
    (0..4).map(|seed| run(&mut with(seed))).collect()
}

#[test]
fn the_assembler_accepts_every_fixture() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let kernels = ptxas.assemble(&text, "sm_86");
        let kernels = kernels.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for kernel in kernels {
            assert_eq!(
                (kernel.spill_stores, kernel.spill_loads),
                (0, 0),
                "{kernel:?}"
            );
            count += 1;
        }
    }
    assert!(count > 0);
}
