//! What can run a function: the reference evaluator, or a compiled program.

use bsq_ir::eval::{EvalError, Precision, Value, Values, evaluate};
use bsq_ir::graph::Function;
use bsq_ir::shape::Type;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;

/// Tensors by name.
pub type Tensors = BTreeMap<String, HostTensor>;

/// What a run computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// The named outputs.
    pub outputs: Tensors,
    /// The new values of parameters, by the parameter's name.
    pub updates: Tensors,
}

/// Why a function could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The reference evaluator lacks a value, or has one of another type.
    #[error(transparent)]
    Evaluation(#[from] EvalError),
    /// A tensor cannot be held.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Compiling or running the compiled program failed.
    #[error("{0}")]
    Program(String),
}

/// Runs functions once. Tensors that the function does not read are ignored.
pub trait Executor {
    /// # Errors
    /// If a tensor is missing or of another type, or memory runs out.
    fn run(
        &self,
        function: &Function,
        parameters: &Tensors,
        inputs: &Tensors,
    ) -> Result<Results, ExecutionError>;
}

/// The reference evaluator: slow, needs nothing but the function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evaluator;

impl Executor for Evaluator {
    fn run(
        &self,
        function: &Function,
        parameters: &Tensors,
        inputs: &Tensors,
    ) -> Result<Results, ExecutionError> {
        let read = |tensors: &Tensors, names: Vec<&str>| -> Values {
            let named = names.into_iter().filter_map(|name| {
                let tensor = tensors.get(name)?;
                Some((name.to_string(), value(tensor)))
            });
            named.collect()
        };
        let names = function.parameters().map(|(_, name, _)| name).collect();
        let parameters = read(parameters, names);
        let inputs = read(inputs, function.inputs().map(|(_, name, _)| name).collect());
        let run = evaluate(function, &inputs, &parameters, Precision::F32)?;
        Ok(Results {
            outputs: host_tensors(run.outputs)?,
            updates: host_tensors(run.updates)?,
        })
    }
}

fn value(tensor: &HostTensor) -> Value {
    Value::from_bytes(Type::new(tensor.dtype(), tensor.shape()), tensor.bytes())
}

fn host_tensors(values: Values) -> Result<Tensors, TensorError> {
    let host = |(name, value): (String, Value)| {
        let (dtype, shape) = (value.dtype(), value.shape().to_vec());
        Ok((
            name,
            HostTensor::from_bytes(dtype, shape, &value.to_bytes())?,
        ))
    };
    values.into_iter().map(host).collect()
}
