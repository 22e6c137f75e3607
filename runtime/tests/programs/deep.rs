//! A deep model's step: what is far from where it was computed is computed again.

use crate::common::check;
use bsq_ir::autodiff::gradients;
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Function, Graph, Scope, Tensor};
use bsq_runtime::{CompileOptions, compile};

/// A feed-forward block.
fn block<'g>(x: Tensor<'g>, scope: &Scope<'g>) -> Tensor<'g> {
    let norm = |name: &str, value| scope.parameter(name, [16], Init::Constant(value));
    let normed = x.layer_norm(norm("weight", 1.0), norm("bias", 0.0), 1e-5);
    let hidden = normed.linear(&(scope / "up"), 32).gelu();
    x + hidden.linear(&(scope / "down"), 16) * 0.1
}

/// A step of gradient descent through `layers` feed-forward blocks.
fn step(layers: usize) -> Function {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [4, 16]);
    let y = (0..layers).fold(x, |x, layer| block(x, &(&(&model / "blocks") / layer)));
    let loss = y.square().mean(..);
    let parameters = model.parameters();
    let steps = parameters.iter().zip(gradients(loss, &parameters));
    let updates = steps.map(|(parameter, gradient)| {
        let updated = *parameter - gradient * g.scalar("rate");
        (parameter.id(), updated.id())
    });
    let updates: Vec<_> = updates.collect();
    g.function([("loss", loss.id())], updates)
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
