//! The audit: saturates a function and evaluates every e-node from its classes' values.
//!
//! All members of a class must have one value, so this checks every equality that any rule has
//! stated: bit for bit in `f32` if all rules are exact, else in `f64` up to the rounding of
//! constants.

use crate::dtype::DType;
use crate::eval::{Data, Precision, Value, apply};
use crate::graph::Function;
use crate::op::Op;
use crate::rewrite::canonicalise;
use crate::rewrite::egraph::ENode;
use crate::rewrite::optimize::load;
use crate::rewrite::pattern::Name;
use crate::rewrite::region::{Partition, fixed_nodes};
use crate::rewrite::saturate::{Budget, Compiled, saturate};
use crate::shape::Type;
use egg::Id;
use std::collections::{BTreeMap, HashMap};

/// Parameters are smaller than inputs, so that scores do not make softmax all or nothing.
pub const WEIGHT: f32 = 0.2;

/// A small generator of test values; a seed gives the same values everywhere.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// In -2..2.
    fn float(&mut self) -> f32 {
        self.below(65_536) as f32 / 16_384.0 - 2.0
    }

    /// A value for an input; with `special` one that breaks careless algebra.
    pub fn value(&mut self, ty: &Type, size: f32, special: bool) -> Value {
        const SPECIAL: [f32; 8] = [
            0.0,
            -0.0,
            1.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            1e-42,
            -3e38,
        ];
        let elements = ty.shape.elements();
        match ty.dtype {
            DType::F32 => {
                let one = |random: &mut Random| match special && random.below(3) == 0 {
                    true => SPECIAL[random.below(SPECIAL.len())],
                    false => random.float() * size,
                };
                let data: Vec<f32> = (0..elements).map(|_| one(self)).collect();
                Value::new(&ty.shape, data)
            }
            DType::Bool => {
                let data: Vec<bool> = (0..elements).map(|_| self.below(2) == 0).collect();
                Value::new(&ty.shape, data)
            }
            DType::I32 => {
                let data: Vec<i32> = (0..elements).map(|_| self.below(7) as i32 - 3).collect();
                Value::new(&ty.shape, data)
            }
            other => panic!("no test values of {other}"),
        }
    }
}

/// The values of every node of a function.
pub fn evaluate_nodes(
    function: &Function,
    random: &mut Random,
    special: bool,
    precision: Precision,
) -> Vec<Vec<Value>> {
    let mut values: Vec<Vec<Value>> = Vec::new();
    for node in function.nodes() {
        values.push(match &node.op {
            Op::Input { ty, .. } => {
                vec![random.value(ty, 1.0, special).to_precision(precision)]
            }
            Op::Parameter { ty, .. } => {
                vec![random.value(ty, WEIGHT, special).to_precision(precision)]
            }
            Op::Projection(index) => vec![values[node.operands[0].index()][*index].clone()],
            op => {
                let operand = |id: &crate::NodeId| &values[id.index()][0];
                let operands: Vec<&Value> = node.operands.iter().map(operand).collect();
                apply(op, &node.types, &operands, precision)
            }
        });
    }
    values
}

/// Whether two values of one class agree.
pub fn agree(a: &Value, b: &Value, exact: bool) -> bool {
    if exact || !matches!(a.data(), Data::F64(_)) {
        return a.first_difference(b).is_none();
    }
    let (a, b) = (a.to_f64(), b.to_f64());
    let largest = a.iter().fold(1.0, |largest: f64, x| match x.is_finite() {
        true => largest.max(x.abs()),
        false => largest,
    });
    let near =
        |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-5 * largest;
    a.into_iter().zip(b).all(|(x, y)| near(x, y))
}

/// What an audit found.
#[derive(Default)]
pub struct Audit {
    /// Rules that fired, and how often.
    pub fired: BTreeMap<Name, usize>,
    pub nodes: usize,
    /// E-nodes whose value is not that of their class.
    pub broken: Vec<String>,
}

/// Audits every region of a function under the given rules, with ordinary inputs or `special` ones.
pub fn audit(
    function: &Function,
    rules: &[Compiled],
    exact: bool,
    special: bool,
    seed: u64,
) -> Audit {
    let function = canonicalise(function);
    let precision = if exact {
        Precision::F32
    } else {
        Precision::F64
    };
    let values = evaluate_nodes(&function, &mut Random(seed), special, precision);
    let partition = Partition::new(&function, &fixed_nodes(&function));
    let mut result = Audit::default();
    for region in &partition.regions {
        let (mut classes, ids) = load(&function, &region.problem);
        let done = saturate(&mut classes, rules, exact, &Budget::default());
        for (name, count) in done.fired {
            *result.fired.entry(name).or_default() += count;
        }
        let origins = region.origins.iter().map(|id| values[id.index()].clone());
        let mut known: HashMap<Id, Vec<Value>> = HashMap::new();
        for (id, value) in ids.iter().zip(origins) {
            known.entry(classes.find(*id)).or_insert(value);
        }
        let mut waiting: Vec<(Id, ENode)> = Vec::new();
        for class in classes.classes() {
            waiting.extend(class.nodes.iter().map(|node| (class.id, node.clone())));
        }
        waiting.sort();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|(class, node)| {
                let Some(value) = evaluate(node, &classes[*class].data.types, &known, precision)
                else {
                    return !matches!(node.op, Op::Input { .. });
                };
                let wanted = known.entry(*class).or_insert_with(|| value.clone());
                result.nodes += 1;
                if !wanted.iter().zip(&value).all(|(a, b)| agree(a, b, exact)) {
                    result
                        .broken
                        .push(format!("{node:?}: {value:?} is not {wanted:?}"));
                }
                false
            });
            assert!(waiting.len() < before, "nodes without values: {waiting:?}");
        }
    }
    result
}

fn evaluate(
    node: &ENode,
    types: &[Type],
    known: &HashMap<Id, Vec<Value>>,
    precision: Precision,
) -> Option<Vec<Value>> {
    let operands: Option<Vec<&Vec<Value>>> = node.operands.iter().map(|id| known.get(id)).collect();
    let operands = operands?;
    match &node.op {
        Op::Input { .. } => None,
        Op::Projection(index) => Some(vec![operands[0][*index].clone()]),
        op => {
            let operands: Vec<&Value> = operands.iter().map(|values| &values[0]).collect();
            Some(apply(op, types, &operands, precision))
        }
    }
}
