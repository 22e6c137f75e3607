//! The reference evaluator: what every op means, and the oracle of every other test.
//!
//! Slow and obvious, one function per op. In [`Precision::F32`] it defines the bits that every
//! target must give; [`Precision::F64`] computes the same graph on `f64` with the system's
//! functions, for checking derivatives by differences.
//!
//! What is easily doubted:
//!
//! | | |
//! |---|---|
//! | NaN | any operation may give any payload; compared with [`Value`]'s `==`, NaN equals NaN |
//! | `max`, `min`, `reduce_max` | NaN if any operand is; `-0 < +0` |
//! | `sign` of `±0`, of NaN | that `±0`, NaN |
//! | comparisons | IEEE: NaN is neither equal nor less; `-0 == +0` |
//! | `argmax` | the first NaN if there is one, else the first that equals the maximum |
//! | integers | wrap; `abs` of the least is itself |
//! | shift amounts | are read as unsigned; from the width on all bits are shifted out |
//! | float to integer | truncates and saturates; NaN is 0 |
//! | anything to bool | is it unequal to 0 (NaN is) |
//! | to `f16`, `bf16` | through `f32`, nearest even |
//! | indices, starts | clamped into the range where they fit |

mod cast;
mod contraction;
mod elementwise;
mod indexing;
mod leaf;
mod movement;
mod numbers;
mod reduction;
mod strided;
mod value;

pub use value::{Data, Value};

use crate::fused;
use crate::graph::{Function, Graph, Node, NodeId};
use crate::op::{Family, Op};
use crate::shape::Type;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// What floats are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As written: the bits that every target must give.
    F32,
    /// Every float tensor is `f64`, casts between floats do not round, and functions are the
    /// system's.
    F64,
}

/// Tensors by name.
pub type Values = BTreeMap<String, Value>;

/// What a function computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// The named results.
    pub outputs: Values,
    /// The new values of parameters, by the parameter's name.
    pub updates: Values,
}

/// Why a function could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("no value for {kind} `{name}` ({ty})")]
    Missing {
        kind: &'static str,
        name: String,
        ty: Type,
    },
    #[error("{kind} `{name}` is {wanted}, but the value given is {got}")]
    WrongType {
        kind: &'static str,
        name: String,
        wanted: Type,
        got: Type,
    },
}

/// Computes a function's outputs and updates. Values that the function does not read are ignored.
///
/// ```
/// use bsq_ir::eval::{Precision, Value, Values, evaluate};
/// use bsq_ir::{DType, Graph};
///
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [3]);
/// let function = g.function([("norm", (x * x).sum(-1).sqrt().id())], []);
/// let inputs = Values::from([("x".to_string(), Value::new([3], vec![2.0f32, 3.0, 6.0]))]);
/// let result = evaluate(&function, &inputs, &Values::new(), Precision::F32)?;
/// assert_eq!(result.outputs["norm"], Value::scalar(7.0f32));
/// # Ok::<(), bsq_ir::eval::EvalError>(())
/// ```
pub fn evaluate(
    function: &Function,
    inputs: &Values,
    parameters: &Values,
    precision: Precision,
) -> Result<Outputs, EvalError> {
    let given = |kind: &'static str, values: &Values, name: &str, ty: &Type| {
        let (name, ty) = (name.to_string(), ty.clone());
        match values.get(&name) {
            None => Err(EvalError::Missing { kind, name, ty }),
            Some(value) if *value.ty() != ty => Err(EvalError::WrongType {
                kind,
                name,
                wanted: ty,
                got: value.ty().clone(),
            }),
            Some(value) => Ok(value.to_precision(precision)),
        }
    };
    let mut results = run(function, precision, |node| match &node.op {
        Op::Input { name, ty } => given("input", inputs, name, ty),
        Op::Parameter { name, ty } => given("parameter", parameters, name, ty),
        op => Ok(leaf::evaluate(op, precision)),
    })?;
    let updates = results.split_off(function.outputs().len());
    let output_names = function.outputs().iter().map(|(name, _)| name.clone());
    let parameter_name = |&(id, _): &(NodeId, NodeId)| match &function.node(id).op {
        Op::Parameter { name, .. } => name.clone(),
        op => unreachable!("an update of {}", op.name()),
    };
    let updated_names = function.updates().iter().map(parameter_name);
    Ok(Outputs {
        outputs: output_names.zip(results).collect(),
        updates: updated_names.zip(updates).collect(),
    })
}

/// The results of one op other than an input, a parameter or a projection.
///
/// `types` are the result types; operands have the types that the op takes and the form of
/// `precision` (see [`Value::to_precision`]).
///
/// # Panics
/// If the op is a leaf that needs a given value, or operands do not fit.
#[track_caller]
pub fn apply(op: &Op, types: &[Type], operands: &[&Value], precision: Precision) -> Vec<Value> {
    let data = match op.family() {
        Family::Leaf => return vec![leaf::evaluate(op, precision)],
        Family::Elementwise => elementwise::evaluate(op, operands, precision),
        Family::Movement => movement::evaluate(op, &types[0].shape, operands),
        Family::Reduction => reduction::evaluate(op, &types[0].shape, operands[0]),
        Family::Contraction => contraction::evaluate(op, operands[0], operands[1]),
        Family::Indexing => indexing::evaluate(op, &types[0].shape, operands),
        Family::Fused => return expanded(op, operands, precision),
        Family::Projection => panic!("a projection takes a tuple, not tensors"),
    };
    vec![Value::typed(types[0].clone(), data)]
}

/// A fused op by its expansion.
fn expanded(op: &Op, operands: &[&Value], precision: Precision) -> Vec<Value> {
    let graph = Graph::new();
    let input = |(position, value): (usize, &&Value)| {
        let Type { dtype, shape } = value.ty().clone();
        graph.input(&position.to_string(), dtype, shape)
    };
    let inputs: Vec<Tensor> = operands.iter().enumerate().map(input).collect();
    let results = fused::expand(&graph, op, &inputs);
    let names = ["0", "1", "2"];
    let outputs = names
        .into_iter()
        .zip(results.iter().map(|tensor| tensor.id()));
    let function = graph.function(outputs, []);
    let run = run(&function, precision, |node| {
        Ok::<Value, std::convert::Infallible>(match &node.op {
            Op::Input { name, .. } => {
                let position: usize = name.parse().expect("inputs are named by position");
                operands[position].clone()
            }
            op => leaf::evaluate(op, precision),
        })
    });
    match run {
        Ok(values) => values,
    }
}

/// The values of the function's roots. A value is dropped after its last use.
fn run<E>(
    function: &Function,
    precision: Precision,
    mut leaf: impl FnMut(&Node) -> Result<Value, E>,
) -> Result<Vec<Value>, E> {
    let mut uses: Vec<usize> = function.users().iter().map(Vec::len).collect();
    for root in function.roots() {
        uses[root.index()] += 1;
    }
    let mut values: Vec<Vec<Value>> = Vec::with_capacity(function.nodes().len());
    for node in function.nodes() {
        let operand = |id: &NodeId| &values[id.index()];
        let results = match &node.op {
            Op::Projection(index) => vec![operand(&node.operands[0])[*index].clone()],
            op if op.family() == Family::Leaf => vec![leaf(node)?],
            op => {
                let operands: Vec<&Value> =
                    node.operands.iter().map(|id| &operand(id)[0]).collect();
                apply(op, &node.types, &operands, precision)
            }
        };
        values.push(results);
        for operand in &node.operands {
            uses[operand.index()] -= 1;
            if uses[operand.index()] == 0 {
                values[operand.index()] = Vec::new();
            }
        }
    }
    let root = |id: NodeId| values[id.index()][0].clone();
    Ok(function.roots().map(root).collect())
}

#[cfg(test)]
mod tests;
