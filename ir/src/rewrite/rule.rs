//! Rewrite rules: a name, what they keep, a pattern, and what equals it.

use super::egraph::{Build, Classes, full};
use super::pattern::{Head, Match, Name, Number, Pattern};
use crate::op::Op;
use crate::shape::Type;
use egg::Id;

/// What a rule keeps of the value that it rewrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Soundness {
    /// Every bit.
    Exact,
    /// The value over the real numbers, infinities and NaN; it rounds differently. What that
    /// means is said [there](crate::rewrite#what-a-reassociating-rule-may-change).
    Reassociating,
}

/// The right side of a rule.
#[derive(Clone, Copy)]
pub enum Right {
    /// A pattern over the names of the left side; it replaces the root.
    Text(&'static str),
    /// Checks the match and adds equalities; `None` if the match is not one.
    Code(fn(&mut Rewrite) -> Option<()>),
}

/// A directed rewrite rule.
#[derive(Clone, Copy)]
pub struct Rule {
    pub name: Name,
    pub soundness: Soundness,
    /// The pattern that is looked for.
    pub left: &'static str,
    pub right: Right,
    /// `left => right` in words of the mathematics, for reports.
    pub meaning: &'static str,
}

/// A match of a rule under application.
pub struct Rewrite<'a> {
    pub classes: &'a mut Classes,
    pub root: Id,
    pub found: &'a Match,
}

impl Rewrite<'_> {
    /// The class of `?name`.
    pub fn class(&self, name: &str) -> Id {
        self.classes.find(self.found.class(name))
    }

    pub fn number(&self, name: &str) -> f64 {
        self.found.number(name)
    }

    pub fn op(&self, name: &str) -> &Op {
        self.found.op(name)
    }

    /// The type of the root.
    pub fn ty(&self) -> Type {
        self.classes.ty(self.root).clone()
    }

    pub fn build(&mut self, op: Op, operands: &[Id]) -> Id {
        self.classes.build(op, operands)
    }

    /// States that the root equals `id`.
    pub fn root_is(&mut self, id: Id) {
        self.equate(self.root, id);
    }

    pub fn equate(&mut self, a: Id, b: Id) {
        self.classes.union(a, b);
    }

    /// `id` plus the terms of `+$name` that the pattern leaves over.
    pub fn plus_rest(&mut self, id: Id, name: &str) -> Id {
        let mut sum = id;
        for &(term, coefficient) in self.found.rest(name) {
            sum = if coefficient == 1.0 {
                self.build(Op::Add, &[sum, term])
            } else if coefficient == -1.0 {
                self.build(Op::Sub, &[sum, term])
            } else {
                let shape = self.classes.ty(term).shape.clone();
                let factor = self.classes.full(coefficient as f32, &shape);
                let scaled = self.build(Op::Mul, &[term, factor]);
                self.build(Op::Add, &[sum, scaled])
            };
        }
        sum
    }

    /// Builds the right side of a rule in text form.
    pub fn instantiate(&mut self, pattern: &Pattern) -> Id {
        match pattern {
            Pattern::Class(name) => self.class(name),
            Pattern::Constant(number) => self.constant(*number, &self.ty()),
            Pattern::Node {
                head,
                payload,
                operands,
            } => {
                let op = match (payload, head) {
                    (Some(name), _) => self.op(name).clone(),
                    (None, Head::Op(name)) => plain(name),
                    (None, head) => panic!("{head:?} needs the op of the left side"),
                };
                let is_constant = |pattern: &&Pattern| matches!(pattern, Pattern::Constant(_));
                let like = operands.iter().find(|pattern| !is_constant(pattern));
                let like = self.instantiate(like.expect("an operand"));
                let like = self.classes.ty(like).clone();
                let mut ids = Vec::with_capacity(operands.len());
                for operand in operands {
                    ids.push(match operand {
                        Pattern::Constant(number) => self.constant(*number, &like),
                        _ => self.instantiate(operand),
                    });
                }
                self.build(op, &ids)
            }
            other => panic!("{other:?} cannot be built"),
        }
    }

    fn constant(&mut self, number: Number, like: &Type) -> Id {
        let value = match number {
            Number::Is(value) => value,
            Number::Bound(name) => self.number(name),
        };
        self.build(full(value as f32, &like.shape), &[])
    }
}

/// An op without payload by name.
fn plain(name: &str) -> Op {
    match name {
        "neg" => Op::Neg,
        "add" => Op::Add,
        "sub" => Op::Sub,
        "mul" => Op::Mul,
        "div" => Op::Div,
        "less" => Op::Less,
        "softmax" => Op::Softmax,
        "softmax_backward" => Op::SoftmaxBackward,
        "gelu" => Op::Gelu,
        "gelu_backward" => Op::GeluBackward,
        name => panic!("no rule builds `{name}`"),
    }
}
