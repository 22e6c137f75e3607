//! The walk from outputs to leaves that applies the rules and adds up what they give.

use super::rules::{Call, rule};
use crate::dtype::DType;
use crate::fused;
use crate::graph::{Graph, Node, NodeId};
use crate::op::{Family, Op};
use crate::tensor::Tensor;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A part of a cotangent: of which result of the node, and how much.
type Contribution<'g> = (usize, Tensor<'g>);

pub(super) struct Backward<'g> {
    graph: &'g Graph,
    wrt: HashSet<NodeId>,
    /// For each node so far: whether a tensor of `wrt` reaches it through floats.
    depends: Vec<bool>,
    /// Nodes that still have to be differentiated, in the order of the graph. The last is taken
    /// first: its users come after it, so all of them have contributed.
    pending: BTreeMap<NodeId, Vec<Contribution<'g>>>,
    gradients: HashMap<NodeId, Tensor<'g>>,
}

impl<'g> Backward<'g> {
    pub fn new(graph: &'g Graph, wrt: &[Tensor<'g>]) -> Self {
        Backward {
            graph,
            wrt: wrt.iter().map(|tensor| tensor.id()).collect(),
            depends: Vec::new(),
            pending: BTreeMap::new(),
            gradients: HashMap::new(),
        }
    }

    /// Adds to the cotangent of an output.
    pub fn seed(&mut self, output: Tensor<'g>, cotangent: Tensor<'g>) {
        self.contribute(output.id(), 0, cotangent);
    }

    pub fn run(&mut self) {
        while let Some((id, contributions)) = self.pending.pop_last() {
            let node = self.graph.node(id);
            self.graph
                .in_place_of(&node, || self.differentiate(id, &node, contributions));
        }
    }

    /// The derivative by a tensor of `wrt`, once the walk is over.
    pub fn gradient(&self, tensor: Tensor<'g>) -> Tensor<'g> {
        let zero = || self.graph.full(0.0, DType::F32, tensor.shape());
        let gradient = self.gradients.get(&tensor.id()).copied();
        gradient.unwrap_or_else(zero)
    }

    fn differentiate(&mut self, id: NodeId, node: &Node, contributions: Vec<Contribution<'g>>) {
        let mut cotangents: Vec<Option<Tensor<'g>>> = vec![None; node.types.len()];
        for (result, part) in contributions {
            let so_far = cotangents[result];
            cotangents[result] = Some(so_far.map_or(part, |sum| sum + part));
        }
        if self.wrt.contains(&id)
            && let Some(cotangent) = cotangents[0]
        {
            let so_far = self.gradients.get(&id);
            let sum = so_far.map_or(cotangent, |&sum| sum + cotangent);
            self.gradients.insert(id, sum);
        }
        match (&node.op, node.op.family()) {
            (&Op::Projection(index), _) => {
                let cotangent = cotangents[0].expect("a pending node has a cotangent");
                self.contribute(node.operands[0], index, cotangent);
            }
            (op, Family::Fused) => self.apply_expansion(op, node, &cotangents),
            _ => {
                let cotangent = cotangents[0].expect("a pending node has a cotangent");
                self.apply_rule(id, node, cotangent);
            }
        }
    }

    /// A fused op has the derivative of the graph that it stands for: the cotangents of its
    /// results go to that graph, which ends in the op's own operands.
    fn apply_expansion(&mut self, op: &Op, node: &Node, cotangents: &[Option<Tensor<'g>>]) {
        let tensor = |&id: &NodeId| Tensor::new(self.graph, id);
        let operands: Vec<Tensor<'g>> = node.operands.iter().map(tensor).collect();
        let results = fused::expand(self.graph, op, &operands);
        for (result, cotangent) in results.iter().zip(cotangents) {
            if let Some(cotangent) = cotangent {
                self.contribute(result.id(), 0, *cotangent);
            }
        }
    }

    fn apply_rule(&mut self, id: NodeId, node: &Node, cotangent: Tensor<'g>) {
        let tensor = |&id: &NodeId| Tensor::new(self.graph, id);
        let operands: Vec<Tensor<'g>> = node.operands.iter().map(tensor).collect();
        let call = Call {
            op: &node.op,
            operands: &operands,
            result: tensor(&id),
            cotangent,
        };
        for (position, operand) in operands.iter().enumerate() {
            if self.depends_on(operand.id())
                && let Some(part) = rule(&call, position)
            {
                debug_assert_eq!(part.shape(), operand.shape(), "rule of {}", node.op.name());
                self.contribute(operand.id(), 0, part);
            }
        }
    }

    fn contribute(&mut self, id: NodeId, result: usize, part: Tensor<'g>) {
        if self.depends_on(id) {
            self.pending.entry(id).or_default().push((result, part));
        }
    }

    /// Whether a gradient that reaches the node goes on to a tensor of `wrt`.
    fn depends_on(&mut self, id: NodeId) -> bool {
        while self.depends.len() <= id.index() {
            let next = NodeId::new(self.depends.len());
            let node = self.graph.node(next);
            let floats = node.types.iter().any(|ty| ty.dtype.is_float());
            let passes = floats && !has_zero_derivative(&node.op);
            let reached = || node.operands.iter().any(|id| self.depends[id.index()]);
            let depends = self.wrt.contains(&next) || (passes && reached());
            self.depends.push(depends);
        }
        self.depends[id.index()]
    }
}

/// Ops that make floats of floats and whose derivative is zero everywhere by definition.
fn has_zero_derivative(op: &Op) -> bool {
    matches!(op, Op::Sign | Op::Floor | Op::StopGradient)
}
