//! Compiled kernels against the interpreter, bit for bit.

mod contract;
mod generate;
mod run;

use generate::{Limits, random_kernel};
use proptest::prelude::*;
use run::check;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn random_kernels_equal_the_interpreter(seed in any::<u64>()) {
        check(&random_kernel(seed, Limits::default()), seed)?;
    }

    #[test]
    fn random_float_kernels_equal_the_interpreter(seed in any::<u64>()) {
        let limits = Limits { only_f32: true, ..Limits::default() };
        check(&random_kernel(seed, limits), seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn long_reductions_equal_the_interpreter(seed in any::<u64>()) {
        let limits = Limits { long_reductions: true, ..Limits::default() };
        check(&random_kernel(seed, limits), seed)?;
    }
}
