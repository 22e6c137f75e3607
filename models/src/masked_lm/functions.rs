//! The programs of a masked language model: probabilities for a sampler, the loss for training.

use super::MaskedLm;
use bsq_ir::tensor::ParameterSpec;
use bsq_ir::{DType, Function, Graph, Scope, Shape, Tensor};
use bsq_nn::layers::Dropout;

/// Inputs `tokens` (`i32[batch, N, G]`) and `classes` (`i32[batch]`) to `probabilities`
/// (`f32[batch, N, G, V]`).
///
/// A `guided` program has another input, `guidance` a (`f32[]`), and sees each picture twice in one
/// batch, with its class and without it: probabilities are those of the logits
/// `l0 + (1 + a) (lc - l0)`.
pub fn probabilities_function(model: &MaskedLm, batch: usize, guided: bool) -> Function {
    let g = Graph::new();
    let logits = sampling_logits(model, &Scope::root(&g), batch, guided);
    g.function([("probabilities", logits.softmax().id())], [])
}

/// The same with an output more: the `logits` that probabilities are made of.
pub fn guided_logits_function(model: &MaskedLm, batch: usize) -> Function {
    let g = Graph::new();
    let logits = sampling_logits(model, &Scope::root(&g), batch, true);
    let outputs = [
        ("logits", logits.id()),
        ("probabilities", logits.softmax().id()),
    ];
    g.function(outputs, [])
}

/// `[batch, N, G, V]`.
fn sampling_logits<'g>(
    model: &MaskedLm,
    scope: &Scope<'g>,
    batch: usize,
    guided: bool,
) -> Tensor<'g> {
    let g = scope.graph();
    let [tokens, classes] = inputs(model, g, batch);
    let stacked = |logits: &[Tensor<'g>]| {
        let logits: Vec<Tensor<'g>> = logits.iter().map(|logits| logits.unsqueeze(2)).collect();
        g.concat(&logits, 2)
    };
    if !guided {
        return stacked(&model.forward(scope, tokens, classes).logits);
    }
    let strength = g.input("guidance", DType::F32, Shape::scalar());
    let tokens = g.concat(&[tokens, tokens], 0);
    let classes = g.concat(&[classes, classes.full_like(-1.0)], 0);
    let logits = stacked(&model.forward(scope, tokens, classes).logits);
    let with_class = logits.slice(0, 0..batch);
    let without = logits.slice(0, batch..2 * batch);
    without + (with_class - without) * (strength + 1.0)
}

/// Inputs of a training with dropout, `u64[]` both: a seed, and a number that is another for each batch.
pub(crate) const DROPOUT: [&str; 2] = ["dropout_key", "dropout_counter"];

/// The loss of a batch, `f32[]`, of inputs `tokens`, `classes` and `targets` (`i32[batch, N, G]`), and
/// those of [`DROPOUT`] if the model has any.
pub(crate) fn batch_loss<'g>(model: &MaskedLm, scope: &Scope<'g>, batch: usize) -> Tensor<'g> {
    let g = scope.graph();
    let [tokens, classes] = inputs(model, g, batch);
    let targets = g.input("targets", DType::I32, sub_token_shape(model, batch));
    let dropout = (model.config().dropout > 0.0).then(|| {
        let [key, counter] = DROPOUT.map(|name| g.input(name, DType::U64, Shape::scalar()));
        Dropout::new(model.config().dropout, key, counter)
    });
    let outputs = model.forward_dropping(scope, tokens, classes, dropout);
    let logits = outputs.logits;
    let losses = model.loss_per_sequence(&logits, tokens, targets);
    losses.mean(..)
}

/// Parameters by the names that the functions give them.
pub fn parameter_specs(model: &MaskedLm) -> Vec<ParameterSpec> {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let [tokens, classes] = inputs(model, &g, 1);
    model.forward(&scope, tokens, classes);
    scope.specs()
}

fn inputs<'g>(model: &MaskedLm, g: &'g Graph, batch: usize) -> [Tensor<'g>; 2] {
    [
        g.input("tokens", DType::I32, sub_token_shape(model, batch)),
        g.input("classes", DType::I32, [batch]),
    ]
}

fn sub_token_shape(model: &MaskedLm, batch: usize) -> [usize; 3] {
    [batch, model.config().tokens, model.config().groups]
}
