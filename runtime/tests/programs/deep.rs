//! A deep model's step: what is far from where it was computed is computed again.

use crate::common::{check, check_output, descent};
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Function, Graph, Scope, Tensor};
use bsq_runtime::{CompileOptions, compile};

/// A feed-forward block.
fn block<'g>(x: Tensor<'g>, scope: &Scope<'g>) -> Tensor<'g> {
    let hidden = x.layer_norm(scope, 1e-5).linear(scope / "up", 32).gelu();
    x + hidden.linear(scope / "down", 16) * 0.1
}

/// A step of gradient descent through `layers` feed-forward blocks.
fn step(layers: usize) -> Function {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [4, 16]);
    let y = (0..layers).fold(x, |x, layer| block(x, &(&model / "blocks" / layer)));
    descent(&model, y.square().mean(..))
}

#[test]
fn a_deep_step_equals_the_evaluator() {
    check(&step(24));
}

#[test]
fn activations_are_not_kept_from_one_end_to_the_other() {
    let arena = |layers| {
        let options = CompileOptions {
            exact: false,
            ..Default::default()
        };
        let executable = compile(&step(layers), &options).unwrap();
        executable.program().arena_bytes
    };
    // Of a block: its input (twice, with the residual's), and the hidden layer before GELU; neither
    // the normed input nor GELU's result.
    let each = (arena(64) - arena(48)) / 16;
    let [narrow, wide] = [4 * 16 * 4, 4 * 32 * 4];
    assert!(
        each < 2 * narrow + wide + narrow,
        "{each} bytes for each block"
    );
}

/// Nothing is computed recursively from one end of a program to the other, and long chains are cut
/// into kernels: a small stack suffices, and there are as many launches as there are ops.
#[test]
fn long_chains_take_little_stack_and_many_kernels() {
    let launches = |length: usize, gradient: bool| {
        let work = move || {
            let g = Graph::new();
            let x = g.input("x", DType::F32, [10]);
            let y = (0..length).fold(x, |y, _| y.tanh() + x);
            let y = if gradient {
                gradients(y.sum(..), &[x])[0]
            } else {
                y
            };
            let function = g.function([("y", y.id())], []);
            let executable = compile(&function, &CompileOptions::default()).unwrap();
            (executable.report().kernels, executable.report().launches)
        };
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work);
        thread.unwrap().join().unwrap()
    };
    let (kernels, of_chain) = launches(50_000, false);
    assert!(kernels < 10, "equal parts are one kernel: {kernels}");
    assert!((300..1000).contains(&of_chain), "{of_chain} launches");
    let [short, long] = [5_000, 20_000].map(|length| launches(length, true).1);
    assert!(
        long < 5 * short,
        "{short} launches for a quarter, {long} for all"
    );
}

#[test]
fn what_is_cut_has_the_same_bits() {
    check_output(|g| {
        let x = g.input("x", DType::F32, [37]);
        (0..1500).fold(x, |y, _| (y * 1.5).tanh() + x)
    });
    check_output(|g| {
        let x = g.input("x", DType::F32, [3, 17]);
        let y = (0..400).fold(x, |y, _| {
            y.tanh() * x + y.sum(-1).expand_axes(-1, x.shape())
        });
        gradients(y.sum(..), &[x])[0]
    });
}
