//! Any bytes as choices for a program: compiled in every way, it gives what the evaluator gives.
#![no_main]

use bsq_tests::programs::{Choices, Limits, Way, check, file, generate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let program = generate(&mut Choices::from_bytes(bytes), &Limits::default());
    for way in Way::all() {
        if let Err(failure) = check(&program, way) {
            panic!("{}", file::print(&program, &failure.to_string()));
        }
    }
});
