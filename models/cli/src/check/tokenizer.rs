//! Whole image tokenizers, forward and backward.

use super::Comparison;
use super::case::{Case, CheckError};
use super::outputs::{compare, loss_terms, named_outputs, tokenizer};
use bsq::losses::total;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::executor::{Executor, Tensors};

pub(super) fn check(case: &Case, executor: &dyn Executor) -> Result<Vec<Comparison>, CheckError> {
    let tokenizer = tokenizer(case, "model")?;
    let weights = tokenizer.load(&case.tensors("weights")?)?;
    let input = case.tensor("input")?.clone();
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, input.shape());
    let forward = tokenizer.forward(&scope, image);
    let terms = loss_terms(case, &forward, image)?;

    let mut names: Vec<String> = ["grad_z", "grad_zq"].map(String::from).into();
    names.extend(
        scope
            .specs()
            .iter()
            .map(|spec| format!("grad.{}", spec.name)),
    );
    let mut wrt = vec![forward.encoded.u, forward.quantized.codes];
    wrt.extend(scope.parameters());
    let gradients = gradients(total(&terms), &wrt);

    let outputs = named_outputs(&forward, &terms);
    let outputs = outputs.iter().map(|(name, tensor)| (*name, tensor.id()));
    let named = names.iter().zip(&gradients);
    let gradients = named.map(|(name, tensor)| (name.as_str(), tensor.id()));
    // What is not recorded need not be computed, but for the scale of the losses.
    let wanted = |name: &str| case.recorded.contains_key(name) || SCALES.contains(&name);
    let function = g.function(
        outputs.chain(gradients).filter(|(name, _)| wanted(name)),
        [],
    );
    let inputs = Tensors::from([("image".to_string(), input)]);
    let results = executor.run(&function, &weights, &inputs)?;
    compare(case, &results.outputs)
}

/// What the losses are sums of.
pub(super) const SCALES: [&str; 5] = [
    "H_persample",
    "H_codebook",
    "commit_unweighted",
    "loss_l1",
    "logit_laplace_loss",
];
