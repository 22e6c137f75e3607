//! A training step within a budget of memory: less is kept, more is computed, and the bits are the same.

use crate::common::{descent, fill, host};
use bsq_codegen::pipeline::PipelineError;
use bsq_ir::{DType, Function, Graph, Scope, Tensor};
use bsq_runtime::{CompileOptions, Executable, HostTensor, ProgramError, compile};
use std::collections::BTreeMap;

const WIDTH: usize = 48;

/// A transformer's block of four heads.
fn block<'g>(x: Tensor<'g>, scope: &Scope<'g>) -> Tensor<'g> {
    let normed = x.layer_norm(scope / "norm1", 1e-5);
    let heads = |name: &str| {
        let y = normed.linear(scope / name, WIDTH);
        y.reshape([2, 16, 4, WIDTH / 4]).transpose(&[0, 2, 1, 3])
    };
    let [query, key, value] = ["query", "key", "value"].map(heads);
    let scores = query.matmul(key.transpose(&[0, 1, 3, 2])) * 0.3;
    let seen = scores.softmax().matmul(value);
    let seen = seen.transpose(&[0, 2, 1, 3]).reshape([2, 16, WIDTH]);
    let x = x + seen.linear(scope / "out", WIDTH);
    let hidden = x.layer_norm(scope / "norm2", 1e-5);
    let hidden = hidden.linear(scope / "up", 4 * WIDTH).gelu();
    x + hidden.linear(scope / "down", WIDTH)
}

/// A step of gradient descent through some blocks.
fn step(blocks: usize) -> Function {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [2, 16, WIDTH]);
    let y = (0..blocks).fold(x, |x, number| block(x, &(&model / "blocks" / number)));
    descent(&model, y.square().mean(..))
}

fn compiled(
    function: &Function,
    exact: bool,
    memory: Option<usize>,
) -> Result<Executable, ProgramError> {
    let options = CompileOptions {
        exact,
        memory,
        ..Default::default()
    };
    compile(function, &options)
}

/// What two steps leave, by name.
fn run(function: &Function, executable: &Executable) -> BTreeMap<String, HostTensor> {
    let given = |name: &str, ty: &bsq_ir::Type| (name.to_string(), host(&fill(name, ty)));
    let parameters = function.parameters().map(|(_, name, ty)| given(name, ty));
    let mut session = executable.bind(parameters.collect()).unwrap();
    let inputs: Vec<_> = function
        .inputs()
        .map(|(_, name, ty)| given(name, ty))
        .collect();
    let inputs: Vec<_> = inputs
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    session.run(&inputs).unwrap();
    let mut left: BTreeMap<String, HostTensor> =
        session.run(&inputs).unwrap().into_iter().collect();
    for (name, value) in session.parameters().unwrap() {
        left.insert(name.to_string(), value.clone());
    }
    left
}

#[test]
fn a_step_within_any_budget_has_the_same_bits() {
    let function = step(8);
    for exact in [false, true] {
        let whole = compiled(&function, exact, None).unwrap();
        let (bits, most) = (run(&function, &whole), whole.report().peak_bytes);
        let Err(ProgramError::Pipeline(PipelineError::Memory { smallest, .. })) =
            compiled(&function, exact, Some(1000))
        else {
            panic!("a step in a thousand bytes");
        };
        let activations = |peak: usize| peak - whole.program().resident_bytes();
        assert!(
            3 * activations(smallest) < 2 * activations(most),
            "exact {exact}: {smallest} of {most} bytes, of which {} are parameters",
            whole.program().resident_bytes()
        );
        let mut flops = u64::MAX;
        for budget in [smallest, (2 * smallest + most) / 3, most - 1, most] {
            let within = compiled(&function, exact, Some(budget)).unwrap();
            let report = within.report();
            assert!(
                report.peak_bytes <= budget,
                "{} of {budget}",
                report.peak_bytes
            );
            let again = report.recomputed.map_or(0, |again| again.flops);
            assert_eq!(within.program().flops(), whole.program().flops() + again);
            assert!(
                again <= flops,
                "less is computed again where there is more memory"
            );
            flops = again;
            assert_eq!(report.recomputed.is_some(), budget < most);
            assert!(
                run(&function, &within) == bits,
                "exact {exact}, {budget} bytes"
            );
        }
        assert!(compiled(&function, exact, Some(smallest - 1)).is_err());
    }
}
