//! The e-graph: its language is [`Op`] itself, its analysis the types and a few facts.

use crate::dtype::DType;
use crate::op::infer::{Types, infer};
use crate::op::{Constant, Op};
use crate::shape::{Shape, Type};
use egg::{Analysis, DidMerge, Id, Language};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::Discriminant;

/// An op applied to classes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ENode {
    pub op: Op,
    pub operands: SmallVec<[Id; 3]>,
}

impl ENode {
    pub fn new(op: Op, operands: &[Id]) -> Self {
        let operands = operands.into();
        ENode { op, operands }
    }
}

impl Language for ENode {
    type Discriminant = Discriminant<Op>;

    fn discriminant(&self) -> Discriminant<Op> {
        std::mem::discriminant(&self.op)
    }

    fn matches(&self, other: &Self) -> bool {
        self.op == other.op && self.operands.len() == other.operands.len()
    }

    fn children(&self) -> &[Id] {
        &self.operands
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.operands
    }
}

/// What is known of every member of a class.
#[derive(Clone, Debug)]
pub struct Fact {
    pub types: Types,
    /// The value of every element, as a scalar constant.
    pub splat: Option<Constant>,
    /// No element is below this (one may be NaN).
    pub least: f32,
    /// Depends on no input and no parameter.
    pub fixed: bool,
}

/// The analysis that keeps a [`Fact`] for every class.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Inputs that stand for large constants, by name.
    pub constants: HashMap<String, Constant>,
    /// What rules have found out about them, by name and question.
    pub answers: RefCell<HashMap<(String, bool), Option<usize>>>,
}

/// Classes of equal values.
pub type Classes = egg::EGraph<ENode, Facts>;

impl Analysis<ENode> for Facts {
    type Data = Fact;

    fn make(classes: &mut Classes, node: &ENode, _id: Id) -> Fact {
        let facts: SmallVec<[&Fact; 4]> =
            node.operands.iter().map(|&id| &classes[id].data).collect();
        let types: SmallVec<[&[Type]; 4]> = facts.iter().map(|fact| &fact.types[..]).collect();
        let types = match infer(&node.op, &types) {
            Ok(types) => types,
            Err(error) => panic!("a rule built an ill-typed node: {error}"),
        };
        let leaf = match &node.op {
            Op::Constant(_) | Op::Iota { .. } => true,
            Op::Input { name, .. } => classes.analysis.constants.contains_key(name),
            _ => false,
        };
        let below = !facts.is_empty() && facts.iter().all(|fact| fact.fixed);
        Fact {
            types,
            splat: splat(&node.op, &facts),
            least: least(classes, node, &facts),
            fixed: leaf || below,
        }
    }

    fn merge(&mut self, a: &mut Fact, b: Fact) -> DidMerge {
        assert_eq!(a.types, b.types, "a rule joined values of different types");
        let splat = a.splat.clone().or_else(|| b.splat.clone());
        let (least, fixed) = (a.least.max(b.least), a.fixed || b.fixed);
        let differs = |fact: &Fact| {
            (fact.least, fact.fixed, fact.splat.is_some()) != (least, fixed, splat.is_some())
        };
        let changed = DidMerge(differs(a), differs(&b));
        (a.splat, a.least, a.fixed) = (splat, least, fixed);
        changed
    }

    /// A class of equal elements has a constant among its members.
    fn modify(classes: &mut Classes, id: Id) {
        if let Some(splat) = &classes[id].data.splat
            && let shape = &classes[id].data.types[0].shape
            && let Some(constant) = splat.with_shape(shape)
        {
            let constant = classes.add(ENode::new(Op::Constant(constant), &[]));
            classes.union(id, constant);
        }
    }
}

fn splat(op: &Op, operands: &[&Fact]) -> Option<Constant> {
    match op {
        Op::Constant(constant) => constant.with_shape(Shape::scalar()),
        Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } => {
            operands[0].splat.clone()
        }
        _ => None,
    }
}

/// Rounding keeps an order, so that a bound of a result follows from those of the operands.
fn least(classes: &Classes, node: &ENode, operands: &[&Fact]) -> f32 {
    if operands
        .iter()
        .any(|fact| fact.types[0].dtype != DType::F32)
    {
        return f32::NEG_INFINITY;
    }
    let of = |index: usize| operands[index].least;
    let positive = || operands.iter().all(|fact| fact.least >= 0.0);
    let known = match &node.op {
        Op::Constant(constant) => constant.splat_f32(),
        Op::Max => Some(of(0).max(of(1))),
        Op::Min => Some(of(0).min(of(1))),
        Op::Sqrt => (of(0) >= 0.0).then(|| of(0).sqrt()),
        Op::Abs | Op::Exp => Some(0.0),
        Op::Add if positive() => Some(of(0) + of(1)),
        Op::Mul if positive() => Some(of(0) * of(1)),
        Op::Mul if node.operands[0] == node.operands[1] => Some(0.0),
        Op::Div if positive() => Some(0.0),
        Op::Sum(axes) if is_softmax_numerator(classes, node.operands[0], axes) => Some(1.0),
        Op::Sum(_) if positive() => Some(0.0),
        Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_) => Some(of(0)),
        Op::Slice { .. } | Op::ReduceMax(_) => Some(of(0)),
        _ => None,
    };
    known
        .filter(|least| !least.is_nan())
        .unwrap_or(f32::NEG_INFINITY)
}

/// Whether a class is `exp(s - max(s))` with the maximum over `axes`, one element of which is 1.
fn is_softmax_numerator(classes: &Classes, class: Id, axes: &[usize]) -> bool {
    let inner = |id: Id, wanted: fn(&Op) -> bool| {
        let nodes = classes[id].nodes.iter();
        nodes.filter(move |node| wanted(&node.op))
    };
    let is_maximum = |id: Id, s: Id| {
        let mut maxima = inner(id, |op| matches!(op, Op::ReduceMax(_)));
        maxima.any(|node| {
            let over = matches!(&node.op, Op::ReduceMax(over) if *over == axes);
            over && classes.find(node.operands[0]) == classes.find(s)
        })
    };
    inner(class, |op| *op == Op::Exp).any(|exp| {
        inner(exp.operands[0], |op| *op == Op::Sub).any(|sub| {
            let [s, maximum] = [sub.operands[0], sub.operands[1]];
            inner(maximum, |op| matches!(op, Op::Broadcast { .. })).any(|node| match &node.op {
                Op::Broadcast { axes: kept, .. } => {
                    kept.iter().all(|axis| !axes.contains(axis)) && is_maximum(node.operands[0], s)
                }
                _ => false,
            })
        })
    })
}

/// Short forms for what rules ask and build.
pub trait Build {
    /// The class of `op` applied to `operands`, added if it is new.
    fn build(&mut self, op: Op, operands: &[Id]) -> Id;
    /// The same if it is there already.
    fn known(&self, op: Op, operands: &[Id]) -> Option<Id>;
    /// The type of a class with one result.
    fn ty(&self, id: Id) -> &Type;
    /// The `f32` that fills a class.
    fn value(&self, id: Id) -> Option<f32>;
    /// A class filled with `value`.
    fn full(&mut self, value: f32, shape: &Shape) -> Id;
    /// `id` with its axes permuted; nothing is added for an identity.
    fn transposed(&mut self, id: Id, permutation: &[usize]) -> Id;
    /// Classes that read `id` through an op, with that op.
    fn readers(&self, id: Id) -> Vec<(Id, ENode)>;
}

impl Build for Classes {
    fn build(&mut self, op: Op, operands: &[Id]) -> Id {
        self.add(ENode::new(op, operands))
    }

    fn known(&self, op: Op, operands: &[Id]) -> Option<Id> {
        let found = self.lookup(ENode::new(op.clone(), operands));
        match found {
            None if op.is_commutative() => self.lookup(ENode::new(op, &[operands[1], operands[0]])),
            found => found,
        }
    }

    fn ty(&self, id: Id) -> &Type {
        &self[id].data.types[0]
    }

    fn value(&self, id: Id) -> Option<f32> {
        self[id].data.splat.as_ref()?.splat_f32()
    }

    fn full(&mut self, value: f32, shape: &Shape) -> Id {
        self.build(full(value, shape), &[])
    }

    fn transposed(&mut self, id: Id, permutation: &[usize]) -> Id {
        if permutation.iter().copied().eq(0..permutation.len()) {
            return id;
        }
        let below = self[id].nodes.iter().find_map(|node| match &node.op {
            Op::Transpose(inner) => Some((node.operands[0], inner.clone())),
            _ => None,
        });
        match below {
            Some((source, inner)) => {
                let composed: Vec<usize> = permutation.iter().map(|&axis| inner[axis]).collect();
                match composed.iter().copied().eq(0..composed.len()) {
                    true => source,
                    false => self.build(Op::Transpose(composed), &[source]),
                }
            }
            None => self.build(Op::Transpose(permutation.to_vec()), &[id]),
        }
    }

    fn readers(&self, id: Id) -> Vec<(Id, ENode)> {
        let mut readers: Vec<(Id, ENode)> = Vec::new();
        for parent in self[id].parents() {
            let mut node = self.nodes()[usize::from(parent)].clone();
            node.update_children(|operand| self.find(operand));
            let reader = (self.find(parent), node);
            if !readers.contains(&reader) {
                readers.push(reader);
            }
        }
        readers
    }
}

/// The constant filled with `value`.
pub fn full(value: f32, shape: &Shape) -> Op {
    Op::Constant(Constant::splat(value.into(), DType::F32, shape))
}
