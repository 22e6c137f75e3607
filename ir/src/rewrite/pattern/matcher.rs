//! Backtracking search for a pattern among the members of a class.

use super::{Head, Name, Number, Pattern};
use crate::op::{Constant, Op};
use crate::rewrite::egraph::{Build, Classes, ENode};
use crate::shape::Shape;
use egg::Id;
use std::cell::Cell;

/// What the names of a pattern stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    bound: Vec<(Name, Value)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Class(Id),
    Number(f64),
    Op(Op),
    Rest(Vec<(Id, f64)>),
}

/// True if `axes` is the last of so many, alone.
fn is_last(axes: &[usize], rank: usize) -> bool {
    matches!(axes, [axis] if axis + 1 == rank)
}

impl Match {
    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.bound.iter().find(|(bound, _)| *bound == name);
        found.map(|(_, value)| value)
    }

    /// The class of `?name`.
    pub fn class(&self, name: &str) -> Id {
        match self.get(name) {
            Some(Value::Class(id)) => *id,
            other => panic!("?{name} is {other:?}"),
        }
    }

    /// The constant of `#name`, or the factor of `*[name]`.
    pub fn number(&self, name: &str) -> f64 {
        match self.get(name) {
            Some(Value::Number(value)) => *value,
            other => panic!("#{name} is {other:?}"),
        }
    }

    /// The op of `head$name`.
    pub fn op(&self, name: &str) -> &Op {
        match self.get(name) {
            Some(Value::Op(op)) => op,
            other => panic!("${name} is {other:?}"),
        }
    }

    /// The terms of `+$name` that the pattern does not mention, with their coefficients.
    pub fn rest(&self, name: &str) -> &[(Id, f64)] {
        match self.get(name) {
            Some(Value::Rest(terms)) => terms,
            other => panic!("${name} is {other:?}"),
        }
    }
}

type Next<'n> = &'n mut dyn FnMut(&mut Match);
type NextScaled<'n> = &'n mut dyn FnMut(&mut Match, f64);

/// Searches an e-graph, up to a number of steps.
pub struct Matcher<'a> {
    classes: &'a Classes,
    steps: Cell<usize>,
}

/// How far signs and constants are looked through.
const STRIP_DEPTH: usize = 4;
/// How deep sums are taken apart.
const EXPAND_DEPTH: usize = 16;
/// Most terms of a linear combination.
const MOST_TERMS: usize = 12;

impl<'a> Matcher<'a> {
    pub fn new(classes: &'a Classes, steps: usize) -> Self {
        let steps = Cell::new(steps);
        Matcher { classes, steps }
    }

    /// Steps that are left; at 0 the search has been cut short.
    pub fn steps_left(&self) -> usize {
        self.steps.get()
    }

    /// Every way in which `pattern` matches a member of `class`.
    pub fn matches(&self, pattern: &Pattern, class: Id) -> Vec<Match> {
        let mut found = Vec::new();
        let mut empty = Match::default();
        self.find(pattern, class, &mut empty, &mut |m| {
            if !found.contains(m) {
                found.push(m.clone());
            }
        });
        found
    }

    fn step(&self) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left > 0
    }

    fn find(&self, pattern: &Pattern, class: Id, m: &mut Match, next: Next) {
        if !self.step() {
            return;
        }
        match pattern {
            Pattern::Class(name) => self.bind(name, Value::Class(class), m, next),
            Pattern::Alias(name, inner) => {
                let known = m.get(name).cloned();
                match known {
                    Some(known) if known != Value::Class(class) => {}
                    Some(_) => self.find(inner, class, m, next),
                    None => {
                        let mark = m.bound.len();
                        m.bound.push((*name, Value::Class(class)));
                        self.find(inner, class, m, next);
                        m.bound.truncate(mark);
                    }
                }
            }
            Pattern::Constant(number) => self.constant(*number, class, m, next),
            Pattern::Node {
                head,
                payload,
                operands,
            } => {
                for node in &self.classes[class].nodes {
                    if node.operands.len() == operands.len() && self.is(*head, node) {
                        self.node(node, *payload, operands, m, next);
                    }
                }
            }
            Pattern::Product { factor, factors } => {
                let factors: Vec<&Pattern> = factors.iter().collect();
                self.product(class, &factors, 1.0, STRIP_DEPTH, m, &mut |m, scale| {
                    self.number(*factor, scale, m, next);
                });
            }
            Pattern::Linear { terms, rest } => {
                for combination in self.combinations(class) {
                    self.terms(terms, *rest, &combination, 0, m, next);
                }
            }
        }
    }

    fn bind(&self, name: Name, value: Value, m: &mut Match, next: Next) {
        match m.get(name) {
            Some(known) if *known == value => next(m),
            Some(_) => {}
            None => {
                let mark = m.bound.len();
                m.bound.push((name, value));
                next(m);
                m.bound.truncate(mark);
            }
        }
    }

    fn constant(&self, number: Number, class: Id, m: &mut Match, next: Next) {
        let Some(splat) = &self.classes[class].data.splat else {
            return;
        };
        match number {
            Number::Is(value) => {
                let wanted = Constant::splat(value, splat.ty().dtype, Shape::scalar());
                if wanted == *splat {
                    next(m);
                }
            }
            Number::Bound(name) => {
                if let Some(value) = splat.splat_f32() {
                    self.bind(name, Value::Number(value.into()), m, next);
                }
            }
        }
    }

    /// Binds or checks the constant factor of a product: rounding may have moved it.
    fn number(&self, number: Number, value: f64, m: &mut Match, next: Next) {
        let wanted = match number {
            Number::Is(wanted) => wanted,
            Number::Bound(name) => match m.get(name) {
                Some(Value::Number(known)) => *known,
                _ => return self.bind(name, Value::Number(value), m, next),
            },
        };
        if close(value, wanted) {
            next(m);
        }
    }

    fn is(&self, head: Head, node: &ENode) -> bool {
        let rank = |id: Id| self.classes.ty(id).shape.rank();
        match (head, &node.op) {
            (Head::Op(name), op) => op.name() == name,
            (Head::Row, Op::Broadcast { shape, axes }) => {
                axes.len() + 1 == shape.rank() && axes.iter().copied().eq(0..axes.len())
            }
            (Head::Column, Op::Broadcast { shape, axes }) => is_last(axes, shape.rank()),
            (Head::RowSum, Op::Sum(axes)) | (Head::RowMax, Op::ReduceMax(axes)) => {
                is_last(axes, rank(node.operands[0]))
            }
            _ => false,
        }
    }

    fn node(
        &self,
        node: &ENode,
        payload: Option<Name>,
        patterns: &[Pattern],
        m: &mut Match,
        next: Next,
    ) {
        let mut both_orders = |m: &mut Match| {
            self.sequence(patterns, &node.operands, m, next);
            if node.op.is_commutative() && node.operands[0] != node.operands[1] {
                let swapped = [node.operands[1], node.operands[0]];
                self.sequence(patterns, &swapped, m, next);
            }
        };
        match payload {
            Some(name) => self.bind(name, Value::Op(node.op.clone()), m, &mut both_orders),
            None => both_orders(m),
        }
    }

    fn sequence(&self, patterns: &[Pattern], operands: &[Id], m: &mut Match, next: Next) {
        match (patterns, operands) {
            ([pattern, patterns @ ..], [operand, operands @ ..]) => {
                self.find(pattern, *operand, m, &mut |m| {
                    self.sequence(patterns, operands, m, next);
                });
            }
            _ => next(m),
        }
    }

    /// Splits `factors` over the two sides of each product in the class.
    fn product(
        &self,
        class: Id,
        factors: &[&Pattern],
        scale: f64,
        depth: usize,
        m: &mut Match,
        next: NextScaled,
    ) {
        if !self.step() {
            return;
        }
        if let [factor] = factors {
            self.find(factor, class, m, &mut |m| next(m, scale));
        }
        for node in &self.classes[class].nodes {
            if let Some((inner, constant)) = self.scaled(node) {
                if depth > 0 {
                    self.product(inner, factors, scale * constant, depth - 1, m, next);
                }
            } else if node.op == Op::Mul && factors.len() > 1 {
                let (x, y) = (node.operands[0], node.operands[1]);
                for chosen in 1..(1usize << factors.len()) - 1 {
                    let side = |left: bool| -> Vec<&Pattern> {
                        let is_left = |index: &usize| (chosen >> index & 1 == 1) == left;
                        let indices = (0..factors.len()).filter(is_left);
                        indices.map(|index| factors[index]).collect()
                    };
                    let (left, right) = (side(true), side(false));
                    self.product(x, &left, scale, depth, m, &mut |m, scale| {
                        self.product(y, &right, scale, depth, m, next);
                    });
                }
            }
        }
    }

    /// x and c if the node is x times the constant c, which is neither zero nor infinite: these
    /// do not move past infinite terms.
    fn scaled(&self, node: &ENode) -> Option<(Id, f64)> {
        let value = |index: usize| self.classes.value(node.operands[index]).map(f64::from);
        let scaled = match node.op {
            Op::Neg => Some((node.operands[0], -1.0)),
            Op::Sub if value(0) == Some(0.0) => Some((node.operands[1], -1.0)),
            Op::Mul => match (value(0), value(1)) {
                (_, Some(constant)) => Some((node.operands[0], constant)),
                (Some(constant), None) => Some((node.operands[1], constant)),
                (None, None) => None,
            },
            Op::Div => value(1).map(|constant| (node.operands[0], 1.0 / constant)),
            _ => None,
        };
        scaled.filter(|(_, constant)| constant.is_finite() && *constant != 0.0)
    }

    /// The linear combinations that the class is, one per sum among its members.
    fn combinations(&self, class: Id) -> Vec<Vec<(Id, f64)>> {
        let mut combinations = Vec::new();
        for node in &self.classes[class].nodes {
            if matches!(node.op, Op::Add | Op::Sub) {
                let mut terms = Vec::new();
                self.expand(node, 1.0, EXPAND_DEPTH, &mut terms);
                if terms.len() <= MOST_TERMS {
                    combinations.push(terms);
                }
            }
        }
        combinations
    }

    fn expand(&self, node: &ENode, coefficient: f64, depth: usize, terms: &mut Vec<(Id, f64)>) {
        let second = if node.op == Op::Sub { -1.0 } else { 1.0 };
        self.expand_class(node.operands[0], coefficient, depth, terms);
        self.expand_class(node.operands[1], coefficient * second, depth, terms);
    }

    /// Only sums that nothing else reads are taken apart: a chain must not run through the
    /// gradients of a whole network.
    fn expand_class(&self, class: Id, coefficient: f64, depth: usize, terms: &mut Vec<(Id, f64)>) {
        let class = self.classes.find(class);
        let nodes = &self.classes[class].nodes;
        let room = depth > 0 && terms.len() <= MOST_TERMS;
        let scaled = nodes.iter().find_map(|node| self.scaled(node));
        if let (Some((inner, constant)), true) = (scaled, room) {
            return self.expand_class(inner, coefficient * constant, depth - 1, terms);
        }
        let sum = nodes
            .iter()
            .find(|node| matches!(node.op, Op::Add | Op::Sub));
        match sum {
            Some(sum) if room && self.has_one_reader(class) => {
                self.expand(sum, coefficient, depth - 1, terms);
            }
            // Of opposite signs they do not add up: infinity minus infinity is NaN.
            _ => match terms
                .iter_mut()
                .find(|term| term.0 == class && term.1 * coefficient > 0.0)
            {
                Some(term) => term.1 += coefficient,
                None => terms.push((class, coefficient)),
            },
        }
    }

    fn has_one_reader(&self, class: Id) -> bool {
        let mut readers = self.classes[class]
            .parents()
            .map(|id| self.classes.find(id));
        let first = readers.next();
        readers.all(|reader| Some(reader) == first)
    }

    /// Matches each term of the pattern with another term of the combination; bit `i` of `used` is
    /// set once term `i` has been matched.
    fn terms(
        &self,
        patterns: &[Pattern],
        rest: Option<Name>,
        terms: &[(Id, f64)],
        used: u32,
        m: &mut Match,
        next: Next,
    ) {
        let Some((pattern, patterns)) = patterns.split_first() else {
            let unused = (0..terms.len()).filter(|index| used >> index & 1 == 0);
            let left: Vec<(Id, f64)> = unused.map(|index| terms[index]).collect();
            match rest {
                Some(name) => self.bind(name, Value::Rest(left), m, next),
                None if left.is_empty() => next(m),
                None => {}
            }
            return;
        };
        let single = [pattern];
        let (factor, factors): (Number, Vec<&Pattern>) = match pattern {
            Pattern::Product { factor, factors } => (*factor, factors.iter().collect()),
            _ => (Number::Is(1.0), single.to_vec()),
        };
        for (index, &(class, coefficient)) in terms.iter().enumerate() {
            if used >> index & 1 == 1 {
                continue;
            }
            let used = used | 1 << index;
            let depth = STRIP_DEPTH;
            self.product(class, &factors, coefficient, depth, m, &mut |m, scale| {
                self.number(factor, scale, m, &mut |m| {
                    self.terms(patterns, rest, terms, used, m, next);
                });
            });
        }
    }
}

/// Equal up to the rounding of a few `f32` constants.
pub fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}
