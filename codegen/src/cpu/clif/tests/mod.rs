//! Compiled kernels against the interpreter, bit for bit.

mod contract;
mod generate;
mod joined;
mod lowered;
mod reductions;
mod run;
mod simd;

use crate::kernel::{Affine, Array, Element, Extent, Inst, Kernel, Place, Stmt, Value, Var};
use bsq_ir::{DType, Op};
use generate::{Limits, random_kernel};
use proptest::prelude::*;
use run::check;

/// `y[i] = cast(x[i])`, in a vector loop or not.
fn conversion(from: DType, to: DType, elements: usize, vector: bool) -> Kernel {
    let element = |index| Element::new(Place::Buffer(index), Affine::var(Var(0)));
    let (x, y) = (Value(0), Value(1));
    let definition = |value, dtype, inst| Stmt::Let { value, dtype, inst };
    let body = vec![
        definition(x, from, Inst::Load(element(0))),
        definition(y, to, Inst::Map(Op::Cast(to), vec![x])),
        Stmt::store(element(1), y),
    ];
    let input = Array {
        dtype: from,
        elements,
        written: false,
    };
    Kernel {
        buffers: vec![input, Array::written(to, elements)],
        scratch: Vec::new(),
        grid: Vec::new(),
        body: vec![Stmt::loop_over(
            vector,
            Var(0),
            Extent::Static(elements),
            body,
        )],
    }
}

#[test]
fn conversions_equal_the_evaluator() {
    for from in DType::ALL {
        for to in DType::ALL {
            for vector in [false, true] {
                check(&conversion(from, to, 3001, vector), 7).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn random_kernels_equal_the_interpreter_and_come_back_from_text(seed in any::<u64>()) {
        let kernel = random_kernel(seed, Limits::default());
        let text = kernel.to_string();
        prop_assert_eq!(text.parse(), Ok(kernel.clone()), "{}", text);
        check(&kernel, seed)?;
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
