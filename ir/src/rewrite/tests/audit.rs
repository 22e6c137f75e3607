//! The audit: saturates a function and evaluates every e-node from its classes' values.
//!
//! All members of a class must have one value, so this checks every equality that any rule has
//! stated: bit for bit in `f32` if all rules are exact, else in `f64` up to the rounding of
//! constants, NaN and infinities included.

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

    /// A value for an input, where one element of `special` breaks careless algebra; 0 for none.
    pub fn value(&mut self, ty: &Type, size: f32, special: usize) -> Value {
        const SPECIAL: [f32; 10] = [
            0.0,
            -0.0,
            1.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            1e-42,
            -1e-45,
            3e38,
            -3e38,
        ];
        let elements = ty.shape.elements();
        match ty.dtype {
            DType::F32 => {
                let one = |random: &mut Random| match special > 0 && random.below(special) == 0 {
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
    special: usize,
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

/// How close values are that a reassociating rule states to be equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Closeness {
    /// Every bit.
    Equal,
    /// Up to rounding: NaN is NaN, an infinity the same one.
    Rounded,
    /// Up to rounding, and where the first is not finite the second is not either. Gradients that
    /// have been simplified may find infinity where NaN was, and let NaN spread in its row.
    NotFinite,
}

/// Whether `b` may take the place of `a`.
pub fn agree(a: &Value, b: &Value, closeness: Closeness) -> bool {
    let float = matches!(a.data(), Data::F64(_)) || a.dtype() == DType::F32;
    if closeness == Closeness::Equal || !float {
        return a.first_difference(b).is_none();
    }
    let (a, b) = (a.to_f64(), b.to_f64());
    let largest = a.iter().fold(1.0, |largest: f64, x| match x.is_finite() {
        true => largest.max(x.abs()),
        false => largest,
    });
    let near = |x: f64, y: f64| match (x.is_finite(), y.is_finite()) {
        (true, true) => (x - y).abs() <= 1e-5 * largest,
        (true, false) => closeness == Closeness::NotFinite,
        (false, true) => false,
        (false, false) => closeness == Closeness::NotFinite || x == y || (x.is_nan() && y.is_nan()),
    };
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

/// Audits every region of a function under the given rules, with one input of `special` that is
/// no ordinary number.
pub fn audit(
    function: &Function,
    rules: &[Compiled],
    closeness: Closeness,
    special: usize,
    seed: u64,
) -> Audit {
    let exact = closeness == Closeness::Equal;
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
                // Nothing is made of itself: the class takes such a node's place, not it the class's.
                let itself = node.operands.iter().any(|&id| classes.find(id) == *class);
                let agree = |(wanted, value): (&Value, &Value)| match itself {
                    true => agree(value, wanted, closeness),
                    false => agree(wanted, value, closeness),
                };
                if !wanted.iter().zip(&value).all(agree) {
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
