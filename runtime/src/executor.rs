//! What can run a function: the reference evaluator, or a compiled program.

use crate::program::{CompileOptions, ProgramError, compile};
use crate::tensor_data::{HostTensor, TensorError};
use bsq_ir::Op;
use bsq_ir::eval::{EvalError, Precision, Value, Values, evaluate};
use bsq_ir::graph::Function;
use bsq_ir::shape::Type;
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
    #[error(transparent)]
    Program(#[from] ProgramError),
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

/// Compiles a function, runs it once and drops it.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    pub options: CompileOptions,
}

impl Executor for Compiler {
    fn run(
        &self,
        function: &Function,
        parameters: &Tensors,
        inputs: &Tensors,
    ) -> Result<Results, ExecutionError> {
        let executable = compile(function, &self.options)?;
        let bound = function.parameters().filter_map(|(_, name, _)| {
            let tensor = parameters.get(name)?;
            Some((name.to_string(), tensor.clone()))
        });
        let mut session = executable.bind(bound.collect())?;
        let given: Vec<(&str, &HostTensor)> = function
            .inputs()
            .filter_map(|(_, name, _)| Some((name, inputs.get(name)?)))
            .collect();
        let outputs = session.run(&given)?;
        let updated = function.updates().iter().filter_map(|&(id, _)| {
            let Op::Parameter { name, .. } = &function.node(id).op else {
                return None;
            };
            let value = session.parameter(name);
            Some(value.map(|value| (name.clone(), value.clone())))
        });
        Ok(Results {
            updates: updated.collect::<Result<_, _>>()?,
            outputs: outputs.into_iter().collect(),
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
