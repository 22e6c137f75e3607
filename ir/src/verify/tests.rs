//! Each invariant can be broken, and is then reported with its place.

use super::*;
use crate::graph::Region;
use crate::op::Float;
use crate::shape::Shape;
use crate::text::parse;
use std::panic::Location;

/// A function that violates invariants at will.
#[derive(Default)]
struct Broken {
    nodes: Vec<Node>,
    outputs: Vec<(String, NodeId)>,
    updates: Vec<(NodeId, NodeId)>,
}

impl Broken {
    /// A node with these operands and `f32[2]` results.
    #[track_caller]
    fn node(mut self, op: Op, operands: &[usize], results: usize) -> Self {
        let operands = operands.iter().map(|&index| NodeId::new(index));
        self.nodes.push(Node {
            op,
            operands: operands.collect(),
            types: vec![pair(); results].into(),
            location: Location::caller(),
            region: Region::default(),
        });
        self
    }

    fn input(self, name: &str) -> Self {
        let (name, ty) = (name.to_string(), pair());
        self.node(Op::Input { name, ty }, &[], 1)
    }

    fn parameter(self, name: &str) -> Self {
        let (name, ty) = (name.to_string(), pair());
        self.node(Op::Parameter { name, ty }, &[], 1)
    }

    fn output(mut self, name: &str, index: usize) -> Self {
        self.outputs.push((name.to_string(), NodeId::new(index)));
        self
    }

    fn update(mut self, parameter: usize, value: usize) -> Self {
        let update = (NodeId::new(parameter), NodeId::new(value));
        self.updates.push(update);
        self
    }

    fn function(self) -> Function {
        Function::from_parts(self.nodes, self.outputs, self.updates)
    }

    fn problem(self) -> String {
        verify(&self.function()).unwrap_err().to_string()
    }
}

fn pair() -> Type {
    Type::new(DType::F32, [2])
}

#[test]
fn every_op_is_accepted() {
    let text = include_str!("../text/tests/every_op.txt");
    assert_eq!(verify(&parse(text).unwrap()), Ok(()));
}

#[test]
fn operands_come_first() {
    let x = || Broken::default().input("x");
    let later = x().node(Op::Neg, &[2], 1).node(Op::Neg, &[1], 1);
    assert_eq!(
        later.output("y", 2).problem(),
        "operand %2 does not come before its user\n  in: %1 = neg %2 : f32[2]"
    );
    let missing = x().node(Op::Neg, &[9], 1).output("y", 1);
    assert!(missing.problem().starts_with("operand %9"));
}

#[test]
fn types_are_those_inferred() {
    let wrong = Broken::default().input("x");
    let wrong = wrong.node(Op::Sum(vec![0]), &[0], 1).output("y", 1);
    assert_eq!(
        wrong.problem(),
        "its type should be f32[]\n  in: %1 = sum %0 axes=[0] : f32[2]"
    );
}

#[test]
fn payloads_and_operands_fit() {
    let x = || Broken::default().input("x");
    let slice = Op::Slice {
        start: vec![0],
        stop: vec![2],
        stride: vec![0],
    };
    let stride = x().node(slice, &[0], 1).output("y", 1).problem();
    assert!(stride.starts_with("slice: axis 0: 0..2 by 0"), "{stride}");
    let arity = x().node(Op::Add, &[0], 1).output("y", 1).problem();
    assert!(arity.starts_with("add: takes 2 operands"), "{arity}");
    let shape = Shape::from([1 << 49]);
    let axes = Vec::new();
    let huge = Broken::default()
        .node(
            Op::Constant(Constant::splat(0.0, DType::F32, Shape::scalar())),
            &[],
            1,
        )
        .node(Op::Broadcast { shape, axes }, &[0], 1);
    assert!(verify(&huge.output("y", 1).function()).is_err());
}

#[test]
fn several_results_are_read_through_projections() {
    let epsilon = Float::new(1e-5);
    let norm = || {
        let x = Broken::default().input("x");
        let mut norm = x.node(Op::LayerNorm { epsilon }, &[0, 0, 0], 3);
        norm.nodes[1].types[1] = Type::scalar(DType::F32);
        norm.nodes[1].types[2] = Type::scalar(DType::F32);
        norm
    };
    let whole = norm().node(Op::Neg, &[1], 1).output("y", 2).problem();
    assert!(whole.contains("neg: an operand has 3 results"), "{whole}");
    let output = norm().output("y", 1).problem();
    assert_eq!(output, "%1 has 3 results\n  in: output \"y\" %1");
    let good = norm().node(Op::Projection(0), &[1], 1).output("y", 2);
    assert_eq!(verify(&good.function()), Ok(()));
}

#[test]
fn booleans_are_zero_or_one() {
    let two = Constant::splat_bytes(Type::scalar(DType::Bool), &[2]);
    let mut function = Broken::default().node(Op::Constant(two), &[], 1);
    function.nodes[0].types[0] = Type::scalar(DType::Bool);
    let problem = function.output("y", 0).problem();
    assert!(problem.starts_with("a boolean is neither"), "{problem}");
}

#[test]
fn names_are_distinct() {
    let two = Broken::default().input("x").input("x");
    let inputs = two.output("a", 0).output("b", 1).problem();
    assert!(inputs.starts_with("a second input \"x\"\n"), "{inputs}");
    let two = Broken::default().parameter("x").parameter("x");
    let parameters = two.output("a", 0).output("b", 1).problem();
    assert!(parameters.starts_with("a second parameter"), "{parameters}");
    let x = Broken::default().input("x");
    let outputs = x.output("a", 0).output("a", 0).problem();
    assert!(outputs.starts_with("a second output \"a\"\n"), "{outputs}");
    let both = Broken::default().input("x").parameter("x");
    let both = both.output("a", 0).output("b", 1).function();
    assert_eq!(verify(&both), Ok(()));
}

#[test]
fn outputs_exist() {
    let missing = Broken::default().input("x").output("y", 5).problem();
    assert!(missing.starts_with("there is no node %5\n"), "{missing}");
}

#[test]
fn updates_replace_each_parameter_once_by_its_type() {
    let both = || Broken::default().input("x").parameter("w");
    let input = both().update(0, 1).problem();
    assert_eq!(input, "%0 is no parameter\n  in: update %0 <- %1");
    let twice = both().update(1, 0).update(1, 0).problem();
    assert!(twice.starts_with("a second update of %1\n"), "{twice}");
    let mut sum = both().node(Op::Sum(vec![0]), &[0], 1).update(1, 2);
    sum.nodes[2].types[0] = Type::scalar(DType::F32);
    let sum = sum.problem();
    assert!(
        sum.starts_with("the parameter is f32[2], its new value f32[]\n"),
        "{sum}"
    );
    assert_eq!(verify(&both().update(1, 0).function()), Ok(()));
}

#[test]
fn every_node_is_needed() {
    let unused = Broken::default().input("x").input("unused").output("y", 0);
    let problem = unused.problem();
    assert!(
        problem.starts_with("no output or update needs the node\n"),
        "{problem}"
    );
}

#[test]
#[should_panic(expected = "the pass `fold` broke the graph: no output or update needs")]
fn a_check_names_the_pass() {
    check("fold", &Broken::default().input("x").function());
}
